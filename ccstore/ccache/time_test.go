package ccache_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"kcmd.org/kcmd/ccstore/ccache"
)

// TestState goes through the life of tickets, with a warning of 100 seconds.
func TestState(t *testing.T) {
	const warning = 100 * time.Second
	for _, test := range []struct {
		name  string
		cred  ccache.Credential
		turns []string // state at 0 and at each change, with the time of the change
	}{
		{"usual", ccache.Credential{StartTime: 1000, EndTime: 2000},
			[]string{"0 valid", "1900 expiring", "2000 expired"}},
		{"without start", ccache.Credential{AuthTime: 500, EndTime: 2000},
			[]string{"0 valid", "1900 expiring", "2000 expired"}},
		{"short", ccache.Credential{StartTime: 1950, EndTime: 2000},
			[]string{"0 valid", "1900 expiring", "2000 expired"}},
		{"renewable", ccache.Credential{EndTime: 2000, RenewTill: 9000, Flags: ccache.FlagRenewable},
			[]string{"0 valid", "1900 expiring", "2000 expired"}},
		{"postdated", ccache.Credential{StartTime: 1000, EndTime: 2000, Flags: ccache.FlagInvalid},
			[]string{"0 not-yet-valid", "1000 invalid", "1900 invalid", "2000 expired"}},
		{"without end", ccache.Credential{StartTime: 1000}, []string{"0 valid"}},
		{"gssproxy's", ccache.Credential{}, []string{"0 valid"}},
		{"of 1970", ccache.Credential{EndTime: 50}, []string{"0 expiring", "50 expired"}},
	} {
		at, next := time.Unix(0, 0), true
		var turns []string
		for next {
			turns = append(turns, fmt.Sprint(at.Unix(), " ", test.cred.State(at, warning)))
			at, next = test.cred.NextChange(at, warning)
		}
		if !slices.Equal(turns, test.turns) {
			t.Errorf("%s: %q, want %q", test.name, turns, test.turns)
		}
	}
}

// TestIsTGT names the tickets that grant others.
func TestIsTGT(t *testing.T) {
	principal := func(realm string, components ...string) ccache.Principal {
		return ccache.Principal{Realm: realm, Components: components}
	}
	alice := principal("R", "alice")
	anonymous := principal("WELLKNOWN:ANONYMOUS", "WELLKNOWN", "ANONYMOUS")
	for _, test := range []struct {
		client, server ccache.Principal
		want           bool
	}{
		{alice, principal("R", "krbtgt", "R"), true},
		{alice, principal("R", "krbtgt", "OTHER"), false},
		{alice, principal("OTHER", "krbtgt", "OTHER"), false},
		{alice, principal("R", "krbtgt"), false},
		{alice, principal("R", "host", "R"), false},
		{anonymous, principal("R", "krbtgt", "R"), true},
		{anonymous, principal("R", "krbtgt", "OTHER"), false},
		{principal("R", "WELLKNOWN", "ANONYMOUS"), principal("R", "krbtgt", "R"), true},
	} {
		cred := ccache.Credential{Client: test.client, Server: test.server}
		if cred.IsTGT() != test.want {
			t.Errorf("%s for %s: IsTGT is %v", test.server, test.client, cred.IsTGT())
		}
	}
}
