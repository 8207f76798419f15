package cckeyring

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// An Anchor says below which keyring a collection is.
type Anchor string

// The anchors of libkrb5. Legacy is that of a name without an anchor.
const (
	Persistent Anchor = "persistent" // of a user; lasts for days after its last use
	User       Anchor = "user"       // of a user; lasts as long as the user has processes
	Session    Anchor = "session"    // of a login
	Process    Anchor = "process"
	Thread     Anchor = "thread"
	Legacy     Anchor = "legacy" // as Session
)

// A Name is the name of a collection, or of one cache in it: what follows "KEYRING:".
type Name struct {
	Anchor     Anchor
	Collection string // of Persistent: a uid
	Subsidiary string // the name of a cache, "" for all of them
}

// ParseName parses a name. That of a persistent collection gets the effective uid if it
// has none.
func ParseName(s string) (Name, error) {
	anchor, rest, found := strings.Cut(s, ":")
	if !found {
		anchor, rest = string(Legacy), s
	}
	n := Name{Anchor: Anchor(anchor)}
	n.Collection, n.Subsidiary, _ = strings.Cut(rest, ":")
	switch n.Anchor {
	case User, Session, Process, Thread, Legacy:
	case Persistent:
		if n.Collection == "" {
			n.Collection = strconv.Itoa(os.Geteuid())
		}
		if _, err := strconv.ParseUint(n.Collection, 10, 31); err != nil {
			return n, fmt.Errorf("KEYRING:%s is not allowed; allowed: KEYRING:persistent:UID", s)
		}
	default:
		return n, fmt.Errorf("KEYRING:%s is not allowed; allowed: KEYRING: with persistent:UID, user:NAME, session:NAME, process:NAME, thread:NAME or NAME", s)
	}
	if strings.ContainsRune(s, 0) {
		return n, fmt.Errorf("KEYRING:%q has a NUL", s)
	}
	return n, nil
}

// String returns the name as KRB5CCNAME has it.
func (n Name) String() string {
	s := n.Collection
	if n.Anchor != Legacy || n.Subsidiary != "" {
		s = string(n.Anchor) + ":" + s
	}
	if n.Subsidiary != "" {
		s += ":" + n.Subsidiary
	}
	return "KEYRING:" + s
}

// Initial returns the name of the first cache of the collection.
func (n Name) Initial() string {
	if n.Collection == "" {
		return "tkt"
	}
	return n.Collection
}

// keyring returns the description of the keyring of the collection.
func (n Name) keyring() string {
	if n.Anchor == Persistent {
		return "_krb"
	}
	return "_krb_" + n.Collection
}
