package sqlite

import "context"

// Stored implements ccstore.Backend. It returns the bytes of the pages in use at the
// last checkpoint, of which there is one after wipeFrames in the WAL.
func (b *Backend) Stored() int64 { return b.stored.Load() }

// measure counts the pages in use.
func (b *Backend) measure(ctx context.Context, q querier) error {
	var bytes int64
	err := q.QueryRowContext(ctx,
		"SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size").Scan(&bytes)
	if err == nil {
		b.stored.Store(bytes)
	}
	return err
}
