package ccstore_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/memory"
	"kcmd.org/kcmd/ccstore/storetest"
)

// TestShares has three greedy owners fill the store: each gets no more than what
// remains, the next one still gets something, and what one removes others can use.
func TestShares(t *testing.T) {
	const whole = 8 << 20
	b := memory.New()
	s := storetest.CheckedAtEnd(t, ccstore.Open(b, ccstore.Options{Limits: ccstore.Limits{Whole: whole}}))
	add := func(uid int, name string) error {
		return s.Update(t.Context(), numbered(uid), func(tx *ccstore.Tx) error {
			tgt := storetest.TGT("alice@EXAMPLE.COM")
			tgt.Ticket = make([]byte, 60<<10)
			tx.Initialize(name, storetest.Principal("alice@EXAMPLE.COM"))
			return tx.Store(name, tgt)
		})
	}
	greedy := func(uid int) (n int) {
		t.Helper()
		for {
			if err := add(uid, fmt.Sprint(n)); err != nil {
				if !errors.Is(err, ccstore.ErrQuota) || !strings.Contains(err.Error(), "max_bytes") {
					t.Fatal(err)
				}
				return n
			}
			n++
		}
	}
	first, second, third := greedy(0), greedy(1), greedy(2)
	if b.Stored() > whole {
		t.Errorf("%d bytes are stored, the limit is %d", b.Stored(), whole)
	}
	if first > 70 || second < first/3 || third < second/3 {
		t.Errorf("greedy owners got %d, %d and %d caches", first, second, third)
	}
	if err := add(3, "ordinary"); err != nil {
		t.Errorf("nothing is left for another owner: %v", err)
	}
	if err := add(0, "0"); err != nil {
		t.Errorf("a cache cannot be written again at the limit: %v", err)
	}
	for i := range first {
		if err := s.Update(t.Context(), numbered(0), func(tx *ccstore.Tx) error { return tx.Destroy(fmt.Sprint(i)) }); err != nil {
			t.Fatal(err)
		}
	}
	if more := greedy(2); more <= third {
		t.Errorf("%d caches where %d were before others went", more, third)
	}
}
