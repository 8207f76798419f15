package client

import "time"

// A Manager has the properties of the manager. Times in this package are zero where
// D-Bus has 0, not set.
type Manager struct {
	Version       string
	ApiVersion    uint32
	Mode          string
	Features      []string
	SocketPath    string
	OwnCollection ObjectPath
	Subscribed    bool
	ExpiryWarning uint32 // seconds
}

// Statistics are figures of the daemon since its start.
type Statistics struct {
	Started     time.Time `dbus:"started"`
	Store       string    `dbus:"store"`
	Encrypted   bool      `dbus:"encrypted"`
	StoreBytes  uint64    `dbus:"store-bytes"`
	Quarantined uint32    `dbus:"quarantined"` // caches and tickets that cannot be read
	Unreadable  bool      `dbus:"unreadable"`
	Unwritable  bool      `dbus:"unwritable"`
	Collections uint32    `dbus:"collections"` // in memory
	MemoryBytes uint64    `dbus:"memory-bytes"`
	Connections uint32    `dbus:"connections"` // now
	Accepted    uint64    `dbus:"accepted"`    // connections
	Refused     uint64    `dbus:"refused"`
	Cut         uint64    `dbus:"cut"`

	Requests map[string]map[string]uint64 `dbus:"requests"` // answers by opcode and code
}

// A Collection has the properties of a collection.
type Collection struct {
	UID              uint32
	Caches           []ObjectPath
	DefaultCache     ObjectPath
	DefaultCacheName string
	NextExpiry       time.Time
	TicketCount      uint32
	BytesUsed        uint64
	MaxCaches        uint32
	MaxTickets       uint32
	MaxBytes         uint64
}

// A Cache has the properties of a cache.
type Cache struct {
	Name            string
	UUID            string
	Type            string
	Collection      ObjectPath
	ClientPrincipal string
	Realm           string
	State           string
	IsDefault       bool
	AuthTime        time.Time
	StartTime       time.Time
	EndTime         time.Time
	LastEndTime     time.Time
	RenewUntil      time.Time
	Flags           []string
	KdcOffset       int32 // seconds
	TicketCount     uint32
	LastChanged     time.Time
	AutoRenew       bool
	RenewalState    string
	NextRenewal     time.Time
	RenewalError    string
	PreauthType     int32
	RefreshTime     time.Time
	PasswordExpires time.Time
	Impersonator    string
}

// A Ticket describes a ticket.
type Ticket struct {
	ID            string    `dbus:"id"`
	Server        string    `dbus:"server"`
	Client        string    `dbus:"client"`
	IsTGT         bool      `dbus:"is-tgt"`
	AuthTime      time.Time `dbus:"auth-time"`
	StartTime     time.Time `dbus:"start-time"`
	EndTime       time.Time `dbus:"end-time"`
	RenewUntil    time.Time `dbus:"renew-until"`
	Flags         []string  `dbus:"flags"`
	Enctype       int32     `dbus:"enctype"`
	TicketEnctype int32     `dbus:"ticket-enctype"`
	State         string    `dbus:"state"`
	Size          uint32    `dbus:"size"`
}

// Objects are the collections and caches in view.
type Objects struct {
	Collections map[ObjectPath]*Collection
	Caches      map[ObjectPath]*Cache
}
