package doctor

import (
	"context"
	"path/filepath"
)

// Levels of findings.
const (
	OK      = "ok"
	Note    = "note"    // worth knowing
	Warning = "warning" // some tickets are elsewhere, or will be
	Error   = "error"   // the programs of the user do not use kcmd
)

// A Finding is the result of a check. Its JSON form is stable.
type Finding struct {
	Check string   `json:"check"` // its name
	Level string   `json:"level"`
	Text  string   `json:"text"`
	File  string   `json:"file"`  // where to write the lines
	Lines []string `json:"lines"` // what to write; without a file: commands to run
}

// A System is what is examined.
type System struct {
	Root     string // before the paths of files, "" for the machine itself
	Getenv   func(name string) string
	Klist    func(ctx context.Context) string                         // what klist prints without KRB5CCNAME
	Listener func(ctx context.Context, path string) (Listener, error) // asks the server at a socket
	Session  bool                                                     // kcmd is of a session
	Socket   string                                                   // of kcmd, "" if it is not on the bus
	Features []string                                                 // of kcmd
	Strays   map[uint32]int                                           // caches of uids without an account
}

// A Listener is the process that made a socket.
type Listener struct {
	PID  int32
	Name string
}

// Examine makes all checks.
func Examine(ctx context.Context, s *System) []Finding {
	conf := s.readProfile()
	findings := []Finding{s.onBus()}
	findings = append(findings, s.cacheName(ctx, conf)...)
	findings = append(findings, s.directory(conf)...)
	findings = append(findings, s.server(ctx, conf))
	findings = append(findings, s.units()...)
	findings = append(findings, s.pam(conf)...)
	findings = append(findings, s.sshd()...)
	findings = append(findings, s.samba()...)
	findings = append(findings, s.kdc()...)
	return append(findings, s.accounts()...)
}

// Broken reports whether a finding says that kcmd is not used.
func Broken(findings []Finding) bool {
	for _, f := range findings {
		if f.Level == Error {
			return true
		}
	}
	return false
}

func finding(check, level, text string) Finding {
	return Finding{Check: check, Level: level, Text: text, Lines: []string{}}
}

// write adds lines for a file.
func (f Finding) write(file string, lines ...string) Finding {
	f.File, f.Lines = file, lines
	return f
}

// run adds commands.
func (f Finding) run(commands ...string) Finding {
	f.Lines = commands
	return f
}

// path returns the place of a file of the examined system.
func (s *System) path(name string) string { return filepath.Join("/", s.Root, name) }

// onBus is whether kcmd is on the bus.
func (s *System) onBus() Finding {
	if s.Socket == "" {
		return finding("bus", Error, "kcmd is not on the bus").run("systemctl enable --now kcmd.socket", "systemctl start kcmd.service")
	}
	return finding("bus", OK, "kcmd is on the bus, and its socket is "+s.Socket)
}

// kdc is whether kcmd can renew tickets.
func (s *System) kdc() []Finding {
	if s.Socket == "" || len(s.Features) > 0 {
		return nil
	}
	return []Finding{finding("kdc", Note, "kcmd has no way to a KDC, and renews no tickets; see kdc_helper in kcmd(8)").
		run("systemctl enable --now kcmd-kdc.socket")}
}
