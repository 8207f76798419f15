package doctor

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// systemProfile is the file that libkrb5 reads without KRB5_CONFIG.
const systemProfile = "/etc/krb5.conf"

// A relation is a "name = value" of krb5.conf.
type relation struct {
	path  string // "libdefaults/kcm_socket"
	value string
	place string // file:line
}

// A profile is krb5.conf with what it includes, in the order in which libkrb5 reads it.
type profile struct {
	files     []string // those of KRB5_CONFIG that exist
	relations []relation
	included  []string // directories of includedir
	skipped   []string // files in them that libkrb5 does not read
}

// get returns the relation that libkrb5 takes: the first.
func (p *profile) get(path string) *relation {
	for i := range p.relations {
		if p.relations[i].path == path {
			return &p.relations[i]
		}
	}
	return nil
}

// main is the file to write to.
func (p *profile) main() string {
	if len(p.files) > 0 {
		return p.files[0]
	}
	return systemProfile
}

// readProfile reads the files of KRB5_CONFIG, or /etc/krb5.conf.
func (s *System) readProfile() *profile {
	p := new(profile)
	names := s.Getenv("KRB5_CONFIG")
	if names == "" {
		names = systemProfile
	}
	for name := range strings.SplitSeq(names, ":") {
		if name != "" && s.read(p, name, 0) {
			p.files = append(p.files, name)
		}
	}
	return p
}

// maxDepth bounds files that include each other.
const maxDepth = 16

// read reads a file, and reports whether it could.
func (s *System) read(p *profile, file string, depth int) bool {
	f, err := os.Open(s.path(file))
	if err != nil {
		return false
	}
	defer f.Close()
	var sections []string // the section, and the braces that are open
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		directive, value, _ := strings.Cut(line, " ")
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
		case directive == "include" && depth < maxDepth:
			s.read(p, strings.TrimSpace(value), depth+1)
		case directive == "includedir" && depth < maxDepth:
			s.readDirectory(p, strings.TrimSpace(value), depth+1)
		case line[0] == '[':
			sections = []string{strings.Trim(line, "[]*")}
		case line[0] == '}':
			sections = sections[:max(len(sections)-1, 0)]
		default:
			name, value, _ := strings.Cut(line, "=")
			name, value = strings.TrimRight(strings.TrimSpace(name), "*"), strings.TrimSpace(value)
			if value == "{" {
				sections = append(sections, name)
				continue
			}
			path := strings.Join(append(slices.Clone(sections), name), "/")
			p.relations = append(p.relations, relation{path, strings.Trim(value, `"`), fmt.Sprintf("%s:%d", file, n)})
		}
	}
	return true
}

// goodName are the names of files that includedir reads (krb5.conf(5)).
var goodName = regexp.MustCompile(`^([A-Za-z0-9_-]+|[^.].*\.conf)$`)

func (s *System) readDirectory(p *profile, name string, depth int) {
	p.included = append(p.included, filepath.Clean(name))
	entries, err := os.ReadDir(s.path(name))
	if err != nil {
		return
	}
	for _, e := range entries {
		file := filepath.Join(name, e.Name())
		if goodName.MatchString(e.Name()) {
			s.read(p, file, depth)
		} else {
			p.skipped = append(p.skipped, file)
		}
	}
}

// directory is whether the files in /etc/krb5.conf.d are read.
func (s *System) directory(p *profile) []Finding {
	const directory = "/etc/krb5.conf.d"
	var findings []Finding
	entries, err := os.ReadDir(s.path(directory))
	if err == nil && len(entries) > 0 && !slices.Contains(p.included, directory) {
		findings = append(findings, finding("includedir", Warning, "krb5.conf does not include "+directory+", so that the files there have no effect").
			write(p.main(), "includedir "+directory))
	}
	for _, file := range p.skipped {
		findings = append(findings, finding("includedir", Note, "libkrb5 does not read "+file+": its name does not end in .conf"))
	}
	return findings
}
