package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/kcmserver/kcm/client"
)

// A fakeJournal stands in for journald: the socket of the native protocol, and the
// stream that is the standard error of services.
type fakeJournal struct {
	t       *testing.T
	path    string
	native  *net.UnixConn
	stderr  *os.File // for the service
	lines   *os.File // the other end
	stream  string   // JOURNAL_STREAM
	program string   // a kcmd that knows the path
}

func newFakeJournal(t *testing.T) *fakeJournal {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("go is not installed")
	}
	dir := shortDir(t)
	j := &fakeJournal{t: t, path: dir + "/journal", program: dir + "/kcmd"}
	var err error
	if j.native, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: j.path, Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.native.Close() })
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	j.stderr, j.lines = os.NewFile(uintptr(pair[0]), "stderr"), os.NewFile(uintptr(pair[1]), "lines")
	t.Cleanup(func() { j.stderr.Close(); j.lines.Close() })
	var st syscall.Stat_t
	if err := syscall.Fstat(pair[0], &st); err != nil {
		t.Fatal(err)
	}
	j.stream = fmt.Sprintf("JOURNAL_STREAM=%d:%d", st.Dev, st.Ino)
	build := exec.Command("go", "build", "-ldflags", "-X github.com/coreos/go-systemd/v22/journal.journalSocket="+j.path, "-o", j.program, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return j
}

// start starts a kcmd that logs to the journal at debug.
func (j *fakeJournal) start() (p *proc, socket string) {
	j.t.Helper()
	socket = filepath.Join(shortDir(j.t), "s")
	p = kcmd(j.t, []string{"--socket", socket, "--bus", "none", "--store", "memory:", "--log-level", "debug"}, j.stream)
	p.Path, p.Stderr = j.program, j.stderr
	p.startServing(socket)
	return p, socket
}

// entry returns the next entry with a field of that value.
func (j *fakeJournal) entry(name, value string) map[string]string {
	j.t.Helper()
	buf := make([]byte, 1<<20)
	_ = j.native.SetReadDeadline(time.Now().Add(patience))
	for {
		n, err := j.native.Read(buf)
		if err != nil {
			j.t.Fatalf("no entry with %s=%q: %v", name, value, err)
		}
		if e := parseEntry(j.t, buf[:n]); e[name] == value {
			return e
		}
	}
}

// parseEntry parses a datagram of the native protocol of the journal.
func parseEntry(t *testing.T, b []byte) map[string]string {
	t.Helper()
	fields := make(map[string]string)
	for len(b) > 0 {
		line, rest, ok := bytes.Cut(b, []byte("\n"))
		if !ok {
			t.Fatalf("no end of line: %q", b)
		}
		name, value, plain := bytes.Cut(line, []byte("="))
		if !plain {
			n := binary.LittleEndian.Uint64(rest)
			value, rest = rest[8:8+n], rest[8+n+1:]
		}
		if _, twice := fields[string(name)]; twice {
			t.Errorf("%s twice", name)
		}
		fields[string(name)], b = string(value), rest
	}
	return fields
}

