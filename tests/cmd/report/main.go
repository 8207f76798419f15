// Report reads what "go test -json" prints and prints what "go test" would:
// a line for each package, and what failing tests said. Beyond that it names
// every test that was skipped, with its reason, since a test that silently
// stopped running is worse than none, and ends with the numbers. It exits with
// 1 if anything failed or nothing ran.
//
// It is part of tests/run and imports nothing of this module.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

// An event is one line of "go test -json"; "go doc test2json" describes it.
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
}

// test is the key of what a test has said.
type test struct{ pkg, name string }

type report struct {
	out                     io.Writer
	said                    map[test][]string
	failing                 map[string]bool // packages in which a test has failed
	passed, failed, skipped int
}

func main() {
	r := report{out: os.Stdout, said: make(map[test][]string), failing: make(map[string]bool)}
	lines := bufio.NewReader(os.Stdin)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			r.line(line)
		}
		if err != nil {
			break
		}
	}
	if !r.finish() {
		os.Exit(1)
	}
}

func (r *report) line(line string) {
	var e event
	if err := json.Unmarshal([]byte(line), &e); err != nil {
		// Not from a test: the go command's own words.
		fmt.Fprint(r.out, line)
		return
	}
	key := test{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		fmt.Fprint(r.out, e.Output)
	case "output":
		// The framing of verbose output, which nobody asked for.
		if strings.HasPrefix(e.Output, "=== ") || e.Output == "PASS\n" || strings.Contains(e.Output, "[no test files]") {
			return
		}
		r.said[key] = append(r.said[key], e.Output)
	case "pass", "fail", "skip":
		r.end(key, e.Action)
	}
}

// end prints what a test or package has said, if that is of interest.
func (r *report) end(key test, action string) {
	said := strings.Join(r.said[key], "")
	delete(r.said, key)
	if key.name == "" {
		fmt.Fprint(r.out, said)
		// One that was not built, or ended before its tests did.
		if action == "fail" && !r.failing[key.pkg] {
			r.failed++
		}
		return
	}
	switch action {
	case "pass":
		r.passed++
	case "fail":
		r.failed++
		r.failing[key.pkg] = true
		fmt.Fprint(r.out, said)
	case "skip":
		r.skipped++
		fmt.Fprint(r.out, said)
	}
}

// finish prints the numbers and tells whether all is well.
func (r *report) finish() bool {
	// What a test said that never ended, because its process did.
	for key, said := range r.said {
		if len(said) > 0 {
			fmt.Fprintf(r.out, "%s %s did not end:\n%s", key.pkg, key.name, strings.Join(said, ""))
		}
	}
	fmt.Fprintf(r.out, "%d passed, %d failed, %d skipped\n", r.passed, r.failed, r.skipped)
	return r.failed == 0 && r.passed > 0
}
