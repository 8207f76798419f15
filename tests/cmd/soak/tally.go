package main

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// A tally counts what was done.
type tally struct {
	requests    atomic.Int64 // KCM requests of our own clients
	connections atomic.Int64 // of the intruders
	hostile     atomic.Int64 // conversations of enemies
	programs    atomic.Int64 // that were run
	signals     atomic.Int64 // that monitors received
	awaited     atomic.Int64 // of them those that the herald waited for
	reaped      atomic.Int64 // caches that the daemon has removed
	exceeded    atomic.Int64 // limits by the glutton
	restarts    atomic.Int64
	waited      waits // for the witness' answers
	started     waits // for the daemon to be ready again

	mu     sync.Mutex
	phases []*phase
}

// A phase is what was seen in one phase.
type phase struct {
	title             string
	begun             time.Time
	took              time.Duration
	memory            []int64 // bytes, in the order of the samples
	files, threads    int     // the most
	db, wal           int64   // the most, bytes
	cpu               time.Duration
	lastPID           int
	lastCPU           time.Duration
	requests, signals int64
	waited            quantiles
}

// enter begins a phase.
func (t *tally) enter(title string) {
	t.leave()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.phases = append(t.phases, &phase{title: title, begun: time.Now(), requests: -t.requests.Load(), signals: -t.signals.Load()})
}

// leave ends the phase, if there is one.
func (t *tally) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.phases) == 0 {
		return
	}
	p := t.phases[len(t.phases)-1]
	if p.took != 0 {
		return
	}
	p.took = time.Since(p.begun)
	p.requests += t.requests.Load()
	p.signals += t.signals.Load()
	p.waited = t.waited.all()
}

// sample notes what the daemon takes.
func (t *tally) sample(pid int, f figures) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.phases) == 0 {
		return
	}
	p := t.phases[len(t.phases)-1]
	p.memory = append(p.memory, f.memory)
	p.files, p.threads = max(p.files, f.open()), max(p.threads, f.threads)
	p.db, p.wal = max(p.db, f.db), max(p.wal, f.wal)
	// What it took before the first sample of a process is not this phase's, or
	// is little.
	if pid == p.lastPID {
		p.cpu += f.cpu - p.lastCPU
	}
	p.lastPID, p.lastCPU = pid, f.cpu
}

// of returns the number of requests in a phase.
func (t *tally) of(title string) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range t.phases {
		if p.title == title {
			return p.requests
		}
	}
	return 0
}

func (t *tally) title() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.phases) == 0 {
		return ""
	}
	return t.phases[len(t.phases)-1].title
}

const (
	sampleEvery = 3 * time.Second
	reportEvery = time.Minute
)

// observe samples, and prints a line a minute, until the program ends.
func (s *stage) observe() {
	go func() {
		sample, report := time.NewTicker(sampleEvery), time.NewTicker(reportEvery)
		for {
			select {
			case <-sample.C:
				if f, err := s.look(); err == nil {
					s.tally.sample(int(s.life.pid.Load()), f)
					s.watchBudgets(f)
				}
			case <-report.C:
				s.report()
			}
		}
	}()
}

// look returns what the daemon takes. It fails while that is being restarted.
func (s *stage) look() (figures, error) {
	return lookAt(int(s.life.pid.Load()), s.life.daemon.Database)
}

// report prints how things are.
func (s *stage) report() {
	state := "kcmd is being restarted"
	if f, err := s.look(); err == nil {
		state = f.String()
	}
	fmt.Printf("%6s %-9s %s; %d requests, %d signals, witness %v, %d faults\n", round(time.Since(s.faults.start)), s.tally.title(),
		state, s.tally.requests.Load(), s.tally.signals.Load(), s.tally.waited.recent(), s.faults.total())
}

// print prints the table of all phases, and what there was besides.
func (t *tally) print() {
	t.leave()
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Printf("\n%-10s %7s %26s %6s %7s %9s %9s %5s %9s %8s  %s\n", "phase", "took", "memory first/most/last MiB",
		"files", "threads", "db", "wal", "cpu", "requests", "signals", "witness median/99 %/most")
	for _, p := range t.phases {
		fmt.Printf("%-10s %7s %26s %6d %7d %9s %9s %4.0f%% %9d %8d  %v\n", p.title, round(p.took), p.memories(),
			p.files, p.threads, mib(p.db), mib(p.wal), 100*p.cpu.Seconds()/p.took.Seconds(), p.requests, p.signals, p.waited)
	}
	fmt.Printf("\n%d connections of intruders, %d of enemies, %d programs, %d caches removed at their end, %d times over a limit,\n%d signals, of which %d had to come, %d restarts, ready after %v (median/99 %%/most)\n",
		t.connections.Load(), t.hostile.Load(), t.programs.Load(), t.reaped.Load(), t.exceeded.Load(), t.signals.Load(), t.awaited.Load(), t.restarts.Load(), t.started.all())
}

func (p *phase) memories() string {
	if len(p.memory) == 0 {
		return "-"
	}
	most := int64(0)
	for _, m := range p.memory {
		most = max(most, m)
	}
	const m = 1 << 20
	return fmt.Sprintf("%.1f/%.1f/%.1f", float64(p.memory[0])/m, float64(most)/m, float64(p.memory[len(p.memory)-1])/m)
}
