package ccstore

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"kcmd.org/kcmd/clock"
)

// A Store holds the collections of all owners over a backend. Its methods may
// be called by several goroutines at once.
type Store struct {
	backend   Backend
	log       *slog.Logger
	clock     clock.Clock
	jumps     *clock.Jumps // of the clock
	limits    atomic.Pointer[Limits]
	reapAfter atomic.Int64  // a time.Duration
	idle      time.Duration // after which a collection need not be in memory

	commitTimeout time.Duration

	mu       sync.RWMutex // guards the fields below
	states   map[Owner]*state
	sweeper  *time.Timer // drops states that are not used; nil while there are none
	watchers []*watcher  // replaced, never changed
	holders  []*holder   // replaced, never changed
	closed   bool
	active   sync.WaitGroup // calls under way

	watched      Watcher // the backend, if it has other writers
	alwaysAsk    bool    // it is an AskedWatcher
	following    context.Context
	endFollowing context.CancelFunc
	followers    sync.WaitGroup

	resident *residency
	levels   levels

	reading, writing *outage // of the backend's failing
}

// Options configures a Store. The zero value is fine.
type Options struct {
	Logger *slog.Logger // default: none
	Clock  clock.Clock  // default: clock.System
	Limits Limits       // default: none

	// ReapAfter is how long a cache is kept once it is of no more use: its
	// tickets have expired, or it has none. 0 is for ever. The store waits as
	// long, or a day, before it trusts a wall clock that was set (Distrust).
	ReapAfter time.Duration

	// Idle is how long a collection stays in memory unused, or
	// up to twice as long. Default: a minute.
	Idle time.Duration

	// Resident is how many bytes of collections stay in memory, besides those in
	// use. Default: no limit.
	Resident int64

	// CommitTimeout bounds how long an update is tried again because another
	// writer changed the collection. Default: 5 seconds.
	CommitTimeout time.Duration
}

// Open returns a store over backend, which it closes at its own end.
func Open(backend Backend, o Options) *Store {
	s := &Store{
		backend: backend, log: o.Logger, clock: o.Clock, idle: o.Idle,
		commitTimeout: o.CommitTimeout, resident: newResidency(o.Resident),
		states: make(map[Owner]*state),
	}
	s.SetLimits(o.Limits)
	s.SetReapAfter(o.ReapAfter)
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.clock == nil {
		s.clock = clock.System{}
	}
	s.jumps = clock.NewJumps(s.clock)
	if s.idle == 0 {
		s.idle = time.Minute
	}
	if s.commitTimeout == 0 {
		s.commitTimeout = 5 * time.Second
	}
	s.watched, _ = backend.(Watcher)
	_, s.alwaysAsk = backend.(AskedWatcher)
	s.following, s.endFollowing = context.WithCancel(context.Background())
	s.reading = newOutage(s.log, "read")
	s.writing = newOutage(s.log, "write")
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
	if s.sweeper != nil {
		s.sweeper.Stop()
	}
	s.mu.Unlock()
	s.active.Wait()
	s.endFollowing()
	s.followers.Wait()
	s.mu.Lock()
	clear(s.states) // the runtime may keep s for as long as the sweeper's time
	s.mu.Unlock()
	return s.backend.Close()
}

// A watcher is a function that is called with every event.
type watcher struct{ f func(Event) }

// Watch has f called with every event, until stop is called: after the changes
// are durable, and before a reader sees them. The events of one owner come one
// after the other, and each begins where the one before it ended, as long as the
// collection stays in memory (see Hold). f holds up the owner's next update: it
// must be quick and must not call the store. A call of f that is under way may
// outlast stop.
func (s *Store) Watch(f func(Event)) (stop func()) {
	w := &watcher{f}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watchers = append(slices.Clip(s.watchers), w)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.watchers = slices.DeleteFunc(slices.Clone(s.watchers), func(other *watcher) bool { return other == w })
	}
}

// Owners returns every owner who has a cache, in order. Nothing is loaded for it.
func (s *Store) Owners(ctx context.Context) ([]Owner, error) {
	if err := s.beginCall(); err != nil {
		return nil, err
	}
	defer s.active.Done()
	owners, err := s.backend.Owners(ctx)
	if err != nil {
		return nil, backendError("list owners", err)
	}
	return owners, nil
}

// View calls f with the collection of owner as the last commit left it, and
// returns its error. It waits for the disk only when the collection is not in
// memory. A snapshot in memory is served even while the backend fails.
func (s *Store) View(ctx context.Context, owner Owner, f func(*Collection) error) error {
	c, err := s.Snapshot(ctx, owner)
	if err != nil {
		return err
	}
	return f(c)
}

// Snapshot returns the collection of owner as View has it. It may be kept for
// any time.
func (s *Store) Snapshot(ctx context.Context, owner Owner) (*Collection, error) {
	st, err := s.useState(owner)
	if err != nil {
		return nil, err
	}
	defer s.releaseState(st)
	return s.snapshot(ctx, st)
}

// Latest returns the collection of owner as the last event left it. A watcher is
// called before readers see the change: a task that an event woke and that takes a
// Snapshot may have the collection from before the event, and sleep again.
func (s *Store) Latest(ctx context.Context, owner Owner) (*Collection, error) {
	st, err := s.useState(owner)
	if err != nil {
		return nil, err
	}
	defer s.releaseState(st)
	st.loading.Lock() // held from an event until readers see it
	st.loading.Unlock()
	return s.snapshot(ctx, st)
}

// Update calls f with a transaction on the collection of owner. If f returns
// nil, what it changed is durable and visible when Update returns; otherwise
// nothing is changed and Update returns f's error.
//
// Updates of one owner are serialised; those that wait together share a commit.
// f may be called more than once, so it does nothing but read and change the
// transaction and set its own results.
func (s *Store) Update(ctx context.Context, owner Owner, f func(*Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	st, err := s.useState(owner)
	if err != nil {
		return err
	}
	defer s.releaseState(st)
	return s.do(ctx, st, &update{f: f})
}

// beginCall notes that a call is under way, which ends with s.active.Done.
func (s *Store) beginCall() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return ErrClosed
	}
	s.active.Add(1)
	return nil
}
