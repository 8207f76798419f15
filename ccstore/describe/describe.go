package describe

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/safetext"
)

// A Collection describes a collection, without session keys and tickets. Its
// strings are valid UTF-8; a name with other bytes is escaped.
type Collection struct {
	Namespace string  `json:"namespace"`
	UID       uint32  `json:"uid"`
	Level     string  `json:"level"`   // SELinux level; empty without SELinux
	Default   string  `json:"default"` // name of the default cache; empty if none was set
	Caches    []Cache `json:"caches"`
	Error     string  `json:"error,omitempty"` // why the collection cannot be read
}

// A Cache describes a cache. Times are in seconds since 1970, 0 for none.
type Cache struct {
	Name        string       `json:"name"`
	UUID        string       `json:"uuid"`
	Principal   string       `json:"principal"`
	KDCOffset   int32        `json:"kdc_offset"` // seconds from the local clock to the KDC's
	Label       string       `json:"label"`      // SELinux label of the creator
	Changed     int64        `json:"changed"`
	Expires     int64        `json:"expires"`         // its TGT, or its last ticket if it has none
	Error       string       `json:"error,omitempty"` // why the cache is not in use
	Credentials []Credential `json:"credentials"`
}

// A Credential describes a credential. If it is not in use, only UUID, Error and
// Size are set. A configuration entry has no times, flags and encryption type.
type Credential struct {
	UUID        string   `json:"uuid"`
	Error       string   `json:"error,omitempty"`   // why the credential is not in use
	Setting     string   `json:"setting,omitempty"` // name of the configuration entry
	Client      string   `json:"client,omitempty"`
	Server      string   `json:"server,omitempty"`
	AuthTime    uint32   `json:"auth_time"` // seconds since 1970, 0 for none (RFC 4120, section 5.3)
	StartTime   uint32   `json:"start_time"`
	EndTime     uint32   `json:"end_time"`
	RenewUntil  uint32   `json:"renew_until"`
	Flags       []string `json:"flags"`
	Enctype     int16    `json:"enctype"` // of the session key (RFC 3961, section 8)
	EnctypeName string   `json:"enctype_name"`
	Size        int      `json:"size"`        // bytes in the store
	TicketSize  int      `json:"ticket_size"` // bytes of the ticket, or of the entry's value
}

// New describes the record of a collection, its caches in the order of creation.
func New(owner ccstore.Owner, r *ccstore.Record) *Collection {
	c := empty(owner)
	c.Default = text(r.Default)
	credentials := make(map[uint64][]Credential)
	for _, cred := range slices.SortedFunc(slices.Values(r.Credentials), ccstore.CredentialRecord.Compare) {
		credentials[cred.Cache] = append(credentials[cred.Cache], describeCredential(cred))
	}
	byCreation := func(a, b ccstore.CacheRecord) int { return cmp.Compare(a.ID, b.ID) }
	for _, cache := range slices.SortedFunc(slices.Values(r.Caches), byCreation) {
		d := describeCache(cache)
		d.Credentials = append(d.Credentials, credentials[cache.ID]...)
		c.Caches = append(c.Caches, d)
	}
	return c
}

// Unreadable describes a collection whose record cannot be read because of err.
func Unreadable(owner ccstore.Owner, err error) *Collection {
	c := empty(owner)
	c.Error = text(err.Error())
	return c
}

func empty(owner ccstore.Owner) *Collection {
	return &Collection{Namespace: text(owner.Namespace), UID: owner.UID, Level: text(owner.Level), Caches: []Cache{}}
}

func describeCache(r ccstore.CacheRecord) Cache {
	d := Cache{
		Name: text(r.Name), UUID: r.UUID.String(), KDCOffset: r.KDCOffset, Label: text(r.Label), Changed: r.Changed,
		Credentials: []Credential{},
	}
	if expires := r.Deadlines[ccstore.Expiry]; expires != ccstore.Never {
		d.Expires = expires
	}
	principal, err := ccache.ParsePrincipal(r.Principal)
	if err == nil {
		d.Principal = text(principal.String())
	}
	d.Error = reason(r.Quarantined, r.Err, err)
	return d
}

func describeCredential(r ccstore.CredentialRecord) Credential {
	d := Credential{UUID: r.UUID.String(), Size: len(r.Data), Flags: []string{}}
	if r.Quarantined != "" || r.Err != nil {
		d.Error = reason(r.Quarantined, r.Err, nil)
		return d
	}
	cred, err := ccache.ParseCredential(r.Data)
	if err != nil {
		d.Error = reason("", nil, err)
		return d
	}
	d.Client, d.Server, d.TicketSize = text(cred.Client.String()), text(cred.Server.String()), len(cred.Ticket)
	if cred.IsConfig() {
		d.Setting = text(strings.Join(cred.Server.Components[1:], " for "))
		return d
	}
	d.AuthTime, d.StartTime, d.EndTime, d.RenewUntil = cred.AuthTime, cred.StartTime, cred.EndTime, cred.RenewTill
	d.Flags = cred.Flags.Names()
	d.Enctype, d.EnctypeName = cred.Key.Type, ccache.EnctypeName(cred.Key.Type)
	return d
}

// reason returns why an entry is not in use, "" if the entry is in use.
func reason(quarantined string, errs ...error) string {
	if quarantined != "" {
		return "quarantined: " + text(quarantined)
	}
	for _, err := range errs {
		if err != nil {
			return "cannot be read: " + text(err.Error())
		}
	}
	return ""
}

// text escapes a string that is not valid UTF-8, which JSON cannot hold.
func text(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return safetext.Escape(s)
}
