package view

import "kcmd.org/kcmd/safetext"

// MaxText is the length in bytes at which names are cut. No real one is as long;
// but clients may store names of megabytes, and the bus disconnects a service
// whose messages are too long for it.
const MaxText = 1024

// Text returns s as every D-Bus library accepts it and every terminal may show
// it, cut to MaxText.
func Text(s string) string { return safetext.Truncate(s, MaxText) }
