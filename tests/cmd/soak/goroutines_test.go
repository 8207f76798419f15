package main

import (
	"maps"
	"testing"
)

const trace = `SIGQUIT: quit
PC=0x47a2e1 m=0 sigcode=0

goroutine 1 gp=0xc0000061c0 m=nil [select, 3 minutes]:
runtime.gopark(0x0?)
	/usr/lib/go/src/runtime/proc.go:460 +0xce
main.main()
	/src/cmd/kcmd/main.go:20 +0x1d

goroutine 21 gp=0xc000102380 m=nil [IO wait]:
runtime.gopark(0x0?)
	/usr/lib/go/src/runtime/proc.go:460 +0xce
created by kcmd.org/kcmd/kcmserver.(*Server).accepted in goroutine 8
	/src/kcmserver/server.go:136 +0x2e5

goroutine 22 gp=0xc000102380 m=nil [IO wait]:
runtime.gopark(0x0?)
	/usr/lib/go/src/runtime/proc.go:460 +0xce
created by kcmd.org/kcmd/kcmserver.(*Server).accepted in goroutine 8
	/src/kcmserver/server.go:136 +0x2e5

rax    0x0
rbx    0x1
`

func TestReadTrace(t *testing.T) {
	const accepted = "kcmd.org/kcmd/kcmserver.(*Server).accepted"
	got, want := readTrace(trace), goroutines{"main": 1, accepted: 2}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if err := got.more(want); err != nil {
		t.Errorf("as many: %v", err)
	}
	if err := got.more(goroutines{"main": 1, accepted: 1, "other": 5}); err == nil {
		t.Error("one more is not found")
	}
}
