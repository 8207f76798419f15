package dbus

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	godbus "github.com/godbus/dbus/v5"
)

// In this suite another user sends the service every kind of message that a bus
// carries. After each kind the service still owns its name, answers others, and has
// no more file descriptors and goroutines than before.

// openPolicy allows everything, so that only the guard protects the service.
const openPolicy = `
  <limit name="max_message_size">134217728</limit>
  <limit name="max_incoming_bytes">1000000000</limit>
  <limit name="max_outgoing_bytes">1000000000</limit>
  <limit name="max_replies_per_connection">50000</limit>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*"/>
    <allow send_requested_reply="false"/>
    <allow receive_requested_reply="false"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
  </policy>`

// shippedPolicy is debianPolicy with the policy that the service installs.
func shippedPolicy(t *testing.T) string {
	file, err := filepath.Abs("../data/dbus/org.kcmd.KCM1.conf")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file); err != nil {
		t.Skip("needs the policy that is installed: ", err)
	}
	return debianPolicy + "\n  <include>" + file + "</include>"
}

// startBusWith starts a system-type bus with a policy: dbus-daemon or
// dbus-broker.
func startBusWith(t *testing.T, program, policy string) *testBus {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skip("needs ", program, ": ", err)
	}
	dir, err := os.MkdirTemp("", "kcmd-bus") // short, and open to other users
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	b := &testBus{t: t, config: filepath.Join(dir, "bus.conf"), address: "unix:path=" + filepath.Join(dir, "bus")}
	config := fmt.Sprintf("<busconfig>\n  <type>system</type>\n  <listen>%s</listen>\n  <auth>EXTERNAL</auth>%s\n</busconfig>\n", b.address, policy)
	if err := os.WriteFile(b.config, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	if program == "dbus-daemon" {
		b.start()
		t.Cleanup(b.stop)
		return b
	}
	b.startBroker(dir)
	return b
}

// startBroker starts dbus-broker, whose launcher wants a journal to write to and
// a socket from whoever started it, as if that were systemd.
func (b *testBus) startBroker(dir string) {
	t := b.t
	t.Helper()
	for _, program := range []string{"dbus-broker-launch", "unshare", "mount"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip("needs ", program, ": ", err)
		}
	}
	needRoot(t)
	journal, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "socket"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	go io.Copy(io.Discard, journal)
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "bus"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "bus"), 0o666); err != nil {
		t.Fatal(err)
	}
	file, err := listener.File()
	if err != nil {
		t.Fatal(err)
	}
	listener.SetUnlinkOnClose(false)
	listener.Close()
	if err := os.MkdirAll("/run/systemd", 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("unshare", "--mount", "sh", "-c",
		`mount -t tmpfs none /run/systemd && mkdir /run/systemd/journal && mount --bind "$0" /run/systemd/journal &&
		LISTEN_FDS=1 LISTEN_PID=$$ exec dbus-broker-launch --scope system --config-file "$1"`, dir, b.config)
	cmd.Env = append(os.Environ(), "DBUS_SYSTEM_BUS_ADDRESS="+b.address)
	cmd.ExtraFiles = []*os.File{file}
	var output bytes.Buffer
	cmd.Stderr = &output
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	started, done := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		started <- cmd.Start()
		cmd.Wait()
		close(done)
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	file.Close()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		wait(t, done, "the broker ends")
		journal.Close()
	})
	answered := make(chan error, 1)
	go func() {
		conn, err := godbus.Connect(b.address)
		if err == nil {
			conn.Close()
		}
		answered <- err
	}()
	select {
	case err = <-answered:
	case <-done:
		err = fmt.Errorf("it ended")
	case <-time.After(patience):
		err = fmt.Errorf("no answer")
	}
	if err != nil {
		cmd.Process.Kill()
		wait(t, done, "the broker ends") // then what it said is complete
		t.Skipf("dbus-broker does not run here: %v\n%s", err, output.String())
	}
}

// A victim is the service in a process of its own, which can be asked how it is.
type victim struct {
	t   *testing.T
	pid int
	in  io.Writer
	out *bufio.Reader
}

// health is the report of a victim about itself.
type health struct {
	fds, goroutines, heap int // heap in bytes
	rss                   int // the largest so far, in KiB
}

