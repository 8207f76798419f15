package ccache_test

import (
	"testing"

	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/ccstore/storetest"
)

// usual is a service ticket of a usual size, as bytes.
func usual() []byte {
	cred := storetest.Ticket("alice@EXAMPLE.COM", "host/server.example.com@EXAMPLE.COM")
	cred.Ticket = make([]byte, 1000)
	return cred.Append(nil)
}

// match asks for that ticket, as libkrb5 does for a service.
func match() *ccache.Match {
	server := storetest.Principal("host/server.example.com@EXAMPLE.COM")
	client := storetest.Principal("alice@EXAMPLE.COM")
	return &ccache.Match{Client: &client, Server: &server}
}

func BenchmarkParseCredential(b *testing.B) {
	data := usual()
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ccache.ParseCredential(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendCredential(b *testing.B) {
	data := usual()
	cred, err := ccache.ParseCredential(data)
	if err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 0, len(data))
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		buf = cred.Append(buf[:0])
	}
}

// BenchmarkDecodeMatch reads what RETRIEVE is sent.
func BenchmarkDecodeMatch(b *testing.B) {
	data := match().Append(nil)
	var d ccache.Decoder
	b.ReportAllocs()
	for b.Loop() {
		d.Reset(data)
		if d.Match("match credential", 0) == nil {
			b.Fatal(d.Err())
		}
	}
}

func BenchmarkMatches(b *testing.B) {
	cred, err := ccache.ParseCredential(usual())
	if err != nil {
		b.Fatal(err)
	}
	m := match()
	b.ReportAllocs()
	for b.Loop() {
		if !m.Matches(cred) {
			b.Fatal("no match")
		}
	}
}
