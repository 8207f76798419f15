package kcmserver

import (
	"bytes"
	"testing"

	"kcmd.org/kcmd/kcmserver/kcm"
)

// TestBuffersAreWiped looks at the memory of a request and its reply after they
// were given back.
func TestBuffersAreWiped(t *testing.T) {
	secret := []byte("a session key")
	b := spareBuffers.New().(*buffers)
	c := &conn{buffers: b}
	b.in.Reset(bytes.NewReader(secret))
	read, err := b.in.Peek(len(secret))
	if err != nil {
		t.Fatal(err)
	}
	b.body = append(b.body, secret...)
	b.out.add(secret)
	body, out := b.body, b.out.buf
	c.giveBuffers()
	for name, memory := range map[string][]byte{"input": read, "body": body, "reply": out[kcm.ReplyHeaderLen:]} {
		if !bytes.Equal(memory, make([]byte, len(memory))) {
			t.Errorf("%s has %q", name, memory)
		}
	}
	if c.buffers != nil {
		t.Error("the connection keeps its buffers")
	}
}