const victimVariable = "KCMD_TEST_VICTIM"

// TestVictim is the process of a victim. Without the variable it does nothing.
func TestVictim(t *testing.T) {
	address := os.Getenv(victimVariable)
	if address == "" {
		t.Skip("not a test: the process of a victim, run by TestAttacks")
	}
	store := newStore(t)
	kinit(t, store, aliceUID, "1", alice())
	fillBob(t, store, 0)
	s := New(store, Config{Address: address, ExpiryWarning: time.Minute})
	run(t, s)
	wait(t, s.Ready(), "the name is owned")
	fmt.Println("ready")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		if n, err := strconv.Atoi(lines.Text()); err == nil {
			fillBob(t, store, n)
			continue
		}
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		fds, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println("health", len(fds), runtime.NumGoroutine(), m.HeapAlloc)
	}
}

func startVictim(t *testing.T, address string) *victim {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestVictim$")
	cmd.Env = append(os.Environ(), victimVariable+"="+address)
	cmd.Stderr = t.Output()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	v := &victim{t, cmd.Process.Pid, in, bufio.NewReader(out)}
	t.Cleanup(func() {
		in.Close()
		io.Copy(io.Discard, v.out)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the service ended with %v", err)
		}
	})
	v.line("ready")
	return v
}

// line reads until a line that begins so.
func (v *victim) line(begin string) string {
	v.t.Helper()
	for {
		line, err := v.out.ReadString('\n')
		if err != nil {
			v.t.Fatal("the service has ended: ", err)
		}
		if strings.HasPrefix(line, begin) {
			return line
		}
	}
}

func (v *victim) health() (h health) {
	v.t.Helper()
	if _, err := io.WriteString(v.in, "how are you\n"); err != nil {
		v.t.Fatal("the service has ended: ", err)
	}
	if _, err := fmt.Sscanf(v.line("health"), "health %d %d %d", &h.fds, &h.goroutines, &h.heap); err != nil {
		v.t.Fatal(err)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", v.pid))
	if err != nil {
		v.t.Fatal(err)
	}
	_, rest, _ := bytes.Cut(status, []byte("VmHWM:"))
	if _, err := fmt.Sscan(string(rest), &h.rss); err != nil {
		v.t.Fatal(err)
	}
	return h
}

// An attacker is a connection that writes frames as it likes.
type attacker struct {
	t      *testing.T
	conn   *net.UnixConn
	in     *bufio.Reader
	name   string
	serial uint32
}

// connectRaw connects as a user, with file descriptors negotiated.
func (b *testBus) connectRaw(t *testing.T, uid uint32) *attacker {
	t.Helper()
	a := &attacker{t: t}
	dialed := make(chan error)
	go func() {
		dialed <- as(uid, func() (err error) {
			a.conn, err = net.DialUnix("unix", nil, &net.UnixAddr{Name: socketOf(b.address), Net: "unix"})
			return err
		})
	}()
	if err := <-dialed; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.conn.Close() })
	a.in = bufio.NewReader(a.conn)
	for _, line := range []struct{ say, want string }{
		{"\x00AUTH EXTERNAL " + hex.EncodeToString([]byte(strconv.Itoa(int(uid)))), "OK "},
		{"NEGOTIATE_UNIX_FD", "AGREE_UNIX_FD"},
	} {
		if _, err := io.WriteString(a.conn, line.say+"\r\n"); err != nil {
			t.Fatal(err)
		}
		if answer, err := a.in.ReadString('\n'); err != nil || !strings.HasPrefix(answer, line.want) {
			t.Fatalf("%q: %q, %v", line.say, answer, err)
		}
	}
	if _, err := io.WriteString(a.conn, "BEGIN\r\n"); err != nil {
		t.Fatal(err)
	}
	a.send(packet{kind: godbus.TypeMethodCall, to: "org.freedesktop.DBus", path: "/org/freedesktop/DBus", iface: "org.freedesktop.DBus", member: "Hello"})
	hello, err := godbus.DecodeMessage(a.in)
	if err != nil || hello.Type != godbus.TypeMethodReply {
		t.Fatalf("Hello: %v, %v", hello, err)
	}
	a.name = hello.Body[0].(string)
	return a
}

