package main

import (
	"fmt"
	"io"
)

// A memoryResult is what a server has in memory after a scene.
type memoryResult struct {
	circumstances
	Peer string
	memory
}

// lookAtMemory notes what the servers have in memory.
func (b *bench) lookAtMemory(c circumstances) {
	for _, p := range b.peers {
		if p.pid == 0 || p.isEcho() || p.failure != nil {
			continue
		}
		if m, err := memoryOf(p.pid); err == nil {
			b.memory = append(b.memory, memoryResult{c, p.name, m})
		}
	}
}

func (b *bench) reportMemory(w io.Writer) {
	if len(b.memory) == 0 {
		return
	}
	fmt.Fprintf(w, "\nMemory of the servers (resident; the most that it was)\n")
	t := table{{"after", "server", "now", "most"}}
	for _, m := range b.memory {
		t = append(t, []string{m.circumstances.String(), m.Peer, bytesText(m.now), bytesText(m.peak)})
	}
	t.print(w)
}
