package doctor

import "path/filepath"

// rivals are other KCM servers: the unit, and the script of Debian's heimdal-kcm.
var rivals = []struct{ unit, pattern string }{
	{"sssd-kcm.socket", "/etc/systemd/system/*.wants/sssd-kcm.socket"},
	{"sssd-kcm.service", "/etc/systemd/system/*.wants/sssd-kcm.service"},
	{"heimdal-kcm.service", "/etc/systemd/system/*.wants/heimdal-kcm.service"},
	{"heimdal-kcm.service", "/etc/rc[2345].d/S??heimdal-kcm"},
}

// units is whether another KCM server starts at boot, and whether kcmd does.
func (s *System) units() []Finding {
	var findings []Finding
	last := ""
	for _, r := range rivals {
		if r.unit != last && s.exists(r.pattern) {
			findings = append(findings, finding("rivals", Warning, r.unit+" starts at boot, for the same socket, which only one can serve").
				run("systemctl disable --now "+r.unit))
			last = r.unit
		}
	}
	installed := s.exists("/usr/lib/systemd/system/kcmd.socket") || s.exists("/lib/systemd/system/kcmd.socket")
	if !s.Session && installed && !s.exists("/etc/systemd/system/*.wants/kcmd.socket") {
		findings = append(findings, finding("boot", Warning, "kcmd does not start at boot").run("systemctl enable kcmd.socket"))
	}
	return findings
}

// exists reports whether a file matches the pattern.
func (s *System) exists(pattern string) bool {
	found, err := filepath.Glob(s.path(pattern))
	return err == nil && len(found) > 0
}