// A packet is a message of which everything can be chosen.
type packet struct {
	order       binary.AppendByteOrder // default: little-endian
	kind        godbus.Type
	flags       byte
	serial      uint32 // default: the next
	to          string
	sender      string // written by the bus
	path        string
	iface       string
	member      string
	errorName   string
	replySerial uint32
	signature   string
	body        []byte // default: something of that signature
	fds         int    // how many are attached
	extra       string // signature of a header field that no specification has
}

// bytes returns the packet on the wire.
func (p packet) bytes() []byte {
	if p.order == nil {
		p.order = binary.LittleEndian
	}
	if p.body == nil {
		p.body = (&filler{order: p.order}).values(p.signature)
	}
	b := &filler{order: p.order, b: []byte{'l', byte(p.kind), p.flags, 1}}
	if p.order != binary.AppendByteOrder(binary.LittleEndian) {
		b.b[0] = 'B'
	}
	b.uint32(uint32(len(p.body)))
	b.uint32(p.serial)
	b.uint32(0)
	for _, field := range []struct {
		code  byte
		t     string
		value string
	}{{1, "o", p.path}, {2, "s", p.iface}, {3, "s", p.member}, {4, "s", p.errorName}, {6, "s", p.to}, {7, "s", p.sender}} {
		if field.value != "" {
			b.field(field.code, field.t)
			b.string(field.value)
		}
	}
	if p.signature != "" {
		b.field(8, "g")
		b.signature(p.signature)
	}
	if p.extra != "" {
		b.field(111, p.extra)
		b.values(p.extra)
	}
	for _, field := range []struct {
		code  byte
		value uint32
	}{{5, p.replySerial}, {9, uint32(p.fds)}} {
		if field.value != 0 {
			b.field(field.code, "u")
			b.uint32(field.value)
		}
	}
	length := b.order.AppendUint32(nil, uint32(len(b.b)-16))
	copy(b.b[12:], length)
	b.align(8)
	return append(b.b, p.body...)
}

// send sends packets. The bus may end the connection for them; that is its affair.
func (a *attacker) send(packets ...packet) {
	for _, p := range packets {
		if p.serial == 0 {
			a.serial++
			p.serial = a.serial
		}
		var oob []byte
		if p.fds > 0 {
			null, err := os.Open("/dev/null")
			if err != nil {
				a.t.Fatal(err)
			}
			oob = syscall.UnixRights(slices.Repeat([]int{int(null.Fd())}, p.fds)...)
			defer null.Close()
		}
		a.conn.SetWriteDeadline(time.Now().Add(10 * time.Second))
		b := p.bytes()
		n, _, err := a.conn.WriteMsgUnix(b, oob, nil)
		if err == nil && n < len(b) {
			_, err = a.conn.Write(b[n:])
		}
		if err != nil {
			return
		}
	}
}

// answers returns what error names, or "", answered that many messages, unless
// the bus ends the connection before.
func (a *attacker) answers(n int) (names []string) {
	a.conn.SetReadDeadline(time.Now().Add(patience))
	for len(names) < n {
		msg, err := godbus.DecodeMessage(a.in)
		if err != nil {
			return names
		}
		switch msg.Type {
		case godbus.TypeError:
			name, _ := headerOf(msg, godbus.FieldErrorName).(string)
			names = append(names, name)
		case godbus.TypeMethodReply:
			names = append(names, "")
		}
	}
	return names
}

func headerOf(msg *godbus.Message, f godbus.HeaderField) any {
	v := msg.Headers[f]
	return v.Value()
}

// A filler marshals something of any signature.
type filler struct {
	order binary.AppendByteOrder
	b     []byte
}

func (f *filler) align(to int)    { f.b = append(f.b, make([]byte, -len(f.b)&(to-1))...) }
func (f *filler) uint32(n uint32) { f.align(4); f.b = f.order.AppendUint32(f.b, n) }
func (f *filler) string(s string) { f.uint32(uint32(len(s))); f.b = append(append(f.b, s...), 0) }
func (f *filler) signature(s string) {
	f.b = append(append(append(f.b, byte(len(s))), s...), 0)
}

func (f *filler) field(code byte, t string) {
	f.align(8)
	f.b = append(f.b, code)
	f.signature(t)
}

