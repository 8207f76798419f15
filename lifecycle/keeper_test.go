package lifecycle_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kcmd.org/kcmd/budget"
	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/ccstore/memory"
	"kcmd.org/kcmd/ccstore/storetest"
	"kcmd.org/kcmd/clock/clocktest"
	"kcmd.org/kcmd/lifecycle"
	"kcmd.org/kcmd/lifecycle/kdc"
)

// A keytabKDC gives tickets of ten hours for the keytab "key".
type keytabKDC struct {
	clock *clocktest.Manual
	err   error
	asked int
}

func (k *keytabKDC) Do(_ context.Context, r *kdc.Request) (*kdc.Reply, error) {
	k.asked++
	if string(r.Keytab) != "key" {
		return nil, errors.New("not the keytab")
	}
	if k.err != nil {
		return nil, k.err
	}
	tgt, now := storetest.TGT(r.Principal+"@EXAMPLE.COM"), uint32(k.clock.Now().Unix())
	tgt.AuthTime, tgt.StartTime, tgt.EndTime = now, now, now+36000
	return &kdc.Reply{Credentials: []*ccache.Credential{tgt, storetest.Config(r.Principal+"@EXAMPLE.COM", "pa_type", "2")}}, nil
}

// TestKeeper keeps a cache filled, through a KDC that refuses for a while and a user who
// destroys the cache.
func TestKeeper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clocktest.New(time.Unix(2_000_000_000, 0))
		var lines bytes.Buffer
		log := slog.New(slog.NewTextHandler(&lines, nil))
		store := ccstore.Open(memory.New(), ccstore.Options{Clock: c})
		k := &keytabKDC{clock: c}
		desk := lifecycle.NewDesk(store, lifecycle.DeskOptions{KDC: k, Clock: c, Logger: log, Helpers: budget.Bounds{Account: 2, Whole: 8, Reserve: 1}})
		keeper := lifecycle.NewKeeper(desk, []lifecycle.Kept{{
			Owner: owner(1), Cache: "1:batch", Principal: "batch", Keytab: func() ([]byte, error) { return []byte("key"), nil },
		}}, log)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- keeper.Run(ctx) }()
		synctest.Wait()
		store.Watch(func(ccstore.Event) { // slow, and called after the keeper, which is awake before readers see the change
			for range 100 {
				runtime.Gosched()
			}
		})
		start := c.Now()
		ends := func(want time.Duration) {
			t.Helper()
			synctest.Wait()
			snapshot, err := store.Snapshot(t.Context(), owner(1))
			if err != nil {
				t.Fatal(err)
			}
			cache, err := snapshot.Cache("1:batch")
			if err != nil {
				t.Fatal(err)
			}
			if end, _ := cache.TGT().Expires(); end.Sub(start) != want {
				t.Errorf("at %v it ends at %v, want %v", c.Now().Sub(start), end.Sub(start), want)
			}
		}
		until := func(d time.Duration) {
			c.Advance(start.Add(d).Sub(c.Now()))
			synctest.Wait()
		}
		ends(10 * time.Hour)
		store.Update(t.Context(), owner(1), func(tx *ccstore.Tx) error {
			return tx.Store("1:batch", storetest.Ticket("batch@EXAMPLE.COM", "host/x@EXAMPLE.COM"))
		})
		until(5 * time.Hour)
		ends(15 * time.Hour)
		snapshot, _ := store.Snapshot(t.Context(), owner(1))
		if cache, _ := snapshot.Cache("1:batch"); cache.Tickets() != 2 {
			t.Errorf("%d tickets are left, want 2", cache.Tickets())
		}

		k.err = &kdc.Failure{Reason: kdc.PreauthFailed, Text: "Preauthentication failed"}
		k.asked = 0
		for d := 10 * time.Hour; d < 12*time.Hour; d += 10 * time.Second {
			until(d)
		}
		if k.asked < 10 || k.asked > 20 {
			t.Errorf("asked a KDC that refuses %d times in two hours", k.asked)
		}
		if n := strings.Count(lines.String(), "level=ERROR"); n != k.asked || strings.Contains(lines.String(), "key=") {
			t.Errorf("%d lines about %d failures: %s", n, k.asked, lines.String())
		}
		k.err = nil
		until(12*time.Hour + 10*time.Minute)
		ends(22*time.Hour + 10*time.Minute)

		until(13 * time.Hour)
		store.Update(t.Context(), owner(1), func(tx *ccstore.Tx) error { return tx.Destroy("1:batch") })
		ends(23 * time.Hour)
		sets, asked := c.Sets(), k.asked
		until(17 * time.Hour)
		if c.Sets() != sets || k.asked != asked {
			t.Error("it works though nothing is due")
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
}
