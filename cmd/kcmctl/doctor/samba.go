package doctor

// samba is whether Samba's programs are there with a Heimdal of their own, as Debian has
// it. It knows FILE, KEYRING and MEMORY, and takes KCM: for the name of a file.
func (s *System) samba() []Finding {
	if !s.exists("/usr/lib/*/samba/libkrb5-samba4.so*") && !s.exists("/usr/lib*/samba/libkrb5-samba4.so*") &&
		!s.exists("/usr/lib/*/samba/libkrb5*.so.26*") {
		return nil
	}
	return []Finding{finding("samba", Note, "Samba's programs (smbclient, file managers) have a Kerberos library of their own, "+
		"which cannot read KCM:; for them, copy the tickets with kcmctl export FILE:PATH and set KRB5CCNAME=FILE:PATH")}
}
