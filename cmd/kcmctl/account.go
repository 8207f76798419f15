package main

import (
	"context"
	"maps"
	"os/exec"
	"os/user"
	"slices"
	"strconv"
	"strings"
)

// The program is linked statically, so that os/user reads /etc/passwd only. getent(1)
// asks the other sources of nsswitch.conf, such as SSSD, LDAP and systemd.

// accountNames returns the names of those uids that have an account.
func accountNames(ctx context.Context, uids ...uint32) map[uint32]string {
	names := make(map[uint32]string, len(uids))
	var others []string
	for _, uid := range uids {
		id := strconv.FormatUint(uint64(uid), 10)
		if u, err := user.LookupId(id); err == nil {
			names[uid] = u.Username
		} else {
			others = append(others, id)
		}
	}
	for name, uid := range getent(ctx, others...) {
		names[uid] = name
	}
	return names
}

// accountUID returns the uid of a user.
func accountUID(ctx context.Context, name string) (uint32, bool) {
	if u, err := user.Lookup(name); err == nil {
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		return uint32(uid), err == nil
	}
	uids := slices.Collect(maps.Values(getent(ctx, name))) // the answer may spell the name otherwise
	if len(uids) != 1 {
		return 0, false
	}
	return uids[0], true
}

// getent returns those accounts that exist, by name. Without the program there are none.
func getent(ctx context.Context, keys ...string) map[string]uint32 {
	if len(keys) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	out, _ := exec.CommandContext(ctx, "getent", append([]string{"--", "passwd"}, keys...)...).Output() // fails if one does not exist
	accounts := make(map[string]uint32)
	for line := range strings.Lines(string(out)) {
		fields := strings.Split(line, ":")
		if len(fields) < 3 {
			continue
		}
		if uid, err := strconv.ParseUint(fields[2], 10, 32); err == nil {
			accounts[fields[0]] = uint32(uid)
		}
	}
	return accounts
}
