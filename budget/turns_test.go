package budget_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
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
			turn, err := m.Begin(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			got(a)
			turn.End()
		})
		for budget.WaitingTurns(turns) < before+i+1 {
			time.Sleep(time.Millisecond)
		}
	}
}

// An account that comes last waits for one turn of each other one, however many
// requests those have.
func TestTurnsRotate(t *testing.T) {
	turns := budget.NewTurns(budget.Bounds{Account: 1, Whole: 1}, 100)
	a := turns.Join(alice)
	defer a.Leave()
	turn := begin(t, a)
	var mu sync.Mutex
	var order []budget.Account
	got := func(a budget.Account) { mu.Lock(); defer mu.Unlock(); order = append(order, a) }
	var wg sync.WaitGroup
	queue(t, turns, alice, 20, &wg, got)
	queue(t, turns, guest, 20, &wg, got)
	queue(t, turns, bob, 1, &wg, got)
	turn.End()
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
	turns := budget.NewTurns(budget.Bounds{Account: 2, Whole: 5, Reserve: 1}, 100)
	var running [4]atomic.Int64
	var total atomic.Int64
	var wg sync.WaitGroup
	for i, a := range []budget.Account{root, alice, bob, guest} {
		for range 16 {
			m := turns.Join(a)
			wg.Go(func() {
				defer m.Leave()
				for range 100 {
					turn, err := m.Begin(t.Context())
					if err != nil {
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
					turn.End()
				}
			})
		}
	}
	wg.Wait()
}

func TestTurnsReserve(t *testing.T) {
	turns := budget.NewTurns(budget.Bounds{Account: 2, Whole: 3, Reserve: 1}, 100)
	a := turns.Join(alice)
	defer a.Leave()
	for range 2 {
		begin(t, a)
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Millisecond, errors.New("enough"))
	defer cancel()
	if _, err := turns.Join(bob).Begin(ctx); err == nil || err.Error() != "enough" {
		t.Errorf("bob: %v", err)
	}
	begin(t, turns.Join(root))
}

func TestTurnsYield(t *testing.T) {
	turns := budget.NewTurns(budget.Bounds{Account: 1, Whole: 1}, 100)
	a := turns.Join(alice)
	defer a.Leave()
	turn, err := begin(t, a).Yield(t.Context())
	if err != nil {
		t.Errorf("with nobody waiting: %v", err)
	}
	var had atomic.Bool
	var wg sync.WaitGroup
	queue(t, turns, bob, 1, &wg, func(budget.Account) { had.Store(true) })
	if turn, err = turn.Yield(t.Context()); err != nil {
		t.Error(err)
	}
	if !had.Load() {
		t.Error("bob had no turn while alice yielded")
	}
	turn.End()
	wg.Wait()
}

// An account that used more than its share waits for the turn of busy accounts. A
// calm one does not, and one that left and came back does.
func TestTurnsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := budget.NewTurns(budget.Bounds{Account: 2, Whole: 10}, 1)
		work := func(a budget.Account) budget.Turn {
			m := turns.Join(a)
			defer m.Leave()
			turn := begin(t, m)
			time.Sleep(time.Second)
			turn.End()
			return begin(t, m)
		}
		defer begin(t, turns.Join(guest)).End() // nobody is alone
		busy := work(alice)
		waits := func(a budget.Account) bool {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			turn, err := turns.Join(a).Begin(ctx)
			if err == nil {
				turn.End()
			}
			return err != nil
		}
		if !waits(alice) {
			t.Error("a busy account has two turns, of one for all that are busy")
		}
		if waits(bob) {
			t.Error("a calm account waits")
		}
		busy.End()
		if waits(alice) {
			t.Error("a busy account waits for nobody")
		}
		time.Sleep(time.Minute)
		calm := begin(t, turns.Join(alice))
		if waits(alice) {
			t.Error("an account that was busy a minute ago waits")
		}
		time.Sleep(time.Second)
		calm, err := calm.Yield(t.Context()) // the turn is a busy one from here on
		if err != nil {
			t.Fatal(err)
		}
		if !waits(alice) {
			t.Error("a busy account does not wait for its own long turn")
		}
		calm.End()
	})
}

// OnCrowd tells of each turn beside another account, and of those of a busy one.
func TestTurnsOnCrowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := budget.NewTurns(budget.Bounds{Account: 2, Whole: 10}, 1)
		var told []bool
		turns.OnCrowd(func(alone bool) { told = append(told, alone) })
		expect := func(want ...bool) {
			t.Helper()
			if !slices.Equal(told, want) {
				t.Errorf("told %v, want %v", told, want)
			}
			told = nil
		}
		calm := begin(t, turns.Join(alice))
		begin(t, turns.Join(alice)).End()
		expect()
		begin(t, turns.Join(bob)).End()
		expect(false)
		time.Sleep(time.Second)
		calm.End()
		begin(t, turns.Join(bob)).End()
		expect() // alice is busy, but does not work
		busy := begin(t, turns.Join(alice))
		expect(true)
		busy.End()
	})
}

// An account that is alone has more turns, busy or not, until another one comes.
func TestTurnsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := budget.NewTurns(budget.Bounds{Account: 2, Whole: 20}, 1)
		a := turns.Join(alice)
		long := begin(t, a)
		time.Sleep(time.Second)
		long.End()
		var own []budget.Turn
		for range 8 {
			own = append(own, begin(t, a))
		}
		soon, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := a.Begin(soon); err == nil {
			t.Error("an account has nine turns")
		}
		other := begin(t, turns.Join(bob))
		if _, err := own[0].Yield(soon); err == nil {
			t.Error("an account keeps eight turns beside another one")
		}
		other.End()
		for _, turn := range own[1:] {
			turn.End()
		}
		begin(t, a).End()
	})
}

// Forty accounts that each want a tenth of a processor overload one. Most of their
// requests wait then, and an account that wants a hundredth never does.
func TestTurnsUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := budget.NewTurns(budget.Bounds{Account: 2, Whole: 32}, 1)
		stop, cancel := context.WithCancel(t.Context())
		defer cancel()
		var worked atomic.Int64
		var wg sync.WaitGroup
		for i := range uint32(40) {
			m := turns.Join(budget.Account{UID: 100 + i})
			wg.Go(func() {
				defer m.Leave()
				for stop.Err() == nil {
					turn, err := m.Begin(stop)
					if err != nil {
						return
					}
					time.Sleep(10 * time.Millisecond)
					worked.Add(1)
					turn.End()
					time.Sleep(90 * time.Millisecond)
				}
			})
		}
		light := turns.Join(alice)
		defer light.Leave()
		time.Sleep(time.Second)
		before := worked.Load()
		for range 500 {
			start := time.Now()
			turn := begin(t, light)
			if d := time.Since(start); d > 0 {
				t.Fatalf("the light account waits for %v", d)
			}
			time.Sleep(100 * time.Microsecond)
			turn.End()
			time.Sleep(10 * time.Millisecond)
		}
		if got := float64(worked.Load()-before) * 10 / 5050; got > 2.5 {
			t.Errorf("%.1f turns at a time, want fewer than half of the 4 that were wanted", got)
		}
		cancel()
		wg.Wait()
	})
}

// begin begins a turn that is free.
func begin(t testing.TB, m *budget.Member) budget.Turn {
	t.Helper()
	turn, err := m.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return turn
}

func BenchmarkTurns(b *testing.B) {
	turns := budget.NewTurns(budget.Bounds{Account: 2, Whole: 8, Reserve: 2}, 100)
	a := turns.Join(alice)
	for b.Loop() {
		begin(b, a).End()
	}
}
