package ccstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// A Store holds the collections of all owners over a backend. Its methods may
// be called by several goroutines at once.
type Store struct {
	backend Backend
	log     *slog.Logger
	now     func() time.Time
	limits  Limits

	mu       sync.RWMutex // guards the fields below
	states   map[Owner]*state
	watchers []func(Event)
	closed   bool
	active   sync.WaitGroup // calls under way

	levels levels

	reading, writing *spell // of the backend's failing
}

// Options are what a Store may be told. The zero value is fine.
type Options struct {
	Logger *slog.Logger     // default: none
	Now    func() time.Time // default: time.Now
	Limits Limits           // default: none
}

// Open returns a store over backend, which it closes at its own end.
func Open(backend Backend, o Options) *Store {
	s := &Store{backend: backend, log: o.Logger, now: o.Now, limits: o.Limits, states: make(map[Owner]*state)}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = time.Now
	}
	s.reading = newSpell(s.log, "read")
	s.writing = newSpell(s.log, "write")
	return s
}

// Close waits for the updates under way and closes the backend. Every later
// call fails with ErrClosed.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return ErrClosed
	}
	s.closed = true
	s.mu.Unlock()
	s.active.Wait()
	return s.backend.Close()
}

// Watch has f called after every commit, once readers see it. Calls for one
// owner come one after the other, in the order of the commits. f holds up the
// owner's next update: it must be quick and must not call the store.
func (s *Store) Watch(f func(Event)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watchers = append(s.watchers, f)
}

// Owners returns every owner who has something stored.
func (s *Store) Owners(ctx context.Context) ([]Owner, error) {
	if err := s.begin(); err != nil {
		return nil, err
	}
	defer s.active.Done()
	owners, err := s.backend.Owners(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: list owners: %w", ErrBackend, err)
	}
	return owners, nil
}

// View calls f with the collection of owner as the last commit left it, and
// returns its error. It never waits for the disk, but for the first use of a
// collection.
func (s *Store) View(ctx context.Context, owner Owner, f func(*Collection) error) error {
	if err := s.begin(); err != nil {
		return err
	}
	defer s.active.Done()
	c, err := s.load(ctx, s.state(owner))
	if err != nil {
		return err
	}
	return f(c)
}

// Update calls f with a transaction on the collection of owner. If f returns
// nil, what it changed is durable and visible when Update returns; otherwise
// nothing is changed and Update returns f's error.
//
// Updates of one owner are serialised; those that wait together share a commit.
// f may be called more than once, so it does nothing but read and change the
// transaction and set its own results.
func (s *Store) Update(ctx context.Context, owner Owner, f func(*Tx) error) error {
	if err := s.begin(); err != nil {
		return err
	}
	defer s.active.Done()
	if err := ctx.Err(); err != nil {
		return err
	}
	st := s.state(owner)
	u := &update{f: f, turn: make(chan bool, 1)}
	if lead := st.enqueue(u); !lead {
		if lead = <-u.turn; !lead {
			return u.err
		}
	}
	// Once it waits, an update is not given up: whether others share its
	// commit is not its caller's to decide.
	s.commit(context.WithoutCancel(ctx), st, st.takeQueue())
	st.passOn()
	return u.err
}

func (s *Store) begin() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return ErrClosed
	}
	s.active.Add(1)
	return nil
}

// A state is what the store knows of one owner.
type state struct {
	owner   Owner
	current atomic.Pointer[Collection] // nil: to be loaded

	loading sync.Mutex // held to load

	mu      sync.Mutex
	queue   []*update // waiting for a commit
	leading bool      // somebody is about to commit, or does
}

// An update waits for a commit that it can share, or for its turn to make one.
type update struct {
	f    func(*Tx) error
	err  error
	turn chan bool // true: make the commit; false: it was made, err is set
}

