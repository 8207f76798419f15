package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"kcmd.org/kcmd/tests/lab"
)

// A reader asks on the bus for what there is, as one of the players or as root.
type reader struct {
	stage  *stage
	random *rand.Rand
}

const readerPause = 300 * time.Millisecond

func newReader(s *stage, number int) *reader {
	return &reader{s, s.random(uint64(1000 + number))}
}

func (r *reader) play(ctx context.Context) error {
	return r.stage.repeat(ctx, readerPause, func(context.Context) error {
		uid := playerUIDs[r.random.IntN(len(playerUIDs))]
		if r.random.IntN(5) == 0 {
			uid = 0
		}
		switch r.random.IntN(4) {
		case 0:
			return r.tree(uid)
		case 1:
			return r.everything(uid)
		default:
			return r.tickets(uid)
		}
	})
}

// tree walks the tree, of which parts may be gone when it comes there.
func (r *reader) tree(uid int) error {
	_, err := r.stage.run(r.stage.busCommand(uid, "busctl", "--system", "--no-pager", "tree", lab.BusName))
	if err != nil && strings.Contains(err.Error(), "no such object") {
		return nil
	}
	return err
}

// everything asks as programs do that keep a copy of all objects.
func (r *reader) everything(uid int) error {
	out, err := r.call(uid, managerPath, "org.freedesktop.DBus.ObjectManager.GetManagedObjects")
	if err != nil {
		return err
	}
	if !strings.Contains(out, managerPath+"/user/") {
		return fmt.Errorf("GetManagedObjects as %d: no collection in\n%s", uid, out)
	}
	return nil
}

// tickets lists those of a cache, which may be gone by then.
func (r *reader) tickets(uid int) error {
	out, err := r.call(uid, managerPath, managerInterface+".FindCaches", "")
	if err != nil {
		return err
	}
	caches := cachePath.FindAllString(out, -1)
	if len(caches) == 0 {
		return nil
	}
	cache := caches[r.random.IntN(len(caches))]
	_, err = r.call(uid, cache, cacheInterface+".ListTickets", "{}")
	if err != nil && strings.Contains(err.Error(), "UnknownObject") {
		return nil
	}
	return err
}

func (r *reader) call(uid int, object, method string, args ...string) (string, error) {
	all := append([]string{"call", "--system", "--dest", lab.BusName, "--object-path", object, "--method", method}, args...)
	return r.stage.run(r.stage.busCommand(uid, "gdbus", all...))
}
