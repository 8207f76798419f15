package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"kcmd.org/kcmd/tests/lab"
)

// What the daemon is told besides. The limits are such that one actor gets
// there and the others do not.
const (
	reapAfter      = 5 * time.Second
	clientTimeout  = 5 * time.Second
	maxConnections = 128
	maxCaches      = 32
	maxTickets     = 64
	maxBytes       = 16 << 20
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
	traces []span // of the log, that quit asked for
}

// An actor is a client, or several of one kind. It plays until ctx is done, and
// once more in the next phase. Its error is a fault, after which it has left.
type actor struct {
	name   string
	play   func(ctx context.Context) error
	verify func() error // looks at everything a last time; nil: there is nothing to look at
	left   bool
}

func setUp(l *lab.Lab, seed uint64) (*stage, error) {
	if os.Getuid() != 0 {
		return nil, errors.New("only root can be several users")
	}
	if err := errors.Join(lab.Missing(lab.KerberosPrograms...), lab.Missing(lab.BusPrograms...)); err != nil {
		return nil, err
	}
	for _, uid := range slices.Concat(playerUIDs, enemyUIDs, []int{heraldUID}) {
		if _, err := user.LookupId(strconv.Itoa(uid)); err != nil {
			return nil, fmt.Errorf("cannot be user %d on the bus: %w", uid, err)
		}
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
	d.Bus, d.Unaddressed = bus, true
	s := &stage{lab: l, realm: realm, bus: bus, krb5conf: l.Path("krb5.conf"), seed: seed}
	s.life = newLife(d,
		"--config", l.Path("kcmd.toml"),
		"--reap-after", reapAfter.String(),
		"--client-timeout", clientTimeout.String(),
		"--max-uid-connections", fmt.Sprint(maxConnections),
		"--max-uid-caches", fmt.Sprint(maxCaches),
		"--max-cache-tickets", fmt.Sprint(maxTickets),
		"--max-uid-bytes", fmt.Sprint(maxBytes))
	if err := s.writeSockets(l.Path("kcmd.toml")); err != nil {
		return nil, err
	}
	if err := realm.WriteConfig(s.krb5conf, realm.KDC.Port, d.Socket); err != nil {
		return nil, err
	}
	return s, s.cast()
}

// Users that come on the bus must be known to the machine: these are on every
// Debian. The others need not have a name.
var (
	playerUIDs = []int{1, 2, 7, 8}
	heraldUID  = 33
)

const (
	witnessUID  = 61120
	mayflyUID   = 61140
	gluttonUID  = 61150
	intruderUID = 61160
	mitUID      = 61170 // and the one that follows
	heimdalUID  = 61175
)

// playersPerUser is how many share a collection, with caches of their own in it.
const playersPerUser = 2

// cast chooses the actors.
func (s *stage) cast() error {
	for i := range len(playerUIDs) * playersPerUser {
		p := newPlayer(s, playerUIDs[i/playersPerUser], i%playersPerUser)
		s.actors = append(s.actors, actor{name: p.id(), play: p.play, verify: p.verify})
	}
	for _, uid := range enemyUIDs {
		s.actors = append(s.actors, actor{name: fmt.Sprint("enemy ", uid), play: newEnemy(s, uid).play})
	}
	s.actors = append(s.actors,
		actor{name: "witness", play: newWitness(s).play},
		actor{name: "mayfly", play: newMayfly(s).play},
		actor{name: "glutton", play: newGlutton(s).play},
		actor{name: "intruder", play: newIntruder(s).play},
		actor{name: "MIT", play: newMIT(s, mitUID).play},
		actor{name: "another MIT", play: newMIT(s, mitUID+1).play},
		actor{name: "renewer", play: newRenewer(s).play},
		actor{name: "reader", play: newReader(s, 0).play},
		actor{name: "another reader", play: newReader(s, 1).play},
		actor{name: "subscriber", play: newSubscriber(s, playerUIDs[0]).play},
		actor{name: "another subscriber", play: newSubscriber(s, playerUIDs[1]).play},
		actor{name: "root's subscriber", play: newSubscriber(s, 0).play},
		actor{name: "herald", play: newHerald(s).play},
	)
	if lab.MissingHeimdal() != nil {
		fmt.Println("There are no clients of Heimdal.")
		return nil
	}
	heimdal, err := newHeimdal(s, heimdalUID)
	if err != nil {
		return err
	}
	s.actors = append(s.actors, actor{name: "Heimdal", play: heimdal.play})
	return nil
}

// random returns a source of choices for an actor.
func (s *stage) random(actor uint64) *rand.Rand {
	return rand.New(rand.NewPCG(s.seed, actor))
}

// perform has all actors play for a while, with others that play but once, and
// returns when all have left.
func (s *stage) perform(d time.Duration, title string, others ...actor) {
	s.tally.enter(title)
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	var all sync.WaitGroup
	for _, a := range others {
		all.Go(func() { s.act(ctx, a) })
	}
	for i := range s.actors {
		a := &s.actors[i]
		if !a.left {
			all.Go(func() { a.left = !s.act(ctx, *a) })
		}
	}
	all.Wait()
}

// act has an actor play, and tells whether it may do so again.
func (s *stage) act(ctx context.Context, a actor) bool {
	err := a.play(ctx)
	if err == nil || ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return true
	}
	s.faults.add(a.name, err)
	return false
}

