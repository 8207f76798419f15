package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// document is what --json writes. Times are in microseconds.
type document struct {
	Machine     machine            `json:"machine"`
	Effort      string             `json:"effort"`
	Peers       []peerDocument     `json:"peers"`
	Results     []resultDocument   `json:"results"`
	Memory      []memoryDocument   `json:"memory,omitempty"`
	Syncs       []syncDocument     `json:"syncs,omitempty"`
	Allocations []allocationResult `json:"allocations,omitempty"`
	Scale       []scaleDocument    `json:"scale,omitempty"`
	Growth      []growthDocument   `json:"growth,omitempty"`
	Marks       []markDocument     `json:"marks"`
}

type machine struct {
	Processors int       `json:"processors"`
	Kernel     string    `json:"kernel"`
	Go         string    `json:"go"`
	Time       time.Time `json:"time"`
}

type peerDocument struct {
	Name    string `json:"name"`
	About   string `json:"about"`
	Failure string `json:"failure,omitempty"`
}

type times struct {
	Median  float64 `json:"median_us"`
	P99     float64 `json:"p99_us"`
	Samples int     `json:"samples"`
}

type resultDocument struct {
	circumstances
	Step    string   `json:"step"`
	Peer    string   `json:"peer"`
	Times   *times   `json:"times,omitempty"`
	Quiet   *float64 `json:"quietest_us,omitempty"`   // median of the quietest turn
	Server  *float64 `json:"server_cpu_us,omitempty"` // for each
	Client  *float64 `json:"client_cpu_us,omitempty"`
	OfEcho  *float64 `json:"of_echo,omitempty"`      // ratios of the quietest turns
	Ours    *float64 `json:"reference_is,omitempty"` // kcmd's median over this one
	Slow    bool     `json:"too_slow,omitempty"`
	Failure string   `json:"failure,omitempty"`
	Remark  string   `json:"remark,omitempty"`
}

type memoryDocument struct {
	circumstances
	Peer string `json:"peer"`
	Now  int64  `json:"now_bytes"`
	Peak int64  `json:"peak_bytes"`
}

type syncDocument struct {
	Peer    string `json:"peer"`
	Clients int    `json:"clients"`
	Stores  int    `json:"stores"`
	Syncs   int    `json:"fdatasync"`
	Maps    int    `json:"msync"`
	Commits *int   `json:"commits,omitempty"`
	Failure string `json:"failure,omitempty"`
}

type scaleDocument struct {
	Peer         string `json:"peer"`
	Users        int    `json:"users"`
	File         int64  `json:"file_bytes"`
	Start        *times `json:"start,omitempty"`
	Memory       int64  `json:"memory_bytes"`
	Active       int64  `json:"active_memory_bytes"`
	Retrieve     *times `json:"retrieve,omitempty"`
	Store        *times `json:"store,omitempty"`
	BusStart     *times `json:"bus_start,omitempty"`
	BusMemory    int64  `json:"bus_memory_bytes,omitempty"`
	Objects      *times `json:"objects,omitempty"`
	Ping         *times `json:"ping,omitempty"`
	Listed       *times `json:"listed,omitempty"`
	ListedMemory int64  `json:"listed_memory_bytes,omitempty"`
	Due          *times `json:"due,omitempty"`
	Failure      string `json:"failure,omitempty"`
}

type growthDocument struct {
	Peer    string `json:"peer"`
	What    string `json:"what"`
	Number  int    `json:"number"`
	Before  int64  `json:"before_bytes"`
	After   int64  `json:"after_bytes"`
	Failure string `json:"failure,omitempty"`
}

type markDocument struct {
	What     string `json:"what"`
	Wanted   string `json:"wanted"`
	Measured string `json:"measured,omitempty"`
	Met      bool   `json:"met"`
}

// writeJSON writes all that was measured.
func (b *bench) writeJSON(path string) error {
	text, err := json.MarshalIndent(b.document(), "", "\t")
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("cannot write what was measured: %w", err)
	}
	return nil
}

func (b *bench) document() document {
	var name unix.Utsname
	// It is only to be told.
	_ = unix.Uname(&name)
	d := document{
		Machine:     machine{runtime.NumCPU(), unix.ByteSliceToString(name.Release[:]), runtime.Version(), time.Now().UTC()},
		Effort:      b.options.effort.name,
		Results:     []resultDocument{},
		Allocations: b.allocationResults,
	}
	for _, p := range b.peers {
		d.Peers = append(d.Peers, peerDocument{p.name, findKind(p.name).about, text(p.failure)})
	}
	for _, r := range b.results.list {
		d.Results = append(d.Results, b.resultDocument(r))
	}
	for _, m := range b.memory {
		d.Memory = append(d.Memory, memoryDocument{m.circumstances, m.Peer, m.now, m.peak})
	}
	for _, r := range b.syncResults {
		s := syncDocument{r.Peer, r.Clients, r.Stores, r.Syncs, r.Maps, nil, text(r.Failure)}
		if r.Commits >= 0 {
			s.Commits = &r.Commits
		}
		d.Syncs = append(d.Syncs, s)
	}
	for _, r := range b.scaleResults {
		d.Scale = append(d.Scale, scaleDocument{
			r.Peer, r.Users, r.File, r.Start.times(), r.Memory, r.Active, r.Retrieve.times(), r.Store.times(),
			r.BusStart.times(), r.BusMemory, r.Objects.times(), r.Ping.times(), r.Listed.times(), r.ListedMemory,
			r.Due.times(), text(r.Failure),
		})
	}
	for _, r := range b.growthResults {
		d.Growth = append(d.Growth, growthDocument{r.Peer, r.What, r.Number, r.Before, r.After, text(r.Failure)})
	}
	for _, m := range b.marks() {
		d.Marks = append(d.Marks, markDocument(m))
	}
	return d
}

func (b *bench) resultDocument(r *result) resultDocument {
	d := resultDocument{
		circumstances: r.circumstances, Step: r.Step, Peer: r.Peer, Times: r.Took.times(),
		Slow: r.slow(), Failure: text(r.Failure), Remark: r.Remark,
	}
	if len(r.Took) == 0 {
		return d
	}
	if r.pure() {
		each := func(sum time.Duration) *float64 {
			us := microseconds(sum) / float64(len(r.Took))
			return &us
		}
		d.Server, d.Client = each(r.Server), each(r.Client)
	}
	quiet := r.quiet()
	us := microseconds(quiet)
	d.Quiet = &us
	if echo, ok := b.results.quiet(r.circumstances, r.Step, "echo"); ok && echo > 0 {
		x := float64(quiet) / float64(echo)
		d.OfEcho = &x
	}
	if ours, ok := b.results.quiet(r.circumstances, r.Step, b.reference()); ok && quiet > 0 {
		x := float64(ours) / float64(quiet)
		d.Ours = &x
	}
	return d
}

// times returns nil for no measurements.
func (s series) times() *times {
	if len(s) == 0 {
		return nil
	}
	return &times{microseconds(s.median()), microseconds(s.quantile(0.99)), len(s)}
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// text is what an error says, "" for none.
func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
