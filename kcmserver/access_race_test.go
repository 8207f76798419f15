package kcmserver

import (
	"bytes"
	"context"
	"log/slog"
	"sync/atomic"
	"testing"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/memory"
	"kcmd.org/kcmd/ccstore/storetest"
	"kcmd.org/kcmd/kcmserver/kcm"
	"kcmd.org/kcmd/kcmserver/selinux"
)

// A meddler is a context that calls a function the next time that it is asked
// for its error: the store asks when an update begins.
type meddler struct {
	context.Context
	next atomic.Pointer[func()]
}

func (m *meddler) Err() error {
	if f := m.next.Swap(nil); f != nil {
		(*f)()
	}
	return m.Context.Err()
}

// TestChecksInTransaction has a cache replaced by one with another label between
// the lookup of a request and its transaction: the request must not reach it.
func TestChecksInTransaction(t *testing.T) {
	const elsewhere = "system_u:system_r:container_t:s0:c9"
	tests := map[string]struct {
		op   kcm.Opcode
		args []byte
	}{
		"destroy":    {kcm.OpDestroy, str(nameN)},
		"store":      {kcm.OpStore, append(str(nameN), cred(credA)...)},
		"remove":     {kcm.OpRemoveCred, append(str(nameN), server("host/b@LAB.TEST")...)},
		"set offset": {kcm.OpSetKDCOffset, append(str(nameN), u32(7)...)},
		"move":       {kcm.OpMoveCache, append(str(nameN), str(nameN2)...)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			store := storetest.New(t, memory.New())
			s := New(store, Options{SELinux: selinux.Levels(slog.New(slog.DiscardHandler))})
			peer := labelled(t, 1000, "s0:c1")
			owner := ccstore.Owner{Namespace: peer.Namespace, UID: 1000, Level: peer.Level}
			ctx := &meddler{Context: context.Background()}
			c := connectWith(ctx, t, s, peer)
			c.do(kcm.OpReplace, str(nameN), u32(0), princ(alice), u32(1), inner(credB))
			replace := func() {
				err := store.Update(context.Background(), owner, func(tx *ccstore.Tx) error {
					if err := tx.Destroy(nameN); err != nil {
						return err
					}
					tx.SetLabel(elsewhere)
					tx.Initialize(nameN, storetest.Principal("bob@LAB.TEST"))
					return tx.Store(nameN, credB)
				})
				if err != nil {
					t.Error(err)
				}
			}
			ctx.next.Store(&replace)
			c.ask(kcm.FCCNoFile, tt.op, tt.args)
			if ctx.next.Load() != nil {
				t.Fatal("nothing happened between the lookup and the transaction")
			}
			col, err := store.Snapshot(t.Context(), owner)
			if err != nil {
				t.Fatal(err)
			}
			cache, err := col.Cache(nameN)
			if err != nil {
				t.Fatalf("the other cache: %v", err)
			}
			creds := 0
			for cr := range cache.Credentials() {
				creds++
				if !bytes.Equal(cr.Bytes(), cred(credB)) {
					t.Errorf("the other cache has a credential for %v", cr.Server)
				}
			}
			if creds != 1 || cache.KDCOffset != 0 || col.Len() != 1 {
				t.Errorf("%d credentials, offset %d, %d caches; want 1, 0, 1", creds, cache.KDCOffset, col.Len())
			}
		})
	}
}

// TestMoveKeepsLateTickets stores a ticket in a cache while root moves it to
// another user: the ticket moves along.
func TestMoveKeepsLateTickets(t *testing.T) {
	store := storetest.New(t, memory.New())
	s := New(store, Options{})
	ctx := &meddler{Context: context.Background()}
	root := connectWith(ctx, t, s, user(0))
	root.do(kcm.OpReplace, str("0:new"), u32(0), princ(alice), u32(1), inner(credA))
	late := func() {
		// The first update is the copy: meddle with the one after it.
		then := func() {
			err := store.Update(context.Background(), ccstore.Owner{Namespace: ccstore.DefaultNamespace}, func(tx *ccstore.Tx) error {
				return tx.Store("0:new", credB)
			})
			if err != nil {
				t.Error(err)
			}
		}
		ctx.next.Store(&then)
	}
	ctx.next.Store(&late)
	root.do(kcm.OpMoveCache, str("0:new"), str(nameN))
	if ctx.next.Load() != nil {
		t.Fatal("nothing happened while the cache moved")
	}
	want(t, "credentials", [][]byte{cred(credA), cred(credB)}, root.creds(nameN))
	root.ask(kcm.FCCNoFile, kcm.OpGetPrincipal, str("0:new"))
}
