// Package words has the words in which the programs for people speak of caches: times,
// states, and the reasons of errors.
//
// It imports nothing of ours, and its callers escape what they print. Files, in the
// order in which to read them:
//
//   - times.go: durations and times of the day
//   - state.go: the state of a cache
//   - reason.go: the reason of an error
package words
