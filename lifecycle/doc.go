// Package lifecycle does what is to be done to caches because time has passed:
// it removes those whose tickets ended long ago.
//
// It imports ccstore and clock. reaper.go removes.
package lifecycle
