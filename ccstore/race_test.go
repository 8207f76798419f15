//go:build race

package ccstore_test

func init() { underRace = true }