func (s *Store) state(owner Owner) *state {
	s.mu.RLock()
	st := s.states[owner]
	s.mu.RUnlock()
	if st != nil {
		return st
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if st = s.states[owner]; st == nil {
		st = &state{owner: owner}
		s.states[owner] = st
	}
	return st
}

// enqueue adds u to the queue and reports whether its caller makes the commit.
func (st *state) enqueue(u *update) (lead bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.queue = append(st.queue, u)
	lead = !st.leading
	st.leading = true
	return lead
}

func (st *state) takeQueue() []*update {
	st.mu.Lock()
	defer st.mu.Unlock()
	queue := st.queue
	st.queue = nil
	return queue
}

// passOn has the first of those that came meanwhile make the next commit.
func (st *state) passOn() {
	st.mu.Lock()
	defer st.mu.Unlock()
	if len(st.queue) == 0 {
		st.leading = false
		return
	}
	st.queue[0].turn <- true
}

// load returns the current snapshot, from the backend if there is none.
func (s *Store) load(ctx context.Context, st *state) (*Collection, error) {
	if c := st.current.Load(); c != nil {
		return c, nil
	}
	st.loading.Lock()
	defer st.loading.Unlock()
	if c := st.current.Load(); c != nil {
		return c, nil
	}
	r, err := s.backend.Load(ctx, st.owner)
	s.reading.note(err)
	if err != nil {
		return nil, fmt.Errorf("%w: load collection of %s: %w", ErrBackend, st.owner, err)
	}
	c, unreadable := fromRecord(st.owner, r)
	for _, err := range unreadable {
		s.log.Error("stored entry cannot be read, set aside", "owner", st.owner, "err", err)
	}
	st.current.Store(c)
	return c, nil
}

// maxAttempts bounds how often a commit is tried again because somebody else
// changed the collection in the backend.
const maxAttempts = 5

// commit runs the updates of batch one after the other, stores what those that
// did not fail have changed in one commit, and tells all but the first, whose
// caller it is, that they are done.
func (s *Store) commit(ctx context.Context, st *state, batch []*update) {
	defer func() {
		for _, u := range batch[1:] {
			u.turn <- false
		}
	}()
	var err error
	for range maxAttempts {
		if err = s.tryCommit(ctx, st, batch); !errors.Is(err, ErrConflict) {
			break
		}
	}
	if err != nil {
		for _, u := range batch {
			if u.err == nil {
				u.err = err
			}
		}
	}
}

// tryCommit makes one attempt. Its error is that of every update whose own err
// is nil.
func (s *Store) tryCommit(ctx context.Context, st *state, batch []*update) error {
	base, err := s.load(ctx, st)
	if err != nil {
		for _, u := range batch {
			u.err = nil
		}
		return err
	}
	after := base
	var ops []Op
	var changes []Change
	for _, u := range batch {
		tx := newTx(after, s.now())
		if u.err = s.run(u.f, tx); u.err == nil {
			u.err = tx.enforce(after, s.limits)
		}
		if u.err != nil {
			continue
		}
		after = tx.Collection
		ops = append(ops, tx.ops...)
		changes = append(changes, tx.changes...)
	}
	if len(ops) == 0 {
		return nil
	}
	err = s.backend.Commit(ctx, &Commit{Owner: st.owner, Revision: base.revision, Ops: ops})
	if !errors.Is(err, ErrConflict) {
		s.writing.note(err)
	}
	if errors.Is(err, ErrConflict) || errors.Is(err, ErrOutcomeUnknown) {
		st.current.Store(nil) // whoever comes next reads it again
	}
	if err != nil {
		return fmt.Errorf("%w: commit for %s: %w", ErrBackend, st.owner, err)
	}
	after.revision = base.revision + 1
	st.current.Store(after)
	s.levels.add(st.owner)
	s.publish(Event{Owner: st.owner, Before: base, After: after, Changes: changes})
	return nil
}

// run calls f, whose panic fails this one transaction and no other.
func (s *Store) run(f func(*Tx) error, tx *Tx) (err error) {
	defer func() {
		if r := recover(); r != nil {
			s.log.Error("transaction panicked", "owner", tx.owner, "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
			err = ErrInternal
		}
	}()
	return f(tx)
}

func (s *Store) publish(e Event) {
	s.mu.RLock()
	watchers := s.watchers
	s.mu.RUnlock()
	for _, f := range watchers {
		f(e)
	}
}
