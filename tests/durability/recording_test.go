package durability

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A recording is what a daemon has done to the files of its store, and when it
// answered whom, as strace has seen it.
type recording struct {
	dir   string // of the store
	steps []step

	line        int
	waiting     map[string]unfinished // by thread
	connections map[string]int        // the clients' by their inodes, numbered as they came
}

// A step is one thing that was done.
type step struct {
	did    deed
	file   string // its name in the directory
	offset int64  // write
	data   []byte // write
	length int64  // truncate
	client int    // answer: the connection, counted from 0

	// Lines of the recording. What a sync makes durable is what had ended when
	// it began.
	began, ended int
}

type deed string

// What can be done to the store's files. Names are made durable by syncing the
// directory.
const (
	created   deed = "create"
	removed   deed = "remove"
	wrote     deed = "write"
	truncated deed = "truncate"
	synced    deed = "sync"
	dirSynced deed = "sync the directory"
	answered  deed = "answer"
)

// recordingOptions are strace's: the daemon is our child, and strace is not. It
// stops threads for nothing but what it records, which is whatever has to do
// with files, so that nothing is missed, and prints all of every string in
// hexadecimal, and what a descriptor stands for.
var recordingOptions = []string{
	"-D", "-f", "--seccomp-bpf", "-xx", "-s", "70000", "-y", "-e", "trace=%file,%desc,accept4",
}

// An unfinished call is one during which another thread did something.
type unfinished struct {
	began int
	text  string
}

// readRecording takes in what strace has written of a store in that directory.
func readRecording(r io.Reader, dir string) (*recording, error) {
	rec := &recording{dir: dir, waiting: make(map[string]unfinished), connections: make(map[string]int)}
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		rec.line++
		if err := rec.readLine(strings.TrimSuffix(line, "\n")); err != nil {
			return nil, fmt.Errorf("line %d of the recording: %w", rec.line, err)
		}
	}
	// An answer counts from when it may have arrived, all else from when it was
	// done for sure.
	slices.SortStableFunc(rec.steps, func(a, b step) int { return a.when() - b.when() })
	return rec, nil
}

func (s step) when() int {
	if s.did == answered {
		return s.began
	}
	return s.ended
}

var (
	result      = regexp.MustCompile(`^(-?[0-9]+|0x[0-9a-f]+|\?)(.*)$`)
	resumedCall = regexp.MustCompile(`^<\.\.\. \w+ resumed>(.*)$`)
	hexText     = regexp.MustCompile(`((?:\\x[0-9a-f]{2})+)`)
)

const cutOff = " <unfinished ...>"

func (rec *recording) readLine(line string) error {
	thread, text, ok := strings.Cut(line, " ")
	text = strings.TrimLeft(text, " ")
	if !ok || strings.HasPrefix(text, "+++") || strings.HasPrefix(text, "---") {
		return nil
	}
	began := rec.line
	if m := resumedCall.FindStringSubmatch(text); m != nil {
		u, ok := rec.waiting[thread]
		if !ok {
			return fmt.Errorf("a call goes on that did not begin: %.200s", text)
		}
		delete(rec.waiting, thread)
		began, text = u.began, u.text+m[1]
	}
	if begun, ok := strings.CutSuffix(text, cutOff); ok {
		rec.waiting[thread] = unfinished{began, begun}
		return nil
	}
	c, ok := parseCall(text)
	if !ok {
		return fmt.Errorf("cannot be understood: %.200s", text)
	}
	if c.failed {
		return nil
	}
	c.began = began
	return rec.add(c)
}

// A call is a call of the system.
type call struct {
	name   string
	args   string
	result int64
	failed bool   // it has changed nothing, or has not ended
	rest   string // behind the result: what a descriptor stands for
	began  int
}

// parseCall takes apart "name(arguments) = result".
func parseCall(text string) (c call, ok bool) {
	head, tail, ok1 := cutLast(text, "= ")
	name, args, ok2 := strings.Cut(strings.TrimRight(head, " "), "(")
	args, ok3 := strings.CutSuffix(args, ")")
	m := result.FindStringSubmatch(tail)
	if !ok1 || !ok2 || !ok3 || m == nil {
		return call{}, false
	}
	n, err := strconv.ParseInt(m[1], 0, 64)
	// An address is no error, however large.
	failed := m[1] == "?" || n < 0 || err != nil && !strings.HasPrefix(m[1], "0x")
	return call{name: name, args: args, result: n, failed: failed, rest: m[2]}, true
}

// cutLast cuts text around the last sep.
func cutLast(text, sep string) (before, after string, found bool) {
	i := strings.LastIndex(text, sep)
	if i < 0 {
		return text, "", false
	}
	return text[:i], text[i+len(sep):], true
}

// texts returns the strings among the arguments, and what descriptors stand
// for.
func (c call) texts() []string {
	var list []string
	for _, s := range hexText.FindAllString(c.args, -1) {
		b, err := hex.DecodeString(strings.ReplaceAll(s, `\x`, ""))
		if err != nil {
			panic(err) // the expression matches nothing else
		}
		list = append(list, string(b))
	}
	return list
}

// lastNumber returns the last argument.
func (c call) lastNumber() (int64, error) {
	return strconv.ParseInt(c.args[strings.LastIndexByte(c.args, ' ')+1:], 0, 64)
}

// Calls that change nothing in a file, nor where it is found. fchown gives it to
// whom it belongs.
var harmless = []string{
	"access", "close", "epoll_ctl", "execve", "faccessat", "faccessat2", "fchown", "fcntl", "flock", "fstat", "lseek",
	"lstat", "newfstatat", "pread64", "read", "readlinkat", "readlink", "stat", "statfs", "statx",
}

