package helper_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/lifecycle/kdc"
)

// A liar is a KDC that accepts requests, over TCP and UDP, and does something else
// with them than a KDC does.
func (w *world) liar(answer func(net.Conn)) (asked <-chan struct{}) {
	w.t.Helper()
	tcp, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	port := tcp.Addr().(*net.TCPAddr).Port
	udp, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { tcp.Close(); udp.Close() })
	first := make(chan struct{}, 1)
	note := func() {
		select {
		case first <- struct{}{}:
		default:
		}
	}
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, from, err := udp.ReadFromUDP(buf)
			if err != nil {
				return
			}
			note()
			if n > 0 && answer != nil {
				_, _ = udp.WriteToUDP([]byte("garbage"), from)
			}
		}
	}()
	go func() {
		for {
			c, err := tcp.Accept()
			if err != nil {
				return
			}
			note()
			if answer != nil {
				go answer(c)
			} else {
				w.t.Cleanup(func() { c.Close() })
			}
		}
	}()
	w.use(port)
	return first
}

// TestLiars has KDCs that answer garbage, that reset, and that say nothing.
func TestLiars(t *testing.T) {
	w := newWorld(t)
	tgt := w.kinit("alice", "-r", "1d")
	anyFailure := func(what string, ctx context.Context) {
		t.Helper()
		_, err := w.client.Do(ctx, &kdc.Request{Op: kdc.Renew, TGT: tgt})
		if failure := (*kdc.Failure)(nil); !errors.As(err, &failure) || failure.Reason.Final() {
			t.Errorf("%s: %v", what, err)
		}
	}
	w.liar(func(c net.Conn) {
		_, _ = io.WriteString(c, "\x00\x00\x00\x07garbage")
		c.Close()
	})
	anyFailure("garbage", t.Context())
	w.liar(func(c net.Conn) {
		_ = c.(*net.TCPConn).SetLinger(0)
		c.Close()
	})
	anyFailure("resets", t.Context())
}

// TestCancelled ends a helper whose KDC says nothing, and one that is killed: no
// program and no file is left.
func TestCancelled(t *testing.T) {
	w := newWorld(t)
	tgt := w.kinit("alice", "-r", "1d")
	asked := w.liar(nil)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := w.client.Do(ctx, &kdc.Request{Op: kdc.Renew, TGT: tgt})
		done <- err
	}()
	<-asked
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	w.checkRooms()

	go func() {
		_, err := w.client.Do(t.Context(), &kdc.Request{Op: kdc.Renew, TGT: tgt})
		done <- err
	}()
	<-asked
	helper := w.inRooms()
	if err := unix.Kill(helper, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	var failure *kdc.Failure
	if err := <-done; !errors.As(err, &failure) || failure.Reason != kdc.Broken {
		t.Errorf("killed: %v", err)
	}
	if left, _ := os.ReadDir(w.rooms()); len(left) != 1 {
		t.Errorf("after kill -9 there are %v", left)
	}
	w.use(w.realm.KDC.Port)
	if _, err := w.do(kdc.Renew, tgt); err != nil {
		t.Error(err)
	}
}

// inRooms returns the process id of the helper at work, which has locked a room. Its
// descriptors are for root alone.
func (w *world) inRooms() (pid int) {
	w.t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		locks, err := os.ReadFile("/proc/locks")
		if err != nil {
			w.t.Fatal(err)
		}
		rooms, _ := os.ReadDir(w.rooms())
		for _, room := range rooms {
			info, err := room.Info()
			if err != nil {
				continue // it has gone meanwhile
			}
			inode := info.Sys().(*syscall.Stat_t).Ino
			lock := regexp.MustCompile(fmt.Sprintf(`FLOCK +ADVISORY +WRITE +(\d+) \w+:\w+:%d `, inode)).FindSubmatch(locks)
			if lock != nil {
				return atoi(string(lock[1]))
			}
		}
	}
	w.t.Fatal("no helper is at work")
	return 0
}

func atoi(s string) (n int) {
	for _, c := range s {
		n = 10*n + int(c-'0')
	}
	return n
}
