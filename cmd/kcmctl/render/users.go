package render

import (
	"fmt"
	"strconv"
)

// A User is the JSON form of a user's collection.
type User struct {
	UID        uint32         `json:"uid"`
	Name       string         `json:"name"` // "" without an account
	Caches     int            `json:"caches"`
	States     map[string]int `json:"states"` // caches in each state
	Tickets    uint32         `json:"tickets"`
	Bytes      uint64         `json:"bytes"`
	MaxBytes   uint64         `json:"max_bytes"` // 0: no limit
	NextExpiry int64          `json:"next_expiry"`
}

// Users writes a table of users.
func (p *Page) Users(users []User) {
	if len(users) == 0 {
		p.printf("no user has a cache\n")
		return
	}
	t := newTable("UID", "USER", "CACHES", "VALID", "TICKETS", "MEMORY", "NEXT EXPIRY")
	for _, u := range users {
		name := cell{text: u.Name}
		if u.Name == "" {
			name = cell{"no account", yellow}
		}
		valid := u.States["valid"] + u.States["expiring"]
		t.add(decimal(u.UID), name, strconv.Itoa(u.Caches), strconv.Itoa(valid), decimal(u.Tickets), size(u.Bytes), p.when(unix(u.NextExpiry), 0))
	}
	p.table(t)
}

func decimal(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

// size returns a number of bytes with a unit, as the options of kcmd take it.
func size(n uint64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d B", n)
}
