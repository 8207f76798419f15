package budget

import "slices"

// A rota holds what accounts wait for: a queue for each account, and the accounts
// in the order of their turns. The zero value is empty. It is for one goroutine
// at a time.
type rota[T comparable] struct {
	queues map[Account][]T
	order  []Account // who waits; the first has the next turn
	size   int
}

func (r *rota[T]) len() int { return r.size }

// has reports whether a waits for something.
func (r *rota[T]) has(a Account) bool { return len(r.queues[a]) > 0 }

// isFor reports whether nobody but a waits.
func (r *rota[T]) isFor(a Account) bool { return r.size == len(r.queues[a]) }

// add puts x at the end of a's queue.
func (r *rota[T]) add(a Account, x T) {
	if r.queues == nil {
		r.queues = make(map[Account][]T)
	}
	if !r.has(a) {
		r.order = append(r.order, a)
	}
	r.queues[a] = append(r.queues[a], x)
	r.size++
}

// remove takes x out of a's queue and reports whether it was there.
func (r *rota[T]) remove(a Account, x T) bool {
	i := slices.Index(r.queues[a], x)
	if i < 0 {
		return false
	}
	r.setQueue(a, slices.Delete(r.queues[a], i, i+1))
	return true
}

// next takes out the first entry of the first account whose entry fits, and puts
// that account at the end of the order.
func (r *rota[T]) next(fits func(Account, T) bool) (x T, ok bool) {
	for i, a := range r.order {
		x = r.queues[a][0]
		if !fits(a, x) {
			continue
		}
		r.order = append(slices.Delete(r.order, i, i+1), a)
		r.setQueue(a, r.queues[a][1:])
		return x, true
	}
	var none T
	return none, false
}

// setQueue replaces the queue of a by one with an entry less.
func (r *rota[T]) setQueue(a Account, queue []T) {
	r.size--
	r.queues[a] = queue
	if len(queue) > 0 {
		return
	}
	delete(r.queues, a)
	r.order = slices.DeleteFunc(r.order, func(b Account) bool { return a == b })
}
