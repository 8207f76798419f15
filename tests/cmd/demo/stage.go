package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"kcmd.org/kcmd/tests/lab"
)

// patience is how long something that takes milliseconds may take.
const patience = time.Minute

// A stage is where the story happens. Its methods do a step and print it; the
// first step that fails ends the story, and the later ones do nothing.
type stage struct {
	lab      *lab.Lab
	daemon   *lab.Daemon
	bus      *lab.Bus
	krb5conf string
	monitor  *lab.Monitor
	heard    int // how much of the monitor's output has been printed
	err      error
}

// setUp prepares everything but starts no kcmd.
func setUp(l *lab.Lab, kcmd string) (*stage, error) {
	realm, err := l.NewRealm()
	if err != nil {
		return nil, err
	}
	bus, err := l.NewBus(lab.SessionBus, "")
	if err != nil {
		return nil, err
	}
	s := &stage{lab: l, daemon: l.NewDaemon(kcmd), bus: bus, krb5conf: l.Path("krb5.conf")}
	s.daemon.Bus = bus
	return s, realm.WriteConfig(s.krb5conf, realm.KDC.Port, s.daemon.Socket)
}

// say prints an explanation.
func (s *stage) say(text string) {
	if s.err == nil {
		fmt.Printf("\n# %s\n", text)
	}
}

// run runs a command as a user would type it, and prints it and its output.
// It has to succeed.
func (s *stage) run(line string) {
	if s.err != nil {
		return
	}
	fmt.Println("$ " + line)
	out, err := s.command(line)
	fmt.Print(out)
	if err != nil {
		s.err = fmt.Errorf("%s: %w", line, err)
	}
}

// fails is run for a command that has to fail.
func (s *stage) fails(line string) {
	if s.err != nil {
		return
	}
	fmt.Println("$ " + line)
	out, err := s.command(line)
	fmt.Print(out)
	var exit *exec.ExitError
	switch {
	case err == nil:
		s.err = fmt.Errorf("%s: it should fail, and did not", line)
	case !errors.As(err, &exit):
		s.err = fmt.Errorf("%s: %w", line, err)
	default:
		fmt.Printf("[%v]\n", exit)
	}
}

// until is run for a command that has to print something which the bus may
// take a moment to bring.
func (s *stage) until(pattern, line string) {
	if s.err != nil {
		return
	}
	s.wait(line, pattern, func() string {
		out, _ := s.command(line)
		return out
	})
	s.run(line)
}

// command runs a command with its output as one text. kinit reads the
// password of the user that is named last.
func (s *stage) command(line string) (string, error) {
	cmd := exec.Command("sh", "-c", line)
	cmd.Env = s.env()
	words := strings.Fields(line)
	if words[0] == "kinit" {
		cmd.Stdin = strings.NewReader(lab.Password(words[len(words)-1]) + "\n")
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := lab.Run(cmd)
	text := out.String()
	// Nobody has pressed return after the password.
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return text, err
}

func (s *stage) env() []string {
	return append(s.daemon.ClientEnv(s.krb5conf), "TERM="+os.Getenv("TERM"))
}

// startDaemon starts kcmd in the background.
func (s *stage) startDaemon() {
	if s.err != nil {
		return
	}
	fmt.Printf("$ kcmd %s &\n", strings.Join(s.daemon.Args(), " "))
	s.err = s.daemon.Start()
}

// stopDaemon ends kcmd.
func (s *stage) stopDaemon() {
	if s.err != nil {
		return
	}
	fmt.Printf("$ kill %d   # kcmd\n", s.daemon.PID())
	s.err = s.daemon.Stop()
}

// listen starts a monitor of the bus in the background.
func (s *stage) listen() {
	if s.err != nil {
		return
	}
	fmt.Printf("$ gdbus monitor --session --dest %s &\n", lab.BusName)
	if s.monitor, s.err = s.bus.NewMonitor("story", uint32(os.Getuid())); s.err != nil {
		return
	}
	s.hear("is owned by")
}

// hear waits until the monitor has printed something new that matches, and
// then nothing more for a moment, and prints all that is new.
func (s *stage) hear(pattern string) {
	if s.err != nil {
		return
	}
	s.wait("gdbus monitor", pattern, func() string { return s.monitor.Output()[s.heard:] })
	out := s.monitor.Output()
	for quiet := ""; out != quiet; out = s.monitor.Output() {
		quiet = out
		time.Sleep(150 * time.Millisecond)
	}
	fmt.Print(out[s.heard:])
	s.heard = len(out)
}

// wait polls until text matches as a whole line at least.
func (s *stage) wait(what, pattern string, text func() string) {
	re := regexp.MustCompile("(?m)" + pattern + ".*\n")
	deadline := time.Now().Add(patience)
	for {
		got := text()
		if re.MatchString(got) {
			return
		}
		if time.Now().After(deadline) {
			s.err = fmt.Errorf("%s: no match for %q within %v in\n%s", what, pattern, patience, got)
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}