func (f *filler) values(signature string) []byte {
	for signature != "" {
		n := typeLength(signature)
		f.value(signature[:n])
		signature = signature[n:]
	}
	return f.b
}

// variant marshals a variant of that type.
func (f *filler) variant(t string) []byte {
	f.signature(t)
	return f.values(t)
}

// value marshals one value: arrays have one element, variants a byte, and
// strings are a path.
func (f *filler) value(t string) {
	switch t[0] {
	case 's', 'o':
		f.string("/a")
	case 'g':
		f.signature("s")
	case 'v':
		f.variant("y")
	case '(', '{':
		f.align(8)
		f.values(t[1 : len(t)-1])
	case 'a':
		f.uint32(0)
		length := len(f.b) - 4
		switch t[1] {
		case 'x', 't', 'd', '(', '{':
			f.align(8)
		}
		start := len(f.b)
		f.value(t[1:])
		copy(f.b[length:], f.order.AppendUint32(nil, uint32(len(f.b)-start)))
	case 'h', 'b':
		f.uint32(0)
	default:
		size := map[byte]int{'y': 1, 'n': 2, 'q': 2, 'i': 4, 'u': 4, 'x': 8, 't': 8, 'd': 8}[t[0]]
		f.align(size)
		f.b = append(f.b, make([]byte, size)...)
	}
}

// typeLength returns the length of the first complete type.
func typeLength(s string) int {
	depth := 0
	for i, c := range []byte(s) {
		switch c {
		case 'a':
			continue
		case '(', '{':
			depth++
		case ')', '}':
			depth--
		}
		if depth == 0 {
			return i + 1
		}
	}
	return len(s)
}

// oddTypes are types that no method of ours has, and some that are in one.
var oddTypes = []string{
	"a{bs}", "a{gs}", "a{bb}", "a{gv}", "a{ds}", "a{os}", "a{hs}", "a{yv}", "a{s(ss)}", "a{sa{ba{gs}}}", "a{sas}", "a{sv}", "a{ss}", "a{uu}",
	"h", "ah", "(h)", "a(hs)", "a{sh}", "av", "v", "(v)", "a(v)", "(ss)", "a(ss)", "a(sa{bv})", "aas", "aaaas", "g", "ag", "ab", "aay", "ax", "a(y)",
	strings.Repeat("a", 32) + "y", strings.Repeat("(", 32) + "y" + strings.Repeat(")", 32), strings.Repeat("a(", 30) + "y" + strings.Repeat(")", 30),
	strings.Repeat("a{s", 30) + "y" + strings.Repeat("}", 30), strings.Repeat("y", 255), strings.Repeat("(y)", 85),
	"y", "b", "n", "q", "i", "u", "x", "t", "d", "s", "o", "as", "ao", "ay",
}

// methodCall is a call of a method of the manager.
func methodCall(to, iface, member, signature string) packet {
	return packet{kind: godbus.TypeMethodCall, to: to, path: rootPath, iface: iface, member: member, signature: signature}
}

// setTo is Set of a property to a variant of that type.
func setTo(to, t string) packet {
	p := methodCall(to, "org.freedesktop.DBus.Properties", "Set", "ssv")
	p.body = (&filler{order: binary.LittleEndian, b: (&filler{order: binary.LittleEndian}).values("ss")}).variant(t)
	return p
}

// subscribeWith is Subscribe with one option of that type.
func subscribeWith(to, t string) packet {
	p := methodCall(to, "org.kcmd.KCM1.Manager", "Subscribe", "a{sv}")
	f := &filler{order: binary.LittleEndian, b: make([]byte, 8)}
	f.string("/a")
	f.variant(t)
	binary.LittleEndian.PutUint32(f.b, uint32(len(f.b)-8))
	p.body = f.b
	return p
}

// ofSize is a packet with a body of that many bytes.
func ofSize(p packet, signature string, n int) packet {
	p.signature = signature
	p.body = make([]byte, n)
	switch signature {
	case "s", "o":
		length := (n - 5) &^ 1
		p.body = append(append(p.body[:4], bytes.Repeat([]byte("/a"), length/2)...), 0)
		binary.LittleEndian.PutUint32(p.body, uint32(length))
	case "at":
		p.body = p.body[:n&^7]
		binary.LittleEndian.PutUint32(p.body, uint32(len(p.body)-8))
	default:
		binary.LittleEndian.PutUint32(p.body, uint32(n-4))
	}
	return p
}

