package main

import (
	"fmt"
	"os"
	"strings"
)

// processName returns the name of a process, "" if it has ended or is unknown.
func processName(pid uint32) string {
	if pid == 0 {
		return ""
	}
	name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return strings.TrimSpace(string(name))
}
