package kcmserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"kcmd.org/kcmd/budget"
	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/kcmserver/selinux"
	"kcmd.org/kcmd/ratelog"
	"kcmd.org/kcmd/trim"
	"kcmd.org/kcmd/userns"
)

// defaultClientTimeout is the ClientTimeout of zero Options.
const defaultClientTimeout = 30 * time.Second

// Options configures a Server. Zero values mean the defaults.
type Options struct {
	Logger        *slog.Logger
	ClientTimeout time.Duration   // for a request or reply that stops half way
	Limits        budget.Limits   // of accounts
	DefaultFirst  bool            // GET_DEFAULT_CACHE answers any cache rather than one that does not exist
	SELinux       *selinux.Policy // nil: labels do not count

	// Crowded is called again and again while several accounts have requests. It must not
	// wait. nil: nothing is called.
	Crowded func()
}

// A Server answers KCM requests. Its methods may be called by several
// goroutines at once.
type Server struct {
	store         *ccstore.Store
	log           *slog.Logger
	clientTimeout atomic.Int64 // a time.Duration
	defaultFirst  atomic.Bool
	selinux       *selinux.Policy
	counters      counters

	connections  *budget.Pool // s.mu is held for it
	accountConns int64        // limit of connections of one account; s.mu is held for it
	memory       *budget.Pool
	turns        *budget.Turns
	refusing     *budget.Pool // connections that are refused and wait for their answer
	refusals     *ratelog.Each[budget.Account]
	listings     *listings
	seekers      seekers
	trimmer      trim.Trimmer // after large requests

	closing atomic.Bool
	running context.Context // until Shutdown
	stop    context.CancelCauseFunc

	mu        sync.Mutex
	listeners map[net.Listener]bool
	conns     map[budget.Account]map[*conn]bool // that are open
	ended     time.Time                         // when the last one of a client ended
	dismissed map[*conn]bool                    // that end once they have answered what they were sent
	serving   sync.WaitGroup                    // listeners and connections
}

