package lifecycle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"kcmd.org/kcmd/ccstore"
)

// A Logout destroys the caches of users who have logged out: those whom logind knew, and
// does not know any more. A user who never had a session, as a service, keeps them, and
// so does root, whose caches serve the machine's daemons.
type Logout struct {
	store *ccstore.Store
	LogoutOptions
	present map[uint32]bool // whom logind knows
	gone    map[uint32]bool // whose caches are to be destroyed
	saved   string          // the contents of the file
}

// LogoutOptions configures a Logout.
type LogoutOptions struct {
	// Watch calls changed with the users whom logind knows, as logind.Watch does.
	Watch func(ctx context.Context, changed func(users map[uint32]bool)) error

	// File keeps the users while kcmd does not run, so that it finds out who logged
	// out meanwhile, also because the machine rebooted. "" for none.
	File string

	// Spared reports whether a cache stays in any case. Default: none.
	Spared func(owner ccstore.Owner, name string) bool

	Logger *slog.Logger
}

// NewLogout returns a Logout for the caches of store.
func NewLogout(store *ccstore.Store, o LogoutOptions) *Logout {
	return &Logout{store: store, LogoutOptions: o, present: make(map[uint32]bool), gone: make(map[uint32]bool)}
}

// Run works until ctx is done, and then returns nil.
func (l *Logout) Run(ctx context.Context) error {
	if err := l.load(); err != nil {
		l.Logger.Warn("cannot find out who logged out while kcmd did not run; their caches stay", "err", err)
	}
	changes := make(chan map[uint32]bool)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		l.watch(ctx, changes)
	}()
	defer func() { <-watched }()
	for {
		var retry <-chan time.Time
		if len(l.gone) > 0 {
			retry = time.After(retryAfter)
		}
		select {
		case <-ctx.Done():
			return nil
		case users := <-changes:
			l.note(users)
		case <-retry:
		}
		l.destroy(ctx)
		l.save()
	}
}

// watch sends the users whom logind knows, and does not give up. It says once that there
// is no logind.
func (l *Logout) watch(ctx context.Context, changes chan<- map[uint32]bool) {
	var pause time.Duration // 0: logind was there
	for {
		err := l.Watch(ctx, func(users map[uint32]bool) {
			if pause > 0 {
				l.Logger.Info("logind is there")
			}
			pause = 0
			select {
			case changes <- users:
			case <-ctx.Done():
			}
		})
		if ctx.Err() != nil {
			return
		}
		if pause == 0 {
			l.Logger.Warn("without logind the caches of users who log out stay; trying again", "err", err)
		}
		pause = min(max(2*pause, time.Second), mostPause)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// note notes whom logind knows now.
func (l *Logout) note(users map[uint32]bool) {
	for uid := range l.present {
		if !users[uid] && uid != 0 {
			l.gone[uid] = true
		}
	}
	for uid := range users { // who has come back needs what he has
		delete(l.gone, uid)
	}
	l.present = maps.Clone(users)
}

// destroy destroys the caches of those who are gone.
func (l *Logout) destroy(ctx context.Context) {
	if len(l.gone) == 0 {
		return
	}
	owners, err := l.store.Owners(ctx)
	if err != nil {
		l.failed(ctx, err)
		return
	}
	failed := make(map[uint32]bool)
	for _, owner := range owners {
		if owner.Namespace != ccstore.DefaultNamespace || !l.gone[owner.UID] {
			continue
		}
		if err := l.destroyAll(ctx, owner); err != nil {
			l.failed(ctx, err)
			failed[owner.UID] = true
		}
	}
	l.gone = failed
}

func (l *Logout) failed(ctx context.Context, err error) {
	if ctx.Err() == nil {
		l.Logger.Warn("cannot destroy the caches of users who logged out, trying again", "err", err, "in", retryAfter)
	}
}

// destroyAll destroys the caches of one collection.
func (l *Logout) destroyAll(ctx context.Context, owner ccstore.Owner) error {
	count := 0
	err := l.store.Update(ctx, owner, func(tx *ccstore.Tx) error {
		count = 0
		for _, cache := range tx.Caches() {
			if l.Spared != nil && l.Spared(owner, cache.Name) {
				continue
			}
			if err := tx.Destroy(cache.Name); err != nil {
				return err
			}
			count++
		}
		return nil
	})
	if err == nil && count > 0 {
		l.Logger.Info("destroyed the caches of a user who logged out", "owner", owner, "count", count)
	}
	return err
}

// load reads the file.
func (l *Logout) load() error {
	if l.File == "" {
		return nil
	}
	b, err := os.ReadFile(l.File)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	present := make(map[uint32]bool)
	for line := range strings.Lines(string(b)) {
		uid, err := strconv.ParseUint(strings.TrimSuffix(line, "\n"), 10, 32)
		if err != nil {
			return fmt.Errorf("%s has a line that is no uid", l.File)
		}
		present[uint32(uid)] = true
	}
	l.present, l.saved = present, string(b)
	return nil
}

// save writes the file, if it is to change: a uid in each line.
func (l *Logout) save() {
	if l.File == "" {
		return
	}
	uids := slices.Concat(slices.Collect(maps.Keys(l.present)), slices.Collect(maps.Keys(l.gone)))
	slices.Sort(uids)
	var b bytes.Buffer
	for _, uid := range slices.Compact(uids) {
		fmt.Fprintln(&b, uid)
	}
	if b.String() == l.saved {
		return
	}
	if err := writeFile(l.File, b.Bytes()); err != nil {
		l.Logger.Warn("cannot keep who is logged in", "err", err)
		return
	}
	l.saved = b.String()
}

// writeFile writes a file in one step: it has what it had, or b.
func writeFile(path string, b []byte) error {
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
