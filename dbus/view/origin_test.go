package view

import (
	"strings"
	"testing"
	"time"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/ccstore/memory"
	"kcmd.org/kcmd/ccstore/storetest"
)

// TestOrigin reads what libkrb5 notes, and what others store in its place.
func TestOrigin(t *testing.T) {
	const alice = "alice@EXAMPLE.COM"
	store := storetest.New(t, memory.New())
	owner := ccstore.Owner{Namespace: ccstore.DefaultNamespace, UID: 1}
	entry := func(value string, name string, about ...string) *ccache.Credential {
		return &ccache.Credential{Client: storetest.Principal(alice), Server: ccache.ConfigServer(name, about...), Ticket: []byte(value)}
	}
	for _, test := range []struct {
		entries      []*ccache.Credential
		preauth      int32
		refresh      int64
		impersonator string
	}{
		{},
		{[]*ccache.Credential{entry("151", "pa_type", "krbtgt/EXAMPLE.COM@EXAMPLE.COM"), entry("1800000000", "refresh_time"),
			entry("http/web@EXAMPLE.COM", "proxy_impersonator")}, 151, 1800000000, "http/web@EXAMPLE.COM"},
		{[]*ccache.Credential{entry("2", "pa_type", "krbtgt/OTHER@OTHER"), entry("-1", "refresh_time"), entry("\x1b", "proxy_impersonator")}, 0, 0, `\x1B`},
		{[]*ccache.Credential{entry("99999999999999999999", "pa_type", "krbtgt/EXAMPLE.COM@EXAMPLE.COM"),
			entry(strings.Repeat("1", 1<<20), "refresh_time")}, 0, 0, ""},
	} {
		err := store.Update(t.Context(), owner, func(tx *ccstore.Tx) error {
			tx.Replace("x", storetest.Principal(alice), 0, append(test.entries, storetest.TGT(alice)))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		snapshot, err := store.Snapshot(t.Context(), owner)
		if err != nil {
			t.Fatal(err)
		}
		cache, err := New(snapshot, time.Now(), &Terms{}).Cache("x")
		if err != nil {
			t.Fatal(err)
		}
		p := cache.Properties()
		if p["PreauthType"] != test.preauth || p["RefreshTime"] != test.refresh || p["Impersonator"] != test.impersonator {
			t.Errorf("%v, %v, %v; want %v, %v, %q", p["PreauthType"], p["RefreshTime"], p["Impersonator"], test.preauth, test.refresh, test.impersonator)
		}
	}
}
