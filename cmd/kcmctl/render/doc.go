// Package render writes what kcmctl shows: tables and lines for people, JSON and
// OpenMetrics for programs. All text that a client of kcmd chose is escaped.
//
// It imports dbus/client, whose types it shows, ccache for the names of encryption
// types, doctor for its findings, words and safetext. It calls nothing on a bus.
//
// Files, in the order in which to read them:
//
//   - page.go: where it writes to, colours, and the escaping of text
//   - times.go: times and durations
//   - table.go: columns
//   - words.go: states in words and colours
//   - caches.go, cache.go: the list of caches, and one cache with its tickets
//   - event.go, users.go: events, and users, with their JSON forms
//   - status.go, daemon.go, metrics.go: the status, for people and as OpenMetrics
//   - findings.go, results.go: the findings of doctor, and what became of copied caches
//   - json.go: the JSON form of caches and tickets
//   - waybar.go: caches as a line for the panel waybar
package render
