// Package render writes what kcmctl shows: tables and lines for people, JSON and
// OpenMetrics for programs. All text that a client of kcmd chose is escaped.
//
// It imports dbus/client, whose types it shows, ccache for the names of encryption
// types, and safetext. It calls nothing on a bus.
//
// Files, in the order in which to read them:
//
//   - page.go: where it writes to, colours, and the escaping of text
//   - times.go: times and durations
//   - table.go: columns
//   - words.go: states in words
//   - caches.go: the list of caches
//   - json.go: the JSON form of caches and tickets
package render
