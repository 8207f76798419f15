package render

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"kcmd.org/kcmd/dbus/client"
)

// A Status is the JSON form of what kcmd says about itself.
type Status struct {
	Version       string         `json:"version"`
	APIVersion    uint32         `json:"api_version"`
	Mode          string         `json:"mode"` // "system" or "session"
	Bus           string         `json:"bus"`
	Socket        string         `json:"socket"`
	Features      []string       `json:"features"`
	ExpiryWarning uint32         `json:"expiry_warning"` // seconds
	Limits        Limits         `json:"limits"`         // of one user
	Renewals      map[string]int `json:"renewals"`       // caches in each renewal state
	NextRenewal   int64          `json:"next_renewal"`
	Users         []User         `json:"users"`            // all users for root, else the caller
	Daemon        *Daemon        `json:"daemon,omitempty"` // for administrators
}

// Limits are the JSON form of the limits of one user, 0 for none.
type Limits struct {
	Caches  uint32 `json:"caches"`
	Tickets uint32 `json:"tickets"` // in one cache
	Bytes   uint64 `json:"bytes"`
}

// NewStatus returns the status without users and renewals.
func NewStatus(m *client.Manager, bus string, own *client.Collection) *Status {
	return &Status{
		Version: m.Version, APIVersion: m.ApiVersion, Mode: m.Mode, Bus: bus, Socket: m.SocketPath,
		Features: list(m.Features), ExpiryWarning: m.ExpiryWarning,
		Limits:   Limits{own.MaxCaches, own.MaxTickets, own.MaxBytes},
		Renewals: make(map[string]int), Users: []User{},
	}
}

// Count counts the renewals of caches.
func (s *Status) Count(caches []*client.Cache) {
	for _, c := range caches {
		s.Renewals[c.RenewalState]++
		if next := seconds(c.NextRenewal); next != 0 && (s.NextRenewal == 0 || next < s.NextRenewal) {
			s.NextRenewal = next
		}
	}
}

// Status writes a status.
func (p *Page) Status(s *Status) {
	p.line("kcmd", p.paint(bold, s.Version+" on the "+s.Bus+" bus"))
	p.line("Socket", s.Socket)
	features := strings.Join(s.Features, ", ")
	if features == "" {
		features = "none: kcmd has no way to a KDC here"
	}
	p.line("Features", features)
	p.line("Limits", limits(s.Limits))
	caches, tickets, bytes := 0, 0, uint64(0)
	states := make(map[string]int)
	for _, u := range s.Users {
		caches, tickets, bytes = caches+u.Caches, tickets+int(u.Tickets), bytes+u.Bytes
		for state, n := range u.States {
			states[state] += n
		}
	}
	if s.Mode == "system" && len(s.Users) != 1 {
		p.line("Users", fmt.Sprintf("%d with caches", len(s.Users)))
	}
	p.line("Caches", p.counts(caches, states))
	p.line("Tickets", fmt.Sprintf("%d, in %s of memory", tickets, size(bytes)))
	p.line("Renewal", p.renewals(s))
	if s.Daemon != nil {
		p.daemon(s.Daemon)
	}
}

func limits(l Limits) string {
	return fmt.Sprintf("for a user: %s caches, %s tickets in a cache, %s of memory",
		limit(fmt.Sprint(l.Caches)), limit(fmt.Sprint(l.Tickets)), limit(size(l.Bytes)))
}

func limit(text string) string {
	if strings.HasPrefix(text, "0") {
		return "any number of"
	}
	return text
}

// counts writes how many caches are in each state: "3: 2 valid, 1 expired".
func (p *Page) counts(total int, states map[string]int) styled {
	text := styled(fmt.Sprint(total))
	sep := styled(": ")
	for _, state := range slices.Sorted(maps.Keys(states)) {
		c := stateCell(state)
		text += sep + styled(fmt.Sprint(states[state], " ")) + p.paint(c.colour, c.text)
		sep = ", "
	}
	return text
}

func (p *Page) renewals(s *Status) string {
	if !slices.Contains(s.Features, "auto-renew") {
		return "off: kcmd renews no tickets by itself"
	}
	text := fmt.Sprintf("%d planned", s.Renewals["planned"])
	if s.NextRenewal != 0 {
		text += ", next " + p.when(unix(s.NextRenewal), 0)
	}
	if n := s.Renewals["failing"]; n > 0 {
		text += fmt.Sprintf(", %d failing", n)
	}
	return text
}
