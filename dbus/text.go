package dbus

import "kcmd.org/kcmd/safetext"

// maxText is the length in bytes at which names are cut. No real one is as long;
// but clients may store names of megabytes, and the bus cuts off a service whose
// messages are too long for it.
const maxText = 1024

// text returns s as every D-Bus library takes it and every terminal may show it,
// cut to maxText.
func text(s string) string { return safetext.Truncate(s, maxText) }
