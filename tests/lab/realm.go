package lab

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// RealmName is the realm of every lab. The domain "test" is reserved, and
// krb5.conf asks no DNS server either.
const RealmName = "KCMD.TEST"

// Users are the principals that have a password. The tickets of carol cannot
// be renewed.
var Users = []string{"alice", "bob", "carol"}

// Service is a service principal that every realm has.
const Service = "host/server.kcmd.test"

// A Realm is a Kerberos realm with its database and a running KDC.
type Realm struct {
	// Keytab holds the key of Service.
	Keytab string
	// KDC is the realm's KDC, on the machine's own clock.
	KDC *KDC

	lab *Lab
	dir string

	passwordPort int // of the server for new passwords, 0 if there is none
}

// Password returns the password of one of the Users.
func Password(user string) string {
	return "password-of-" + user
}

// NewRealm creates the realm of the lab and starts its KDC.
func (l *Lab) NewRealm() (*Realm, error) {
	r := &Realm{lab: l, dir: l.Path("realm"), Keytab: l.Path("realm", "server.keytab")}
	if err := r.create(); err != nil {
		return nil, fmt.Errorf("cannot create the realm: %w", err)
	}
	kdc, err := r.StartKDC(0)
	if err != nil {
		return nil, err
	}
	r.KDC = kdc
	return r, nil
}

// create makes the database and its principals with Kerberos' own tools. Passwords go
// to their standard input.
func (r *Realm) create() error {
	if err := os.Mkdir(r.dir, 0o700); err != nil {
		return err
	}
	// The tools read the realm from the files that the KDC reads. They ask
	// neither a KDC nor a KCM server ("-" is none).
	if err := r.writeKDCConf(r.path("kdc.conf"), 0, r.path("kdc.log")); err != nil {
		return err
	}
	if err := r.WriteConfig(r.path("krb5.conf"), 0, "-"); err != nil {
		return err
	}
	if err := r.admin("master\nmaster\n", "kdb5_util", "create", "-s"); err != nil {
		return err
	}

	// Real realms require pre-authentication, by which the library also measures
	// the KDC's clock.
	var script strings.Builder
	for _, user := range Users {
		fmt.Fprintf(&script, "addprinc -pw %s +requires_preauth %s\n", Password(user), user)
	}
	fmt.Fprintf(&script, "modprinc -allow_renewable carol\n")
	fmt.Fprintf(&script, "addprinc -randkey %s\n", Service)
	fmt.Fprintf(&script, "ktadd -k %s %s\n", r.Keytab, Service)
	return r.admin(script.String(), "kadmin.local")
}

// AddService adds service principals with random keys.
func (r *Realm) AddService(names ...string) error {
	var script strings.Builder
	for _, name := range names {
		fmt.Fprintf(&script, "addprinc -randkey %s\n", name)
	}
	return r.admin(script.String(), "kadmin.local")
}

// Admin has kadmin.local execute commands on the database.
func (r *Realm) Admin(commands ...string) error {
	return r.admin(strings.Join(commands, "\n")+"\n", "kadmin.local")
}

// admin runs one of Kerberos' tools on the database.
func (r *Realm) admin(input, program string, args ...string) error {
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), r.adminEnv(r.path("kdc.conf"))...)
	cmd.Stdin = strings.NewReader(input)
	out, err := Output(cmd)
	// kadmin.local reports a command that failed in its output only.
	if err == nil && strings.Contains(out, " while ") {
		err = fmt.Errorf("%s: a command failed\n%s", program, out)
	}
	return err
}

func (r *Realm) adminEnv(kdcConf string) []string {
	return []string{
		"KRB5_CONFIG=" + r.path("krb5.conf"),
		"KRB5_KDC_PROFILE=" + kdcConf,
		// kadmin.local opens a cache, which it does not use.
		"KRB5CCNAME=MEMORY:",
		"TZ=UTC",
	}
}

func (r *Realm) path(name string) string { return filepath.Join(r.dir, name) }

// A KDC is a running KDC process.
type KDC struct {
	// Port is its UDP and TCP port on 127.0.0.1.
	Port int

	logPath string
	proc    *process
}

// Stop ends the KDC. StartKDC starts another one, at another port.
func (k *KDC) Stop() { k.proc.kill() }

// PID returns the process id of the KDC.
func (k *KDC) PID() int { return k.proc.cmd.Process.Pid }

// Requests counts the requests that the KDC has answered, by its log: of type AS_REQ or
// TGS_REQ.
func (k *KDC) Requests(of string) (int, error) {
	log, err := os.ReadFile(k.logPath)
	if err != nil {
		return 0, fmt.Errorf("cannot read the KDC's log: %w", err)
	}
	return bytes.Count(log, []byte("(info): "+of+" ")), nil
}

// StartKDC starts a KDC for the realm, with a clock that is ahead by offset, for which
// Faketime must be installed unless it is 0.
func (r *Realm) StartKDC(ahead time.Duration) (*KDC, error) {
	var err error
	// Another process may take the free port before the KDC does: a KDC that ends
	// is started again with another port.
	for range 5 {
		var k *KDC
		if k, err = r.startKDC(ahead); err == nil {
			return k, nil
		}
	}
	return nil, fmt.Errorf("cannot start a KDC: %w", err)
}

