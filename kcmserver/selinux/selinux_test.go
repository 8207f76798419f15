package selinux

import (
	"log/slog"
	"testing"
)

func TestLevel(t *testing.T) {
	tests := []struct {
		label, want string
	}{
		{"system_u:system_r:container_t:s0:c1,c2", "s0:c1,c2"},
		{"unconfined_u:unconfined_r:unconfined_t:s0-s0:c0.c1023", "s0"},
		{"u:r:t:s1:c1-s3:c1,c2", "s1:c1"},
		{"u:r:t", ""},
	}
	for _, tt := range tests {
		if got, err := Level(tt.label); err != nil || got != tt.want {
			t.Errorf("%s: %q, %v; want %q", tt.label, got, err, tt.want)
		}
	}
	for _, label := range []string{"", "u", "u:r"} {
		if got, err := Level(label); err == nil {
			t.Errorf("%q: %q", label, got)
		}
	}
}

// TestAllowed has peers of the range on the left want a cache of the level on
// the right.
func TestAllowed(t *testing.T) {
	tests := []struct {
		peer, cache string
		want        bool
	}{
		{"s0", "s0", true},
		{"s0:c1,c2", "s0:c1,c2", true},
		{"s0:c1,c2", "s0:c2,c1", true},
		{"s0:c1,c2", "s0:c3,c4", false},         // another container
		{"s0:c1,c2", "s0:c1,c3", false},         // one category in common
		{"s0:c1,c2", "s0", false},               // the host, from a container
		{"s0", "s0:c1,c2", false},               // a container, from a confined host process
		{"s0-s0:c0.c1023", "s0:c1,c2", true},    // a container, from the host
		{"s0-s0:c0.c1023", "s0", true},          // the host
		{"s0-s0:c0.c1023", "s1", false},         // a higher sensitivity
		{"s0:c1-s0:c1.c5", "s0:c1,c3", true},    // within
		{"s0:c1-s0:c1.c5", "s0:c3", false},      // not above the low level
		{"s0:c1-s0:c1.c5", "s0:c1,c6", false},   // not below the high level
		{"s0-s15:c0.c1023", "s7:c5.c9", true},   // a trusted process
		{"s0-s0:c0.c1023", "s0-s0:c0.c5", true}, // the maker's low level counts
		{"s0", "junk", false},
		{"junk", "s0", false},
		{"s0", "s0:c2.c1", false},
		{"s0", "s0:c99999999", false},
		{"s0", "s0:", false},
		{"s", "s0", false},
	}
	p := Levels(slog.New(slog.DiscardHandler))
	for _, tt := range tests {
		for _, perm := range []Permission{Use, Read, Write, Manage} {
			if got := p.Allowed("u:r:t:"+tt.peer, "u:r:other_t:"+tt.cache, perm); got != tt.want {
				t.Errorf("%s to a cache of %s, %s: %v, want %v", tt.peer, tt.cache, perm, got, tt.want)
			}
		}
	}
	if !p.Allowed("u:r:t", "u:r:t", Read) {
		t.Error("a policy without levels keeps equals apart")
	}
	if p.Allowed("", "u:r:t:s0", Use) {
		t.Error("a peer without a label is allowed something")
	}
}

func TestParseDecision(t *testing.T) {
	tests := []struct {
		text string
		want decision
		ok   bool
	}{
		{"7f ffffffff 0 ffffffff 1 0", decision{allowed: 0x7f, seqno: 1}, true},
		{"0 ffffffff 0 ffffffff 12 1\x00", decision{seqno: 12, permissive: true}, true},
		{"0 ffffffff 0 ffffffff 1", decision{}, false},
		{"x ffffffff 0 ffffffff 1 0", decision{}, false},
		{"", decision{}, false},
	}
	for _, tt := range tests {
		got, err := parseDecision(tt.text)
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("%q: %+v, %v", tt.text, got, err)
		}
	}
}
