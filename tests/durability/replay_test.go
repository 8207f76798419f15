package durability

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
)

// A disk is what a replayed recording has made of the store's directory so far:
// what its files are to programs, and what of them is durable.
type disk struct {
	names   map[string]*file
	durable map[string]*file // names that were synced
}

// A file is an inode: it is the same one under all its names.
type file struct {
	durable []byte
	pending []step // since the last sync
}

func newDisk() *disk {
	return &disk{names: make(map[string]*file), durable: make(map[string]*file)}
}

// do has a step happen.
func (d *disk) do(s step) {
	f := d.names[s.file]
	switch s.did {
	case created:
		if f == nil {
			d.names[s.file] = new(file)
		}
	case removed:
		delete(d.names, s.file)
	case wrote, truncated:
		f.pending = append(f.pending, s)
	case synced:
		f.sync(s.began)
	case dirSynced:
		d.durable = maps.Clone(d.names)
	}
}

// sync makes durable what had ended when the sync began. A sync of a file does
// not make its name durable.
func (f *file) sync(began int) {
	var left []step
	for _, s := range f.pending {
		if s.ended < began {
			f.durable = apply(f.durable, s)
		} else {
			left = append(left, s)
		}
	}
	f.pending = left
}

// apply returns contents as a step leaves them, which it may have changed.
func apply(contents []byte, s step) []byte {
	end := s.length
	if s.did == wrote {
		end = s.offset + int64(len(s.data))
	}
	if short := end - int64(len(contents)); short > 0 {
		contents = append(contents, make([]byte, short)...)
	}
	if s.did == truncated {
		return contents[:s.length]
	}
	copy(contents[s.offset:], s.data)
	return contents
}

// Files are the files that a crash has left, by name.
type files map[string][]byte

// all returns the files after a kill of the daemon.
func (d *disk) all() files {
	left := make(files)
	for name, f := range d.names {
		contents := slices.Clone(f.durable)
		for _, s := range f.pending {
			contents = apply(contents, s)
		}
		left[name] = contents
	}
	return left
}

// synced returns the files after a power cut, if the disk has written only synced data.
func (d *disk) synced() files {
	left := make(files)
	for name, f := range d.durable {
		left[name] = slices.Clone(f.durable)
	}
	return left
}

// sector is what a disk writes whole.
const sector = 512

// torn returns the files after a power cut, if the disk has also written some other
// sectors and names.
func (d *disk) torn(random *rand.Rand) files {
	half := func() bool { return random.IntN(2) == 0 }
	names := maps.Clone(d.durable)
	for _, name := range slices.Sorted(maps.Keys(d.names)) {
		if names[name] != d.names[name] && half() {
			names[name] = d.names[name]
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.durable)) {
		if d.names[name] == nil && half() {
			delete(names, name)
		}
	}
	left := make(files)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		contents := slices.Clone(names[name].durable)
		for _, s := range names[name].pending {
			for _, part := range sectors(s) {
				if half() {
					contents = apply(contents, part)
				}
			}
		}
		left[name] = contents
	}
	return left
}

// sectors takes a write apart.
func sectors(s step) []step {
	if s.did != wrote {
		return []step{s}
	}
	var parts []step
	for len(s.data) > 0 {
		n := min(int64(len(s.data)), sector-s.offset%sector)
		parts = append(parts, step{did: wrote, offset: s.offset, data: s.data[:n]})
		s.offset, s.data = s.offset+n, s.data[n:]
	}
	return parts
}

// write makes the files in a new directory.
func (left files) write(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	for name, contents := range left {
		if err := os.WriteFile(filepath.Join(dir, name), contents, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// sum returns a number that no other files have, nor these after other answers.
func (left files) sum(answers []int) [sha256.Size]byte {
	h := sha256.New()
	for _, n := range answers {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(n)))
	}
	for _, name := range slices.Sorted(maps.Keys(left)) {
		h.Write([]byte(name))
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(left[name]))))
		h.Write(left[name])
	}
	return [sha256.Size]byte(h.Sum(nil))
}
