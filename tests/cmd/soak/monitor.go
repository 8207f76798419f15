package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"kcmd.org/kcmd/tests/lab"
)

// Objects and interfaces on the bus.
const (
	managerPath      = "/org/kcmd/KCM1"
	managerInterface = lab.BusName + ".Manager"
	cacheInterface   = lab.BusName + ".Cache"
)

// A monitor is a gdbus monitor that is subscribed to the daemon's signals. Its
// output is read as it comes and not kept.
type monitor struct {
	cmd     *exec.Cmd
	signals chan string   // a line each
	gone    chan struct{} // closed when there is no more output
}

// busCommand returns a command for a client of the bus, run as a user.
func (s *stage) busCommand(uid int, program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/", "LC_ALL=C.UTF-8", "TZ=UTC", s.bus.Env()}
	lab.As(cmd, uint32(uid))
	return cmd
}

// newMonitor starts a monitor as a user. If there is no error, somebody has to
// read its signals, and to stop it.
func (s *stage) newMonitor(uid int) (_ *monitor, err error) {
	m := &monitor{signals: make(chan string), gone: make(chan struct{})}
	m.cmd = s.busCommand(uid, "gdbus", "monitor", "--system", "--dest", lab.BusName)
	out, err := m.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := lab.Start(m.cmd); err != nil {
		return nil, err
	}
	s.tally.programs.Add(1)
	listening := make(chan struct{})
	go m.read(bufio.NewScanner(out), listening)
	defer func() {
		if err != nil {
			m.stop()
		}
	}()
	select {
	case <-listening:
	case <-m.gone:
		return nil, fmt.Errorf("%s has ended", m.cmd)
	case <-time.After(patience):
		return nil, fmt.Errorf("%s does not listen after %v", m.cmd, patience)
	}
	// A monitor asks for nothing by itself.
	pid := strconv.Itoa(m.cmd.Process.Pid)
	_, err = s.run(s.busCommand(uid, "gdbus", "call", "--system", "--dest", lab.BusName,
		"--object-path", managerPath, "--method", managerInterface+".SubscribeProcess", pid, "{}"))
	return m, err
}

// read passes the signals on. Before them the monitor says that it listens.
func (m *monitor) read(lines *bufio.Scanner, listening chan struct{}) {
	defer close(m.gone)
	defer close(m.signals)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		text := lines.Text()
		switch {
		case strings.HasPrefix(text, managerPath):
			m.signals <- text
		case listening != nil && strings.Contains(text, "is owned by"):
			close(listening)
			listening = nil
		}
	}
}

// stop ends the monitor.
func (m *monitor) stop() {
	_ = m.cmd.Process.Kill()
	for range m.signals {
	}
	<-m.gone
	_ = m.cmd.Wait() // it was killed
}
