package budget

import (
	"context"
	"sync"
)

// Turns has accounts take turns at the processor. An account works on a few
// requests at once, so do all together; the others wait, each account in a queue
// of its own, and a free turn goes to the account that waited longest for one. So
// an account with 200 connections delays another one by the requests under way,
// and not by 200.
type Turns struct {
	limits Bounds

	mu      sync.Mutex
	members map[Account]*Member
	total   int64
	waiting rota[chan struct{}]
}

// A Member is an account that takes turns.
type Member struct {
	turns   *Turns
	account Account
	users   int   // calls of Join without Leave
	running int64 // turns
}

// NewTurns returns turns without members. Limits are in turns at a time.
func NewTurns(limits Bounds) *Turns {
	return &Turns{limits: limits, members: make(map[Account]*Member)}
}

// Join returns the member for a, until Leave.
func (t *Turns) Join(a Account) *Member {
	t.mu.Lock()
	defer t.mu.Unlock()
	m := t.members[a]
	if m == nil {
		m = &Member{turns: t, account: a}
		t.members[a] = m
	}
	m.users++
	return m
}

// Leave ends what Join began. The caller has no turn and waits for none.
func (m *Member) Leave() {
	m.turns.mu.Lock()
	defer m.turns.mu.Unlock()
	if m.users--; m.users == 0 {
		delete(m.turns.members, m.account)
	}
}

// Begin waits for a turn, which ends with End. It fails when ctx is done.
func (m *Member) Begin(ctx context.Context) error {
	t := m.turns
	t.mu.Lock()
	if !t.waiting.has(m.account) && m.start() {
		t.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	t.waiting.add(m.account, turn)
	t.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.waiting.remove(m.account, turn) {
		return nil // it came meanwhile
	}
	return context.Cause(ctx)
}

// End ends a turn.
func (m *Member) End() {
	m.turns.mu.Lock()
	defer m.turns.mu.Unlock()
	m.running--
	m.turns.total--
	m.turns.pass()
}

// Yield ends the caller's turn and waits for another one, if anybody waits. A
// long piece of work calls it between its steps. If it fails, which it does as
// Begin does, the caller has no turn.
func (m *Member) Yield(ctx context.Context) error {
	m.turns.mu.Lock()
	idle := m.turns.waiting.len() == 0
	m.turns.mu.Unlock()
	if idle {
		return nil
	}
	m.End()
	return m.Begin(ctx)
}

// start takes a turn, if one is free. The lock of turns is held.
func (m *Member) start() bool {
	t := m.turns
	whole := t.limits.Whole
	if !m.account.IsRoot() {
		whole -= t.limits.Reserve
	}
	if m.running >= t.limits.Account || t.total >= whole {
		return false
	}
	m.running++
	t.total++
	return true
}

// pass gives the free turns to those who wait. t.mu is held.
func (t *Turns) pass() {
	for t.waiting.len() > 0 && t.total < t.limits.Whole {
		turn, ok := t.waiting.next(func(a Account, _ chan struct{}) bool { return t.members[a].start() })
		if !ok {
			return
		}
		close(turn)
	}
}
