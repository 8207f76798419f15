// Package describe turns the record of a collection into a description that may
// be shown: everything but session keys and tickets. It writes descriptions as
// JSON and as text, with what clients chose escaped for terminals.
//
// It imports ccstore and ccache, whose records it reads, and safetext. It reads
// from no store.
//
// Files, in the order in which to read them:
//
//   - describe.go: the description and how it is made
//   - json.go, table.go: its two forms
package describe
