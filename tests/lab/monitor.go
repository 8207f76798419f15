package lab

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
)

// BusName is the name that kcmd has on a bus.
const BusName = "org.kcmd.KCM1"

// A Monitor is a running "gdbus monitor" on the signals of kcmd, or another program
// whose output is read while it runs.
type Monitor struct {
	proc *process
	path string
}

// NewMonitor starts a monitor as the user uid, and waits until it listens. On a
// system bus it also subscribes the monitor: kcmd sends signals to subscribers only.
func (b *Bus) NewMonitor(name string, uid uint32) (*Monitor, error) {
	m := &Monitor{path: b.lab.Path("monitor-" + name)}
	cmd := b.client(uid, "gdbus", "monitor", "--"+string(b.Type), "--dest", BusName)
	p, err := b.lab.background(cmd, m.path)
	if err != nil {
		return nil, fmt.Errorf("cannot start gdbus monitor: %w", err)
	}
	m.proc = p
	// It asks for the signals before it asks who owns the name.
	if err := p.await(func() bool {
		return bytes.Contains([]byte(m.Output()), []byte("is owned by"))
	}); err != nil {
		return nil, fmt.Errorf("cannot start gdbus monitor: %w", err)
	}
	if b.Type == SessionBus {
		return m, nil
	}

	cmd = b.client(uid, "gdbus", "call", "--system", "--dest", BusName,
		"--object-path", "/org/kcmd/KCM1", "--method", "org.kcmd.KCM1.Manager.SubscribeProcess",
		// With types, or gdbus guesses them if the introspection fails.
		fmt.Sprintf("uint32 %d", p.PID()), "@a{sv} {}")
	if _, err := Output(cmd); err != nil {
		return nil, fmt.Errorf("cannot subscribe the monitor: %w", err)
	}
	return m, nil
}

// Follow starts a program in the background.
func (l *Lab) Follow(name string, cmd *exec.Cmd) (*Monitor, error) {
	m := &Monitor{path: l.Path("monitor-" + name)}
	var err error
	m.proc, err = l.background(cmd, m.path)
	return m, err
}

// client returns a command that finds the bus, to be run as the user uid.
func (b *Bus) client(uid uint32, program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/", "LC_ALL=C.UTF-8", "TZ=UTC", b.Env()}
	if int(uid) != os.Getuid() {
		As(cmd, uid)
	}
	return cmd
}

// Output returns what the monitor has printed so far.
func (m *Monitor) Output() string {
	b, _ := os.ReadFile(m.path)
	return string(b)
}

// Stop ends the monitor.
func (m *Monitor) Stop() {
	m.proc.kill()
}
