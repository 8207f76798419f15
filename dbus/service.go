package dbus

import (
	"context"
	"log/slog"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"kcmd.org/kcmd/budget"
	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/clock"
	"kcmd.org/kcmd/dbus/link"
	"kcmd.org/kcmd/dbus/view"
)

// BusName is the well-known name of the service.
const BusName = "org.kcmd.KCM1"

// Config configures a Service.
type Config struct {
	Address       string        // "system", "session", or a D-Bus address
	Session       bool          // session mode: signals are broadcast; Address "session" implies it
	SocketPath    string        // of the KCM socket, for clients to read
	Version       string        // of the daemon, for clients to read
	ExpiryWarning time.Duration // a TGT is "expiring" this long before its end
	Logger        *slog.Logger  // default: none
	Clock         clock.Clock   // of the store; default: clock.System
	Limits        Limits        // for clients to read
	Budgets       budget.Limits // Requests, Unread, Collections and Descriptors; default: those of package budget

	Statistics func(context.Context) (*Statistics, error) // default: of nothing
	LogLevel   *slog.LevelVar                             // of Logger, for administrators to set; default: one that has no effect
	LogTarget  string                                     // where Logger writes, as in LogControl1: journal, console

	KDC      KDC  // default: none
	Renews   bool // TGTs are renewed by themselves, for clients to read
	Acquires bool // passwords and keytabs are taken

	// Once makes Run return when the bus goes away, for a service that a bus has
	// started and that ends with it.
	Once bool

	// Crowded is called again and again while calls of several users are served, or those
	// of one take a processor for long. It must not wait. nil: nothing is called.
	Crowded func()

	// Level returns the level of a process with that SELinux label: callers see
	// what belongs to their level. nil where levels do not count.
	Level func(label string) (string, error)
}

// Limits are those of each collection. 0 is none.
type Limits = view.Limits

// A Service shows a store on a message bus. It shows that time passes as the store
// announces it (ccstore.Notice).
type Service struct {
	Config
	store     *ccstore.Store
	terms     atomic.Pointer[view.Terms]
	mostKnown atomic.Int64 // bytes of collections that subscribers know, 0: no limit

	activity activity

	changing sync.Mutex
	current  *bus // the present connection, or nil; guarded by changing

	ready     chan struct{} // closed when the name was first owned
	readyOnce sync.Once
}

// New returns a Service over store. It does nothing until Run.
func New(store *ccstore.Store, c Config) *Service {
	s := &Service{Config: c, store: store, ready: make(chan struct{})}
	if s.Address == "session" {
		s.Session = true
	}
	if s.Logger == nil {
		s.Logger = slog.New(slog.DiscardHandler)
	}
	if s.LogLevel == nil {
		s.LogLevel = new(slog.LevelVar)
	}
	if s.LogTarget == "" {
		s.LogTarget = "console"
	}
	if s.Clock == nil {
		s.Clock = clock.System{}
	}
	if s.Statistics == nil {
		s.Statistics = func(context.Context) (*Statistics, error) { return &Statistics{}, nil }
	}
	if s.Budgets == (budget.Limits{}) {
		s.Budgets = budget.Default()
	}
	s.terms.Store(&view.Terms{ExpiryWarning: c.ExpiryWarning, Limits: c.Limits, Renews: c.Renews})
	s.mostKnown.Store(s.Budgets.Collections.Whole)
	return s
}

// Ready returns a channel that is closed when the service first owned its name.
func (s *Service) Ready() <-chan struct{} { return s.ready }

// The pause between two attempts to get on the bus is a tenth of the time that
// it has been away: short after a restart of the bus, long where there is none,
// so that the machine can sleep. It stays within these bounds.
const (
	minPause = 100 * time.Millisecond
	maxPause = 30 * time.Second
)

// uniqueName is the name that the bus gives to a connection: another one at each
// attempt, which some errors of the bus contain.
var uniqueName = regexp.MustCompile(`:\d+\.\d+`)

// lasting is how long a connection holds for the bus not to count as away before.
const lasting = 10 * time.Second

// Run connects to the bus and serves, and does so again whenever the bus goes
// away, until ctx ends. It then gives up the name before anything else, and
// returns nil. With Once it returns the error of its first connection.
func (s *Service) Run(ctx context.Context) error {
	away, lastError := time.Now(), ""
	for {
		start := time.Now()
		err := s.attempt(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if s.Once {
			return err
		}
		if time.Since(start) > lasting {
			away, lastError = time.Now(), ""
		}
		// The same failure again is no news.
		if text := uniqueName.ReplaceAllString(err.Error(), ""); text != lastError {
			lastError = text
			s.Logger.Warn("not on the bus, trying again", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(min(max(time.Since(away)/10, minPause), maxPause)):
		}
	}
}

// attempt serves on one connection until it or ctx ends.
func (s *Service) attempt(ctx context.Context) error {
	socket, err := link.Dial(ctx, s.Address)
	if err != nil {
		return err
	}
	return s.serve(ctx, socket)
}
