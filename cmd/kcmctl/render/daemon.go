package render

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"kcmd.org/kcmd/dbus/client"
)

// A Daemon is the JSON form of the figures of kcmd since its start, for administrators.
type Daemon struct {
	Started     int64  `json:"started"`
	Store       string `json:"store"`
	Encrypted   bool   `json:"encrypted"`
	StoreBytes  uint64 `json:"store_bytes"`
	Quarantined uint32 `json:"quarantined"` // caches and tickets that cannot be read
	Unreadable  bool   `json:"unreadable"`
	Unwritable  bool   `json:"unwritable"`
	Collections uint32 `json:"collections"` // in memory
	MemoryBytes uint64 `json:"memory_bytes"`
	Connections uint32 `json:"connections"` // now
	Accepted    uint64 `json:"accepted"`    // connections
	Refused     uint64 `json:"refused"`
	Cut         uint64 `json:"cut"`

	Requests map[string]map[string]uint64 `json:"requests"` // answers by opcode and code
}

// NewDaemon returns the JSON form of figures.
func NewDaemon(s *client.Statistics) *Daemon {
	d := &Daemon{
		Started: seconds(s.Started), Store: s.Store, Encrypted: s.Encrypted, StoreBytes: s.StoreBytes, Quarantined: s.Quarantined,
		Unreadable: s.Unreadable, Unwritable: s.Unwritable, Collections: s.Collections, MemoryBytes: s.MemoryBytes,
		Connections: s.Connections, Accepted: s.Accepted, Refused: s.Refused, Cut: s.Cut, Requests: s.Requests,
	}
	if d.Requests == nil {
		d.Requests = make(map[string]map[string]uint64)
	}
	return d
}

// daemon writes the figures of kcmd.
func (p *Page) daemon(d *Daemon) {
	p.line("Store", p.store(d))
	p.line("In memory", fmt.Sprintf("%s, %s", many(d.Collections, "collection", "collections"), size(d.MemoryBytes)))
	p.line("Connections", fmt.Sprintf("%d now, %d in all, %d refused, %d cut", d.Connections, d.Accepted, d.Refused, d.Cut))
	p.line("Requests", fmt.Sprintf("%d since %s", d.answers(), p.clock(unix(d.Started))))
	if len(d.Requests) == 0 {
		return
	}
	t := newTable("OPCODE", "OK", "OTHER ANSWERS")
	for _, op := range d.opcodes() {
		t.add(op, fmt.Sprint(d.Requests[op][ok]), others(d.Requests[op]))
	}
	p.printf("\n")
	p.table(t)
}

// store says where the caches are, and how that goes.
func (p *Page) store(d *Daemon) styled {
	text := p.paint(plain, d.Store+", "+size(d.StoreBytes))
	if strings.HasPrefix(d.Store, "sqlite:") {
		if d.Encrypted {
			text += ", encrypted"
		} else {
			text += ", not encrypted"
		}
	}
	if d.Quarantined > 0 {
		text += ", " + p.paint(yellow, many(d.Quarantined, "entry", "entries")+" quarantined")
	}
	if d.Unreadable {
		text += ", " + p.paint(red, "cannot be read")
	}
	if d.Unwritable {
		text += ", " + p.paint(red, "cannot be written")
	}
	return text
}

// ok is the code of success.
const ok = "OK"

// opcodes returns the opcodes, those with the most answers first.
func (d *Daemon) opcodes() []string {
	return slices.SortedFunc(maps.Keys(d.Requests), func(a, b string) int {
		return cmp.Or(cmp.Compare(sum(d.Requests[b]), sum(d.Requests[a])), cmp.Compare(a, b))
	})
}

// answers returns how many requests were answered.
func (d *Daemon) answers() (n uint64) {
	for _, codes := range d.Requests {
		n += sum(codes)
	}
	return n
}

func sum(codes map[string]uint64) (n uint64) {
	for _, m := range codes {
		n += m
	}
	return n
}

// others lists the codes other than success: "3 KRB5_CC_NOTFOUND, 1 EDQUOT".
func others(codes map[string]uint64) string {
	var list []string
	for _, code := range slices.Sorted(maps.Keys(codes)) {
		if code != ok {
			list = append(list, fmt.Sprintf("%d %s", codes[code], code))
		}
	}
	return strings.Join(list, ", ")
}

func many(n uint32, singular, plural string) string {
	if n == 1 {
		return "1 " + singular
	}
	return fmt.Sprintf("%d %s", n, plural)
}
