package sqlite

import (
	"context"
	"time"

	"kcmd.org/kcmd/ccstore"
)

// A request is a commit that waits for the goroutine that writes.
type request struct {
	commit *ccstore.Commit
	err    error
	done   chan struct{}
}

// Commit implements ccstore.Backend. Commits that wait together are written in
// one transaction, so that they share what the disk takes to make it durable.
func (b *Backend) Commit(_ context.Context, c *ccstore.Commit) error {
	r := &request{commit: c, done: make(chan struct{})}
	b.requests <- r
	<-r.done
	return b.explain(b.noted(r.err))
}

// deleteAgain is how long deleting waits after it failed.
const deleteAgain = 5 * time.Second

// maxBatch bounds the commits that share a transaction.
const maxBatch = 256

func (b *Backend) writeLoop(w *writer) {
	defer close(b.stopped)
	defer w.close()
	wiper := newWiper()
	deleting := time.NewTimer(0) // what a killed daemon has left
	for {
		select {
		case r, ok := <-b.requests:
			if !ok {
				return
			}
			batch := b.gather(r)
			w.writeBatch(batch)
			for _, r := range batch {
				close(r.done)
			}
			wiper.committed()
			if w.noted {
				w.noted = false
				deleting.Reset(0)
			}
		case <-deleting.C:
			if all, err := w.deleteDiscarded(); b.noted(err) != nil {
				deleting.Reset(deleteAgain)
			} else if !all {
				deleting.Reset(0)
				wiper.committed()
			}
		case <-wiper.timer.C:
			wiper.wiped(w.checkpoint(), b.log)
		}
	}
}

// gather returns the commits that wait together with the first one.
func (b *Backend) gather(first *request) []*request {
	batch := []*request{first}
	for len(batch) < maxBatch {
		select {
		case next, ok := <-b.requests:
			if !ok {
				return batch
			}
			batch = append(batch, next)
		default:
			return batch
		}
	}
	return batch
}
