package doctor

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// pam is whether pam_krb5 puts the tickets of logins into kcmd.
func (s *System) pam(p *profile) []Finding {
	module := regexp.MustCompile(`(?m)^[^#\n]*\bpam_krb5\.so\b(.*)$`)
	options, found := "", false
	for _, text := range s.texts("/etc/pam.d/*") {
		for _, line := range module.FindAllStringSubmatch(text, -1) {
			options, found = options+line[1], true
		}
	}
	if !found {
		return nil
	}
	for _, path := range []string{"appdefaults/pam/ccache", "appdefaults/ccache"} {
		if r := p.get(path); r != nil && strings.HasPrefix(r.value, "KCM:") {
			return []Finding{finding("pam_krb5", OK, "pam_krb5 puts the tickets of logins into "+r.value+" ("+r.place+")")}
		}
	}
	if strings.Contains(options, "ccache=KCM:") {
		return []Finding{finding("pam_krb5", OK, "pam_krb5 puts the tickets of logins into KCM: (its options in /etc/pam.d)")}
	}
	return []Finding{finding("pam_krb5", Warning, "pam_krb5 puts the tickets of logins into files below /tmp, and sets KRB5CCNAME").
		write(p.main(), "[appdefaults]", "    pam = {", "        ccache = KCM:%u", "    }")}
}

// sshd is whether sshd writes delegated tickets to files.
func (s *System) sshd() []Finding {
	enabled := regexp.MustCompile(`(?mi)^\s*(GSSAPIAuthentication|KerberosAuthentication)\s+yes\b`)
	for _, text := range s.texts("/etc/ssh/sshd_config", "/etc/ssh/sshd_config.d/*.conf") {
		if found := enabled.FindStringSubmatch(text); found != nil {
			return []Finding{finding("sshd", Note, "sshd has "+found[1]+" yes: a ticket that a client delegates may be in a file below /tmp,"+
				" which KRB5CCNAME of the session names; sshd of Debian has no option for another cache")}
		}
	}
	return nil
}

// texts returns the contents of the files that match the patterns and can be read.
func (s *System) texts(patterns ...string) []string {
	var texts []string
	for _, pattern := range patterns {
		names, err := filepath.Glob(s.path(pattern))
		if err != nil {
			continue
		}
		for _, name := range names {
			if text, err := os.ReadFile(name); err == nil {
				texts = append(texts, string(text))
			}
		}
	}
	return texts
}
