package doctor

import "strings"

// samba is whether Samba's programs, which have a Heimdal of their own, are told the
// name of the cache: Heimdal reads default_cc_name, and only late versions of it
// default_ccache_name as well.
func (s *System) samba(p *profile) []Finding {
	if !s.exists("/usr/lib/*/samba/libkrb5-samba4.so*") && !s.exists("/usr/lib*/samba/libkrb5-samba4.so*") &&
		!s.exists("/usr/lib/*/samba/libkrb5*.so.26*") {
		return nil
	}
	if r := p.get("libdefaults/default_cc_name"); r != nil && strings.HasPrefix(r.value, "KCM:") {
		return nil
	}
	return []Finding{finding("samba", Note, "Samba's programs have a Kerberos library of their own, Heimdal, which has another name for the option").
		write(p.main(), "[libdefaults]", "    default_cc_name = KCM:")}
}
