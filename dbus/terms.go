package dbus

import (
	"time"

	"kcmd.org/kcmd/dbus/view"
)

// Terms are the settings that may change while the service runs. Their meaning is that
// of the fields of Config.
type Terms struct {
	ExpiryWarning time.Duration
	Limits        Limits
	Renews        bool
	Collections   int64 // Budgets.Collections.Whole
}

// SetTerms has other settings hold from now on, and announces what they change.
func (s *Service) SetTerms(t Terms) {
	s.changing.Lock()
	defer s.changing.Unlock()
	s.mostKnown.Store(t.Collections)
	terms := &view.Terms{ExpiryWarning: t.ExpiryWarning, Limits: t.Limits, Renews: t.Renews}
	if s.current == nil {
		s.terms.Store(terms)
		return
	}
	s.current.setTerms(terms)
}

// setBus notes the present connection.
func (s *Service) setBus(b *bus) {
	s.changing.Lock()
	defer s.changing.Unlock()
	s.current = b
}

// setTerms sets the terms, and announces the difference that they make.
func (b *bus) setTerms(terms *view.Terms) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := b.variable()
	b.terms.Store(terms)
	b.send(view.ManagerChanged(before, b.variable()), b.clients.everyone()...)
	for o, m := range b.mirrors {
		after := b.view(m.Collection.Collection)
		b.setMirror(mirror{Collection: after, release: m.release})
		b.send(view.Diff(m.Collection, after, nil), b.clients.recipients(o)...)
	}
}

// variable returns the properties of the manager that terms change.
func (b *bus) variable() map[string]any {
	return map[string]any{
		"Features":      b.features(),
		"ExpiryWarning": uint32(b.terms.Load().ExpiryWarning.Seconds()),
	}
}
