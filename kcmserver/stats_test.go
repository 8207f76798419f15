package kcmserver

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"kcmd.org/kcmd/kcmserver/kcm"
)

// TestStats counts answers by operation and code.
func TestStats(t *testing.T) {
	s := newServer(t, Options{})
	c := connect(t, s, user(1000))
	c.do(kcm.OpInitialize, str(nameN), princ(alice))
	c.do(kcm.OpInitialize, str(nameN), princ(alice))
	c.ask(kcm.FCCPerm, kcm.OpInitialize, str("1001"), princ(alice))
	for _, op := range []kcm.Opcode{29, 30, 65535} {
		c.ask(kcm.FCCInternal, op)
	}
	want(t, "requests", map[kcm.Opcode]map[kcm.Code]uint64{
		kcm.OpInitialize: {kcm.OK: 2, kcm.FCCPerm: 1},
		UnknownOpcode:    {kcm.FCCInternal: 3},
	}, s.Stats().Requests)
	want(t, "connections", 1, s.Stats().Connections)
	want(t, "accepted", 1, s.Stats().Accepted)
}

// TestLog looks at what the log says, and at what it does not say.
func TestLog(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s := newServer(t, Options{Logger: log})
	c := connect(t, s, user(1000))
	c.do(kcm.OpInitialize, str(nameN), princ(alice))
	secret := testCred("host/a@LAB.TEST")
	secret.Key.Value = []byte("SESSIONKEY")
	secret.Ticket = []byte("TICKETBYTES")
	c.do(kcm.OpStore, str(nameN), cred(secret))
	b := cred(secret)
	c.ask(kcm.CCFormat, kcm.OpStore, str(nameN), b[:len(b)-1])
	c.ask(kcm.FCCPerm, kcm.OpInitialize, str("1001:x"), princ(alice))
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	for _, line := range []string{
		`level=DEBUG msg=request op=INITIALIZE uid=1000 pid=1 cache=1000:cf code=OK`,
		`level=DEBUG msg=request op=STORE uid=1000 pid=1 cache=1000:cf code=KRB5_CC_FORMAT`,
		`level=INFO msg="request refused" op=INITIALIZE uid=1000 pid=1 cache=1001:x code=KRB5_FCC_PERM`,
		`uid 1000 is allowed the names 1000 and 1000:...`,
	} {
		if !strings.Contains(text, line) {
			t.Errorf("the log does not say %q:\n%s", line, text)
		}
	}
	for _, secret := range []string{"SESSIONKEY", "TICKETBYTES"} {
		if strings.Contains(text, secret) {
			t.Errorf("the log shows %s", secret)
		}
	}
}

// TestLogIsBounded has a user refused a thousand times: not each gets a line.
func TestLogIsBounded(t *testing.T) {
	var out bytes.Buffer
	s := newServer(t, Options{Logger: slog.New(slog.NewTextHandler(&out, nil))})
	c := connect(t, s, user(1000))
	for range 1000 {
		c.ask(kcm.FCCPerm, kcm.OpInitialize, str("1001:x"), princ(alice))
	}
	// Nor does it hide the refusal of another user.
	connect(t, s, user(1001)).ask(kcm.FCCPerm, kcm.OpInitialize, str("1000:x"), princ(alice))
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), `"request refused" op=INITIALIZE uid=1001 `) {
		t.Errorf("the refusal of another user has no line:\n%s", &out)
	}
	if n := strings.Count(out.String(), "\n"); n < refusalBurst || n > 10*refusalBurst {
		t.Errorf("%d lines, want about %d", n, refusalBurst)
	}
}
