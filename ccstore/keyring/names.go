package keyring

import (
	"strconv"
	"strings"
)

// A user's KCM names are UID and UID:NAME, where a collection of libkrb5 has a cache of the
// name UID, its first one, and caches NAME. Any other name has a colon before it in the
// kernel.

func (c *collection) uid() string { return strconv.FormatUint(uint64(c.owner.UID), 10) }

// kernelName returns the name in the kernel of a cache.
func (c *collection) kernelName(name string) string {
	rest, ok := strings.CutPrefix(name, c.uid()+":")
	switch {
	case name == c.uid():
		return name
	case !ok || rest == "" || rest == c.uid() || strings.ContainsRune(":.", rune(rest[0])): // the kernel reserves the dot
		return ":" + name
	}
	return rest
}

// storeName returns the name of a cache for the store. It is false for a name that nobody
// gives.
func (c *collection) storeName(kernel string) (string, bool) {
	name, escaped := strings.CutPrefix(kernel, ":")
	if !escaped && kernel != c.uid() {
		name = c.uid() + ":" + kernel
	}
	return name, c.kernelName(name) == kernel
}
