package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// figures are what the daemon takes of the machine.
type figures struct {
	memory  int64 // resident, bytes
	threads int
	files   map[string]int // descriptors by what they are
	cpu     time.Duration  // since its start
	db, wal int64          // bytes
}

var statusLine = regexp.MustCompile(`(?m)^(VmRSS|Threads):\s+(\d+)`)

// lookAt looks at a process. It fails if that is gone.
func lookAt(pid int, database string) (figures, error) {
	f := figures{db: size(database), wal: size(database + "-wal")}
	proc := "/proc/" + strconv.Itoa(pid)
	status, err := os.ReadFile(proc + "/status")
	if err != nil {
		return f, err
	}
	for _, m := range statusLine.FindAllSubmatch(status, -1) {
		n, err := strconv.ParseInt(string(m[2]), 10, 64)
		if err != nil {
			return f, err
		}
		switch string(m[1]) {
		case "VmRSS":
			f.memory = n << 10
		case "Threads":
			f.threads = int(n)
		}
	}
	if f.memory == 0 {
		return f, fmt.Errorf("process %d has ended", pid)
	}
	if f.cpu, err = cpuTime(proc + "/stat"); err != nil {
		return f, err
	}
	f.files, err = openFiles(proc + "/fd")
	return f, err
}

// tick is the unit of the times in /proc.
const tick = 10 * time.Millisecond

func cpuTime(path string) (time.Duration, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	// The name in parentheses may hold anything. utime and stime are the 12th
	// and 13th field behind it.
	_, rest, _ := strings.Cut(string(b), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("%s: %d fields", path, len(fields))
	}
	var sum time.Duration
	for _, field := range fields[11:13] {
		n, err := strconv.Atoi(field)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", path, err)
		}
		sum += time.Duration(n) * tick
	}
	return sum, nil
}

// openFiles counts descriptors by what they are: the name of a file, or the
// kind of what has none.
func openFiles(dir string) (map[string]int, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	files := make(map[string]int)
	for _, e := range entries {
		link, err := os.Readlink(filepath.Join(dir, e.Name()))
		if err != nil {
			continue // closed meanwhile
		}
		if kind, _, ok := strings.Cut(link, ":["); ok {
			link = kind
		}
		files[filepath.Base(link)]++
	}
	return files, nil
}

func (f figures) open() int {
	n := 0
	for _, k := range f.files {
		n += k
	}
	return n
}

func size(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

func (f figures) String() string {
	return fmt.Sprintf("%s, %d descriptors, %d threads, db %s, wal %s", mib(f.memory), f.open(), f.threads, mib(f.db), mib(f.wal))
}

func mib(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
