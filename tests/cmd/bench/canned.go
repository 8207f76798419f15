package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync"
)

// The canned server (driver/canned.c) sends recorded answers to the same calls of
// libkrb5 and the same commands: what they take with it is libkrb5's own work and
// that of the kernel. The answers are recorded anew for each step, from the first
// kcmd of the run. The echo is that server and a client without libkrb5, which sends
// the recorded requests.

// A recorder passes requests of KCM clients on to a server and keeps them, with their
// replies.
type recorder struct {
	peer *peer // a place whose socket is the recorder's
	file string

	mu       sync.Mutex
	exchange []byte // in the form of driver/canned.c
}

// startRecorder starts a recorder before a peer.
func (b *bench) startRecorder(of *peer) error {
	r := &recorder{peer: b.newPeer("recorder"), file: b.lab.Path("recording")}
	r.peer.tidy = true
	if err := b.serverCaches(r.peer, b.lab.Path("recorder.sock")); err != nil {
		return err
	}
	l, err := net.Listen("unix", r.peer.socket)
	if err != nil {
		return err
	}
	b.lab.OnClose(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // it is closed
			}
			go r.pass(c, of.socket)
		}
	}()
	b.recorder = r
	return nil
}

// pass passes on what comes from a client, until it goes.
func (r *recorder) pass(client net.Conn, socket string) {
	defer client.Close()
	server, err := net.Dial("unix", socket)
	if err != nil {
		return // the client sees it
	}
	defer server.Close()
	const outerStatus = 4 // a reply has it besides the bytes that its length counts
	for {
		request, err := forward(client, server, 0)
		if err != nil {
			return
		}
		// The lock is held until the client has its answer: it may then read the recording.
		r.mu.Lock()
		reply, err := forward(server, client, outerStatus)
		r.exchange = append(append(r.exchange, request...), reply...)
		r.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// forward passes on a message with a length, which does not count some bytes.
func forward(from io.Reader, to io.Writer, uncounted uint32) ([]byte, error) {
	message := make([]byte, 4)
	if _, err := io.ReadFull(from, message); err != nil {
		return nil, err
	}
	rest := make([]byte, binary.BigEndian.Uint32(message)+uncounted)
	if _, err := io.ReadFull(from, rest); err != nil {
		return nil, err
	}
	message = append(message, rest...)
	_, err := to.Write(message)
	return message, err
}

// record has a client do a step once, and writes what was exchanged to r.file.
func (r *recorder) record(c circumstances, st step, d *driver) error {
	if err := d.place(r.peer); err != nil {
		return err
	}
	if err := d.fill(r.peer, c.Tickets, true, 0); err != nil {
		return err
	}
	r.mu.Lock()
	r.exchange = nil
	r.mu.Unlock()
	if _, err := together([]*driver{d}, r.peer, st.name, 1, answerPatience, anyProcessor); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return os.WriteFile(r.file, r.exchange, 0o600)
}

// serveCanned starts a canned server with the answers to a step in place of the one
// before.
func (b *bench) serveCanned(c circumstances, st step, p *peer, clients []*driver) error {
	if b.recorder == nil {
		return fmt.Errorf("%w: there is no kcmd to record", errNot)
	}
	if p.isEcho() && st.command {
		return fmt.Errorf("%w: commands have libkrb5", errNot)
	}
	if err := b.recorder.record(c, st, clients[0]); err != nil {
		return fmt.Errorf("cannot record: %w", err)
	}
	if p.server != nil {
		p.server.Stop()
	}
	var err error
	cmd := exec.Command(b.driver, "canned", p.socket, b.recorder.file)
	if p.server, err = b.lab.Serve(cmd, b.lab.Path(p.name+".log"), p.socket); err != nil {
		return err
	}
	p.pid, p.ended = p.server.PID(), p.server.Ended
	for _, d := range clients {
		if p.isEcho() {
			err = d.do("echo", strconv.Itoa(p.place), p.socket, b.recorder.file)
		} else if err = d.place(p); err == nil {
			err = d.fill(p, c.Tickets, true, 0)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
