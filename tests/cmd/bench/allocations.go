package main

import (
	"bytes"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"strconv"

	"kcmd.org/kcmd/tests/lab"
)

// An allocationResult is what kcmd takes of Go's heap for one request, as the
// benchmarks of kcmserver tell.
type allocationResult struct {
	Benchmark   string `json:"benchmark"`
	Bytes       int    `json:"bytes"`
	Allocations int    `json:"allocations"`
}

// allocations runs those benchmarks, for so long that the numbers are right and
// not that the times are. They are of the tree, whatever --kcmd says.
func (b *bench) allocations() error {
	cmd := exec.Command("go", "test", "-run=^$", "-bench=^Benchmark(Retrieve|Store|GetCredList)$", "-benchtime=300x", "./kcmserver")
	cmd.Dir = b.options.root
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := lab.Run(cmd); err != nil {
		return fmt.Errorf("cannot run the benchmarks: %w\n%s", err, out.String())
	}
	b.allocationResults = readAllocations(out.Bytes())
	if len(b.allocationResults) == 0 {
		return fmt.Errorf("the benchmarks say nothing of allocations:\n%s", out.String())
	}
	return nil
}

var benchmarkLine = regexp.MustCompile(`(?m)^Benchmark(\S+?)(?:-\d+)?\s.*\s(\d+) B/op\s+(\d+) allocs/op`)

func readAllocations(out []byte) []allocationResult {
	var list []allocationResult
	for _, m := range benchmarkLine.FindAllSubmatch(out, -1) {
		r := allocationResult{Benchmark: string(m[1])}
		// The expression allows nothing but numbers.
		r.Bytes, _ = strconv.Atoi(string(m[2]))
		r.Allocations, _ = strconv.Atoi(string(m[3]))
		list = append(list, r)
	}
	return list
}

func (b *bench) reportAllocations(w io.Writer) {
	if len(b.allocationResults) == 0 {
		return
	}
	fmt.Fprintf(w, "\nMemory that kcmd allocates for each request\n")
	t := table{{"", "allocations", "bytes"}}
	for _, r := range b.allocationResults {
		t = append(t, []string{r.Benchmark, thousands(r.Allocations), thousands(r.Bytes)})
	}
	t.print(w)
}
