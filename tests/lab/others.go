package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// othersDirectory returns the directory into which tests/install.sh has unpacked
// the servers of others, since installing them would start them.
func othersDirectory() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(cache, "kcmd-tests", "servers"), nil
}

// confine runs in a new mount namespace, and then executes the server, whose paths
// cannot be configured. There, /run, /var/lib and /var/log are directories of the
// lab, and /etc has additional files.
const confine = `
mount --make-rprivate /
mount --bind "$1/run" /run
mount --bind "$1/lib" /var/lib
mount --bind "$1/log" /var/log
mount -t overlay -o "lowerdir=$1/etc:/etc" overlay /etc
shift
for prepare; do
	shift
	[ "$prepare" != -- ] || break
	$prepare
done
exec setpriv --pdeathsig=KILL -- "$@"
`

// NewSSSD starts sssd_kcm without the rest of SSSD, under the command tracer if
// one is given. Only root can.
func (l *Lab) NewSSSD(tracer ...string) (*Server, error) {
	s, err := l.newOther("sssd", func(unpacked, own string) ([]string, error) {
		for _, dir := range []string{"lib/sss/db", "lib/sss/secrets", "log/sssd", "etc/sssd/conf.d"} {
			if err := os.MkdirAll(filepath.Join(own, dir), 0o755); err != nil {
				return nil, err
			}
		}
		// By default it ends after a while without a request.
		conf := "[kcm]\nresponder_idle_timeout = 0\nclient_idle_timeout = 86400\n"
		if err := os.WriteFile(filepath.Join(own, "etc/sssd/sssd.conf"), []byte(conf), 0o600); err != nil {
			return nil, err
		}
		// Only its monitor reads the configuration.
		prepare := []string{filepath.Join(unpacked, "usr/sbin/sssd") + " --genconf-section=kcm --logger=stderr", "--"}
		return append(append(prepare, tracer...),
			filepath.Join(unpacked, "usr/libexec/sssd/sssd_kcm"), "--logger=stderr", "--uid", "0", "--gid", "0"), nil
	})
	if err != nil {
		return nil, fmt.Errorf("cannot start sssd_kcm: %w", err)
	}
	return s, nil
}

// newOther starts a server with a directory of that name. command gets the directory
// in which the program is unpacked and the server's own, and returns the command that
// prepares it, "--", and the server's command.
func (l *Lab) newOther(name string, command func(unpacked, own string) ([]string, error)) (*Server, error) {
	if os.Getuid() != 0 {
		return nil, errors.New("only root can give it directories of its own")
	}
	unpacked, err := othersDirectory()
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(unpacked); err != nil {
		return nil, errors.New("the servers of others are not unpacked (tests/bench does that)")
	}
	own := l.Path(name)
	for _, dir := range []string{"run", "lib", "log", "etc"} {
		if err := os.MkdirAll(filepath.Join(own, dir), 0o755); err != nil {
			return nil, err
		}
	}
	words, err := command(unpacked, own)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("unshare", append([]string{"--mount", "sh", "-euc", confine, "sh", own}, words...)...)
	cmd.Env, err = othersEnvironment(unpacked)
	if err != nil {
		return nil, err
	}
	return l.Serve(cmd, own+".log", filepath.Join(own, "run", filepath.Base(WellKnownSocket)))
}

// othersEnvironment returns the variables by which unpacked programs find their libraries.
func othersEnvironment(unpacked string) ([]string, error) {
	var dirs []string
	for _, pattern := range []string{"lib/*-linux-*", "usr/lib/*-linux-*", "usr/lib/*-linux-*/sssd", "usr/lib/*-linux-*/samba"} {
		found, err := filepath.Glob(filepath.Join(unpacked, pattern))
		if err != nil {
			return nil, err
		}
		dirs = append(dirs, found...)
	}
	env := []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "LD_LIBRARY_PATH=" + strings.Join(dirs, ":")}
	for _, dir := range dirs {
		if filepath.Base(dir) == "samba" {
			env = append(env, "LDB_MODULES_PATH="+filepath.Join(dir, "ldb"))
		}
	}
	return env, nil
}
