package sqlite

import (
	"context"
	"time"

	"kcmd.org/kcmd/ccstore"
)

// A request is a commit that waits for writeLoop.
type request struct {
	commit  *ccstore.Commit
	size    portion  // estimate of what it writes
	staging *staging // of a large one
	err     error
	done    chan struct{}
}

// Commit implements ccstore.Backend. Commits that wait at the same time share a
// transaction, and so one sync of the disk.
func (b *Backend) Commit(_ context.Context, c *ccstore.Commit) error {
	r := &request{commit: c, done: make(chan struct{})}
	b.requests <- r
	<-r.done
	return b.noted(r.err)
}

// deleteRetry is the pause before a failed deletion is tried again.
const deleteRetry = 5 * time.Second

// writeLoop makes all changes to the database.
func (b *Backend) writeLoop(w *writer) {
	defer close(b.stopped)
	defer w.close()
	var waiting turns
	wiper := newWiper(w.unwiped)
	deleting := time.NewTimer(0) // at once: a killed daemon may have left some
	for {
		select {
		case r, ok := <-b.requests:
			if !ok {
				if wiper.open {
					_ = w.wipe(truncate) // tried again at the next start
				}
				return
			}
			waiting.add(r)
		case <-waiting.ready():
			b.gather(&waiting)
			batch := waiting.next()
			if more := w.write(batch); more {
				waiting.again(batch[0])
			} else {
				for _, r := range batch {
					close(r.done)
				}
			}
			wiper.committed(w.takeDeleted(), b.walHas)
			if w.discarded {
				w.discarded = false
				deleting.Reset(0)
			}
		case <-deleting.C:
			all, err := w.deleteDiscarded()
			wiper.committed(w.takeDeleted(), b.walHas)
			if b.noted(err) != nil {
				deleting.Reset(deleteRetry)
			} else if !all {
				deleting.Reset(0)
			}
		case <-wiper.timer.C:
			if mode, is := wiper.due(b.walHas); is {
				wiper.finished(mode, w.wipe(mode), b.log)
			}
			b.noted(b.measure(context.Background(), w.conn))
		}
	}
}

// gather adds the commits that wait now.
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
