package sqlite

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// The WAL holds commits that are not yet in the database file. SQLite reads it up to
// the first invalid frame and silently ignores the rest: usually a commit that a power
// cut interrupted, but damage looks the same. (File format: "WAL-mode File Format" in
// SQLite's documentation.)

// errWALHeader is the error for a WAL without a valid header.
var errWALHeader = errors.New("nothing of the write-ahead log can be read")

const (
	walHeader = 32
	walFrame  = 24 // header of a frame, before its page
)

// walSize returns the size of the WAL, 0 if there is none.
func (f *files) walSize() (int64, error) {
	st, err := os.Stat(f.path + "-wal")
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

// walHas reports whether the WAL of an open database has so many frames since its last
// reset, which changed the salt.
func (f *files) walHas(frames int64) bool {
	wal, err := os.Open(f.path + "-wal")
	if err != nil {
		return false
	}
	defer wal.Close()
	header := make([]byte, walHeader)
	if _, err := wal.ReadAt(header, 0); err != nil {
		return false
	}
	w, err := newWALReader(header)
	if err != nil {
		return false
	}
	has, err := w.has(wal, frames)
	return has && err == nil
}

// checkWAL logs which commits in the WAL of a killed daemon cannot be read.
func (f *files) checkWAL() error {
	err := lostCommits(f.path + "-wal")
	if errors.Is(err, errWALHeader) {
		// SQLite would overwrite it.
		to, e := quarantineFiles(f.path, time.Now(), "-wal")
		if e != nil {
			return e
		}
		f.log.Error("the last changes to the store are lost", "store", f.path, "moved_to", to+"-wal", "err", err)
	} else if err != nil {
		f.log.Error("the last changes to the store are lost, by a power cut or by damage", "store", f.path, "err", err)
	}
	return nil
}

// lostCommits returns an error that counts the written commits in a WAL that SQLite
// ignores.
func lostCommits(wal string) error {
	f, err := os.Open(wal)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 1<<16)
	header := make([]byte, walHeader)
	if _, err := io.ReadFull(r, header); err != nil {
		// It has no frame.
		return notShort(err)
	}
	w, err := newWALReader(header)
	if err != nil {
		return err
	}
	return w.lost(r)
}

// notShort returns nil for the end of a file.
func notShort(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// A walReader checks frames. The checksum of each frame continues that of the one
// before.
type walReader struct {
	order    binary.ByteOrder
	salt     [8]byte
	pageSize int
	s0, s1   uint32
}

func newWALReader(header []byte) (*walReader, error) {
	w := &walReader{order: binary.LittleEndian}
	magic := binary.BigEndian.Uint32(header)
	if magic&^1 != 0x377f0682 {
		return nil, errWALHeader
	}
	if magic&1 != 0 {
		w.order = binary.BigEndian
	}
	w.pageSize = int(binary.BigEndian.Uint32(header[8:]))
	copy(w.salt[:], header[16:])
	w.sum(header[:24])
	if !w.summed(header[24:]) || w.pageSize < 512 || w.pageSize > 65536 {
		return nil, errWALHeader
	}
	return w, nil
}

// has reports whether there are so many frames since the last reset of the WAL.
func (w *walReader) has(r io.ReaderAt, frames int64) (bool, error) {
	salt := make([]byte, 8)
	n, err := r.ReadAt(salt, walHeader+(frames-1)*(walFrame+int64(w.pageSize))+8)
	return n == len(salt) && string(salt) == string(w.salt[:]), notShort(err)
}

// sum adds bytes to the checksum.
func (w *walReader) sum(b []byte) {
	for ; len(b) >= 8; b = b[8:] {
		w.s0 += w.order.Uint32(b) + w.s1
		w.s1 += w.order.Uint32(b[4:]) + w.s0
	}
}

// summed reports whether b begins with the checksum so far.
func (w *walReader) summed(b []byte) bool {
	return binary.BigEndian.Uint32(b) == w.s0 && binary.BigEndian.Uint32(b[4:]) == w.s1
}

// lost counts the commits of this WAL after an invalid frame.
func (w *walReader) lost(r io.Reader) error {
	frame := make([]byte, walFrame+w.pageSize)
	valid, lost := true, 0
	for {
		if _, err := io.ReadFull(r, frame); err != nil {
			if err := notShort(err); err != nil {
				return err
			}
			break
		}
		// Frames from before the last reset of the WAL have another salt.
		ours := string(frame[8:16]) == string(w.salt[:])
		if valid {
			w.sum(frame[:8])
			w.sum(frame[walFrame:])
			valid = ours && w.summed(frame[16:])
		}
		if commits := binary.BigEndian.Uint32(frame[4:]) != 0; !valid && ours && commits {
			lost++
		}
	}
	if lost > 0 {
		return fmt.Errorf("%d commits at the end of the write-ahead log cannot be read", lost)
	}
	return nil
}
