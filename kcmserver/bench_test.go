package kcmserver

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/ccstore/memory"
	"kcmd.org/kcmd/ccstore/storetest"
	"kcmd.org/kcmd/kcmserver/kcm"
)

// BenchmarkEcho is the limit: a socket pair whose other end sends back what
// RETRIEVE answers, whatever it is sent.
func BenchmarkEcho(b *testing.B) {
	near, far := benchPair(b)
	request := kcm.AppendRequest(nil, kcm.OpRetrieve, append(str(nameN), server("host/1@LAB.TEST")...))
	reply := kcm.AppendReply(nil, kcm.OK, make([]byte, ticketSize))
	go func() {
		in := make([]byte, len(request))
		for {
			if _, err := io.ReadFull(far, in); err != nil {
				return
			}
			if _, err := far.Write(reply); err != nil {
				return
			}
		}
	}()
	in := make([]byte, len(reply))
	for b.Loop() {
		if _, err := near.Write(request); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(near, in); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRetrieve looks up one of so many tickets, and one that is not there.
func BenchmarkRetrieve(b *testing.B) {
	for _, n := range []int{10, 300, 10_000} {
		conn := benchServer(b, n)
		for _, want := range []string{"hit", "miss"} {
			name := fmt.Sprintf("host/%d@LAB.TEST", n/2)
			if want == "miss" {
				name = "host/none@LAB.TEST"
			}
			request := kcm.AppendRequest(nil, kcm.OpRetrieve, append(str(nameN), server(name)...))
			b.Run(fmt.Sprintf("%s/tickets=%d", want, n), func(b *testing.B) { benchCall(b, conn, request) })
		}
	}
}

// BenchmarkStore stores a ticket in a cache of so many, in memory.
func BenchmarkStore(b *testing.B) {
	for _, n := range []int{10, 300, 10_000} {
		conn := benchServer(b, n)
		request := kcm.AppendRequest(nil, kcm.OpStore, append(str(nameN), cred(sizedTicket(n/2))...))
		b.Run(fmt.Sprintf("tickets=%d", n), func(b *testing.B) { benchCall(b, conn, request) })
	}
}

// BenchmarkGetCredList lists 300 tickets.
func BenchmarkGetCredList(b *testing.B) {
	benchCall(b, benchServer(b, 300), kcm.AppendRequest(nil, kcm.OpGetCredList, str(nameN)))
}

// ticketSize is the size of a usual service ticket, in bytes.
const ticketSize = 1200

// benchServer returns a connection to a server with a cache of n tickets.
func benchServer(b *testing.B, n int) net.Conn {
	b.Helper()
	store := ccstore.Open(memory.New(), ccstore.Options{})
	owner := ccstore.Owner{Namespace: ccstore.DefaultNamespace, UID: 1000}
	err := store.Update(b.Context(), owner, func(tx *ccstore.Tx) error {
		tx.Initialize(nameN, storetest.Principal(alice))
		for i := range n {
			if err := tx.Store(nameN, sizedTicket(i)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	near, far := benchPair(b)
	s := New(store, Options{})
	go s.ServeConn(context.Background(), far, user(1000))
	return near
}

func sizedTicket(i int) *ccache.Credential {
	c := testCred(fmt.Sprintf("host/%d@LAB.TEST", i))
	c.Ticket = make([]byte, ticketSize-200)
	return c
}

func benchPair(b *testing.B) (near, far net.Conn) {
	b.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		b.Fatal(err)
	}
	ends := make([]net.Conn, 2)
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "socket pair")
		if ends[i], err = net.FileConn(f); err != nil {
			b.Fatal(err)
		}
		f.Close()
		b.Cleanup(func() { ends[i].Close() })
	}
	return ends[0], ends[1]
}

func benchCall(b *testing.B, conn net.Conn, request []byte) {
	b.ReportAllocs()
	in := make([]byte, kcm.ReplyHeaderLen, 1<<20)
	for b.Loop() {
		if _, err := conn.Write(request); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(conn, in); err != nil {
			b.Fatal(err)
		}
		rest := in[len(in) : len(in)+int(in[1])<<16+int(in[2])<<8+int(in[3])-4]
		if _, err := io.ReadFull(conn, rest); err != nil {
			b.Fatal(err)
		}
	}
}
