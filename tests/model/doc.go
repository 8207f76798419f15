// Package model says what a client's caches must hold. Tests that change caches at
// random compare it with the answers of a server: the soak and tests/durability.
//
// Read model.go first, then change.go (what each KCM request makes of a model) and
// read.go (a model from a server's answers). It imports kcmserver/kcm/client and
// the packages below it.
package model
