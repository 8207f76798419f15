// Package budget bounds what each account, a uid in a namespace, can make the
// daemon hold and do, so that no user can exhaust it for the others.
//
// It is a leaf: it imports nothing of kcmd's. Read its files in this order:
//
//	limits.go  the table of all limits, with their defaults
//	pool.go    what accounts hold: bytes of memory, connections
//	turns.go   what accounts do: requests under way, in turn
//	load.go    how much all of them do
//	rota.go    a queue for each account, in the order of their turns
package budget
