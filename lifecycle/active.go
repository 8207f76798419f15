package lifecycle

import (
	"bufio"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Presence finds out whether users are there. The zero value looks at the machine.
type Presence struct {
	Logind string // directory with the state of the users that logind knows; default: /run/systemd/users
	Proc   string // default: /proc
}

// Active reports whether logind knows the user, or a process of the user is seen. Where
// processes are hidden (ProtectProc= of systemd), logind alone counts.
func (p Presence) Active(uid uint32) bool {
	return uid == uint32(os.Geteuid()) || p.hasSession(uid) || p.hasProcess(uid)
}

// hasSession reads what sd_uid_get_state(3) reads. A user who lingers has a process of
// the user manager. One who is "closing" has logged out and left processes, as of tmux;
// or lingers, because logind does not write the state again when the last session is
// gone. Otherwise the file goes within UserStopDelaySec= (10 seconds).
func (p Presence) hasSession(uid uint32) bool {
	f, err := os.Open(filepath.Join(or(p.Logind, "/run/systemd/users"), strconv.FormatUint(uint64(uid), 10)))
	if err != nil {
		return false
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if state, ok := strings.CutPrefix(lines.Text(), "STATE="); ok {
			return slices.Contains([]string{"opening", "active", "online", "lingering", "closing"}, state)
		}
	}
	return false
}

func (p Presence) hasProcess(uid uint32) bool {
	proc, err := os.Open(or(p.Proc, "/proc"))
	if err != nil {
		return false
	}
	defer proc.Close()
	for {
		names, err := proc.Readdirnames(256)
		for _, name := range names {
			if name[0] < '0' || name[0] > '9' {
				continue
			}
			info, err := os.Lstat(filepath.Join(proc.Name(), name))
			if err != nil {
				continue
			}
			if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid == uid {
				return true
			}
		}
		if err != nil {
			return false
		}
	}
}

func or(path, usual string) string {
	if path == "" {
		return usual
	}
	return path
}
