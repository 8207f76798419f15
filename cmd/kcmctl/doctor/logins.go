package doctor

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// pam is whether pam_krb5 puts the tickets of logins into kcmd, and leaves them there.
func (s *System) pam(p *profile) []Finding {
	module := regexp.MustCompile(`(?m)^[^#\n]*\bpam_krb5\.so\b(.*)$`)
	options, found := "", false
	for _, text := range s.texts("/etc/pam.d/*") {
		for _, line := range module.FindAllStringSubmatch(text, -1) {
			options, found = options+line[1]+" ", true
		}
	}
	if !found {
		return nil
	}
	cache, place := pamOption(p, options, "ccache")
	retain, _ := pamOption(p, options, "retain_after_close")
	switch {
	case !strings.HasPrefix(cache, "KCM:"):
		return []Finding{finding("pam_krb5", Warning, "pam_krb5 puts the tickets of logins into files below /tmp, and sets KRB5CCNAME").
			write(p.main(), "[appdefaults]", "    pam = {", "        ccache = KCM:%u", "        retain_after_close = true", "    }")}
	case !isTrue(retain) && !strings.HasSuffix(cache, "XXXXXX") && !strings.Contains(cache, "%p"):
		return []Finding{finding("pam_krb5", Warning, "pam_krb5 puts the tickets of logins into "+cache+" ("+place+"), and destroys that cache at the end of"+
			" each login with a password, also of su and sudo, whoever uses it").
			write(p.main(), "[appdefaults]", "    pam = {", "        retain_after_close = true", "    }")}
	}
	return []Finding{finding("pam_krb5", OK, "pam_krb5 puts the tickets of logins into "+cache+" ("+place+")")}
}

// pamOption returns the value of an option of pam_krb5 and where it is: in the options
// of the module, or in krb5.conf.
func pamOption(p *profile, options, name string) (value, place string) {
	for word := range strings.FieldsSeq(options) {
		if key, value, given := strings.Cut(word, "="); key == name {
			if !given {
				value = "true"
			}
			return value, "in /etc/pam.d"
		}
	}
	for _, path := range []string{"appdefaults/pam/" + name, "appdefaults/" + name} {
		if r := p.get(path); r != nil {
			return r.value, r.place
		}
	}
	return "", ""
}

// isTrue reports what krb5_appdefault_boolean makes of a value.
func isTrue(value string) bool {
	return slices.Contains([]string{"y", "yes", "true", "t", "1", "on"}, strings.ToLower(value))
}

// sshd is whether sshd writes delegated tickets to files.
func (s *System) sshd() []Finding {
	enabled := regexp.MustCompile(`(?mi)^\s*(GSSAPIAuthentication|KerberosAuthentication)\s+yes\b`)
	adopted := regexp.MustCompile(`(?m)^[^#\n]*\bkcmctl adopt\b`)
	for _, text := range s.texts("/etc/ssh/sshd_config", "/etc/ssh/sshd_config.d/*.conf") {
		found := enabled.FindStringSubmatch(text)
		if found == nil {
			continue
		}
		if slices.ContainsFunc(s.texts("/etc/pam.d/sshd"), adopted.MatchString) {
			return []Finding{finding("sshd", OK, "kcmctl takes the tickets that clients delegate to sshd (/etc/pam.d/sshd)")}
		}
		return []Finding{finding("sshd", Note, "sshd has "+found[1]+" yes: a ticket that a client delegates may be in a file below /tmp,"+
			" which KRB5CCNAME of the session names; sshd of Debian has no option for another cache, but kcmctl adopt can take the ticket: see docs/logins.md")}
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