// nested returns different signatures: dictionaries in dictionaries.
func nested(n int) string {
	t := "y"
	for _, digit := range fmt.Sprintf("%07o", n) {
		t = "a{" + string("sybniuxt"[digit-'0']) + t + "}"
	}
	return t
}

// withFDs are messages as they are, and with file descriptors attached.
func withFDs(p packet) []packet {
	list := []packet{p}
	for _, n := range []int{1, 3, 16} {
		p.fds = n
		list = append(list, p)
	}
	return list
}

// kinds are p as each type of message.
func kinds(p packet) []packet {
	var list []packet
	for kind := range godbus.TypeSignal {
		p.kind = kind + 1
		p.errorName, p.replySerial = "", 0
		switch p.kind {
		case godbus.TypeError:
			p.errorName = "a.b"
			p.replySerial = 7
		case godbus.TypeMethodReply:
			p.replySerial = 6
		}
		list = append(list, p)
	}
	return list
}

// oddMessages are messages that a bus carries and the service does not use, by
// kind. The suite does not look at the answers to them.
func oddMessages(to string) map[string][]packet {
	list := make(map[string][]packet)
	ping := methodCall(to, "org.freedesktop.DBus.Peer", "Ping", "")
	listTickets := methodCall(to, "org.kcmd.KCM1.Cache", "ListTickets", "a{sv}")
	for _, t := range oddTypes {
		for _, p := range []packet{
			setTo(to, t), subscribeWith(to, t), // in a variant
			methodCall(to, "org.kcmd.KCM1.Manager", "GetCollection", t),
			methodCall(to, "org.kcmd.KCM1.Manager", "Nothing", t),
			methodCall(to, "no.such.Interface", "Ping", t),
			methodCall(to, "", "Ping", t),
		} {
			list["types"] = append(list["types"], kinds(p)...)
			list["types in big-endian"] = append(list["types in big-endian"], packet{
				order: binary.BigEndian, kind: p.kind, to: p.to, path: p.path, iface: p.iface, member: p.member, signature: t})
			list["descriptors"] = append(list["descriptors"], withFDs(p)...)
		}
		ping.extra = t
		list["header fields"] = append(list["header fields"], kinds(ping)...)
		ping.extra = ""
	}
	for n := range 200 {
		ping.fds, ping.flags = n%16, byte(n%2) // with and without a reply
		list["descriptors that nobody takes"] = append(list["descriptors that nobody takes"], kinds(ping)...)
	}
	ping.fds, ping.flags = 0, 0
	for flags := range 256 {
		ping.flags, listTickets.flags = byte(flags), byte(flags)
		list["flags"] = append(list["flags"], kinds(ping)...)
		list["flags"] = append(list["flags"], kinds(listTickets)...)
	}
	ping.flags, listTickets.flags = 0, 0
	for _, iface := range []string{"org.freedesktop.DBus", "org.freedesktop.DBus.Local", "org.freedesktop.DBus.Properties", "org.kcmd.KCM1.Cache", "a.b"} {
		for _, member := range []string{"NameOwnerChanged", "NameLost", "NameAcquired", "Disconnected", "PropertiesChanged", "A"} {
			for _, t := range append([]string{"", "ss", "sss", "sa{sv}as"}, oddTypes...) {
				list["signals"] = append(list["signals"],
					packet{kind: godbus.TypeSignal, to: to, path: "/org/freedesktop/DBus", iface: iface, member: member, signature: t})
			}
		}
	}
	for serial := range 500 {
		for _, t := range []string{"", "s", "a{sv}", "a{bs}"} {
			list["answers"] = append(list["answers"],
				packet{kind: godbus.TypeMethodReply, to: to, replySerial: uint32(serial + 1), signature: t},
				packet{kind: godbus.TypeError, to: to, replySerial: uint32(serial + 1), errorName: "a.b", signature: t})
		}
	}
	for n := range 5000 {
		p := methodCall(to, "a.b", "C", nested(n))
		p.kind = godbus.TypeSignal
		list["new types, in signals"] = append(list["new types, in signals"], p)
	}
	for n := range 2000 {
		p := setTo(to, nested(n))
		p.flags = 1
		list["new types, in variants"] = append(list["new types, in variants"], p)
		p = methodCall(to, "org.kcmd.KCM1.Manager", "Subscribe", nested(n))
		p.flags = 1
		list["new types, in calls"] = append(list["new types, in calls"], p)
	}
	for _, size := range []int{60 << 10, 64 << 10, 70 << 10, 1 << 20, 3 << 20} {
		getCache := methodCall(to, "org.kcmd.KCM1.Manager", "GetCache", "")
		for _, t := range []string{"ay", "s", "o", "at"} {
			list["long"] = append(list["long"], kinds(ofSize(getCache, t, size+4))...)
		}
		if size < 2<<20 {
			getCache.path = strings.Repeat("/a", size/2)
			list["long paths"] = append(list["long paths"], kinds(getCache)...)
		}
	}
	// Many small elements in a call that is short enough.
	full := methodCall(to, "org.kcmd.KCM1.Manager", "Subscribe", "a{sv}")
	f := &filler{order: binary.LittleEndian, b: make([]byte, 8)}
	for n := 0; len(f.b) < 60<<10; n++ {
		f.align(8)
		f.string(strconv.Itoa(n))
		f.variant("y")
	}
	binary.LittleEndian.PutUint32(f.b, uint32(len(f.b)-8))
	full.body = f.b
	for range 60 {
		list["full dictionaries"] = append(list["full dictionaries"], full)
	}
	return list
}

