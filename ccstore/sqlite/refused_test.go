package sqlite_test

import (
	"bytes"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kcmd.org/kcmd/ccstore/sqlite"
)

// exec runs SQL on a database, and creates it if it is missing.
func exec(t *testing.T, path, query string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(query); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
}

// execKilled runs SQL and leaves the files that a killed program leaves.
func execKilled(t *testing.T, path, journal, query string) {
	t.Helper()
	copied := filepath.Join(privateDir(t), "kcmd.db")
	if b, err := os.ReadFile(path); err == nil {
		write(t, copied, b)
	}
	db, err := sql.Open("sqlite", copied+"?_pragma=cache_size(1)&_pragma=journal_mode("+journal+")")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1) // a transaction is one connection's
	if _, err := db.Exec(query); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(copied + "*")
	if err != nil || len(files) < 2 {
		t.Fatalf("only %v is left, %v", files, err)
	}
	for _, file := range files {
		if suffix := strings.TrimPrefix(file, copied); suffix != "-shm" {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			write(t, path+suffix, b)
		}
	}
}

// snapshot returns the contents of the files of a directory, without the index of a
// WAL, which SQLite can rebuild.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := make(map[string]string)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Type().IsRegular() && !strings.HasSuffix(e.Name(), "-shm") {
			b, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			files[e.Name()] = string(b)
		}
	}
	return files
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
}

// TestRefused opens files that are not kcmd's twice: Open refuses and does not change
// them.
func TestRefused(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(t *testing.T, path string)
		want    string
	}{
		{"another program's database", func(t *testing.T, path string) {
			exec(t, path, "CREATE TABLE notes (text)")
		}, "database of another program (application_id 0x0, ours is 0x6b636d64)"},
		{"another program's database that says so", func(t *testing.T, path string) {
			exec(t, path, "CREATE TABLE notes (text); PRAGMA application_id = 0x01020304; PRAGMA user_version = 1")
		}, "database of another program (application_id 0x1020304, ours is 0x6b636d64)"},
		{"another program's database with a WAL", func(t *testing.T, path string) {
			execKilled(t, path, "WAL", "CREATE TABLE notes (text); INSERT INTO notes VALUES ('a note')")
		}, "database of another program"},
		{"another program's database with a journal", func(t *testing.T, path string) {
			exec(t, path, "CREATE TABLE notes (text); INSERT INTO notes VALUES ('a note')")
			execKilled(t, path, "DELETE", "BEGIN; "+strings.Repeat("INSERT INTO notes VALUES (zeroblob(9999)); ", 20))
		}, "database of another program"},
		{"another program's damaged database", func(t *testing.T, path string) {
			exec(t, path, "CREATE TABLE notes (text); CREATE TABLE more (text); PRAGMA application_id = 7")
			if err := os.Truncate(path, 4096); err != nil {
				t.Fatal(err)
			}
		}, "database disk image is malformed"},
		{"a newer version", func(t *testing.T, path string) {
			open(t, path).Close()
			exec(t, path, "PRAGMA user_version = 1000")
		}, "its version is 1000, this kcmd knows 1 to"},
		{"a newer version with a WAL", func(t *testing.T, path string) {
			open(t, path).Close()
			execKilled(t, path, "WAL", "CREATE TABLE newer (text); PRAGMA user_version = 1000")
		}, "its version is 1000, this kcmd knows 1 to"},
		{"not a database", func(t *testing.T, path string) {
			write(t, path, bytes.Repeat([]byte("no database "), 1000))
		}, "file is not a database"},
		{"a short note", func(t *testing.T, path string) {
			write(t, path, []byte("short"))
		}, "file is not a database"},
		{"mode", func(t *testing.T, path string) {
			write(t, path, nil)
			os.Chmod(path, 0o640)
		}, "others may use it (mode 0640, allowed is 0600 or less)"},
		{"owner", func(t *testing.T, path string) {
			needRoot(t)
			write(t, path, nil)
			os.Chown(path, 4321, 0)
		}, "it belongs to uid 4321; allowed: 0"},
		{"directory mode", func(t *testing.T, path string) {
			os.Chmod(filepath.Dir(path), 0o777)
		}, "others may write to directory"},
		{"directory mode, sticky", func(t *testing.T, path string) {
			os.Chmod(filepath.Dir(path), 0o777|os.ModeSticky)
		}, "others may write to directory"},
		{"directory owner", func(t *testing.T, path string) {
			needRoot(t)
			os.Chown(filepath.Dir(path), 4321, 0)
		}, "belongs to uid 4321; allowed: 0"},
		{"a directory", func(t *testing.T, path string) {
			os.Mkdir(path, 0o700)
		}, "is a directory"},
		{"a symbolic link", func(t *testing.T, path string) {
			os.Symlink("/etc/passwd", path)
		}, "too many levels of symbolic links"},
		{"in use", func(t *testing.T, path string) {
			b := open(t, path)
			t.Cleanup(func() { b.Close() })
		}, "another process uses it"},
		{"in use by another name", func(t *testing.T, path string) {
			other := filepath.Join(privateDir(t), "kcmd.db")
			b := open(t, other)
			t.Cleanup(func() { b.Close() })
			if err := os.Link(other, path); err != nil {
				t.Fatal(err)
			}
		}, "another process uses it"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(privateDir(t), "kcmd.db")
			tt.prepare(t, path)
			before := snapshot(t, filepath.Dir(path))
			for range 2 {
				b, err := sqlite.Open(t.Context(), path, sqlite.Options{})
				if err == nil {
					b.Close()
					t.Fatal("was opened")
				}
				if !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), path) {
					t.Errorf("error %q, want it to name %s and to say %q", err, path, tt.want)
				}
				if diff := cmp.Diff(before, snapshot(t, filepath.Dir(path))); diff != "" {
					t.Errorf("the files were changed (-before +after):\n%s", diff)
				}
			}
		})
	}
}

