package render

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Metrics writes a status as OpenMetrics 1.0, in the part of it that the text format
// of Prometheus also has, so that node_exporter's textfile collector reads it. No
// label has the name of a cache or of a principal.
func (p *Page) Metrics(s *Status) {
	p.metric("kcmd_build_info", "Version of kcmd.")
	p.sample("kcmd_build_info", 1, "version", s.Version, "mode", s.Mode)
	p.metric("kcmd_limit_caches", "Caches that a user may have, 0 for any number.")
	p.sample("kcmd_limit_caches", uint64(s.Limits.Caches))
	p.metric("kcmd_limit_bytes", "Memory that the caches of a user may take, 0 for any.")
	p.sample("kcmd_limit_bytes", s.Limits.Bytes)
	p.metric("kcmd_caches", "Caches by user and state.")
	for _, u := range s.Users {
		for _, state := range slices.Sorted(maps.Keys(u.States)) {
			p.sample("kcmd_caches", uint64(u.States[state]), "uid", decimal(u.UID), "state", state)
		}
	}
	p.perUser(s, "kcmd_tickets", "Tickets by user.", func(u User) uint64 { return uint64(u.Tickets) })
	p.perUser(s, "kcmd_used_bytes", "Memory that the caches of a user take.", func(u User) uint64 { return u.Bytes })
	p.perUser(s, "kcmd_next_expiry_timestamp_seconds", "When the first TGT of a user expires.", func(u User) uint64 { return uint64(u.NextExpiry) })
	p.metric("kcmd_renewals", "Caches by state of their renewal.")
	for _, state := range slices.Sorted(maps.Keys(s.Renewals)) {
		p.sample("kcmd_renewals", uint64(s.Renewals[state]), "state", state)
	}
	if s.Daemon != nil {
		p.daemonMetrics(s.Daemon)
	}
	p.printf("# EOF\n")
}

// daemonMetrics writes the figures of kcmd itself.
func (p *Page) daemonMetrics(d *Daemon) {
	p.metric("kcmd_start_timestamp_seconds", "When kcmd started.")
	p.sample("kcmd_start_timestamp_seconds", uint64(d.Started))
	p.metric("kcmd_store_bytes", "Size of the store.")
	p.sample("kcmd_store_bytes", d.StoreBytes)
	p.metric("kcmd_quarantined", "Stored caches and tickets that cannot be read.")
	p.sample("kcmd_quarantined", uint64(d.Quarantined))
	p.metric("kcmd_store_failing", "Whether the last attempt to read or write the store failed.")
	p.sample("kcmd_store_failing", one(d.Unreadable), "operation", "read")
	p.sample("kcmd_store_failing", one(d.Unwritable), "operation", "write")
	p.metric("kcmd_memory_bytes", "Size of the collections in memory.")
	p.sample("kcmd_memory_bytes", d.MemoryBytes)
	p.metric("kcmd_connections", "KCM clients that are connected.")
	p.sample("kcmd_connections", uint64(d.Connections))
	p.counter("kcmd_client_connections", "Connections of KCM clients since the start: served, not served, and ended for an error of the client.")
	p.sample("kcmd_client_connections_total", d.Accepted, "result", "served")
	p.sample("kcmd_client_connections_total", d.Refused, "result", "refused")
	p.sample("kcmd_client_connections_total", d.Cut, "result", "cut")
	p.counter("kcmd_requests", "Answers since the start, by opcode and code.")
	for _, op := range slices.Sorted(maps.Keys(d.Requests)) {
		for _, code := range slices.Sorted(maps.Keys(d.Requests[op])) {
			p.sample("kcmd_requests_total", d.Requests[op][code], "opcode", op, "code", code)
		}
	}
}

func one(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// metric writes the head of a metric.
func (p *Page) metric(name, help string) {
	p.printf("# HELP %s %s\n# TYPE %s gauge\n", name, help, name)
}

// counter writes the head of a metric that only grows. Its samples have the suffix
// _total, by which node_exporter takes them for metrics without a type.
func (p *Page) counter(name, help string) {
	p.printf("# HELP %s %s\n# TYPE %s counter\n", name, help, name)
}

// sample writes a value with labels, a name and a value each.
func (p *Page) sample(name string, value uint64, labels ...string) {
	var list []string
	for pair := range slices.Chunk(labels, 2) {
		list = append(list, fmt.Sprintf("%s=%q", pair[0], pair[1]))
	}
	text := ""
	if len(list) > 0 {
		text = "{" + strings.Join(list, ",") + "}"
	}
	p.printf("%s%s %d\n", name, text, value)
}

func (p *Page) perUser(s *Status, name, help string, value func(User) uint64) {
	p.metric(name, help)
	for _, u := range s.Users {
		p.sample(name, value(u), "uid", decimal(u.UID))
	}
}
