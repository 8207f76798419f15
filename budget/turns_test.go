package budget_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kcmd.org/kcmd/budget"
)

// queue has n goroutines wait for a turn of a, and has each call got with its
// account.
func queue(t *testing.T, turns *budget.Turns, a budget.Account, n int, wg *sync.WaitGroup, got func(budget.Account)) {
	t.Helper()
	m := turns.Join(a)
	t.Cleanup(m.Leave)
	before := budget.WaitingTurns(turns)
	for i := range n {
		wg.Go(func() {
			if err := m.Begin(t.Context()); err != nil {
				t.Error(err)
				return
			}
			got(a)
			m.End()
		})
		for budget.WaitingTurns(turns) < before+i+1 {
			time.Sleep(time.Millisecond)
		}
	}
}

// An account that comes last waits for one turn of each other one, however many
// requests those have.
func TestTurnsRotate(t *testing.T) {
	turns := budget.NewTurns(budget.Bounds{Account: 1, Whole: 1})
	a := turns.Join(alice)
	defer a.Leave()
	if err := a.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var order []budget.Account
	got := func(a budget.Account) { mu.Lock(); defer mu.Unlock(); order = append(order, a) }
	var wg sync.WaitGroup
	queue(t, turns, alice, 20, &wg, got)
	queue(t, turns, guest, 20, &wg, got)
	queue(t, turns, bob, 1, &wg, got)
	a.End()
	wg.Wait()
	for i, a := range order {
		if a == bob {
			if i > 2 {
				t.Errorf("bob had turn %d of %v", i+1, order)
			}
			return
		}
	}
	t.Error("bob had no turn")
}

func TestTurnsBounds(t *testing.T) {
	turns := budget.NewTurns(budget.Bounds{Account: 2, Whole: 5, Reserve: 1})
	var running [4]atomic.Int64
	var total atomic.Int64
	var wg sync.WaitGroup
	for i, a := range []budget.Account{root, alice, bob, guest} {
		for range 16 {
			m := turns.Join(a)
			wg.Go(func() {
				defer m.Leave()
				for range 100 {
					if err := m.Begin(t.Context()); err != nil {
						t.Error(err)
						return
					}
					if n := running[i].Add(1); n > 2 {
						t.Errorf("%v works on %d requests", a, n)
					}
					if n := total.Add(1); n > 5 {
						t.Errorf("%d requests are under way", n)
					}
					total.Add(-1)
					running[i].Add(-1)
					m.End()
				}
			})
		}
	}
	wg.Wait()
}

func TestTurnsReserve(t *testing.T) {
	turns := budget.NewTurns(budget.Bounds{Account: 2, Whole: 3, Reserve: 1})
	a := turns.Join(alice)
	defer a.Leave()
	for range 2 {
		if err := a.Begin(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Millisecond, errors.New("enough"))
	defer cancel()
	if err := turns.Join(bob).Begin(ctx); err == nil || err.Error() != "enough" {
		t.Errorf("bob: %v", err)
	}
	if err := turns.Join(root).Begin(t.Context()); err != nil {
		t.Errorf("root: %v", err)
	}
}

func TestTurnsYield(t *testing.T) {
	turns := budget.NewTurns(budget.Bounds{Account: 1, Whole: 1})
	a := turns.Join(alice)
	defer a.Leave()
	if err := a.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := a.Yield(t.Context()); err != nil {
		t.Errorf("with nobody waiting: %v", err)
	}
	var had atomic.Bool
	var wg sync.WaitGroup
	queue(t, turns, bob, 1, &wg, func(budget.Account) { had.Store(true) })
	if err := a.Yield(t.Context()); err != nil {
		t.Error(err)
	}
	if !had.Load() {
		t.Error("bob had no turn while alice yielded")
	}
	a.End()
	wg.Wait()
}

func BenchmarkTurns(b *testing.B) {
	turns := budget.NewTurns(budget.Bounds{Account: 2, Whole: 8, Reserve: 2})
	a := turns.Join(alice)
	for b.Loop() {
		if err := a.Begin(b.Context()); err != nil {
			b.Fatal(err)
		}
		a.End()
	}
}
