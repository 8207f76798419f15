package ccache

import (
	"runtime"
	"unsafe"
)

// WipeWhenUnused has b, which was allocated on its own, overwritten once nothing
// refers to it any more: by the next garbage collection, which the runtime makes at
// least every two minutes. Readers of a snapshot may hold b for longer than the
// store does, so that the store cannot overwrite it itself.
func WipeWhenUnused(b []byte) {
	const tiny = 16 // the runtime may put smaller objects together
	if n := len(b); n >= tiny {
		runtime.SetFinalizer(&b[0], func(first *byte) { clear(unsafe.Slice(first, n)) })
	}
}
