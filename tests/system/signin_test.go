package system

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"kcmd.org/kcmd/tests/lab"
)

// TestSignInWanted has programs look for tickets: curl and ssh, without a cache and with
// an expired TGT, are told to the owner on D-Bus. Tools that only read the collection
// are not.
func TestSignInWanted(t *testing.T) {
	t.Parallel()
	lab.Need(t, append([]string{"curl", "ssh"}, lab.BusPrograms...)...)
	w := newStoppedWorld(t, "signin")
	bus, err := w.lab.NewBus(lab.SessionBus, "")
	if err != nil {
		t.Fatal(err)
	}
	w.daemon.Bus = bus
	if err := w.daemon.Start("--renew", "no"); err != nil { // a ticket is to expire
		t.Fatal(err)
	}
	s := &signIns{w: w, t: t}
	if s.monitor, err = bus.NewMonitor("tray", uint32(os.Getuid())); err != nil {
		t.Fatal(err)
	}
	curl := []string{"curl", "-sS", "--negotiate", "-u", ":", negotiating(t)}
	secure := append([]string{"ssh", "-F", "none", "-K", "-o", "GSSAPIAuthentication=yes", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no",
		"-o", "UserKnownHostsFile=" + w.lab.Path("known_hosts")}, gssapiServer(t)...)
	readers := [][]string{{"klist"}, {"klist", "-l"}, {"klist", "-A"}, {"klist", "-s"}, {"kswitch", "-p", "alice"}, {"kinit", "-R"}}

	for _, reader := range append(readers, []string{"kdestroy"}, []string{"kdestroy", "-A"}) {
		s.run(reader...)
	}
	s.wanted(`'', 'no-cache'`, curl...)
	s.wanted(`'', 'no-cache'`, secure...)
	w.mustRun(t, "kinit", "-l", "1s", "alice")
	waitFor(t, "the end of the ticket", func() bool { return w.tell("KCM:", "klist", "-s").Err != nil })
	for _, reader := range readers[:5] {
		s.run(reader...)
	}
	s.wanted(`'HTTP/localhost@(KCMD.TEST)?', 'expired'`, curl...)
	s.wanted(`'host/localhost@(KCMD.TEST)?', 'expired'`, secure...)
	w.mustRun(t, "kinit", "alice")
	s.run(curl...)
	w.mustRun(t, "kdestroy")
	s.wanted(`'', 'no-cache'`, curl...) // and nothing before it
}

// signIns are the signals SignInWanted of a test.
type signIns struct {
	w       *world
	t       *testing.T
	monitor *lab.Monitor
	seen    int
}

// run runs a client, whether it succeeds or not, and returns its process id.
func (s *signIns) run(args ...string) int {
	s.t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = s.w.env()
	if err := lab.Run(cmd); cmd.Process == nil {
		s.t.Fatal(err)
	}
	return cmd.Process.Pid
}

var signInWanted = regexp.MustCompile(`(?m)^/org/kcmd/KCM1/user/\d+: org\.kcmd\.KCM1\.Collection\.SignInWanted \((.*)\)$`)

// wanted runs a client, and waits until the next signal says that it wants a ticket.
func (s *signIns) wanted(detail string, args ...string) {
	s.t.Helper()
	pid := s.run(args...)
	var all [][]string
	waitFor(s.t, "a signal for "+args[0], func() bool {
		all = signInWanted.FindAllStringSubmatch(s.monitor.Output(), -1)
		return len(all) > s.seen
	})
	want := regexp.MustCompile(`^(uint32 )?` + strconv.Itoa(pid) + `, ` + detail + `$`)
	if s.seen++; len(all) != s.seen || !want.MatchString(all[s.seen-1][1]) {
		s.t.Errorf("%v: the signals are %q, and the last one not the only one that matches %s", args, all, want)
	}
}

// negotiating returns the URL of a web server that wants its clients to authenticate.
func negotiating(t *testing.T) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", "Negotiate")
		w.WriteHeader(http.StatusUnauthorized)
	}))
	t.Cleanup(server.Close)
	return strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
}

// gssapiServer starts an SSH server that accepts nothing but GSSAPI, and returns how ssh
// connects to it.
func gssapiServer(t *testing.T) []string {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	config := &ssh.ServerConfig{GSSAPIWithMICConfig: &ssh.GSSAPIWithMICConfig{
		AllowLogin: func(ssh.ConnMetadata, string) (*ssh.Permissions, error) { return nil, errNoLogin },
		Server:     noGSSAPI{},
	}}
	config.AddHostKey(signer)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			go func() {
				defer c.Close()
				_, _, _, _ = ssh.NewServerConn(c, config) // which fails
			}()
		}
	}()
	return []string{"-p", strconv.Itoa(l.Addr().(*net.TCPAddr).Port), "localhost", "true"}
}

var errNoLogin = errors.New("nobody may log in")

// noGSSAPI is a server that accepts no client.
type noGSSAPI struct{}

func (noGSSAPI) AcceptSecContext([]byte) (out []byte, user string, more bool, err error) {
	return nil, "", false, errNoLogin
}

func (noGSSAPI) VerifyMIC([]byte, []byte) error { return errNoLogin }
func (noGSSAPI) DeleteSecContext() error        { return nil }