func (r *Realm) startKDC(ahead time.Duration) (*KDC, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	name := "kdc-" + strconv.Itoa(port)
	k := &KDC{Port: port, logPath: r.path(name + ".log")}
	conf := r.path(name + ".conf")
	if err := r.writeKDCConf(conf, port, k.logPath); err != nil {
		return nil, err
	}

	cmd := exec.Command("krb5kdc", "-n", "-P", r.path(name+".pid"))
	cmd.Env = append(os.Environ(), r.adminEnv(conf)...)
	if ahead != 0 {
		library := Faketime()
		if library == "" {
			return nil, fmt.Errorf("a KDC with another clock needs faketime, which is not installed")
		}
		cmd.Env = append(cmd.Env,
			"LD_PRELOAD="+library,
			fmt.Sprintf("FAKETIME=%+d", int(ahead.Seconds())))
	}
	p, err := r.lab.background(cmd, r.path(name+".out"))
	if err != nil {
		return nil, err
	}
	if err := p.await(func() bool {
		log, _ := os.ReadFile(k.logPath)
		return bytes.Contains(log, []byte("commencing operation"))
	}); err != nil {
		p.kill()
		return nil, err
	}
	k.proc = p
	return k, nil
}

// StartPasswordServer starts the server of the realm that changes passwords. Clients
// find it by a configuration that is written afterwards.
func (r *Realm) StartPasswordServer() error {
	port, err := freePort()
	if err != nil {
		return err
	}
	adminPort, err := freePort()
	if err != nil {
		return err
	}
	if err := writeFile(r.path("kadm5.acl"), ""); err != nil {
		return err
	}
	conf := r.path("kadmind.conf")
	if err := r.writeKDCConf(conf, r.KDC.Port, r.path("kadmind.log"),
		fmt.Sprintf("kadmind_listen = 127.0.0.1:%d", adminPort),
		fmt.Sprintf("kpasswd_listen = 127.0.0.1:%d", port),
		"acl_file = "+r.path("kadm5.acl")); err != nil {
		return err
	}
	cmd := exec.Command("kadmind", "-nofork", "-P", r.path("kadmind.pid"))
	cmd.Env = append(os.Environ(), r.adminEnv(conf)...)
	p, err := r.lab.background(cmd, r.path("kadmind.out"))
	if err != nil {
		return err
	}
	if err := p.await(func() bool {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			c.Close()
		}
		return err == nil
	}); err != nil {
		p.kill()
		return fmt.Errorf("cannot start kadmind: %w", err)
	}
	r.passwordPort = port
	return nil
}

// TicketsIssued counts the tickets for the service that the KDC has issued to
// clients with a TGT, by its log.
func (k *KDC) TicketsIssued(service string) (int, error) {
	log, err := os.ReadFile(k.logPath)
	if err != nil {
		return 0, fmt.Errorf("cannot read the KDC's log: %w", err)
	}
	n := 0
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, "TGS_REQ") && strings.Contains(line, " ISSUE: ") &&
			strings.Contains(line, " for "+service+"@"+RealmName) {
			n++
		}
	}
	return n, nil
}

// WriteConfig writes a krb5.conf for clients of the KDC on that port and of
// the KCM server at that socket. It serves both libraries: Heimdal's does not
// know some of its keys, and nothing of sockets. Settings are more of [libdefaults].
func (r *Realm) WriteConfig(path string, port int, socket string, settings ...string) error {
	passwords := "# no kpasswd_server"
	if r.passwordPort != 0 {
		passwords = fmt.Sprintf("kpasswd_server = 127.0.0.1:%d", r.passwordPort)
	}
	conf := fmt.Sprintf(`[libdefaults]
	default_realm = %[1]s
	default_ccache_name = KCM:
	default_cc_type = KCM
	kcm_socket = %[2]s
	ticket_lifetime = 8h
	renew_lifetime = 1d
	# Nothing leaves the machine.
	dns_lookup_realm = false
	dns_lookup_kdc = false
	dns_canonicalize_hostname = false
	rdns = false
	%[5]s

[realms]
	%[1]s = {
		kdc = 127.0.0.1:%[3]d
		%[4]s
	}

[domain_realm]
	.kcmd.test = %[1]s
`, RealmName, socket, port, passwords, strings.Join(settings, "\n\t"))
	return writeFile(path, conf)
}

// writeKDCConf writes a kdc.conf, with more settings of the realm.
func (r *Realm) writeKDCConf(path string, port int, log string, settings ...string) error {
	conf := fmt.Sprintf(`[kdcdefaults]
	kdc_listen = 127.0.0.1:%[3]d
	kdc_tcp_listen = 127.0.0.1:%[3]d

[realms]
	%[1]s = {
		database_name = %[2]s/principal
		key_stash_file = %[2]s/stash
		max_life = 10h
		max_renewable_life = 7d
		# One key a principal: making more takes time.
		supported_enctypes = aes256-cts-hmac-sha1-96:normal
		%[5]s
	}

[logging]
	kdc = FILE:%[4]s
	admin_server = FILE:%[2]s/admin.log
`, RealmName, r.dir, port, log, strings.Join(settings, "\n\t\t"))
	return writeFile(path, conf)
}

// writeFile writes a configuration file in one step, so that a client reads
// the old one or the new one.
func writeFile(path, text string) error {
	if err := os.WriteFile(path+".new", []byte(text), 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// freePort returns a port of 127.0.0.1 that is free for UDP and for TCP.
func freePort() (int, error) {
	var err error
	for range 20 {
		var tcp, udp io.Closer
		var l net.Listener
		if l, err = net.Listen("tcp4", "127.0.0.1:0"); err != nil {
			continue
		}
		tcp = l
		port := l.Addr().(*net.TCPAddr).Port
		udp, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
		tcp.Close()
		if err != nil {
			continue
		}
		udp.Close()
		return port, nil
	}
	return 0, fmt.Errorf("cannot find a free port: %w", err)
}