// hugeMessages are as long as messages may be.
func hugeMessages(to string) map[string][]packet {
	huge := ofSize(methodCall(to, "org.kcmd.KCM1.Manager", "GetCache", ""), "aay", 127<<20)
	binary.LittleEndian.PutUint32(huge.body, 64<<20)
	list := map[string][]packet{"of 127 MiB, not an array": {huge}}
	huge = methodCall(to, "org.kcmd.KCM1.Manager", "GetCache", "ayay")
	huge.body = make([]byte, 126<<20)
	binary.LittleEndian.PutUint32(huge.body, 63<<20-4)
	binary.LittleEndian.PutUint32(huge.body[63<<20:], 63<<20-4)
	signal := huge
	signal.kind = godbus.TypeSignal
	list["of 126 MiB"] = []packet{huge, signal}
	return list
}

// TestAttacks runs the suite on each bus under each policy.
func TestAttacks(t *testing.T) {
	needRoot(t)
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	for _, program := range []string{"dbus-daemon", "dbus-broker"} {
		t.Run(program, func(t *testing.T) {
			t.Run("open_policy", func(t *testing.T) { attackAll(t, startBusWith(t, program, openPolicy), false) })
			t.Run("shipped_policy", func(t *testing.T) {
				var without []string
				if program == "dbus-broker" {
					// It logs refused messages with their paths, which are too
					// long for the journal of the test.
					without = []string{"long paths"}
				}
				attackAll(t, startBusWith(t, program, shippedPolicy(t)), true, without...)
			})
		})
	}
}

// Limits of growth: of the heap after an attack, and of the process from the first
// attack to the last.
const (
	maxHeapGrowth = 4 << 20                // bytes
	maxRSSGrowth  = raceFactor * 256 << 10 // KiB, of the peak
)

// maxWait is how long a call of another user may take during an attack, or else
// 20 times what it takes while connections only have much work done and read
// all answers: the machine may be busy with other things.
const maxWait = time.Second

// An attack is a hostile use of connections.
type attack struct {
	name string
	run  func(t *testing.T, b *testBus, to string)

	witnessed bool // others are answered in time meanwhile
	limits    bool // it is about the limits of the bus, which openPolicy raises
}

