package view

import (
	"strconv"
)

// passwordExpires is the configuration entry of kcmd's own in which lifecycle notes when
// the password of the client expires (kdc.PasswordExpires).
const passwordExpires = "kcmd_password_expires"

// addOrigin adds the properties about how the TGT was got, which libkrb5 notes in
// configuration entries.
func (c Cache) addOrigin(p map[string]any) {
	p["PreauthType"], p["RefreshTime"], p["Impersonator"] = int32(0), int64(0), ""
	p["PasswordExpires"] = c.number(64, passwordExpires)
	if tgt := c.TGT(); tgt != nil {
		p["PreauthType"] = int32(c.number(32, "pa_type", tgt.Server.String()))
	}
	p["RefreshTime"] = c.number(64, "refresh_time")
	if name, ok := c.Setting("proxy_impersonator"); ok {
		p["Impersonator"] = Text(string(name[:min(len(name), 2*MaxText)]))
	}
}

// number returns the value of a configuration entry, 0 if it is no number.
func (c Cache) number(bits int, name string, about ...string) int64 {
	value, _ := c.Setting(name, about...)
	n, err := strconv.ParseInt(string(value[:min(len(value), 32)]), 10, bits)
	if err != nil || n < 0 {
		return 0
	}
	return n
}
