package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"kcmd.org/kcmd/tests/lab"
)

// What the daemon is told besides. The limits are such that one actor gets
// there and the others do not.
const (
	reapAfter     = 5 * time.Second
	clientTimeout = 5 * time.Second
	maxCaches     = 32
	maxTickets    = 64
	maxBytes      = 16 << 20
)

// A stage is everything that plays.
type stage struct {
	lab      *lab.Lab
	realm    *lab.Realm
	bus      *lab.Bus
	life     *life
	krb5conf string
	seed     uint64

	actors []actor
	tally  tally
	faults faults
}

// An actor is a client, or several of one kind. It plays until ctx is done, and
// once more in the next phase. Its error is a fault, after which it is not
// asked again.
type actor struct {
	name string
	play func(ctx context.Context) error
}

func setUp(l *lab.Lab, seed uint64) (*stage, error) {
	if os.Getuid() != 0 {
		return nil, errors.New("only root can be several users")
	}
	if err := errors.Join(lab.Missing(lab.KerberosPrograms...), lab.Missing(lab.BusPrograms...)); err != nil {
		return nil, err
	}
	program, err := l.Program(".")
	if err != nil {
		return nil, err
	}
	realm, err := l.NewRealm()
	if err != nil {
		return nil, err
	}
	policy, err := os.ReadFile(filepath.Join("data", "dbus", "org.kcmd.KCM1.conf"))
	if err != nil {
		return nil, fmt.Errorf("cannot read the D-Bus policy: %w", err)
	}
	bus, err := l.NewBus(lab.SystemBus, string(policy))
	if err != nil {
		return nil, err
	}
	d := l.NewDaemon(program)
	d.Bus = bus
	s := &stage{lab: l, realm: realm, bus: bus, krb5conf: l.Path("krb5.conf"), seed: seed}
	s.life = newLife(d,
		"--reap-after", reapAfter.String(),
		"--client-timeout", clientTimeout.String(),
		"--max-uid-caches", fmt.Sprint(maxCaches),
		"--max-cache-tickets", fmt.Sprint(maxTickets),
		"--max-uid-bytes", fmt.Sprint(maxBytes))
	s.cast()
	return s, realm.WriteConfig(s.krb5conf, realm.KDC.Port, d.Socket)
}

// Users of the soak. Nobody need have these numbers.
const (
	firstPlayerUID = 61100
	witnessUID     = 61120
)

const (
	playerUsers    = 4 // each with
	playersPerUser = 2 // who share a collection, and have caches of their own in it
)

// cast chooses the actors.
func (s *stage) cast() {
	for i := range playerUsers * playersPerUser {
		p := newPlayer(s, firstPlayerUID+i/playersPerUser, i%playersPerUser)
		s.actors = append(s.actors, actor{p.id(), p.play})
	}
	s.actors = append(s.actors, actor{"witness", newWitness(s).play})
}

// random returns a source of choices for an actor.
func (s *stage) random(actor uint64) *rand.Rand {
	return rand.New(rand.NewPCG(s.seed, actor))
}

// perform has all actors play for a while, and returns when all have left.
func (s *stage) perform(d time.Duration, title string) {
	s.tally.enter(title)
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	var all sync.WaitGroup
	for i := range s.actors {
		a := &s.actors[i]
		if a.play == nil {
			continue
		}
		all.Go(func() {
			if err := a.play(ctx); err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
				s.faults.add(a.name, err)
				a.play = nil
			}
		})
	}
	all.Wait()
}

// play performs the plan, and returns whether all was well.
func (s *stage) play(p plan) (sound bool, err error) {
	s.faults.start = time.Now()
	if err := s.life.begin(); err != nil {
		return false, err
	}
	stop := s.observe()
	s.perform(p.warmUp, "warm-up")
	s.perform(p.steady, "steady")
	stop()
	if err := s.life.end(s.life.daemon.Stop); err != nil {
		return false, err
	}
	s.checkStore()
	return s.faults.total() == 0, nil
}
