package helper

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// limits are those of the helper and of the programs that it runs: several times what
// kinit takes.
var limits = []struct {
	what     string
	resource int
	most     uint64
}{
	{"core dumps", unix.RLIMIT_CORE, 0},
	{"processor time", unix.RLIMIT_CPU, 20}, // seconds
	{"the size of files", unix.RLIMIT_FSIZE, 4 << 20},
	{"open files", unix.RLIMIT_NOFILE, 128},
	{"memory", unix.RLIMIT_DATA, 256<<20 + dataNow()}, // the race detector has terabytes
}

// dataNow returns the bytes of data that the process has, 0 if that is unknown
// (proc_pid_statm(5)).
func dataNow() uint64 {
	b, err := os.ReadFile("/proc/self/statm")
	fields := strings.Fields(string(b))
	if err != nil || len(fields) < 6 {
		return 0
	}
	pages, err := strconv.ParseUint(fields[5], 10, 64)
	if err != nil || pages > math.MaxInt64/uint64(os.Getpagesize()) {
		return 0
	}
	return pages * uint64(os.Getpagesize())
}

// Confine limits what the process and its children may use, and passes on no
// descriptors besides the standard ones.
func Confine() error {
	for _, l := range limits {
		var now unix.Rlimit
		if err := unix.Getrlimit(l.resource, &now); err != nil {
			return fmt.Errorf("cannot limit %s: %w", l.what, err)
		}
		most := min(l.most, now.Max)
		if err := unix.Setrlimit(l.resource, &unix.Rlimit{Cur: most, Max: most}); err != nil {
			return fmt.Errorf("cannot limit %s: %w", l.what, err)
		}
	}
	if err := unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC); err != nil && err != unix.ENOSYS {
		return fmt.Errorf("cannot close descriptors: %w", err)
	}
	return nil
}
