package budget_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"kcmd.org/kcmd/budget"
)

var (
	root  = budget.Account{}
	alice = budget.Account{UID: 1000}
	bob   = budget.Account{UID: 1001}
	guest = budget.Account{Namespace: "guests", UID: 0}
)

// step is one call of Take (n > 0) or Give (n < 0).
type step struct {
	who  budget.Account
	n    int64
	want bool // whether Take succeeds
}

func TestPool(t *testing.T) {
	for _, tt := range []struct {
		name   string
		bounds budget.Bounds
		steps  []step
	}{
		{"an account's own limit", budget.Bounds{Account: 10, Whole: 100}, []step{
			{alice, 10, true}, {alice, 1, false}, {alice, -1, true}, {alice, 1, true},
		}},
		{"one account has at most half of the whole", budget.Bounds{Account: 100, Whole: 100}, []step{
			{alice, 51, false}, {alice, 50, true}, {alice, 1, false}, {bob, 25, true}, {bob, 1, false}, {alice, 1, false},
		}},
		{"the larger account waits for the smaller one", budget.Bounds{Account: 100, Whole: 90}, []step{
			{alice, 45, true}, {bob, 20, true}, {alice, 1, false}, {bob, 2, true},
		}},
		{"root has a reserve", budget.Bounds{Account: 50, Whole: 100, Reserve: 20}, []step{
			{alice, 41, false}, {alice, 40, true}, {bob, 20, true}, {root, 40, true}, {root, 1, false}, {bob, 1, false},
		}},
		{"root of a container has no reserve", budget.Bounds{Account: 100, Whole: 100, Reserve: 100}, []step{
			{guest, 1, false}, {root, 100, true},
		}},
		{"what root holds of its reserve is nobody else's", budget.Bounds{Account: 100, Whole: 100, Reserve: 20}, []step{
			{root, 20, true}, {alice, 40, true}, {alice, 1, false}, {root, -20, true}, {alice, 1, false},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := budget.NewPool("bytes", tt.bounds)
			for i, s := range tt.steps {
				if s.n < 0 {
					p.Give(s.who, -s.n)
					continue
				}
				err := p.Take(s.who, s.n)
				if (err == nil) != s.want || err != nil && !errors.Is(err, budget.ErrExceeded) {
					t.Fatalf("step %d: %v takes %d: %v", i, s.who, s.n, err)
				}
			}
		})
	}
}

func TestPoolLargest(t *testing.T) {
	p := budget.NewPool("connections", budget.Bounds{Account: 50, Whole: 100, Reserve: 30})
	if _, _, ok := p.Largest(); ok {
		t.Error("an empty pool has a largest account")
	}
	for who, n := range map[budget.Account]int64{root: 30, alice: 5, bob: 3} {
		if err := p.Take(who, n); err != nil {
			t.Fatal(err)
		}
	}
	if a, n, ok := p.Largest(); !ok || a != alice || n != 5 {
		t.Errorf("largest is %v with %d, want %v with 5", a, n, alice)
	}
}

func TestPoolWait(t *testing.T) {
	p := budget.NewPool("bytes", budget.Bounds{Account: 10, Whole: 100})
	if err := p.Wait(t.Context(), alice, 11, 0); !errors.Is(err, budget.ErrExceeded) {
		t.Fatalf("waiting for more than there ever is: %v", err)
	}
	if err := p.Wait(t.Context(), alice, 10, 0); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(t.Context(), alice, 1, 10); !errors.Is(err, budget.ErrExceeded) {
		t.Fatalf("waiting for what the caller itself holds: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	gaveUp := make(chan error)
	go func() { gaveUp <- p.Wait(ctx, alice, 10, 0) }()
	granted := make(chan error)
	for budget.Waiting(p) < 1 {
		time.Sleep(time.Millisecond)
	}
	go func() { granted <- p.Wait(t.Context(), alice, 1, 0) }()
	for budget.Waiting(p) < 2 {
		time.Sleep(time.Millisecond)
	}
	p.Give(alice, 5) // not enough for the first one, whom the second one does not overtake
	if n := budget.Waiting(p); n != 2 {
		t.Fatalf("%d wait, want 2", n)
	}
	cancel()
	if err := <-gaveUp; !errors.Is(err, context.Canceled) || !errors.Is(err, budget.ErrExceeded) {
		t.Errorf("who gave up gets %v", err)
	}
	if err := <-granted; err != nil {
		t.Errorf("the one behind it gets %v", err)
	}
	if n := p.Held(alice); n != 6 {
		t.Errorf("alice holds %d, want 6", n)
	}
}

// What accounts do at random never exceeds a limit, and everybody who waits gets
// something in the end.
func TestPoolRandom(t *testing.T) {
	bounds := budget.Bounds{Account: 20, Whole: 50, Reserve: 5}
	p := budget.NewPool("bytes", bounds)
	var wg sync.WaitGroup
	for _, a := range []budget.Account{root, alice, bob, guest} {
		for range 8 {
			wg.Go(func() {
				for range 500 {
					n := rand.Int64N(12)
					if err := p.Wait(t.Context(), a, n, 0); err != nil {
						t.Error(err)
						return
					}
					if held, total := p.Held(a), p.Total(); held > bounds.Account || total > bounds.Whole {
						t.Errorf("%v holds %d, all together %d", a, held, total)
					}
					p.Give(a, n)
				}
			})
		}
	}
	wg.Wait()
	if n := p.Total(); n != 0 {
		t.Errorf("%d are held at the end", n)
	}
}

func BenchmarkPool(b *testing.B) {
	p := budget.NewPool("bytes", budget.Bounds{Account: 1000, Whole: 10000})
	for b.Loop() {
		if err := p.Take(alice, 10); err != nil {
			b.Fatal(err)
		}
		p.Give(alice, 10)
	}
}
