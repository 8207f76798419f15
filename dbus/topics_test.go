package dbus

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	godbus "github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/ccache"
)

// TestTopics: a subscriber gets the signals about tickets, about expiry, both or none,
// whatever it reads before and after; every signal of Cache has one of these topics.
func TestTopics(t *testing.T) {
	aboutTickets := []string{"TicketsAdded", "TicketsRemoved"}
	aboutExpiry := []string{"RenewalFailed", "TicketExpired", "TicketExpiring", "TicketRenewed"}
	both := slices.Concat(aboutExpiry, aboutTickets)
	for _, program := range []string{"dbus-daemon", "dbus-broker"} {
		t.Run(program, func(t *testing.T) {
			bus := startBusWith(t, program, systemPolicy)
			store := newStore(t)
			uid := uint32(os.Geteuid())
			clock := keepTime(t, store, time.Now().Unix())
			kdc := &fakeKDC{store: store}
			startService(t, store, Config{Address: bus.address, Clock: clock, KDC: kdc})
			subscribers := []struct {
				options map[string]any // nil: it does not call Subscribe
				want    []string
				*tester
			}{
				{nil, both, bus.connect(t)},
				{map[string]any{}, both, bus.connect(t)},
				{map[string]any{"expiry": false}, aboutTickets, bus.connect(t)},
				{map[string]any{"tickets": false, "expiry": true}, aboutExpiry, bus.connect(t)},
				{map[string]any{"tickets": false, "expiry": false}, nil, bus.connect(t)},
				{map[string]any{"ticket-signals": false}, nil, bus.connect(t)},
			}
			for i, s := range subscribers {
				if i%2 == 0 {
					must[objects](s.tester, rootPath, managedObjects)
				}
				if s.options != nil {
					if err := s.call(rootPath, "Manager.Subscribe", variants(s.options)).Err; err != nil {
						t.Fatal(err)
					}
				}
				must[objects](s.tester, rootPath, managedObjects)
				must[map[string]godbus.Variant](s.tester, collectionPath(uid), propertiesGetAll, "org.kcmd.KCM1.Collection")
			}

			kinit(t, store, uid, "x", alice())
			cache := pathOf(t, store, uid, "x")
			c := subscribers[0].tester
			c.awaitSignal("TicketsAdded")
			kdc.refuse(&refusal{"ClientRevoked", "locked"})
			c.fails(cache, "Cache.Renew", map[string]godbus.Variant{})
			kdc.refuse(nil)
			end := must[int64](c, cache, "Cache.Renew", map[string]godbus.Variant{})
			clock.Set(time.Unix(end-60, 0))
			c.awaitSignal("TicketExpiring")
			clock.Set(time.Unix(end, 0))
			c.awaitSignal("TicketExpired")
			update(t, store, uid, func(tx *ccstore.Tx) {
				if _, err := tx.Remove("x", &ccache.Match{}); err != nil {
					t.Error(err)
				}
			})
			for _, s := range subscribers {
				// The answer comes after the signals of all that has happened.
				must[objects](s.tester, rootPath, managedObjects)
				got := make(map[string]bool)
				for _, signal := range s.received() {
					if member, ok := strings.CutPrefix(signal.Name, cacheInterface.Name+"."); ok {
						got[member] = true
					}
				}
				want := make(map[string]bool)
				for _, member := range s.want {
					want[member] = true
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("options %v (-want +got):\n%s", s.options, diff)
				}
				if len(s.received("PropertiesChanged")) == 0 {
					t.Errorf("options %v: no PropertiesChanged", s.options)
				}
			}
			var declared []string
			for _, s := range cacheInterface.Signals {
				declared = append(declared, s.Name)
			}
			slices.Sort(declared)
			if diff := cmp.Diff(declared, both); diff != "" {
				t.Errorf("signals without a topic (-) and topics without a signal (+):\n%s", diff)
			}
		})
	}
}