// attackAll runs all attacks but some. Under a policy it matters whether they
// are sent to the name of the service alone, or to the unique name too.
func attackAll(t *testing.T, b *testBus, both bool, without ...string) {
	v := startVictim(t, b.address)
	bystander := b.connectAs(t, aliceUID)
	owner := func() string {
		var name string
		if err := bystander.conn.BusObject().Call("org.freedesktop.DBus.GetNameOwner", 0, BusName).Store(&name); err != nil {
			t.Fatal("nobody owns the name any more: ", err)
		}
		return name
	}
	unique := owner()
	must[objects](bystander, rootPath, managedObjects)

	attacks := []attack{
		{"pipeline", func(t *testing.T, b *testBus, to string) { pipeline(t, b, to, false) }, false, false},
		{"pipeline, answers read", func(t *testing.T, b *testBus, to string) { pipeline(t, b, to, true) }, false, false},
		{"half a message", halfMessages, false, false},
		{"come and go", comeAndGo, true, false},
		{"unread answers", v.unreadAnswers, true, true},
		{"unread signals", v.unreadSignals, true, true},
		{"connections of a process", connectionsOfProcess, true, false},
	}
	messages := 0
	odd := oddMessages(BusName)
	maps.Copy(odd, hugeMessages(BusName))
	for _, name := range slices.Sorted(maps.Keys(odd)) {
		if slices.Contains(without, name) {
			continue
		}
		list := odd[name]
		messages += len(list)
		attacks = append(attacks, attack{name, func(t *testing.T, b *testBus, to string) { sendAll(t, b, to, list) }, false, false})
	}
	start := v.health()
	worked := witness(b, t, func() { pipeline(t, b, BusName, true) })
	for _, one := range attacks {
		t.Run(one.name, func(t *testing.T) {
			before := v.health()
			for _, to := range []string{BusName, unique} {
				if to == unique && (!both || one.limits) || one.limits && !both {
					continue
				}
				if worst := witness(b, t, func() { one.run(t, b, to) }); one.witnessed && worst > max(maxWait, 20*worked) {
					t.Errorf("another user waited for %v", worst)
				}
			}
			if owner() != unique {
				t.Fatal("the service has left the bus")
			}
			if got := must[objects](bystander, rootPath, managedObjects); len(got) != 2 {
				t.Errorf("a bystander sees %d objects", len(got))
			}
			var after health
			eventually(t, "everything is as before", func() bool {
				after = v.health()
				return after.fds <= start.fds && after.goroutines <= start.goroutines+4 && after.heap <= before.heap+maxHeapGrowth
			})
			if testing.Verbose() {
				t.Logf("fds %d, goroutines %d, heap %d KiB, peak %d KiB", after.fds, after.goroutines, after.heap>>10, after.rss)
			}
		})
	}
	end := v.health()
	t.Logf("%d kinds, %d messages to each name; fds %d -> %d, goroutines %d -> %d, heap %d -> %d KiB, RSS %d -> %d KiB", len(attacks), messages,
		start.fds, end.fds, start.goroutines, end.goroutines, start.heap>>10, end.heap>>10, start.rss, end.rss)
	if end.rss > start.rss+maxRSSGrowth || end.heap > start.heap+2*maxHeapGrowth {
		t.Errorf("the service has grown from %+v to %+v", start, end)
	}
}

// sendAll sends messages, on a new connection whenever the bus has ended the
// last one. Answers are read and not looked at.
func sendAll(t *testing.T, b *testBus, to string, list []packet) {
	t.Helper()
	var a *attacker
	var gone chan struct{}
	connect := func() {
		a, gone = b.connectRaw(t, bobUID), make(chan struct{})
		go func(a *attacker, gone chan struct{}) {
			defer close(gone)
			io.Copy(io.Discard, a.in)
		}(a, gone)
	}
	connect()
	inFlight := 0
	for _, p := range list {
		select {
		case <-gone:
			a.conn.Close()
			connect()
		default:
		}
		p.to = to
		a.send(p)
		// Let the bus say what it thinks before the next: some messages end the
		// connection, and those behind are lost. It counts descriptors on their way.
		if inFlight += 1 + 4*p.fds; inFlight > 50 || len(list) < 100 {
			time.Sleep(time.Millisecond)
			inFlight = 0
		}
	}
	time.Sleep(50 * time.Millisecond)
	a.conn.Close()
	wait(t, gone, "the connection ends")
}

// pipeline sends 20,000 calls in one go.
func pipeline(t *testing.T, b *testBus, to string, read bool) {
	t.Helper()
	a := b.connectRaw(t, bobUID)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		if read {
			io.Copy(io.Discard, a.in)
		}
	}()
	for n := range 20000 {
		p := methodCall(to, "org.freedesktop.DBus.Properties", "GetAll", "s")
		p.flags = byte(n % 2)
		a.send(p)
	}
	time.Sleep(100 * time.Millisecond)
	a.conn.Close()
	<-gone
}

