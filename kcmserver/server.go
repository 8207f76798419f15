package kcmserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/kcmserver/selinux"
	"kcmd.org/kcmd/ratelog"
)

// Defaults of Options.
const (
	DefaultClientTimeout     = 30 * time.Second
	DefaultMaxConnections    = 4096
	DefaultMaxUIDConnections = 256
)

// Options are what a Server may be told. Zero values mean the defaults.
type Options struct {
	Logger            *slog.Logger
	ClientTimeout     time.Duration   // for a request or reply that stops half way
	MaxConnections    int             // of all users
	MaxUIDConnections int             // of one user
	DefaultFirst      bool            // GET_DEFAULT_CACHE answers any cache rather than one that is not there
	SELinux           *selinux.Policy // nil: labels do not count
}

// A Server answers KCM requests. Its methods may be called by several
// goroutines at once.
type Server struct {
	store         *ccstore.Store
	log           *slog.Logger
	clientTimeout time.Duration
	maxConns      int
	maxUIDConns   int
	defaultFirst  bool
	selinux       *selinux.Policy
	counters      counters
	refusals      *ratelog.Logger
	large         largeQueue

	closing atomic.Bool
	stopped chan struct{} // closed at the same time

	mu        sync.Mutex
	listeners map[net.Listener]bool
	conns     map[*conn]bool
	perUID    map[uint32]int
	serving   sync.WaitGroup // goroutines of connections
}

// New returns a server over store.
func New(store *ccstore.Store, o Options) *Server {
	s := &Server{
		store:         store,
		log:           o.Logger,
		clientTimeout: o.ClientTimeout,
		maxConns:      o.MaxConnections,
		maxUIDConns:   o.MaxUIDConnections,
		defaultFirst:  o.DefaultFirst,
		selinux:       o.SELinux,
		listeners:     make(map[net.Listener]bool),
		conns:         make(map[*conn]bool),
		perUID:        make(map[uint32]int),
		stopped:       make(chan struct{}),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.counters.init()
	s.refusals = ratelog.New(s.log, refusalBurst, refusalEvery)
	if s.clientTimeout == 0 {
		s.clientTimeout = DefaultClientTimeout
	}
	if s.maxConns == 0 {
		s.maxConns = DefaultMaxConnections
	}
	if s.maxUIDConns == 0 {
		s.maxUIDConns = DefaultMaxUIDConnections
	}
	return s
}

// Serve accepts connections on l, whose clients share the caches of namespace.
// It closes l, and returns nil after Shutdown.
func (s *Server) Serve(l net.Listener, namespace string) error {
	s.mu.Lock()
	s.listeners[l] = true
	s.mu.Unlock()
	defer func() {
		l.Close()
		s.mu.Lock()
		delete(s.listeners, l)
		s.mu.Unlock()
	}()
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

// accepted serves c in a goroutine of its own, if it may be served.
func (s *Server) accepted(c net.Conn, namespace string) {
	unix, ok := c.(*net.UnixConn)
	if !ok {
		s.log.Error("connection refused", "err", "not a UNIX socket")
		c.Close()
		return
	}
	peer, err := s.peerOf(unix, namespace)
	if err != nil {
		s.refuse(err)
		c.Close()
		return
	}
	go s.ServeConn(context.Background(), c, peer) // its error is logged
}

func (s *Server) refuse(err error, attrs ...any) {
	s.counters.refused.Add(1)
	s.refusals.Info("connection refused", append(attrs, "err", err)...)
}

// ServeConn answers the requests of one client until it goes, and closes c. It
// returns an error if the client is to blame for the end, or one connection
// too many.
func (s *Server) ServeConn(ctx context.Context, c net.Conn, peer Peer) error {
	defer c.Close()
	cn := s.newConn(c, peer)
	if err := s.register(cn); err != nil {
		if !s.closing.Load() {
			s.refuse(err, "uid", peer.UID, "pid", peer.PID)
		}
		return err
	}
	defer s.unregister(cn)
	s.counters.accepted.Add(1)
	err := cn.serve(ctx)
	if err != nil {
		s.counters.cut.Add(1)
		s.refusals.Info("connection ended", "uid", peer.UID, "pid", peer.PID, "err", err)
	}
	return err
}

var errTooMany = errors.New("too many connections, none of them idle")

// register counts cn in. At a limit the longest idle connection makes room: of
// the same user, or if all together are too many, of the user who has most.
func (s *Server) register(cn *conn) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing.Load() {
		return net.ErrClosed
	}
	uid := cn.peer.UID
	if s.perUID[uid] >= s.maxUIDConns && !s.closeIdle(uid) {
		return fmt.Errorf("%w: limit for uid %d is %d", errTooMany, uid, s.maxUIDConns)
	}
	if len(s.conns) >= s.maxConns && !s.closeIdle(s.busiestUID()) {
		return fmt.Errorf("%w: limit is %d", errTooMany, s.maxConns)
	}
	s.conns[cn] = true
	s.perUID[uid]++
	s.serving.Add(1)
	return nil
}

func (s *Server) unregister(cn *conn) {
	s.mu.Lock()
	s.forget(cn)
	s.mu.Unlock()
	s.serving.Done()
}

// forget takes cn out of the count, once. s.mu is held.
func (s *Server) forget(cn *conn) {
	if !s.conns[cn] {
		return
	}
	delete(s.conns, cn)
	if s.perUID[cn.peer.UID]--; s.perUID[cn.peer.UID] == 0 {
		delete(s.perUID, cn.peer.UID)
	}
}

// closeIdle closes the connection of uid that has been idle longest, if one is.
// s.mu is held.
func (s *Server) closeIdle(uid uint32) bool {
	var longest *conn
	var since int64
	for cn := range s.conns {
		idle := cn.idleSince.Load()
		if cn.peer.UID == uid && idle != 0 && (longest == nil || idle < since) {
			longest, since = cn, idle
		}
	}
	if longest == nil {
		return false
	}
	longest.net.Close()
	s.forget(longest)
	return true
}

// busiestUID returns the uid with most connections. s.mu is held.
func (s *Server) busiestUID() uint32 {
	var uid uint32
	most := 0
	for u, n := range s.perUID {
		if n > most {
			uid, most = u, n
		}
	}
	return uid
}

// Shutdown stops accepting connections and requests, waits until the requests
// under way are answered, and closes all connections. If ctx ends first they
// are closed without an answer.
func (s *Server) Shutdown(ctx context.Context) error {
	if !s.closing.Swap(true) {
		close(s.stopped)
	}
	s.mu.Lock()
	for l := range s.listeners {
		l.Close()
	}
	for cn := range s.conns {
		cn.net.SetReadDeadline(time.Unix(1, 0)) // wakes those that wait for a request
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
		for cn := range s.conns {
			cn.net.Close()
		}
		s.mu.Unlock()
		return ctx.Err()
	}
}
