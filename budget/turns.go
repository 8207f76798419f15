package budget

import (
	"context"
	"sync"
	"time"
)

// Turns has accounts take turns at the processor. An account works on a few
// requests at once, and so do all together; the others wait, each account in a queue
// of its own, and a free turn goes to the account that waited longest for one.
//
// An account that has used more than its share of a processor lately is busy. All busy
// accounts together have a turn for each processor, so that the others find one free
// for the moment in which they need it.
type Turns struct {
	limits     Bounds
	processors int64
	onCrowd    func(alone bool)

	mu      sync.Mutex
	members map[Account]*Member
	sweep   int // number of members at which to look for those that left
	total   int64
	busy    int64 // of total: turns of busy accounts
	load    load  // of all turns
	waiting [2]rota[chan struct{}]
}

// Indexes of Turns.waiting.
const (
	calm = iota
	busy
)

// An account is busy once its turns took longer than allowance. Its share of the
// elapsed time is forgotten: mostShare, and less under load.
const (
	mostShare  = 0.25
	leastShare = 1. / 64
	allowance  = 20 * time.Millisecond
)

// A Member is an account that takes turns.
type Member struct {
	turns   *Turns
	account Account
	users   int   // calls of Join without Leave
	running int64 // turns
	used    time.Duration
	at      time.Time // when used was so
}

// A Turn is the right to work. Its zero value is none.
type Turn struct {
	member *Member
	began  time.Time
	kind   int // calm or busy
}

// minSweep is the least number of members at which to look for those that left.
const minSweep = 256

// NewTurns returns turns without members. Limits are in turns at a time, for a machine
// with so many processors.
func NewTurns(limits Bounds, processors int) *Turns {
	return &Turns{limits: limits, processors: int64(processors), members: make(map[Account]*Member), sweep: minSweep}
}

// OnCrowd has f called whenever an account begins a turn, or to wait for one, while
// another account has or wants one, or while it is busy and alone. OnCrowd comes before
// the first turn.
func (t *Turns) OnCrowd(f func(alone bool)) { t.onCrowd = f }

// Join returns the member for a, until Leave.
func (t *Turns) Join(a Account) *Member {
	t.mu.Lock()
	defer t.mu.Unlock()
	m := t.members[a]
	if m == nil {
		t.forgetIdle()
		m = &Member{turns: t, account: a}
		t.members[a] = m
	}
	m.users++
	return m
}

// forgetIdle drops the members that left some time ago, once there are many. Leaving
// for a moment makes nobody less busy. t.mu is held.
func (t *Turns) forgetIdle() {
	if len(t.members) < t.sweep {
		return
	}
	now := time.Now()
	for a, m := range t.members {
		if m.users == 0 && m.usedAt(now) == 0 {
			delete(t.members, a)
		}
	}
	t.sweep = max(minSweep, 2*len(t.members))
}

// Leave ends what Join began. The caller has no turn and waits for none.
func (m *Member) Leave() {
	m.turns.mu.Lock()
	defer m.turns.mu.Unlock()
	m.users--
}

