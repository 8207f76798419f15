package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// journalFile returns a file that stands in for the stream to the journal.
func journalFile(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "journal"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	st := info.Sys().(*syscall.Stat_t)
	t.Setenv("JOURNAL_STREAM", fmt.Sprintf("%d:%d", st.Dev, st.Ino))
	return f
}

func contents(t *testing.T, f *os.File) string {
	t.Helper()
	b, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Each line for the journal has its priority and no time, also with groups,
// attributes and newlines in values.
func TestJournalPriorities(t *testing.T) {
	f := journalFile(t)
	log := newLogger(f, slog.LevelDebug)
	log.Debug("a request")
	log.Info("serving")
	log.With("socket", "/s").WithGroup("g").Warn("slow\n<0>forged", "level", "ERROR")
	log.Error("failed")
	log.Log(t.Context(), slog.LevelError+1, "failed badly")
	want := `<7>level=DEBUG msg="a request"
<6>level=INFO msg=serving
<4>level=WARN msg="slow\n<0>forged" socket=/s g.level=ERROR
<3>level=ERROR msg=failed
<3>level=ERROR+1 msg="failed badly"
`
	if got := contents(t, f); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// The error that ends the program has the priority of an error.
func TestFatalErrorInJournal(t *testing.T) {
	f := journalFile(t)
	p := kcmd(t, []string{"--log-level", "loud"}, "JOURNAL_STREAM="+os.Getenv("JOURNAL_STREAM"))
	p.Stderr = f
	_ = p.Run()
	if got, want := contents(t, f), "<3>kcmd: cannot read the configuration: --log-level: \"loud\" is not allowed; allowed: debug, info, warn, error\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Without the journal, lines have no priorities, whatever JOURNAL_STREAM contains.
func TestNoJournal(t *testing.T) {
	t.Setenv("JOURNAL_STREAM", "1:1")
	f, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	newLogger(f, slog.LevelInfo).Info("serving")
	if got := contents(t, f); len(got) < 5 || got[:5] != "time=" {
		t.Errorf("got %q", got)
	}
}
