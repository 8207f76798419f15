package lab

import (
	"bufio"
	"os"
	"os/exec"
	"strconv"
	"testing"
)

// A Network is a network namespace, in which no interface is up at first.
type Network struct {
	Path  string   // of the namespace
	Enter []string // a command that runs another one in it
}

// NewNetwork returns a network namespace until the test ends. The test is skipped where
// none can be made.
func NewNetwork(t *testing.T) *Network {
	t.Helper()
	Need(t, "unshare", "nsenter", "ip")
	if os.Getuid() != 0 {
		t.Skip("only root can make network namespaces")
	}
	holder := exec.Command("unshare", "--net", "--", "sh", "-c", "echo; exec cat") // until its input ends
	in, err := holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = holder.Wait()
	})
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Skip("cannot make network namespaces here")
	}
	path := "/proc/" + strconv.Itoa(holder.Process.Pid) + "/ns/net"
	return &Network{Path: path, Enter: []string{"nsenter", "--net=" + path, "--"}}
}

// IP runs ip(8) in the namespace.
func (n *Network) IP(t *testing.T, args ...string) {
	t.Helper()
	args = append(append(n.Enter[1:len(n.Enter):len(n.Enter)], "ip"), args...)
	if out, err := exec.Command(n.Enter[0], args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %v: %v\n%s", args, err, out)
	}
}
