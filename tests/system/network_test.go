package system

import (
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/tests/lab"
)

// TestNetworkComesBack starts kcmd without a network, so that it cannot get a ticket with
// a keytab. When the network is back, kcmd gets it at once, not after the pause.
func TestNetworkComesBack(t *testing.T) {
	t.Parallel()
	n := network{lab.NewNetwork(t)}
	w := newStoppedWorld(t, "network")
	n.IP(t, "link", "set", "lo", "up")
	n.forward(t, w.kdc.Port)
	n.IP(t, "link", "set", "lo", "down")
	config := w.lab.Path("kcmd.toml")
	keep := fmt.Sprintf("[[keep]]\nprincipal = %q\nkeytab = %q\nowner = %d\n", lab.Service, w.realm.Keytab, os.Getuid())
	if err := os.WriteFile(config, []byte(keep), 0o600); err != nil {
		t.Fatal(err)
	}
	w.daemon.Through = n.Enter
	if err := w.daemon.Start("--config", config); err != nil {
		t.Fatal(err)
	}
	logged := func(text string) func() bool {
		return func() bool { return strings.Contains(w.daemon.Log(), text) }
	}
	waitFor(t, "the watch after a failure", logged("watching the routes"))
	if logged("got a ticket")() {
		t.Fatal("there is a ticket without a network")
	}
	began := time.Now()
	n.IP(t, "link", "set", "lo", "up")
	waitFor(t, "a ticket", logged("got a ticket"))
	if !logged("the routes of the machine have changed")() {
		t.Errorf("there is a ticket after %v, for another reason than the network", time.Since(began))
	}
	if o := w.tell("KCM:", "klist", "-s"); o.Err != nil {
		t.Error(o)
	}
}

type network struct{ *lab.Network }

// forward forwards a port of the namespace to that of this machine.
func (n network) forward(t *testing.T, port int) {
	t.Helper()
	address := "127.0.0.1:" + strconv.Itoa(port)
	made := make(chan error)
	var l net.Listener
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its namespace
		ns, err := os.Open(n.Path)
		if err == nil {
			err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET)
			ns.Close()
		}
		if err == nil {
			l, err = net.Listen("tcp4", address)
		}
		made <- err
	}()
	if err := <-made; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for from, err := l.Accept(); err == nil; from, err = l.Accept() {
			go func() {
				defer from.Close()
				to, err := net.DialTimeout("tcp4", address, time.Minute)
				if err != nil {
					return
				}
				defer to.Close()
				go func() { _, _ = io.Copy(to, from); _ = to.(*net.TCPConn).CloseWrite() }()
				_, _ = io.Copy(from, to)
			}()
		}
	}()
}
