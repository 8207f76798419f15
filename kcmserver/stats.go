package kcmserver

import (
	"sync"
	"sync/atomic"

	"kcmd.org/kcmd/kcmserver/kcm"
)

// Stats has the figures of a server since its start.
type Stats struct {
	Connections int    // open now
	Accepted    uint64 // connections served
	Refused     uint64 // connections not served: peers that are not allowed, or over a limit
	Cut         uint64 // connections ended for an error or a timeout of the client

	// Requests counts replies by opcode and code.
	Requests map[kcm.Opcode]map[kcm.Code]uint64
}

// UnknownOpcode is the key in Stats for all opcodes that are not in the protocol.
const UnknownOpcode kcm.Opcode = 0xffff

// Stats returns the current figures.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	open := 0
	for _, own := range s.conns {
		open += len(own)
	}
	s.mu.Unlock()
	return Stats{
		Connections: open,
		Accepted:    s.counters.accepted.Load(),
		Refused:     s.counters.refused.Load(),
		Cut:         s.counters.cut.Load(),
		Requests:    s.counters.snapshot(),
	}
}

type counters struct {
	accepted, refused, cut atomic.Uint64
	well                   map[kcm.Opcode]*atomic.Uint64 // replies with OK
	answers                sync.Map                      // other replies, of which there are few kinds: answer -> *atomic.Uint64
}

func (c *counters) init() {
	c.well = make(map[kcm.Opcode]*atomic.Uint64, len(ops))
	for op := range ops {
		c.well[op] = new(atomic.Uint64)
	}
}

type answer struct {
	op   kcm.Opcode
	code kcm.Code
}

func (c *counters) count(op kcm.Opcode, code kcm.Code) {
	well, known := c.well[op]
	switch {
	case !known:
		op = UnknownOpcode
	case code == kcm.OK:
		well.Add(1)
		return
	}
	key := answer{op, code}
	n, ok := c.answers.Load(key)
	if !ok {
		n, _ = c.answers.LoadOrStore(key, new(atomic.Uint64))
	}
	n.(*atomic.Uint64).Add(1)
}

func (c *counters) snapshot() map[kcm.Opcode]map[kcm.Code]uint64 {
	m := make(map[kcm.Opcode]map[kcm.Code]uint64)
	set := func(a answer, n uint64) {
		if m[a.op] == nil {
			m[a.op] = make(map[kcm.Code]uint64)
		}
		m[a.op][a.code] = n
	}
	for op, well := range c.well {
		if n := well.Load(); n > 0 {
			set(answer{op, kcm.OK}, n)
		}
	}
	c.answers.Range(func(k, v any) bool {
		set(k.(answer), v.(*atomic.Uint64).Load())
		return true
	})
	return m
}
