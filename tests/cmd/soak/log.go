package main

import (
	"regexp"
	"strings"
)

// A span is a part of the log.
type span struct{ from, to int }

var (
	logLine = regexp.MustCompile(`^time=\S+ level=(\w+) msg=("(?:[^"\\]|\\.)*"|\S+)`)
	// expectedWarnings come because an intruder is in the middle of a request
	// when the daemon is stopped.
	expectedWarnings = map[string]bool{`"clients were cut off in the middle of a request"`: true}
)

// mostOfLine is how much of a line of the log is told, in bytes: a panic has its
// whole stack in it.
const mostOfLine = 400

// unexpected returns the lines of the daemon's log that should not be there:
// warnings, errors, and what is no line of a log at all. What is in the spans was
// asked for.
func unexpected(log string, asked []span) []string {
	var rest strings.Builder
	from := 0
	for _, a := range asked {
		rest.WriteString(log[from:a.from])
		from = a.to
	}
	rest.WriteString(log[from:])
	var found []string
	for line := range strings.Lines(rest.String()) {
		if !expected(line) {
			line = strings.TrimSpace(line)
			found = append(found, line[:min(len(line), mostOfLine)])
		}
	}
	return found
}

func expected(line string) bool {
	m := logLine.FindStringSubmatch(line)
	if m == nil {
		return false
	}
	level, message := m[1], m[2]
	return level == "INFO" || level == "DEBUG" || level == "WARN" && expectedWarnings[message]
}
