package sqlite

import (
	"context"
	"time"

	"kcmd.org/kcmd/ccstore"
)

// A request is a commit that waits for the goroutine that writes.
type request struct {
	commit *ccstore.Commit
	size   portion // about what it writes
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

func (b *Backend) writeLoop(w *writer) {
	defer close(b.stopped)
	defer w.close()
	var waiting turns
	wiper := newWiper()
	deleting := time.NewTimer(0) // what a killed daemon has left
	for {
		select {
		case r, ok := <-b.requests:
			if !ok {
				return
			}
			waiting.add(r)
		case <-waiting.ready():
			b.gather(&waiting)
			batch := waiting.next()
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

// gather takes the commits that wait by now.
func (b *Backend) gather(waiting *turns) {
	for {
		select {
		case r, ok := <-b.requests:
			if !ok {
				return
			}
			waiting.add(r)
		default:
			return
		}
	}
}