// halfMessages breaks off in the middle.
func halfMessages(t *testing.T, b *testBus, to string) {
	t.Helper()
	for n := range 20 {
		a := b.connectRaw(t, bobUID)
		p := ofSize(methodCall(to, "org.kcmd.KCM1.Manager", "GetCache", ""), "s", 1<<20).bytes()
		if _, err := a.conn.Write(p[:1+n*len(p)/20]); err != nil {
			t.Error(err)
		}
		a.conn.Close()
	}
}

// comeAndGo subscribes and leaves.
func comeAndGo(t *testing.T, b *testBus, to string) {
	t.Helper()
	for n := range 100 {
		a := b.connectRaw(t, bobUID)
		a.send(methodCall(to, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", ""))
		if n%2 == 0 {
			a.answers(1)
		}
		a.conn.Close()
	}
}

// TestRefusals: what is not let through is answered as if it had been.
func TestRefusals(t *testing.T) {
	needRoot(t)
	bus := startBusWith(t, "dbus-daemon", openPolicy)
	store := newStore(t)
	kinit(t, store, aliceUID, "1", alice())
	startService(t, store, Config{Address: bus.address})
	a := bus.connectRaw(t, bobUID)
	foreign := string(collectionPath(aliceUID))
	at := func(path string, p packet) packet {
		p.path = path
		return p
	}
	for _, test := range []struct {
		name string
		p    packet
		want string
	}{
		{"allowed", methodCall(BusName, "org.freedesktop.DBus.Peer", "Ping", ""), ""},
		{"no interface", methodCall(BusName, "", "ListCollections", ""), ""},
		{"interface", methodCall(BusName, "no.such.Interface", "Ping", "a{bs}"), errUnknownInterface},
		{"method", methodCall(BusName, "org.kcmd.KCM1.Manager", "Nothing", "a{gs}"), errUnknownMethod},
		{"signature", methodCall(BusName, "org.kcmd.KCM1.Manager", "GetCollection", "a{bs}"), errInvalidArgs},
		{"no interface, signature", methodCall(BusName, "", "GetCollection", "a{bs}"), errInvalidArgs},
		{"variant", setTo(BusName, "a{bs}"), errInvalidArgs},
		{"allowed variant", setTo(BusName, "ay"), errUnknownInterface}, // it is of "/a"
		{"option", subscribeWith(BusName, "a{sv}"), errInvalidArgs},
		{"interface of another object", methodCall(BusName, "org.kcmd.KCM1.Cache", "ListTickets", "a{bs}"), errUnknownInterface},
		{"descriptors", packet{kind: godbus.TypeMethodCall, to: BusName, path: "/", iface: "org.freedesktop.DBus.Peer", member: "Ping", fds: 2}, errInvalidArgs},
		{"too long", ofSize(methodCall(BusName, "org.kcmd.KCM1.Manager", "GetCache", ""), "s", 1<<20), errLimitsExceeded},
		// Of somebody else's objects, and of none, the same.
		{"foreign, interface", at(foreign, methodCall(BusName, "no.such.Interface", "Ping", "a{bs}")), errUnknownObject},
		{"foreign, method", at(foreign, methodCall(BusName, "org.kcmd.KCM1.Collection", "Nothing", "a{bs}")), errUnknownObject},
		{"foreign, variant", at(foreign, setTo(BusName, "a{bs}")), errUnknownObject},
		{"nothing there", at("/no", setTo(BusName, "a{bs}")), errUnknownObject},
	} {
		a.send(test.p)
		if got := a.answers(1); len(got) != 1 || got[0] != test.want {
			t.Errorf("%s: answered %q, want %q", test.name, got, test.want)
		}
	}
	// Calls at once: so many are answered, the others are one too many.
	const calls = 300
	for range calls {
		a.send(methodCall(BusName, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", ""))
	}
	count := make(map[string]int)
	for _, name := range a.answers(calls) {
		count[name]++
	}
	if count[""] < 128 || count[""]+count[errLimitsExceeded] != calls {
		t.Errorf("%d calls at once: %v", calls, count)
	}
}
