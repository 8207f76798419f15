package sqlite

import (
	"bufio"
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

// hasLeftovers reports whether the gap of a page is not clear.
func hasLeftovers(page []byte) bool {
	return slices.ContainsFunc(gapOf(page), func(b byte) bool { return b != 0 })
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
func walPages(path string) ([]uint32, error) {
	f, err := os.Open(path + "-wal")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 1<<16)
	header := make([]byte, walHeader)
	if _, err := io.ReadFull(r, header); err != nil {
		return nil, notShort(err)
	}
	w, err := newWALReader(header)
	if err != nil {
		return nil, fmt.Errorf("write-ahead log: %w", err)
	}
	pages := make(map[uint32]bool)
	frame := make([]byte, walFrame+w.pageSize)
	for {
		if _, err := io.ReadFull(r, frame); err != nil {
			return slices.Sorted(maps.Keys(pages)), notShort(err)
		}
		if string(frame[8:16]) == string(w.salt[:]) && hasLeftovers(frame[walFrame:]) {
			pages[binary.BigEndian.Uint32(frame)] = true
		}
	}
}