// play performs the plan, and returns whether all was well.
func (s *stage) play(p plan) (sound bool, err error) {
	s.faults.start = time.Now()
	s.faults.silenceOnSignal()
	s.observe()
	fresh, err := s.rehearse()
	if err != nil {
		return false, err
	}
	if err := s.life.begin(); err != nil {
		return false, err
	}
	s.perform(p.warmUp, "warm-up")
	first, err := s.quiet(p.quiet)
	if err != nil {
		return false, err
	}
	s.perform(p.steady, "steady")
	last, err := s.quiet(p.quiet)
	if err != nil {
		return false, err
	}
	s.compareQuiet(first, last, p.memory)
	left, err := s.quit()
	if err != nil {
		return false, err
	}
	if err := left.more(fresh); err != nil {
		s.faults.add("goroutines", err)
	}
	if err := s.life.begin(); err != nil {
		return false, err
	}
	s.perform(p.restarts, "restarts", actor{name: "restart", play: s.restart})
	if err := s.finish(); err != nil {
		return false, err
	}
	s.tally.print()
	if p.memory {
		fmt.Printf("memory that is left of each request of the steady phase: %d bytes\n", (last.memory-first.memory)/max(1, s.tally.of("steady")))
	}
	fmt.Printf("quiet at first: %v\nquiet at last:  %v\ngoroutines: %d in a fresh daemon, %d after the steady phase\n", first, last, fresh.total(), left.total())
	return s.conclude(p.memory), nil
}

// rehearse has all actors play for a moment, and returns the goroutines that a
// daemon has when they have left.
func (s *stage) rehearse() (goroutines, error) {
	if err := s.life.begin(); err != nil {
		return nil, err
	}
	s.perform(rehearsal, "rehearsal")
	if _, err := s.quiet(fewSeconds); err != nil {
		return nil, err
	}
	return s.quit()
}

// finish looks at everything a last time, and then at what the daemon leaves.
func (s *stage) finish() error {
	if err := s.life.await(context.Background()); err != nil {
		return err
	}
	for _, a := range s.actors {
		if a.verify == nil || a.left {
			continue
		}
		if err := a.verify(); err != nil {
			s.faults.add(a.name, fmt.Errorf("in the end: %w", err))
		}
	}
	if err := s.life.end(s.life.daemon.Stop); err != nil {
		return err
	}
	s.checkStore()
	s.checkLines(s.life.daemon.Log(), time.Since(s.faults.start))
	for _, line := range unexpected(s.life.daemon.Log(), s.traces) {
		s.faults.add("log", errors.New(line))
	}
	return nil
}

// conclude says how it was.
func (s *stage) conclude(memory bool) (sound bool) {
	if !memory {
		fmt.Println("Whether memory leaks was not seen.")
	}
	if n := s.faults.total(); n > 0 {
		fmt.Printf("FAILED: %d faults\n", n)
		return false
	}
	fmt.Println("All is well.")
	return true
}
