package client

import (
	"context"
	"testing"

	godbus "github.com/godbus/dbus/v5"
)

// A call of Interactive has the flag by which polkit may ask for a password, and
// another one does not. A connection in the place of kcmd sees the messages.
func TestInteractive(t *testing.T) {
	w := newWorld(t)
	w.check(w.daemon.Stop())
	service, err := godbus.Connect(w.daemon.Bus.Address)
	w.check(err)
	defer service.Close()
	_, err = service.RequestName(BusName, godbus.NameFlagDoNotQueue)
	w.check(err)
	messages := make(chan *godbus.Message, 16)
	service.Eavesdrop(messages)
	for want, c := range map[godbus.Flags]*Client{
		0:                                        w.bus,
		godbus.FlagAllowInteractiveAuthorization: w.bus.Interactive(),
	} {
		ctx, cancel := context.WithCancel(w.ctx)
		go func() { _ = c.SetScope(ctx, "all") }() // nobody answers
		for m := range messages {
			if m.Headers[godbus.FieldMember].Value() != "SetScope" {
				continue
			}
			w.is("flags", want, m.Flags)
			w.is("body", []any{"all"}, m.Body)
			break
		}
		cancel()
	}
}
