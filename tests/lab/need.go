package lab

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Programs by use. tests/install.sh knows their packages.
var (
	// KerberosPrograms make a realm and are its clients.
	KerberosPrograms = []string{
		"kdb5_util", "kadmin.local", "krb5kdc",
		"kinit", "klist", "kvno", "kswitch", "kdestroy",
	}
	// BusPrograms are a message bus and two clients of different libraries.
	BusPrograms = []string{"dbus-daemon", "gdbus", "busctl"}
)

// UseSystemPath adds the directories of servers to PATH of this program and its
// children: the PATH of a Debian user lacks them.
func UseSystemPath() error {
	path := os.Getenv("PATH")
	for _, dir := range []string{"/usr/local/sbin", "/usr/sbin", "/sbin"} {
		if !strings.Contains(":"+path+":", ":"+dir+":") {
			path += ":" + dir
		}
	}
	return os.Setenv("PATH", path)
}

// Missing returns an error that names those of the programs, and of the files with
// absolute paths, that are not installed, nil if all are.
func Missing(programs ...string) error {
	var missing []string
	for _, p := range programs {
		_, err := exec.LookPath(p)
		if filepath.IsAbs(p) {
			_, err = os.Stat(p)
		}
		if err != nil {
			missing = append(missing, p)
		}
	}
	if missing == nil {
		return nil
	}
	return fmt.Errorf("not installed: %s (tests/run installs them)", strings.Join(missing, ", "))
}

// Faketime returns the path of the library that gives a program another clock, "" if
// it is not installed. Servers load it directly: the program faketime would be a
// parent that does not end with the lab.
func Faketime() string {
	found, err := filepath.Glob("/usr/lib/*/faketime/libfaketime.so.1")
	if err != nil || len(found) == 0 {
		return ""
	}
	return found[0]
}
