package dbus

import (
	"context"
	"time"

	"kcmd.org/kcmd/dbus/view"
)

// Statistics are what administrators learn of a daemon.
type Statistics struct {
	Started     time.Time
	Store       string // as configured
	Encrypted   bool
	StoreBytes  int64  // on disk or, without one, in memory
	Quarantined uint32 // caches and tickets that cannot be read
	Unreadable  bool   // the store fails
	Unwritable  bool
	Collections uint32 // in memory
	CacheBytes  int64  // of them
	Connections uint32 // of KCM clients, open now
	Accepted    uint64 // connections since the start
	Refused     uint64 // connections over a limit, or of peers that are not allowed
	Cut         uint64 // connections ended for an error or timeout of the client

	Requests map[string]map[string]uint64 // by opcode and code, by their names
}

// dictionary returns the statistics as D-Bus has them.
func (s *Statistics) dictionary() map[string]any {
	requests := s.Requests
	if requests == nil {
		requests = make(map[string]map[string]uint64)
	}
	return map[string]any{
		"started":      s.Started.Unix(),
		"store":        view.Text(s.Store),
		"encrypted":    s.Encrypted,
		"store-bytes":  uint64(s.StoreBytes),
		"quarantined":  s.Quarantined,
		"unreadable":   s.Unreadable,
		"unwritable":   s.Unwritable,
		"collections":  s.Collections,
		"memory-bytes": uint64(s.CacheBytes),
		"connections":  s.Connections,
		"accepted":     s.Accepted,
		"refused":      s.Refused,
		"cut":          s.Cut,
		"requests":     requests,
	}
}

func getStatistics(q *request, _ none) ([]any, error) {
	ctx, cancel := context.WithTimeout(q.bus.ctx, statisticsPatience)
	defer cancel()
	s, err := q.bus.Statistics(ctx)
	if err != nil {
		return nil, err
	}
	return []any{s.dictionary()}, nil
}

// statisticsPatience limits the wait for a disk.
const statisticsPatience = 10 * time.Second
