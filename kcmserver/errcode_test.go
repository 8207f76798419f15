package kcmserver

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/kcmserver/kcm"
)

// TestDiskCodes has the store fail: what the disk says reaches the client, who
// reads it in the words of its system, and nothing else that is a number does.
func TestDiskCodes(t *testing.T) {
	tests := []struct {
		cause error
		want  kcm.Code
	}{
		{unix.ENOSPC, 28},
		{unix.EIO, 5},
		{&fs.PathError{Op: "write", Path: "kcmd.db", Err: unix.EROFS}, 30},
		{unix.EDQUOT, kcm.CCWrite},
		{unix.EPERM, kcm.CCWrite},
		{errors.New("row is missing"), kcm.CCWrite},
	}
	for _, tt := range tests {
		err := fmt.Errorf("%w: commit: %w", ccstore.ErrBackend, fmt.Errorf("%w: %w", ccstore.ErrOutcomeUnknown, tt.cause))
		if got := code(err); got != tt.want {
			t.Errorf("%v: code %v, want %v", tt.cause, got, tt.want)
		}
	}
	if got := code(unix.ENOSPC); got != kcm.CCWrite {
		t.Errorf("no space, but not in the store: code %v", got)
	}
}
