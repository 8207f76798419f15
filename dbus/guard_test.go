package dbus

import (
	"bytes"
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	godbus "github.com/godbus/dbus/v5"

	"kcmd.org/kcmd/dbus/guard"
	"kcmd.org/kcmd/dbus/link"
)

var record = flag.Bool("record", false, "record what buses send into guard/testdata/frames")

const framesDir = "guard/testdata/frames"

// A replay is a bus that sends what it was told to.
type replay struct {
	in  *bytes.Reader
	out bytes.Buffer
}

func (r *replay) Read(b []byte) (int, error)       { return r.in.Read(b) }
func (r *replay) Write(b []byte) (int, error)      { return r.out.Write(b) }
func (r *replay) SetWriteDeadline(time.Time) error { return nil }
func (r *replay) Close() error                     { return nil }

// asked is how many calls the service has made before a replay begins.
const asked = 64

// A passed is a message that was let through.
type passed struct {
	*godbus.Message
	call *guard.Call
}

// passOn has the guard of the service read what a bus sends, and godbus decode
// what is let through, which must never fail.
func passOn(t testing.TB, data []byte) (list []passed) {
	t.Helper()
	socket := &replay{in: bytes.NewReader(nil)}
	g := guard.New(socket, guard.Config{Interfaces: declared()})
	if _, err := g.Write([]byte("BEGIN\r\n")); err != nil {
		t.Fatal(err)
	}
	for serial := range uint32(asked) {
		to := []string{"org.freedesktop.DBus", polkitName, ":1.2"}[max(0, int(serial)-asked+3)]
		p := packet{kind: godbus.TypeMethodCall, serial: serial + 1, to: to, path: "/", member: "M"}
		if _, err := g.Write(p.bytes()); err != nil {
			t.Fatal(err)
		}
	}
	socket.in.Reset(data)
	for {
		head := make([]byte, 16)
		if _, err := io.ReadFull(g, head); err != nil {
			return list
		}
		var order binary.ByteOrder = binary.LittleEndian
		if head[0] == 'B' {
			order = binary.BigEndian
		}
		rest := (int64(order.Uint32(head[12:]))+7)&^7 + int64(order.Uint32(head[4:]))
		if rest > 5<<20 {
			t.Fatalf("let through with %d bytes", rest)
		}
		frame := append(head, make([]byte, rest)...)
		if _, err := io.ReadFull(g, frame[16:]); err != nil {
			t.Fatal("part of a message was let through: ", err)
		}
		in := bytes.NewReader(frame)
		msg, err := godbus.DecodeMessage(in)
		if err != nil || in.Len() > 0 {
			t.Fatalf("let through, and not decoded: %v, %d bytes left of %q", err, in.Len(), frame)
		}
		one := passed{msg, g.Call()}
		if (one.call != nil) != (msg.Type == godbus.TypeMethodCall) {
			t.Fatalf("%s of which the guard says %v", msg.Type, one.call)
		}
		check(t, one)
		one.call.End()
		list = append(list, one)
	}
}

// check holds what a message was let through with against the rules.
func check(t testing.TB, one passed) {
	t.Helper()
	signature, _ := headerOf(one.Message, godbus.FieldSignature).(godbus.Signature)
	switch one.Type {
	case godbus.TypeMethodCall:
		if one.call.Refused != "" {
			if len(one.Body) > 0 || signature.String() != "" {
				t.Fatalf("refused, and let through with %v", one.Body)
			}
			break
		}
		known := false
		for _, i := range declared() {
			if m := i.Method(headerOf(one.Message, godbus.FieldMember).(string)); m != nil && m.In() == signature.String() {
				name, _ := headerOf(one.Message, godbus.FieldInterface).(string)
				known = known || name == "" || name == i.Name
			}
		}
		if !known {
			t.Fatalf("let through: %v", one.Message)
		}
	case godbus.TypeSignal:
		if sender := headerOf(one.Message, godbus.FieldSender); sender != "org.freedesktop.DBus" {
			t.Fatalf("signal of %v", sender)
		}
	case godbus.TypeMethodReply, godbus.TypeError:
		if serial := headerOf(one.Message, godbus.FieldReplySerial).(uint32); serial == 0 || serial > asked {
			t.Fatalf("answer to serial %d", serial)
		}
	}
	for _, value := range one.Body {
		checkVariants(t, value, 0)
	}
}

