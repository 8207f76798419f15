package doctor

import (
	"context"
	"regexp"
	"strings"
)

// klistForms are the texts in which klist names the default cache, and the type of the
// cache where a text leaves it out.
var klistForms = []struct {
	re     *regexp.Regexp
	prefix string
}{
	{regexp.MustCompile(`Ticket cache: (\S+)`), ""},
	{regexp.MustCompile(`\(filename: ([^)]*)\)`), "FILE:"},
	{regexp.MustCompile(`[Cc]ache keyring '([^']*)'`), "KEYRING:"},
	{regexp.MustCompile(`'((?:KCM|DIR|FILE|MEMORY|API|KEYRING):[^']*)'`), ""},
	{regexp.MustCompile(`\b(KCM:\S*)`), ""},
}

// resolved returns the default cache that libkrb5 resolves, "" if it is unknown.
func (s *System) resolved(ctx context.Context) string {
	text := s.Klist(ctx)
	for _, form := range klistForms {
		if found := form.re.FindStringSubmatch(text); found != nil {
			return form.prefix + found[1]
		}
	}
	return ""
}

// cacheName is whether libkrb5 chooses KCM:, for all programs and for those of this
// shell.
func (s *System) cacheName(ctx context.Context, p *profile) []Finding {
	name, why := s.resolved(ctx), "the default of libkrb5"
	if r := p.get("libdefaults/default_ccache_name"); r != nil {
		why = "default_ccache_name in " + r.place
		if name == "" {
			name = r.value
		}
	}
	f := finding("default_ccache_name", OK, "libkrb5 uses "+name+" ("+why+")")
	if !strings.HasPrefix(name, "KCM:") {
		f.Level = Error
		if name == "" {
			f.Text = "libkrb5's default cache is unknown: klist is not installed, and krb5.conf has no default_ccache_name"
		}
		f = f.write(p.main(), "[libdefaults]", "    default_ccache_name = KCM:")
		if r := p.get("libdefaults/default_ccache_name"); r != nil {
			f.File, _, _ = strings.Cut(r.place, ":")
		}
	}
	findings := []Finding{f}
	if v := s.Getenv("KRB5CCNAME"); v != "" && !strings.HasPrefix(v, "KCM:") {
		findings = append(findings, finding("KRB5CCNAME", Warning, "KRB5CCNAME="+v+" is set here and takes precedence").run("unset KRB5CCNAME"))
	}
	return findings
}
