package system

import (
	"fmt"
	"os"
	"path/filepath"
)

// servicePolicy returns the D-Bus policy that is installed with kcmd, for the system
// buses of the tests.
func servicePolicy() (string, error) {
	policy, err := os.ReadFile(filepath.Join("..", "..", "data", "dbus", "org.kcmd.KCM1.conf"))
	if err != nil {
		return "", fmt.Errorf("cannot read the D-Bus policy: %w", err)
	}
	return string(policy), nil
}