// Begin waits for a turn, which ends with End. It fails when ctx is done.
func (m *Member) Begin(ctx context.Context) (Turn, error) {
	t := m.turns
	now := time.Now()
	t.mu.Lock()
	kind := m.kind(now)
	queue := &t.waiting[kind]
	var granted chan struct{}
	if queue.has(m.account) || !m.start(kind) {
		granted = make(chan struct{})
		queue.add(m.account, granted)
	}
	alone := m.alone()
	tell := t.onCrowd != nil && (!alone || t.busy > 0)
	t.mu.Unlock()
	if tell {
		t.onCrowd(alone)
	}
	if granted == nil {
		return Turn{m, now, kind}, nil
	}
	select {
	case <-granted:
		return Turn{m, time.Now(), kind}, nil
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !queue.remove(m.account, granted) {
		return Turn{m, time.Now(), kind}, nil // it came meanwhile
	}
	return Turn{}, context.Cause(ctx)
}

// Running reports whether the turn has begun.
func (turn Turn) Running() bool { return turn.member != nil }

// End ends a turn.
func (turn Turn) End() {
	m, t := turn.member, turn.member.turns
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	m.use(now, now.Sub(turn.began))
	m.running--
	t.total--
	if turn.kind == busy {
		t.busy--
	}
	t.pass()
}

// Yield ends the turn and waits for another one, if somebody else needs it. A long
// piece of work calls it between its steps. If it fails, which it does as Begin does,
// the caller has no turn.
func (turn Turn) Yield(ctx context.Context) (Turn, error) {
	m, t := turn.member, turn.member.turns
	now := time.Now()
	t.mu.Lock()
	m.use(now, now.Sub(turn.began))
	turn.began = now
	goOn := t.waiting[calm].len() == 0 && turn.kind == m.kind(now) && t.waiting[turn.kind].len() == 0 &&
		m.running <= m.most()
	t.mu.Unlock()
	if goOn {
		return turn, nil
	}
	turn.End()
	return m.Begin(ctx)
}

// use charges the account for d of a turn. The lock of turns is held.
func (m *Member) use(now time.Time, d time.Duration) {
	m.used, m.at = m.usedAt(now)+d, now
	m.turns.load.add(now, d)
}

// usedAt returns how long the turns of the account took, less what is forgotten. The
// lock of turns is held.
func (m *Member) usedAt(now time.Time) time.Duration {
	return max(0, m.used-time.Duration(float64(now.Sub(m.at))*m.turns.share(now)))
}

// share returns the share of a processor that an account may use without becoming
// busy. With many accounts that each use less than mostShare, the processors are
// overloaded all the same: then those that use more than others are busy.
func (t *Turns) share(now time.Time) float64 {
	room := float64(t.processors) * fullLoad / max(t.load.at(now), 1e-9)
	return max(leastShare, mostShare*min(1, room*room))
}

// fullLoad is the load of a processor from which on work waits for other work.
const fullLoad = 0.75

// kind returns calm or busy. What waits is of one kind, so that it stays in order.
func (m *Member) kind(now time.Time) int {
	if m.turns.waiting[busy].has(m.account) || m.usedAt(now) > allowance {
		return busy
	}
	return calm
}

// start takes a turn, if one is free. The lock of turns is held.
func (m *Member) start(kind int) bool {
	t := m.turns
	whole := t.limits.Whole
	if !m.account.MayReserve() {
		whole -= t.limits.Reserve
	}
	if m.running >= m.most() || t.total >= whole || kind == busy && t.busy >= t.processors && !m.alone() {
		return false
	}
	m.running++
	t.total++
	if kind == busy {
		t.busy++
	}
	return true
}

// most returns how many turns the account may have at once: four times as many while
// no other account has or wants one, up to half of the whole. Waiting would only cost
// time then. The lock of turns is held.
func (m *Member) most() int64 {
	limits := m.turns.limits
	if !m.alone() {
		return limits.Account
	}
	return max(limits.Account, min(4*limits.Account, limits.Whole/2))
}

// alone reports whether no other account has or wants a turn. The lock of turns is
// held.
func (m *Member) alone() bool {
	t := m.turns
	return t.total == m.running && t.waiting[calm].isFor(m.account) && t.waiting[busy].isFor(m.account)
}

// pass gives the free turns to those who wait. t.mu is held.
func (t *Turns) pass() {
	for kind := range t.waiting {
		queue := &t.waiting[kind]
		for queue.len() > 0 && t.total < t.limits.Whole && (kind == calm || t.busy < t.processors) {
			granted, ok := queue.next(func(a Account, _ chan struct{}) bool { return t.members[a].start(kind) })
			if !ok {
				break
			}
			close(granted)
		}
	}
}