// New returns a server over store.
func New(store *ccstore.Store, o Options) *Server {
	s := &Server{
		store:     store,
		log:       o.Logger,
		selinux:   o.SELinux,
		listeners: make(map[net.Listener]bool),
		conns:     make(map[budget.Account]map[*conn]bool),
		dismissed: make(map[*conn]bool),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if o.Limits == (budget.Limits{}) {
		o.Limits = budget.Default()
	}
	s.counters.init()
	s.setLimits(o.Limits)
	if o.Crowded != nil {
		s.turns.OnCrowd(func(alone bool) {
			if !alone {
				o.Crowded()
			}
		})
	}
	s.Reconfigure(o)
	s.running, s.stop = context.WithCancelCause(context.Background())
	return s
}

// Reconfigure has the ClientTimeout, DefaultFirst, and limits of connections and
// memory of other options hold from now on. What exceeds a smaller limit stays until
// it ends by itself.
func (s *Server) Reconfigure(o Options) {
	s.clientTimeout.Store(int64(cmp.Or(o.ClientTimeout, defaultClientTimeout)))
	s.defaultFirst.Store(o.DefaultFirst)
	if o.Limits == (budget.Limits{}) {
		return
	}
	s.memory.SetLimits(o.Limits.Memory)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.connections.SetLimits(o.Limits.Connections)
	s.accountConns = o.Limits.Connections.Account
}

// timeout returns Options.ClientTimeout.
func (s *Server) timeout() time.Duration { return time.Duration(s.clientTimeout.Load()) }

// refusalBurst is how many log lines about refusals of one account come at once.
const refusalBurst = 20

func (s *Server) setLimits(l budget.Limits) {
	s.connections = budget.NewPool("connections", l.Connections)
	s.accountConns = l.Connections.Account
	s.memory = budget.NewPool("memory", l.Memory)
	s.turns = budget.NewTurns(l.Requests, runtime.NumCPU())
	s.refusing = budget.NewPool("refusals", l.Refusals)
	s.listings = newListings(s.memory)
	every := time.Minute / time.Duration(l.Lines.Account)
	s.refusals = ratelog.NewEach[budget.Account](s.log, refusalBurst, every)
}

// Serve accepts connections on l, whose clients share the caches of namespace.
// It closes l, and returns nil after Shutdown.
func (s *Server) Serve(l net.Listener, namespace string) error {
	if !s.addListener(l) {
		return l.Close()
	}
	defer s.removeListener(l)
	for delay := time.Duration(0); !s.closing.Load(); {
		c, err := l.Accept()
		switch {
		case err == nil:
			delay = 0
			s.accepted(c, namespace)
		case s.closing.Load():
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("cannot accept connections: %w", err)
		default:
			// Out of descriptors, or memory: this passes.
			delay = min(max(2*delay, 5*time.Millisecond), time.Second)
			s.log.Warn("cannot accept a connection, trying again", "err", err, "delay", delay)
			time.Sleep(delay)
		}
	}
	return nil
}

// addListener has Shutdown close l and wait for what accepts from it. It returns
// false after Shutdown.
func (s *Server) addListener(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing.Load() {
		return false
	}
	s.listeners[l] = true
	s.serving.Add(1)
	return true
}

func (s *Server) removeListener(l net.Listener) {
	l.Close()
	s.mu.Lock()
	delete(s.listeners, l)
	s.mu.Unlock()
	s.serving.Done()
}

// accepted counts c and serves it in a goroutine of its own, or refuses it.
func (s *Server) accepted(c net.Conn, namespace string) {
	unix, ok := c.(*net.UnixConn)
	if !ok {
		s.log.Error("connection refused", "err", "not a UNIX socket")
		c.Close()
		return
	}
	peer, err := s.peerOf(unix, namespace)
	if err != nil {
		a := accountOf(namespace, userns.OverflowUID())
		s.refuse(a, err)
		s.turnAway(c, peer, a, err)
		return
	}
	cn, err := s.register(c, peer)
	if err != nil {
		s.turnAway(c, peer, peer.account(), err)
		return
	}
	go s.serveConn(context.Background(), cn) // its error is logged
}

func (s *Server) refuse(a budget.Account, err error, attrs ...any) {
	s.counters.refused.Add(1)
	s.refusals.Info(a, "connection refused", append(attrs, "err", err)...)
}

// ServeConn answers the requests of one client until it goes, and closes c. It
// returns an error if the client is to blame for the end, or if it has too many
// connections.
func (s *Server) ServeConn(ctx context.Context, c net.Conn, peer Peer) error {
	if s.closing.Load() {
		c.Close()
		return net.ErrClosed
	}
	cn, err := s.register(c, peer)
	if err != nil {
		c.Close()
		return err
	}
	return s.serveConn(ctx, cn)
}

func (s *Server) serveConn(ctx context.Context, cn *conn) error {
	defer s.unregister(cn)
	defer cn.net.Close()
	s.counters.accepted.Add(1)
	err := cn.serve(ctx)
	if err != nil {
		s.counters.cut.Add(1)
		s.refusals.Info(cn.account, "connection ended", "uid", cn.peer.UID, "pid", cn.peer.PID, "err", err)
	}
	return err
}

// register counts a connection, or refuses it. One that was accepted while the server
// closes is still answered what it has sent.
func (s *Server) register(c net.Conn, peer Peer) (*conn, error) {
	cn := s.newConn(c, peer)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.makeRoom(cn.account); err != nil {
		s.refuse(cn.account, err, "uid", peer.UID, "pid", peer.PID)
		return nil, err
	}
	cn.counted = true
	if s.conns[cn.account] == nil {
		s.conns[cn.account] = make(map[*conn]bool)
	}
	s.conns[cn.account][cn] = true
	s.serving.Add(1)
	if s.closing.Load() {
		s.dismiss(cn)
	}
	return cn, nil
}

// makeRoom takes a connection for a. At the limit of the whole one of the account
// with most connections makes room; at a's own limit, or if that was not enough,
// one of a's own. It fails with budget.ErrExceeded. s.mu is held.
func (s *Server) makeRoom(a budget.Account) error {
	err := s.connections.Take(a, 1)
	if err == nil {
		return nil
	}
	if largest, _, ok := s.connections.Largest(); ok && largest != a {
		if victim := s.idlest(largest); victim != nil && s.connections.Held(a) < s.accountConns {
			s.evict(victim)
			if s.connections.Take(a, 1) == nil {
				return nil
			}
		}
	}
	victim := s.idlest(a)
	if victim == nil {
		return err
	}
	victim.counted = false // the new one takes its place
	s.evict(victim)
	return nil
}

// idlest returns the connection of an account that has been idle for longest, or
// else the one with the oldest half of a request, or nil. s.mu is held.
func (s *Server) idlest(a budget.Account) *conn {
	var idle, half *conn
	var idleSince, halfSince int64
	for cn := range s.conns[a] {
		switch since := cn.since.Load(); {
		case since > 0 && (idle == nil || since < idleSince):
			idle, idleSince = cn, since
		case since < 0 && (half == nil || since > halfSince):
			half, halfSince = cn, since
		}
	}
	if idle != nil {
		return idle
	}
	return half
}

// maxDismissed bounds the connections that are dismissed to make room and have
// not ended yet.
const maxDismissed = 64

// evict has cn end to make room: once it has answered what it was sent, or at
// once if many others are about to end. s.mu is held.
func (s *Server) evict(cn *conn) {
	tooMany := len(s.dismissed) >= maxDismissed
	s.dismiss(cn)
	if tooMany {
		cn.net.Close()
	}
}

// unregister ends the count of cn, whose goroutine ends.
func (s *Server) unregister(cn *conn) {
	s.listings.end(cn)
	s.mu.Lock()
	s.forget(cn)
	delete(s.dismissed, cn)
	if cn.account != budget.Daemon {
		s.ended = time.Now()
	}
	s.mu.Unlock()
	s.serving.Done()
}

// open returns the open connections. s.mu is held.
func (s *Server) open() iter.Seq[*conn] {
	return func(yield func(*conn) bool) {
		for _, own := range s.conns {
			for cn := range own {
				if !yield(cn) {
					return
				}
			}
		}
	}
}

// Activity returns how many connections of clients are open, and when the last one ended,
// zero if none has. Those of the daemon itself do not count.
func (s *Server) Activity() (open int, ended time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for a, own := range s.conns {
		if a != budget.Daemon {
			open += len(own)
		}
	}
	for cn := range s.dismissed {
		if cn.account != budget.Daemon {
			open++
		}
	}
	return open, s.ended
}

// forget takes cn out of the count of open connections, once. s.mu is held.
func (s *Server) forget(cn *conn) {
	own := s.conns[cn.account]
	if delete(own, cn); len(own) == 0 {
		delete(s.conns, cn.account)
	}
	if cn.counted {
		cn.counted = false
		s.connections.Give(cn.account, 1)
	}
}

// dismiss has cn end once it has answered what it was sent, and counts it no
// longer. s.mu is held.
func (s *Server) dismiss(cn *conn) {
	s.forget(cn)
	s.dismissed[cn] = true
	cn.stopReading()
}

// Shutdown stops accepting connections and requests, waits until the requests
// that were sent before are answered, and closes all connections. If ctx ends
// first they are closed without an answer.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closing.Store(true)
	s.stop(net.ErrClosed)
	for l := range s.listeners {
		l.Close()
	}
	for cn := range s.open() {
		s.dismiss(cn)
	}
	s.mu.Unlock()

	done := make(chan struct{})
	go func() {
		s.serving.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		s.mu.Lock()
		for cn := range s.dismissed {
			cn.net.Close()
		}
		s.mu.Unlock()
		return ctx.Err()
	}
}
