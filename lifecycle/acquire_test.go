package lifecycle_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"kcmd.org/kcmd/budget"
	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/ccstore/memory"
	"kcmd.org/kcmd/ccstore/storetest"
	"kcmd.org/kcmd/clock/clocktest"
	"kcmd.org/kcmd/lifecycle"
	"kcmd.org/kcmd/lifecycle/kdc"
)

// A patientKDC gives tickets of ten hours once hold is closed.
type patientKDC struct {
	clock *clocktest.Manual
	hold  chan struct{}
	asked []*kdc.Request
}

func (k *patientKDC) Do(ctx context.Context, r *kdc.Request) (*kdc.Reply, error) {
	k.asked = append(k.asked, r)
	if k.hold != nil {
		select {
		case <-k.hold:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	client := r.Principal
	if r.TGT != nil {
		client = "alice"
	}
	tgt, now := storetest.TGT(client+"@EXAMPLE.COM"), uint32(k.clock.Now().Unix())
	tgt.AuthTime, tgt.StartTime, tgt.EndTime = now, now+r.Ticket.StartIn, now+36000
	if r.Ticket.StartIn > 0 {
		tgt.Flags |= ccache.FlagInvalid
	}
	return &kdc.Reply{Credentials: []*ccache.Credential{tgt}}, nil
}

// acquiring runs f with a desk whose clock only f moves.
func acquiring(t *testing.T, f func(t *testing.T, d *lifecycle.Desk, k *patientKDC, store *ccstore.Store)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := clocktest.New(time.Unix(2_000_000_000, 0))
		store := ccstore.Open(memory.New(), ccstore.Options{Clock: c})
		k := &patientKDC{clock: c}
		f(t, lifecycle.NewDesk(store, lifecycle.DeskOptions{
			KDC: k, Clock: c, Logger: slog.New(slog.DiscardHandler), Helpers: budget.Bounds{Account: 2, Whole: 8, Reserve: 1},
		}), k, store)
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
}

// password returns an acquisition with a password, and its bytes.
func password(client string) (*lifecycle.Acquisition, []byte) {
	secret := []byte("secret")
	return &lifecycle.Acquisition{Client: client, Password: func(context.Context) ([]byte, error) { return secret, nil }}, secret
}

// TestAcquireCaches gets tickets into the caches where a user expects them, once where
// they are only needed, and overwrites the passwords.
func TestAcquireCaches(t *testing.T) {
	acquiring(t, func(t *testing.T, d *lifecycle.Desk, k *patientKDC, store *ccstore.Store) {
		acquire := func(client string, change func(*lifecycle.Acquisition)) *ccstore.Cache {
			t.Helper()
			a, secret := password(client)
			if change != nil {
				change(a)
			}
			id, err := d.Acquire(t.Context(), owner(1), a)
			if err != nil {
				t.Fatal(err)
			}
			if !a.IfNeeded && !bytes.Equal(secret, make([]byte, 6)) {
				t.Errorf("the password is left: %q", secret)
			}
			c, err := store.Snapshot(t.Context(), owner(1))
			if err != nil {
				t.Fatal(err)
			}
			cache, err := c.CacheByUUID(id)
			if err != nil {
				t.Fatal(err)
			}
			return cache
		}
		needed := func(a *lifecycle.Acquisition) { a.IfNeeded = true }
		first := acquire("alice", needed)
		if first.Name != "1" || first.Principal.String() != "alice@EXAMPLE.COM" {
			t.Errorf("the first cache is %s of %v", first.Name, first.Principal)
		}
		if again := acquire("alice", nil); again.UUID != first.UUID || again.TGT().UUID == first.TGT().UUID {
			t.Errorf("alice's tickets come into %s", again.Name)
		}
		asked := len(k.asked)
		if again := acquire("alice@EXAMPLE.COM", needed); again.UUID != first.UUID || len(k.asked) != asked {
			t.Errorf("alice's ticket is got again, into %s", again.Name)
		}
		bob := acquire("bob", nil)
		if bob.UUID == first.UUID || bob.Name == "1" {
			t.Errorf("bob's tickets come into %s", bob.Name)
		}
		named := acquire("bob", func(a *lifecycle.Acquisition) { a.Cache = "1:work" })
		if named.Name != "1:work" {
			t.Errorf("the tickets come into %s", named.Name)
		}

		// A postdated ticket is validated when it is needed, an expired one replaced.
		acquire("alice", func(a *lifecycle.Acquisition) { a.Ticket.StartIn = 60 })
		k.clock.Advance(2 * time.Minute)
		asked = len(k.asked)
		if again := acquire("alice", needed); again.UUID != first.UUID || again.TGT().Flags&ccache.FlagInvalid != 0 ||
			len(k.asked) != asked+1 || k.asked[asked].Op != kdc.Validate {
			t.Errorf("a postdated ticket: %v", again.TGT())
		}
		k.clock.Advance(24 * time.Hour)
		acquire("alice", needed)
		if last := k.asked[len(k.asked)-1]; last.Op != kdc.Acquire {
			t.Errorf("for an expired ticket the KDC is asked to %s", last.Op)
		}
	})
}

// TestAcquireWaits has a user wait for a KDC as often as allowed. Others are served, and
// who leaves makes room.
func TestAcquireWaits(t *testing.T) {
	acquiring(t, func(t *testing.T, d *lifecycle.Desk, k *patientKDC, _ *ccstore.Store) {
		k.hold = make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 20)
		start := func(ctx context.Context, uid uint32) {
			a, _ := password("alice")
			go func() {
				_, err := d.Acquire(ctx, owner(uid), a)
				ended <- err
			}()
			synctest.Wait()
		}
		for range 8 {
			start(ctx, 1)
		}
		if len(ended) != 0 || len(k.asked) != 2 {
			t.Errorf("%d ended, %d with the KDC", len(ended), len(k.asked))
		}
		start(ctx, 1)
		var failure *kdc.Failure
		if err := <-ended; !errors.As(err, &failure) || failure.Reason != kdc.Busy {
			t.Errorf("one more: %v", err)
		}
		if _, err := d.Renew(ctx, owner(1), uuid.New()); !errors.As(err, &failure) || failure.Reason != kdc.Busy {
			t.Errorf("a renewal: %v", err)
		}
		start(t.Context(), 2)
		if len(k.asked) != 3 {
			t.Error("another user is not served")
		}
		cancel()
		for range 8 {
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("a user who leaves: %v", err)
			}
		}
		close(k.hold)
		if err := <-ended; err != nil {
			t.Error(err)
		}
		for range 60 {
			a, _ := password("alice")
			if _, err := d.Acquire(t.Context(), owner(2), a); err != nil {
				if !errors.As(err, &failure) || failure.Reason != kdc.Busy {
					t.Error(err)
				}
				return
			}
		}
		t.Error("a user may ask a KDC without end")
	})
}

// TestSecretUnread fails without a password.
func TestSecretUnread(t *testing.T) {
	acquiring(t, func(t *testing.T, d *lifecycle.Desk, k *patientKDC, _ *ccstore.Store) {
		broken := errors.New("cannot be read")
		read := func(context.Context) ([]byte, error) { return nil, broken }
		if _, err := d.Acquire(t.Context(), owner(1), &lifecycle.Acquisition{Client: "alice", Password: read}); !errors.Is(err, broken) {
			t.Error(err)
		}
		if err := d.ChangePassword(t.Context(), owner(1), "alice", read, read); !errors.Is(err, broken) || len(k.asked) != 0 {
			t.Errorf("%v, %d requests", err, len(k.asked))
		}
	})
}
