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
	p.printf("# EOF\n")
}

// metric writes the head of a metric.
func (p *Page) metric(name, help string) {
	p.printf("# HELP %s %s\n# TYPE %s gauge\n", name, help, name)
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