// add notes what a call has done. A call that it does not know and that may have
// to do with the store is an error: what is not recorded is not replayed.
func (rec *recording) add(c call) error {
	if c.name == "accept4" {
		return rec.accept(c)
	}
	if socket, ok := strings.CutPrefix(firstDescriptor(c.args), "socket:["); ok {
		client, ours := rec.connections[socket]
		if ours && (c.name == "write" || c.name == "writev") {
			rec.did(c, step{did: answered, client: client})
		}
		return nil
	}
	texts := c.texts()
	i := slices.IndexFunc(texts, func(s string) bool { return s == rec.dir || strings.HasPrefix(s, rec.dir+"/") })
	if i < 0 || slices.Contains(harmless, c.name) {
		return nil
	}
	if texts[i] == rec.dir {
		return rec.addToDirectory(c)
	}
	name := strings.TrimPrefix(texts[i], rec.dir+"/")
	if strings.HasSuffix(name, "-shm") {
		return nil // made anew by whoever comes first
	}
	return rec.addToFile(c, name, texts[i+1:])
}

// accept notes a new connection.
func (rec *recording) accept(c call) error {
	socket, ok := strings.CutPrefix(firstDescriptor(strconv.FormatInt(c.result, 10)+c.rest), "socket:[")
	if !ok {
		return fmt.Errorf("accept of what is no socket: %s", c.rest)
	}
	rec.connections[socket] = len(rec.connections)
	return nil
}

var descriptor = regexp.MustCompile(`^[0-9]+<([^>]*)>`)

// firstDescriptor returns what the descriptor that comes first stands for.
func firstDescriptor(args string) string {
	m := descriptor.FindStringSubmatch(args)
	if m == nil {
		return ""
	}
	b, err := hex.DecodeString(strings.ReplaceAll(m[1], `\x`, ""))
	if err != nil {
		return m[1] // sockets and the like are not in hexadecimal
	}
	return string(b)
}

func (rec *recording) addToDirectory(c call) error {
	switch {
	case c.name == "fsync":
		rec.did(c, step{did: dirSynced})
	case (c.name == "open" || c.name == "openat") && strings.Contains(c.args, "O_RDONLY"):
	default:
		return fmt.Errorf("cannot replay %s of the directory: %.200s", c.name, c.args)
	}
	return nil
}

// addToFile notes a call that has to do with a file of the store; texts are those
// that follow its name.
func (rec *recording) addToFile(c call, name string, texts []string) error {
	if strings.HasSuffix(name, "-reserve") {
		return nil // has no content, and kcmd does without it
	}
	switch c.name {
	case "open", "openat":
		if strings.Contains(c.args, "O_CREAT") {
			rec.did(c, step{did: created, file: name})
		}
		if strings.Contains(c.args, "O_TRUNC") {
			rec.did(c, step{did: truncated, file: name})
		}
	case "pwrite64":
		offset, err := c.lastNumber()
		if err != nil {
			return err
		}
		if len(texts) != 1 || int64(len(texts[0])) < c.result {
			return fmt.Errorf("a write is not whole: %.200s", c.args)
		}
		rec.did(c, step{did: wrote, file: name, offset: offset, data: []byte(texts[0][:c.result])})
	case "ftruncate":
		length, err := c.lastNumber()
		if err != nil {
			return err
		}
		rec.did(c, step{did: truncated, file: name, length: length})
	case "fsync", "fdatasync":
		rec.did(c, step{did: synced, file: name})
	case "unlink", "unlinkat":
		rec.did(c, step{did: removed, file: name})
	default:
		return fmt.Errorf("cannot replay %s of %s: %.200s", c.name, filepath.Base(name), c.args)
	}
	return nil
}

func (rec *recording) did(c call, s step) {
	s.began, s.ended = c.began, rec.line
	rec.steps = append(rec.steps, s)
}

// What cannot be replayed is an error, not something that is left out.
func TestRecordingIsStrict(t *testing.T) {
	in := func(path string) string {
		var b strings.Builder
		for _, c := range []byte(path) {
			fmt.Fprintf(&b, `\x%02x`, c)
		}
		return b.String()
	}
	file, dir := in("/store/kcmd.db"), in("/store")
	tests := []struct {
		line string
		ok   bool
	}{
		{`7 pwrite64(3<` + file + `>, "` + in("data") + `", 4, 0) = 4`, true},
		{`7 fstat(3<` + file + `>, {st_mode=S_IFREG|0600, ...}) = 0`, true},
		{`7 rename("` + in("/elsewhere") + `", "` + in("/elsewhere.old") + `") = 0`, true},
		{`7 write(4<` + in("/dev/null") + `>, "` + in("data") + `", 4) = 4`, true},
		{`7 fallocate(3<` + file + `>, 0, 0, 4096) = -1 EOPNOTSUPP (Operation not supported)`, true},
		{`7 fallocate(3<` + file + `>, 0, 0, 4096) = 0`, false},
		{`7 write(3<` + file + `>, "` + in("data") + `", 4) = 4`, false},
		{`7 pwrite64(3<` + file + `>, "` + in("da") + `"..., 4, 0) = 4`, false},
		{`7 rename("` + file + `", "` + in("/store/old.db") + `") = 0`, false},
		{`7 rename("` + in("/elsewhere") + `", "` + file + `") = 0`, false},
		{`7 unlinkat(5<` + dir + `>, "` + in("kcmd.db") + `", 0) = 0`, false},
		{`7 mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_SHARED, 3<` + file + `>, 0) = 0x7f0000000000`, false},
		{`7 <... fsync resumed>) = 0`, false},
	}
	for _, tt := range tests {
		if _, err := readRecording(strings.NewReader(tt.line+"\n"), "/store"); (err == nil) != tt.ok {
			t.Errorf("%s\n%v", tt.line, err)
		}
	}
}
