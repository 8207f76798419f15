package userns_test

import (
	"os"
	"os/exec"
	"syscall"
	"testing"

	"kcmd.org/kcmd/userns"
)

// TestOverflowUID asks the kernel: in a user namespace without a mapping every
// process has the overflow uid.
func TestOverflowUID(t *testing.T) {
	if os.Getenv("KCMD_USERNS_TEST") != "" {
		if uid := os.Getuid(); uint32(uid) != userns.OverflowUID() {
			t.Errorf("the kernel shows %d, want %d", uid, userns.OverflowUID())
		}
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestOverflowUID$")
	cmd.Env = append(os.Environ(), "KCMD_USERNS_TEST=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER}
	out, err := cmd.CombinedOutput()
	if cmd.Process == nil {
		t.Skipf("user namespaces cannot be made here: %v", err)
	}
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
