package sqlite

import (
	"bytes"
	"context"
	"io"
	"os"
)

// After a checkpoint SQLite begins the WAL anew with the next commit: it writes a header
// with another salt, syncs it and then writes the frames. Without that sync a power cut
// could leave the old header with some of the old frames, which SQLite would take for
// newer than the database. beginWAL takes the sync off the way of that commit. The
// commits then overwrite the WAL: a file that grows has its size synced as well.

// beginWAL begins the WAL anew after a checkpoint, with a frame that changes nothing: page
// 2, a table as any other, as it is. The frame need not be durable before the next commit.
func beginWAL(ctx context.Context, q querier, sync Synchronous) error {
	if sync == Full {
		if _, err := q.ExecContext(ctx, "PRAGMA synchronous = "+string(Normal)); err != nil {
			return err
		}
		defer func() {
			if _, err := q.ExecContext(ctx, "PRAGMA synchronous = "+string(Full)); err != nil {
				panic(err) // commits would be answered before they are durable
			}
		}()
	}
	_, err := q.ExecContext(ctx, "UPDATE sqlite_dbpage SET data = data WHERE pgno = 2")
	return err
}

// keptFrames is how much of the WAL is overwritten and kept: more than kinit and some
// kvno write.
const keptFrames = 1 << 6

// eraseWAL overwrites what beginWAL has left of the former frames.
func eraseWAL(path string) error {
	f, err := os.OpenFile(path+"-wal", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	header := make([]byte, walHeader)
	if _, err := f.ReadAt(header, 0); err != nil {
		return err
	}
	w, err := newWALReader(header)
	if err != nil {
		return err
	}
	frame := walFrame + int64(w.pageSize)
	began, err := w.has(f, 1)
	if err != nil {
		return err
	}
	if more, err := w.has(f, 2); err != nil || more || !began {
		return errBusy // a reader kept it from beginning anew
	}
	st, err := f.Stat()
	if err != nil {
		return err
	}
	end := min(st.Size(), walHeader+keptFrames*frame)
	if err := f.Truncate(end); err != nil {
		return err
	}
	return overwrite(f, walHeader+frame, end)
}

// overwrite writes zeros to a part of a file, where there are none yet.
func overwrite(f *os.File, at, end int64) error {
	b := make([]byte, 1<<12)
	for ; at < end; at += int64(len(b)) {
		b = b[:min(int64(len(b)), end-at)]
		if _, err := f.ReadAt(b, at); err != nil && err != io.EOF {
			return err
		}
		if bytes.Equal(b, zeros[:len(b)]) {
			continue
		}
		if _, err := f.WriteAt(zeros[:len(b)], at); err != nil {
			return err
		}
	}
	return nil
}
