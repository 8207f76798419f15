package system

import (
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"kcmd.org/kcmd/tests/lab"
)

// TestHook runs the script of docs/hooks.md, which runs a command when a ticket is renewed
// or about to expire, also by the next kcmd. It leaves no gdbus behind. A scenario of
// tests/boot runs it in its unit.
func TestHook(t *testing.T) {
	t.Parallel()
	lab.Need(t, append([]string{"bash"}, lab.BusPrograms...)...)
	w := newStoppedWorld(t, "hook")
	bus, err := w.lab.NewBus(lab.SessionBus, "")
	if err != nil {
		t.Fatal(err)
	}
	w.daemon.Bus = bus
	if err := w.daemon.Start("--renew", "no"); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/hooks.md")
	if err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	for line := range strings.Lines(string(page)) {
		if text, ok := strings.CutPrefix(line, "    "); ok {
			script.WriteString(text)
		} else if script.Len() > 0 {
			break
		}
	}
	out, err := os.Create(w.lab.Path("events"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	hook := exec.Command("bash", "-c", script.String(), "kcmd-hook", "echo")
	hook.Env = append(w.env(), "KCMD_HOOK_BUS=--session")
	hook.Stdout, hook.Stderr = out, out
	hook.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := hook.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- hook.Wait() }()
	t.Cleanup(func() { _ = syscall.Kill(-hook.Process.Pid, syscall.SIGKILL) }) // if it did not end

	seen := func(event string) func() bool {
		re := regexp.MustCompile(`(?m)^` + event + ` /org/kcmd/KCM1/user/\d+/cache/[0-9a-f]{32}$`)
		return func() bool {
			b, _ := os.ReadFile(out.Name())
			return re.Match(b)
		}
	}
	w.mustRun(t, "kinit", "-l", "1h", "-r", "1d", "alice")
	waitFor(t, "the event of a renewal", func() bool {
		w.renewOnBus(t)
		return seen("renewed")()
	})
	w.mustRun(t, "kinit", "-l", "3s", "alice")
	waitFor(t, "the event of an expired ticket", seen("expired"))

	var gdbus int
	for _, pid := range children(hook.Process.Pid) {
		if name, _ := os.ReadFile("/proc/" + pid + "/comm"); string(name) == "gdbus\n" {
			gdbus, _ = strconv.Atoi(pid)
		}
	}
	if gdbus == 0 {
		t.Error("gdbus is no child of the hook")
	}
	if err := syscall.Kill(hook.Process.Pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatal("the hook does not end")
	}
	waitFor(t, "the end of gdbus", func() bool { return syscall.Kill(gdbus, 0) != nil })
}

// renewOnBus has D-Bus renew the ticket of alice.
func (w *world) renewOnBus(t *testing.T) {
	t.Helper()
	o := w.tell("KCM:", "busctl", "--user", "call", "org.kcmd.KCM1", "/org/kcmd/KCM1", "org.kcmd.KCM1.Manager", "FindCaches", "s", "alice")
	path := regexp.MustCompile(`"(/org/[^"]*)"`).FindStringSubmatch(o.Stdout)
	if path == nil {
		t.Fatalf("FindCaches: %v", o)
	}
	if o := w.tell("KCM:", "busctl", "--user", "call", "org.kcmd.KCM1", path[1], "org.kcmd.KCM1.Cache", "Renew", "a{sv}", "0"); o.Err != nil {
		t.Errorf("Renew: %v", o)
	}
}

// children returns the processes whose parent is pid.
func children(pid int) (list []string) {
	tasks, _ := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/task")
	for _, task := range tasks {
		b, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/task/" + task.Name() + "/children")
		list = append(list, strings.Fields(string(b))...)
	}
	return list
}
