package sqlite

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// The WAL holds commits that are not yet in the database itself. SQLite reads it
// up to the first frame that is not right and forgets the rest without a word:
// after a power cut that is what was never finished. (File format: "The
// Write-Ahead Log" in SQLite's documentation.)

// errWALHeader says that nothing of a WAL can be used.
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

// checkWAL returns an error that says which commits in the WAL of the database
// at path SQLite does not see, though they were written.
func checkWAL(path string) error {
	f, err := os.Open(path + "-wal")
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
		// Not even one frame was written.
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

// A walReader checks frames, each of whose checksums goes on from that of the
// frame before it.
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

// sum takes bytes into the checksum.
func (w *walReader) sum(b []byte) {
	for ; len(b) >= 8; b = b[8:] {
		w.s0 += w.order.Uint32(b) + w.s1
		w.s1 += w.order.Uint32(b[4:]) + w.s0
	}
}

// summed reports whether b begins with the checksum.
func (w *walReader) summed(b []byte) bool {
	return binary.BigEndian.Uint32(b) == w.s0 && binary.BigEndian.Uint32(b[4:]) == w.s1
}

// lost looks for commits of this WAL behind a frame that is not right.
func (w *walReader) lost(r io.Reader) error {
	frame := make([]byte, walFrame+w.pageSize)
	right, lost := true, 0
	for {
		if _, err := io.ReadFull(r, frame); err != nil {
			if err := notShort(err); err != nil {
				return err
			}
			break
		}
		// Frames of an earlier use of the file have another salt.
		ours := string(frame[8:16]) == string(w.salt[:])
		if right {
			w.sum(frame[:8])
			w.sum(frame[walFrame:])
			right = ours && w.summed(frame[16:])
		}
		if commits := binary.BigEndian.Uint32(frame[4:]) != 0; !right && ours && commits {
			lost++
		}
	}
	if lost > 0 {
		return fmt.Errorf("%d commits at the end of the write-ahead log cannot be read", lost)
	}
	return nil
}
