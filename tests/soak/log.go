package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// A span is a part of the log.
type span struct{ from, to int }

var (
	logLine = regexp.MustCompile(`^time=\S+ level=(\w+) msg=("(?:[^"\\]|\\.)*"|\S+)`)
	// expectedLines are the messages that may come as a warning: an intruder is
	// in the middle of a request when the daemon is stopped.
	expectedLines = map[string]bool{`"clients were cut off in the middle of a request"`: true}
)

// checkLog finds what is not to be expected in the daemon's log: warnings,
// errors, and what is no line of a log at all. What is in the spans was asked for.
func checkLog(log string, asked []span) error {
	var rest strings.Builder
	from := 0
	for _, a := range asked {
		rest.WriteString(log[from:a.from])
		from = a.to
	}
	rest.WriteString(log[from:])
	var errs []error
	for text := range strings.Lines(rest.String()) {
		m := logLine.FindStringSubmatch(text)
		switch {
		case m == nil:
		case m[1] == "INFO", m[1] == "DEBUG", m[1] == "WARN" && expectedLines[m[2]]:
			continue
		}
		errs = append(errs, errors.New(strings.TrimSpace(text)))
	}
	if len(errs) > shown {
		errs = append(errs[:shown], fmt.Errorf("and %d more", len(errs)-shown))
	}
	return errors.Join(errs...)
}
