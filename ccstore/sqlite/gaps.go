package sqlite

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
)

// PRAGMA secure_delete overwrites what is deleted. It misses the rows that SQLite
// moves when it divides or joins pages: the copy that stays in the gap between the
// cell pointers and the cells of the old page outlives the row. So the gaps are
// overwritten before pages go from the WAL into the database. (File format: "B-tree
// Pages" in SQLite's documentation.)

// pageHeaders has the size of the header of each kind of page with rows: leaves of
// tables, and leaves and inner pages of indexes and of tables without rowid. The key is
// the first byte of a page. An overflow page begins with the number of another page;
// below maxPages that is none of these bytes.
var pageHeaders = map[byte]int{13: 8, 10: 8, 2: 12}

const (
	maxPages     = 1<<25 - 1 // limits the database to 128 GiB
	cellPointers = 2         // bytes each
)

// clearGaps overwrites the gaps of the pages, in one transaction of
// the connection.
func clearGaps(ctx context.Context, q querier, pages []uint32) (err error) {
	if _, err := q.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	for _, number := range pages {
		if err := clearGap(ctx, q, number); err != nil {
			_, rollback := q.ExecContext(ctx, "ROLLBACK")
			return errors.Join(err, rollback)
		}
	}
	_, err = q.ExecContext(ctx, "COMMIT")
	return err
}

func clearGap(ctx context.Context, q querier, number uint32) error {
	var page []byte
	// Without a row, the database has shrunk.
	err := q.QueryRowContext(ctx, "SELECT coalesce((SELECT data FROM sqlite_dbpage WHERE pgno = ?), x'')", number).Scan(&page)
	if err != nil {
		return err
	}
	if !hasLeftovers(page) {
		return nil
	}
	clear(gapOf(page))
	_, err = q.ExecContext(ctx, "UPDATE sqlite_dbpage SET data = ? WHERE pgno = ?", page, number)
	return err
}

// gapOf returns the part of a page with rows that belongs to no cell, nil for other
// pages and for a damaged one.
func gapOf(page []byte) []byte {
	if len(page) == 0 {
		return nil
	}
	header := pageHeaders[page[0]]
	if header == 0 || len(page) < header {
		return nil
	}
	begin := header + cellPointers*int(binary.BigEndian.Uint16(page[3:]))
	end := int(binary.BigEndian.Uint16(page[5:]))
	if begin > end || end > len(page) {
		return nil
	}
	return page[begin:end]
}

var zeros [1 << 16]byte // the largest page of SQLite

// hasLeftovers reports whether the gap of a page is not clear.
func hasLeftovers(page []byte) bool {
	gap := gapOf(page)
	return !bytes.Equal(gap, zeros[:len(gap)])
}

// allPages returns the numbers of all pages of the database.
func allPages(ctx context.Context, q querier) (pages []uint32, err error) {
	var n uint32
	if err := q.QueryRowContext(ctx, "PRAGMA page_count").Scan(&n); err != nil {
		return nil, err
	}
	for number := uint32(1); number <= n; number++ {
		pages = append(pages, number)
	}
	return pages, nil
}

// walPages returns the numbers of the pages with leftovers in the WAL of the database
// at path. Most pages of a large ticket have none, and asking SQLite for each would
// take longer than writing them.
func walPages(path string) (pages []uint32, err error) {
	f, err := os.Open(path + "-wal")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	header := make([]byte, walHeader)
	if _, err := io.ReadFull(f, header); err != nil {
		return nil, notShort(err)
	}
	w, err := newWALReader(header)
	if err != nil {
		return nil, fmt.Errorf("write-ahead log: %w", err)
	}
	frames, err := w.lastFrames(f)
	if err != nil {
		return nil, err
	}
	page := make([]byte, w.pageSize)
	for number, at := range frames {
		if _, err := f.ReadAt(page, at+walFrame); err != nil {
			return nil, err
		}
		if hasLeftovers(page) {
			pages = append(pages, number)
		}
	}
	slices.Sort(pages)
	return pages, nil
}

// lastFrames returns the offset of the last committed frame of each page.
func (w *walReader) lastFrames(r io.ReaderAt) (map[uint32]int64, error) {
	frames, uncommitted := make(map[uint32]int64), make(map[uint32]int64)
	header := make([]byte, walFrame)
	for at := int64(walHeader); ; at += walFrame + int64(w.pageSize) {
		if _, err := r.ReadAt(header, at); err != nil || string(header[8:16]) != string(w.salt[:]) {
			return frames, notShort(err) // what follows is from before the last reset of the WAL
		}
		uncommitted[binary.BigEndian.Uint32(header)] = at
		if binary.BigEndian.Uint32(header[4:]) != 0 {
			maps.Copy(frames, uncommitted)
			clear(uncommitted)
		}
	}
}