// TestDirectoriesAbove has a private directory below one that other users can
// change.
func TestDirectoriesAbove(t *testing.T) {
	const others = "others may write to directory"
	ofOurGroup := ""
	if gid := os.Getgid(); gid != 0 && gid != os.Geteuid() {
		ofOurGroup = others
	}
	for _, tt := range []struct {
		name string
		mode os.FileMode
		uid  int
		gid  int
		want string // "" is allowed
	}{
		{"closed", 0o700, 0, 0, ""},
		{"readable", 0o755, 0, 4321, ""},
		{"writable for all", 0o777, 0, 0, others},
		{"writable for all, sticky", 0o777 | os.ModeSticky, 0, 0, ""},
		{"writable for our group", 0o775, 0, 0, ofOurGroup},
		{"writable for another group", 0o775, 0, 4321, others},
		{"another user's", 0o755, 4321, 0, "belongs to uid 4321"},
		{"another user's, sticky", 0o777 | os.ModeSticky, 4321, 0, "belongs to uid 4321"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			above := filepath.Join(privateDir(t), "above")
			path := filepath.Join(above, "between", "state", "kcmd.db")
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if tt.uid != 0 || tt.gid != 0 {
				needRoot(t)
				if err := os.Chown(above, tt.uid, tt.gid); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Chmod(above, tt.mode); err != nil {
				t.Fatal(err)
			}
			b, err := sqlite.Open(t.Context(), path, sqlite.Options{})
			if err == nil {
				b.Close()
			}
			if tt.want == "" && err != nil {
				t.Error(err)
			}
			if tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), above+" above it")) {
				t.Errorf("got %v, want %q of %s", err, tt.want, above)
			}
		})
	}
}

// TestLinkToDirectory opens the database through a symbolic link to its directory.
// The directories behind the link are checked.
func TestLinkToDirectory(t *testing.T) {
	dir := privateDir(t)
	state := filepath.Join(dir, "open", "state")
	if err := os.MkdirAll(state, 0o700); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(state, link); err != nil {
		t.Fatal(err)
	}
	open(t, filepath.Join(link, "kcmd.db")).Close()
	if !exists(filepath.Join(state, "kcmd.db")) {
		t.Error("the database is missing")
	}
	if err := os.Chmod(filepath.Dir(state), 0o777); err != nil {
		t.Fatal(err)
	}
	b, err := sqlite.Open(t.Context(), filepath.Join(link, "kcmd.db"), sqlite.Options{})
	if err == nil {
		b.Close()
		t.Error("was opened")
	}
}
