package budget

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// An Account is who is charged: a uid in a namespace. Root of the default
// namespace, whose name is "", has a reserve.
type Account struct {
	Namespace string
	UID       uint32
}

// String returns the account as logs show it.
func (a Account) String() string {
	switch a.Namespace {
	case "":
		return fmt.Sprintf("uid %d", a.UID)
	case Daemon.Namespace:
		return "the daemon"
	}
	return fmt.Sprintf("uid %d in %s", a.UID, a.Namespace)
}

// Daemon is the account of the daemon's own requests, by which it finds out whether it
// answers. No user can use it up. Its namespace is not the name of any.
var Daemon = Account{Namespace: "\x00daemon"}

// MayReserve reports whether a may use the reserves.
func (a Account) MayReserve() bool { return a == Account{} || a == Daemon }

// ErrExceeded is wrapped by an ExceededError.
var ErrExceeded = errors.New("budget exceeded")

// An ExceededError says that an account cannot have more of a resource now.
type ExceededError struct {
	Account Account
	What    string // name of the limit, as in Table
	Asked   int64
	Held    int64 // by the account
	Free    int64 // of the whole, for accounts like this one
}

func (e *ExceededError) Error() string {
	return fmt.Sprintf("%v: %v asks for %d more of %s, holds %d; %d are free", ErrExceeded, e.Account, e.Asked, e.What, e.Held, e.Free)
}

// Unwrap returns ErrExceeded.
func (e *ExceededError) Unwrap() error { return ErrExceeded }

// A Pool is a resource that accounts take from and give back to. Each account
// has a limit, and so have all together. As the whole fills, the largest accounts
// meet a limit first: an account may take no more than what is left for others
// after it did. One account can so have half of the whole, and n of them
// n/(n+1): something always remains for the next one.
type Pool struct {
	what   string
	limits Bounds

	mu      sync.Mutex
	held    map[Account]int64
	total   int64
	waiting rota[*request]
}

// A request waits for its share of a pool.
type request struct {
	account Account
	n       int64
	granted chan struct{} // closed once n is taken
}

// NewPool returns a pool, none of which is taken. what names it in errors.
func NewPool(what string, limits Bounds) *Pool {
	return &Pool{what: what, limits: limits, held: make(map[Account]int64)}
}

// SetLimits sets other limits. Accounts that hold more than these allow keep it, and
// get no more.
func (p *Pool) SetLimits(limits Bounds) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.limits = limits
	p.grant()
}

// Take takes n for a, or fails at once with an ExceededError. n must not be
// negative.
func (p *Pool) Take(a Account, n int64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.take(a, n)
}

// Wait takes n for a once there is room. Accounts that wait take turns, and what
// one account waits for is granted in order. It fails with ctx, or at once with
// an ExceededError if n could never be granted, while the caller keeps the part of
// what a holds that is its own.
func (p *Pool) Wait(ctx context.Context, a Account, n, own int64) error {
	p.mu.Lock()
	if own+n > p.most(a) {
		defer p.mu.Unlock()
		return p.exceeded(a, n)
	}
	if !p.waiting.has(a) && p.take(a, n) == nil {
		p.mu.Unlock()
		return nil
	}
	r := &request{account: a, n: n, granted: make(chan struct{})}
	p.waiting.add(a, r)
	p.mu.Unlock()
	select {
	case <-r.granted:
		return nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.waiting.remove(a, r) {
		return nil // granted meanwhile
	}
	p.grant() // to those behind it
	return fmt.Errorf("%w: %w", p.exceeded(a, n), context.Cause(ctx))
}

// Give gives back n that a took.
func (p *Pool) Give(a Account, n int64) {
	if n == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch left := p.held[a] - n; {
	case left < 0:
		panic(fmt.Sprintf("budget: %v gives back %d more of %s than it took", a, -left, p.what))
	case left == 0:
		delete(p.held, a)
	default:
		p.held[a] = left
	}
	p.total -= n
	p.grant()
}

// Held returns how much a holds.
func (p *Pool) Held(a Account) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held[a]
}

// Total returns how much all accounts hold.
func (p *Pool) Total() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.total
}

// Largest returns the account that holds most, and how much that is; false if
// nobody holds anything. Root's reserve does not make it the largest.
func (p *Pool) Largest() (a Account, n int64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for b, held := range p.held {
		if b.MayReserve() {
			held = max(0, held-p.limits.Reserve)
		}
		if held > n {
			a, n, ok = b, held, true
		}
	}
	return a, n, ok
}

// take takes n for a if there is room. p.mu is held.
func (p *Pool) take(a Account, n int64) error {
	held, left := p.held[a]+n, p.free(a)-n
	if held > p.limits.Account || left < 0 || !a.MayReserve() && left < held {
		return p.exceeded(a, n)
	}
	if n > 0 {
		p.held[a] = held
		p.total += n
	}
	return nil
}

// free returns what is left of the whole for accounts like a.
func (p *Pool) free(a Account) int64 {
	free := p.limits.Whole - p.total
	if !a.MayReserve() {
		free -= p.limits.Reserve - min(p.held[Account{}], p.limits.Reserve)
	}
	return max(0, free)
}

// most returns what a could take if nobody held anything.
func (p *Pool) most(a Account) int64 {
	if a.MayReserve() {
		return min(p.limits.Account, p.limits.Whole)
	}
	return min(p.limits.Account, (p.limits.Whole-p.limits.Reserve)/2)
}

func (p *Pool) exceeded(a Account, n int64) error {
	return &ExceededError{Account: a, What: p.what, Asked: n, Held: p.held[a], Free: p.free(a)}
}

// grant grants what can be granted to those who wait, in their turn. p.mu is held.
func (p *Pool) grant() {
	for range p.waiting.len() {
		r, ok := p.waiting.next(func(a Account, r *request) bool { return p.take(a, r.n) == nil })
		if !ok {
			return
		}
		close(r.granted)
	}
}