// TestJournalFields has a kcmd log requests of clients, also with names that no cache has.
func TestJournalFields(t *testing.T) {
	j := newFakeJournal(t)
	p, socket := j.start()
	c, err := client.Dial(t.Context(), socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	uid := fmt.Sprint(os.Getuid())
	j.entry("MESSAGE", "serving socket="+socket+" namespace=default store=memory:")
	for _, name := range []string{"plain", "two\nlines\nPRIORITY=0", "\x01\xff", strings.Repeat("long", 20_000)} {
		_, _ = c.GetPrincipal(name)
		e := j.entry("KCMD_OPCODE", "GET_PRINCIPAL")
		want := name
		if len(name) > 1000 {
			want = e["KCMD_CACHE"]
			if beginning, ok := strings.CutSuffix(want, "..."); !ok || !strings.HasPrefix(name, beginning) {
				t.Errorf("cache %.100q", want)
			}
		}
		for field, want := range map[string]string{
			"PRIORITY": "7", "SYSLOG_IDENTIFIER": "kcmd", "KCMD_UID": uid, "KCMD_NAMESPACE": "default",
			"KCMD_CACHE": want, "KCMD_OPCODE": "GET_PRINCIPAL",
		} {
			if e[field] != want {
				t.Errorf("%s=%.100q, want %.100q", field, e[field], want)
			}
		}
		if !strings.HasPrefix(e["MESSAGE"], "request op=GET_PRINCIPAL uid="+uid+" pid=") || strings.ContainsAny(e["MESSAGE"], "\n\x01") || e["KCMD_CODE"] == "" {
			t.Errorf("%.300q", e)
		}
	}

	// Without journald the lines go to the stream, with priorities.
	j.native.Close()
	os.Remove(j.path)
	_, _ = c.GetPrincipal("later")
	buf := make([]byte, 4096)
	n, err := j.lines.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(buf[:n]); !strings.HasPrefix(got, "<7>level=DEBUG msg=request op=GET_PRINCIPAL ") {
		t.Errorf("on standard error: %q", got)
	}
	p.ends(syscall.SIGTERM)
}

// TestJournalMessage checks the text and the fields of lines of all kinds.
func TestJournalMessage(t *testing.T) {
	h := newJournalHandler(slog.LevelInfo, slog.DiscardHandler)
	owner := ccstore.Owner{Namespace: "guests", UID: 1000}
	with := h.WithAttrs([]slog.Attr{slog.String("cache", "a b")}).(*journalHandler)
	for _, tt := range []struct {
		handler *journalHandler
		attrs   []any
		message string
		fields  map[string]string
	}{
		{h, nil, "it", map[string]string{}},
		{h, []any{"owner", owner, "err", "a\nb"}, `it owner="1000 in guests" err="a\nb"`, map[string]string{"KCMD_UID": "1000", "KCMD_NAMESPACE": "guests"}},
		{h, []any{"uid", uint32(7)}, `it uid=7`, map[string]string{"KCMD_UID": "7", "KCMD_NAMESPACE": "default"}},
		{with, []any{"op", "STORE"}, `it cache="a b" op=STORE`, map[string]string{"KCMD_CACHE": "a b", "KCMD_OPCODE": "STORE"}},
		{h, []any{"err", strings.Repeat("x", 1<<20)}, "it err=" + strings.Repeat("x", maxJournalMessage-len("it err=")) + "...", map[string]string{}},
		{h, []any{"cache", strings.Repeat("x", 1<<20)}, "it cache=" + strings.Repeat("x", maxJournalMessage-len("it cache=")) + "...",
			map[string]string{"KCMD_CACHE": strings.Repeat("x", maxJournalField) + "..."}},
	} {
		r := slog.NewRecord(time.Now(), slog.LevelWarn, "it", 0)
		r.Add(tt.attrs...)
		got, err := tt.handler.message(context.Background(), r)
		if err != nil || got != tt.message {
			t.Errorf("%.200q, %v; want %.200q", got, err, tt.message)
		}
		tt.fields["SYSLOG_IDENTIFIER"] = "kcmd"
		if fields := tt.handler.fieldsOf(r); fmt.Sprint(fields) != fmt.Sprint(tt.fields) {
			t.Errorf("%.200v, want %.200v", fields, tt.fields)
		}
	}
}

// TestCutTo cuts texts within and between characters.
func TestCutTo(t *testing.T) {
	for _, test := range []struct {
		text string
		most int
		want string
	}{
		{"abc", 3, "abc"}, {"abcd", 3, "abc..."}, {"aé", 3, "aé"}, {"aéb", 2, "a..."}, {"aéb", 3, "aé..."}, {"€", 2, "..."},
	} {
		if got := cutTo(test.text, test.most); got != test.want {
			t.Errorf("cutTo(%q, %d) = %q, want %q", test.text, test.most, got, test.want)
		}
	}
}
