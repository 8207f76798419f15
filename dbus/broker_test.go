package dbus

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	godbus "github.com/godbus/dbus/v5"
)

// startNewBroker returns the address of a relay to bus that does what
// dbus-broker does from version 37 on: it adds a file descriptor of the process
// to the answer to GetConnectionCredentials, and ends a connection that has not
// negotiated file descriptors instead of answering it.
func startNewBroker(t *testing.T, bus *testBus) (address string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bus")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("unix", socketOf(bus.address))
			if err != nil {
				client.Close()
				continue
			}
			go func() {
				io.Copy(client, server)
				client.Close()
			}()
			go func() {
				relayCalls(server, bufio.NewReader(client))
				server.Close()
			}()
		}
	}()
	return "unix:path=" + path
}

// relayCalls relays what a client sends until it asks for a file descriptor
// without having negotiated any.
func relayCalls(to io.Writer, from *bufio.Reader) {
	negotiated := false
	for {
		line, err := from.ReadString('\n')
		if err != nil {
			return
		}
		io.WriteString(to, line)
		negotiated = negotiated || strings.Contains(line, "NEGOTIATE_UNIX_FD")
		if line == "BEGIN\r\n" {
			break
		}
	}
	for {
		var frame bytes.Buffer
		msg, err := godbus.DecodeMessage(io.TeeReader(from, &frame))
		if err != nil {
			return
		}
		if headerOf(msg, godbus.FieldMember) == "GetConnectionCredentials" && !negotiated {
			return
		}
		to.Write(frame.Bytes())
	}
}

// TestNewBroker: a bus that hands out file descriptors serves calls, and finds
// the connections of a process.
func TestNewBroker(t *testing.T) {
	bus := startBus(t, "system")
	startService(t, newStore(t), Config{Address: startNewBroker(t, bus), Level: func(string) (string, error) { return "s0", nil }})
	c := bus.connect(t)
	if got := len(must[objects](c, rootPath, managedObjects)); got != 1 {
		t.Errorf("%d objects, want the caller's collection", got)
	}
	none := map[string]godbus.Variant{}
	if n := must[uint32](c, rootPath, "Manager.SubscribeProcess", uint32(os.Getpid()), none); n == 0 {
		t.Error("SubscribeProcess found no connection")
	}
}
