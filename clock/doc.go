// Package clock gives the time: the wall clock, the boot clock, and timers on
// the wall clock that notice a suspended machine and a clock that is set.
//
// It is a leaf and imports nothing of kcmd's. One Clock is made in cmd/kcmd and
// given to everything that needs the time; clocktest has one for tests.
//
// Files, in the order in which to read them: clock.go, timer.go, jumps.go (when the wall
// clock was set).
package clock
