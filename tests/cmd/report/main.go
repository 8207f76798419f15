// Report turns the output of "go test -json" into that of "go test": a line for
// each package, and the output of failing tests. It also prints each skipped test
// with its reason, and at the end the slowest tests and totals. It exits with 1 if a test failed, or if
// none ran.
//
// A test that skips with a reason that begins with "not a test:" is a helper, such
// as the process that another test starts. Report does not count it.
//
// It is part of tests/run and imports nothing of this module.
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// An event is one line of "go test -json"; "go doc test2json" describes it.
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
	Elapsed float64 // seconds
}

// A test names a test, or with an empty name a package.
type test struct{ pkg, name string }

// A timed test has passed.
type timed struct {
	test
	seconds float64
}

type report struct {
	times                   []timed
	out                     io.Writer
	output                  map[test][]string
	failing                 map[string]bool // packages in which a test has failed
	passed, failed, skipped int
}

func main() {
	r := report{out: os.Stdout, output: make(map[test][]string), failing: make(map[string]bool)}
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
		// From the go command itself.
		fmt.Fprint(r.out, line)
		return
	}
	key := test{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		fmt.Fprint(r.out, e.Output)
	case "output":
		// Frames of verbose output.
		if strings.HasPrefix(e.Output, "=== ") || e.Output == "PASS\n" || strings.Contains(e.Output, "[no test files]") {
			return
		}
		r.output[key] = append(r.output[key], e.Output)
	case "pass", "fail", "skip":
		if e.Action == "pass" && e.Test != "" && !strings.Contains(e.Test, "/") {
			r.times = append(r.times, timed{key, e.Elapsed})
		}
		r.end(key, e.Action)
	}
}

// notATest begins the reason of a helper's skip.
const notATest = "not a test:"

// end prints the output of a package, and of a test that did not pass.
func (r *report) end(key test, action string) {
	output := strings.Join(r.output[key], "")
	delete(r.output, key)
	if key.name == "" {
		fmt.Fprint(r.out, output)
		// It was not built, or ended before its tests did.
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
		fmt.Fprint(r.out, output)
	case "skip":
		if strings.Contains(output, notATest) {
			return
		}
		r.skipped++
		fmt.Fprint(r.out, withoutLog(output))
	}
}

// withoutLog drops the log of a script, which follows the reason of its skip.
func withoutLog(output string) string {
	reason, log, ok := strings.Cut(output, "    testscript.go:")
	if !ok {
		return output
	}
	_, end, _ := strings.Cut(log, "\n--- ")
	return reason + "--- " + end
}

// finish prints the totals, and reports whether tests ran and none failed.
func (r *report) finish() bool {
	// The output of tests whose process ended before they did.
	for key, output := range r.output {
		if len(output) > 0 {
			fmt.Fprintf(r.out, "%s %s did not end:\n%s", key.pkg, key.name, strings.Join(output, ""))
		}
	}
	r.printSlowest()
	fmt.Fprintf(r.out, "%d passed, %d failed, %d skipped\n", r.passed, r.failed, r.skipped)
	return r.failed == 0 && r.passed > 0
}

// slowest is how many tests are named that took the longest, without their waits for
// other tests.
const slowest = 10

func (r *report) printSlowest() {
	slices.SortFunc(r.times, func(a, b timed) int { return cmp.Compare(b.seconds, a.seconds) })
	var list []string
	for _, t := range r.times[:min(len(r.times), slowest)] {
		if t.seconds >= 1 {
			list = append(list, fmt.Sprintf("%s %.0f s", t.name, t.seconds))
		}
	}
	if len(list) > 0 {
		fmt.Fprintf(r.out, "slowest: %s\n", strings.Join(list, ", "))
	}
}
