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

// Options configures a Server. Zero values mean the defaults.
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
	conns     map[*conn]bool // that are open
	dismissed map[*conn]bool // that end once they have answered what they were sent
	perUID    map[uint32]int
	serving   sync.WaitGroup // listeners and connections
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
		dismissed:     make(map[*conn]bool),
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
		s.refuse(err)
		c.Close()
		return
	}
	if cn, err := s.register(c, peer); err == nil {
		go s.serveConn(context.Background(), cn) // its error is logged
	}
}

func (s *Server) refuse(err error, attrs ...any) {
	s.counters.refused.Add(1)
	s.refusals.Info("connection refused", append(attrs, "err", err)...)
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
		s.refusals.Info("connection ended", "uid", cn.peer.UID, "pid", cn.peer.PID, "err", err)
	}
	return err
}

var errTooMany = errors.New("too many connections, none of them idle")

// register counts a connection, or refuses and closes it. One that was accepted
// while the server closes is still answered what it has sent.
func (s *Server) register(c net.Conn, peer Peer) (*conn, error) {
	cn := s.newConn(c, peer)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.makeRoom(peer.UID); err != nil {
		c.Close()
		s.refuse(err, "uid", peer.UID, "pid", peer.PID)
		return nil, err
	}
	s.conns[cn] = true
	s.perUID[peer.UID]++
	s.serving.Add(1)
	if s.closing.Load() {
		s.dismiss(cn)
	}
	return cn, nil
}

// makeRoom dismisses the longest idle connection at a limit: of the same user, or
// if all together are too many, of the user who has most. s.mu is held.
func (s *Server) makeRoom(uid uint32) error {
	if s.perUID[uid] >= s.maxUIDConns && !s.dismissIdle(uid) {
		return fmt.Errorf("%w: limit for uid %d is %d", errTooMany, uid, s.maxUIDConns)
	}
	if len(s.conns) >= s.maxConns && !s.dismissIdle(s.busiestUID()) {
		return fmt.Errorf("%w: limit is %d", errTooMany, s.maxConns)
	}
	return nil
}

// unregister ends the count of cn, whose goroutine ends.
func (s *Server) unregister(cn *conn) {
	s.mu.Lock()
	s.forget(cn)
	delete(s.dismissed, cn)
	s.mu.Unlock()
	s.serving.Done()
}

// forget takes cn out of the count of open connections, once. s.mu is held.
func (s *Server) forget(cn *conn) {
	if !s.conns[cn] {
		return
	}
	delete(s.conns, cn)
	if s.perUID[cn.peer.UID]--; s.perUID[cn.peer.UID] == 0 {
		delete(s.perUID, cn.peer.UID)
	}
}

// dismissIdle dismisses the connection of uid that has been idle longest, if one
// is. s.mu is held.
func (s *Server) dismissIdle(uid uint32) bool {
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
	s.dismiss(longest)
	return true
}

// dismiss has cn end once it has answered what it was sent, and counts it no
// longer. s.mu is held.
func (s *Server) dismiss(cn *conn) {
	s.forget(cn)
	s.dismissed[cn] = true
	cn.stopReading()
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
// that were sent before are answered, and closes all connections. If ctx ends
// first they are closed without an answer.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	if !s.closing.Swap(true) {
		close(s.stopped)
	}
	for l := range s.listeners {
		l.Close()
	}
	for cn := range s.conns {
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
