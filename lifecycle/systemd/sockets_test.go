package systemd_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	godbus "github.com/godbus/dbus/v5"

	"kcmd.org/kcmd/lifecycle/systemd"
	"kcmd.org/kcmd/tests/lab"
)

const (
	busName = "org.freedesktop.systemd1"
	path    = "/org/freedesktop/systemd1"
)

// A manager is a systemd that has the caller in kcmd.service. The scenario "operation" of
// tests/boot asks a real one.
type manager struct{}

func (manager) GetUnitByPID(uint32) (godbus.ObjectPath, *godbus.Error) { return unit("service"), nil }

func (manager) GetUnit(name string) (godbus.ObjectPath, *godbus.Error) {
	return unit(strings.TrimSuffix(name, ".socket")), nil
}

func unit(name string) godbus.ObjectPath { return godbus.ObjectPath(path + "/unit/" + name) }

// properties are those of one unit.
type properties map[string]any

func (p properties) Get(iface, name string) (godbus.Variant, *godbus.Error) {
	return godbus.MakeVariant(p[strings.TrimPrefix(iface, busName+".")+"."+name]), nil
}

// TestFlushing asks a bus without systemd, and a systemd that flushes one of two sockets.
func TestFlushing(t *testing.T) {
	t.Parallel()
	bus := lab.NewBusForTest(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := systemd.Flushing(ctx, bus.Address); err == nil || ctx.Err() != nil {
		t.Errorf("without systemd: %v", err)
	}

	conn, err := godbus.Connect(bus.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	export := func(object any, at godbus.ObjectPath, iface string) {
		t.Helper()
		if err := conn.Export(object, at, iface); err != nil {
			t.Fatal(err)
		}
	}
	const props = "org.freedesktop.DBus.Properties"
	export(manager{}, path, busName+".Manager")
	export(properties{"Unit.TriggeredBy": []string{"patient.socket", "kcmd.socket"}}, unit("service"), props)
	export(properties{"Socket.FlushPending": true}, unit("kcmd"), props)
	export(properties{"Socket.FlushPending": false}, unit("patient"), props)
	if _, err := conn.RequestName(busName, godbus.NameFlagDoNotQueue); err != nil {
		t.Fatal(err)
	}
	got, err := systemd.Flushing(ctx, bus.Address)
	if want := []string{"kcmd.socket"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}
