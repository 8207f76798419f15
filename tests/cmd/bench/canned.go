package main

import (
	"fmt"
	"os"
	"os/exec"

	"kcmd.org/kcmd/tests/lab"
)

// The canned server (driver/canned.c) sends recorded answers to the same calls of
// libkrb5 and the same commands: what they take with it is libkrb5's own work and
// that of the kernel. The answers are recorded anew for each step, from the first
// kcmd of the run. The echo is that server and a client without libkrb5, which sends
// the recorded requests.

// recording is the file with the answers to the present step.
func (b *bench) recording() string { return b.lab.Path("recording") }

// startRecorder starts a server that records the answers of a peer.
func (b *bench) startRecorder(of *peer) {
	p := b.newPeer("recorder", &kind{traits: tidy})
	b.serverCaches(p, b.lab.Path("recorder.sock"))
	got(b.lab.Serve(exec.Command(b.driver, "record", p.socket, b.recording(), of.socket), b.lab.Path("recorder.log"), p.socket))
	b.recorder = p
}

// record has a client do a step once.
func (b *bench) record(c circumstances, st step, d *driver) {
	if b.recorder == nil {
		must(fmt.Errorf("%w: there is no kcmd to record", errNot))
	}
	d.place(b.recorder)
	must(os.Truncate(b.recording(), 0))
	got(together([]*driver{d}, b.recorder, once(st.name, c.Tickets)))
}

// serveCanned records a step, and starts a canned server in place of the one before.
func (b *bench) serveCanned(c circumstances, st step, p *peer, clients []*driver) {
	if p.name == "echo" && st.command {
		must(fmt.Errorf("%w: commands have libkrb5", errNot))
	}
	b.record(c, st, clients[0])
	if s, ok := p.server.(*lab.Server); ok {
		s.Stop()
	}
	p.server = got(b.lab.Serve(exec.Command(b.driver, "canned", p.socket, b.recording()), b.lab.Path(p.name+".log"), p.socket))
	for _, d := range clients {
		if p.name == "echo" {
			d.do("echo", p, p.socket, b.recording())
		} else {
			d.place(p)
		}
	}
}
