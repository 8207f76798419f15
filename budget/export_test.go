package budget

// Waiting returns how many requests wait for a share of p.
func Waiting(p *Pool) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.waiting.len()
}

// WaitingTurns returns how many requests wait for a turn.
func WaitingTurns(t *Turns) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.waiting[calm].len() + t.waiting[busy].len()
}