// checkVariants expects variants to hold no variants.
func checkVariants(t testing.TB, value any, depth int) {
	t.Helper()
	switch value := value.(type) {
	case godbus.Variant:
		if depth > 0 || len(value.Signature().String()) > len("a{ss}") {
			t.Fatalf("variant of type %s", value.Signature())
		}
		checkVariants(t, value.Value(), depth+1)
	case map[string]godbus.Variant:
		for _, one := range value {
			checkVariants(t, one, depth)
		}
	case []any:
		for _, one := range value {
			checkVariants(t, one, depth)
		}
	}
}

// recorded returns the frames of real conversations.
func recorded(t testing.TB) map[string][]byte {
	t.Helper()
	names, err := filepath.Glob(framesDir + "/*.bin")
	if err != nil || len(names) < 20 {
		t.Fatalf("%d recorded frames in %s, %v: record them with -record", len(names), framesDir, err)
	}
	frames := make(map[string][]byte)
	for _, name := range names {
		if frames[filepath.Base(name)], err = os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	return frames
}

// TestRecorded: what real buses and clients send is let through.
func TestRecorded(t *testing.T) {
	for name, frame := range recorded(t) {
		list := passOn(t, frame)
		if len(list) != 1 {
			t.Errorf("%s: %d messages", name, len(list))
			continue
		}
		if refused := list[0].call != nil && list[0].call.Refused != ""; refused != strings.Contains(name, "refused") {
			t.Errorf("%s: %s", name, list[0].call.Refused)
		}
	}
}

// TestOddMessages has the guard read what the attack suite sends, without a bus
// in between that would refuse some of it.
func TestOddMessages(t *testing.T) {
	letThrough := 0
	for _, list := range oddMessages(BusName) {
		// The sender, which else the bus writes.
		for _, from := range []string{":1.9", "org.freedesktop.DBus"} {
			var data []byte
			for i, p := range list {
				p.sender, p.serial = from, uint32(i+1)
				data = append(data, p.bytes()...)
				if len(data) > 1<<20 || i == len(list)-1 {
					letThrough += len(passOn(t, data))
					data = data[:0]
				}
			}
		}
	}
	t.Logf("%d let through", letThrough)
	if letThrough == 0 {
		t.Error("nothing was let through")
	}
}

// FuzzFrame: whatever a bus sends, godbus can decode what is let through, and
// memory is used for what has arrived only.
func FuzzFrame(f *testing.F) {
	var all []byte
	for _, frame := range recorded(f) {
		f.Add(frame)
		all = append(all, frame...)
	}
	f.Add(all)
	for _, list := range oddMessages(BusName) {
		for i := 0; i < len(list); i += 1 + len(list)/20 {
			p := list[i]
			p.sender, p.serial = ":1.9", 7
			if b := p.bytes(); len(b) < 4<<10 {
				f.Add(b)
			}
		}
	}
	base := allocated(func() { passOn(f, nil) })
	f.Fuzz(func(t *testing.T, data []byte) {
		used := allocated(func() { passOn(t, data) })
		// Decoding takes more than the bytes that are decoded.
		if limit := 4*base + 1<<20 + 200*uint64(len(data)); used > limit {
			t.Errorf("%d bytes of memory for %d that were sent", used, len(data))
		}
	})
}

// allocated returns how much memory f asks for.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// A recorder is a socket that keeps what it receives after authentication.
type recorder struct {
	*net.UnixConn
	received []byte
}

func (r *recorder) Read(b []byte) (int, error) {
	n, err := r.UnixConn.Read(b)
	r.received = append(r.received, b[:max(n, 0)]...)
	return n, err
}

func (r *recorder) Write(b []byte) (int, error) {
	if string(b) == "BEGIN\r\n" {
		r.received = nil
	}
	return r.UnixConn.Write(b)
}

// TestRecord records conversations with what is installed here.
func TestRecord(t *testing.T) {
	if !*record {
		t.Skip("not a test: records conversations, with -record")
	}
	if err := os.MkdirAll(framesDir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{"dbus-daemon", "dbus-broker"} {
		bus := startBusWith(t, program, openPolicy)
		socket, err := link.Dial(t.Context(), bus.address)
		if err != nil {
			t.Fatal(err)
		}
		r := &recorder{UnixConn: socket}
		store := newStore(t)
		kinit(t, store, 0, "x", alice())
		s := newService(t, store, Config{Address: bus.address})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.serve(ctx, r)
		}()
		wait(t, s.Ready(), "the name is owned")
		converse(t, bus, pathOf(t, store, 0, "x"))
		cancel()
		wait(t, done, "the service stops")
		keep(t, program, r.received)
	}
}

// converse calls what people call, by libraries of different makers.
func converse(t *testing.T, bus *testBus, cache godbus.ObjectPath) {
	c := bus.connect(t)
	must[objects](c, rootPath, managedObjects)
	must[string](c, "/", introspectCall)
	none := map[string]godbus.Variant{}
	for _, call := range []struct {
		path godbus.ObjectPath
		name string
		args []any
	}{
		{rootPath, "org.freedesktop.DBus.Peer.Ping", nil},
		{rootPath, "Manager.ListCollections", nil},
		{rootPath, "Manager.GetCollection", []any{uint32(0)}},
		{rootPath, "Manager.FindCaches", []any{"alice"}},
		{rootPath, "Manager.GetCache", []any{"KCM:"}},
		{rootPath, "Manager.Subscribe", []any{variants(map[string]any{"ticket-signals": false, "collection": collectionPath(0)})}},
		{rootPath, "Manager.SubscribeProcess", []any{uint32(os.Getpid()), none}},
		{rootPath, "Manager.Unsubscribe", nil},
		{cache, propertiesGet, []any{"org.kcmd.KCM1.Cache", "State"}},
		{cache, propertiesGetAll, []any{"org.kcmd.KCM1.Cache"}},
		{cache, "org.freedesktop.DBus.Properties.Set", []any{"org.kcmd.KCM1.Cache", "Flags", godbus.MakeVariant([]string{"a", "b"})}},
		{cache, "org.freedesktop.DBus.Properties.Set", []any{"org.kcmd.KCM1.Cache", "Flags", godbus.MakeVariant([]uint32{1})}},
		{cache, "Cache.ListTickets", []any{variants(map[string]any{"offset": uint32(0), "tgt-only": true, "state": "valid"})}},
		{cache, "Cache.GetTicket", []any{"x"}},
	} {
		c.call(call.path, call.name, call.args...)
	}
	c.conn.Close()
	for _, command := range [][]string{
		{"gdbus", "call", "--address", bus.address, "--dest", BusName, "--object-path", rootPath, "--method", "org.kcmd.KCM1.Manager.Subscribe", "{'ticket-signals': <true>}"},
		{"gdbus", "introspect", "--address", bus.address, "--dest", BusName, "--object-path", rootPath, "--recurse"},
		{"busctl", "--address=" + bus.address, "tree", BusName},
		{"busctl", "--address=" + bus.address, "introspect", BusName, string(cache)},
		{"busctl", "--address=" + bus.address, "call", BusName, string(cache), "org.kcmd.KCM1.Cache", "ListTickets", "a{sv}", "1", "limit", "u", "3"},
		{"dbus-send", "--bus=" + bus.address, "--print-reply", "--dest=" + BusName, rootPath, "org.kcmd.KCM1.Manager.GetCollection", "string:refused"},
		{"dbus-send", "--bus=" + bus.address, "--print-reply", "--dest=" + BusName, rootPath, "org.kcmd.KCM1.Manager.Subscribe", "dict:string:string:a,refused"},
	} {
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil && !strings.Contains(command[len(command)-1], "refused") {
			t.Errorf("%q: %v\n%s", command, err, out)
		}
	}
	time.Sleep(100 * time.Millisecond) // for the bus to say who has left
}

// keep writes each frame that is of another shape than those before.
func keep(t *testing.T, program string, data []byte) {
	seen := make(map[string]bool)
	for len(data) > 0 {
		in := bytes.NewReader(data)
		msg, err := godbus.DecodeMessage(in)
		if err != nil {
			t.Fatal(err)
		}
		frame := data[:len(data)-in.Len()]
		data = data[len(frame):]
		signature, _ := headerOf(msg, godbus.FieldSignature).(godbus.Signature)
		member, _ := headerOf(msg, godbus.FieldMember).(string)
		shape := fmt.Sprint(msg.Type, msg.Flags, headerOf(msg, godbus.FieldInterface), member, signature, len(frame)/64)
		if seen[shape] {
			continue
		}
		seen[shape] = true
		name := fmt.Sprintf("%s-%02d-%s", program, len(seen), strings.ReplaceAll(msg.Type.String(), " ", "-"))
		if member != "" {
			name += "-" + member
		}
		if list := passOn(t, frame); len(list) == 1 && list[0].call != nil && list[0].call.Refused != "" {
			name += "-refused"
		}
		if err := os.WriteFile(filepath.Join(framesDir, name+".bin"), frame, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
