package budget

// Bounds are the limits of one resource. Nobody takes more than Account, all
// together no more than Whole, and of Whole the Reserve is for root of the
// default namespace alone.
type Bounds struct {
	Account int64
	Whole   int64
	Reserve int64
}

// Limits are all budgets of the daemon.
type Limits struct {
	Connections Bounds // open connections, counted when they are accepted
	Memory      Bounds // bytes held for requests, replies and lists
	Requests    Bounds // requests under way
	Unread      Bounds // bytes of D-Bus messages that a peer has not read
	Lines       Bounds // log lines a minute that peers cause
}

// A Row describes one budget in the table of limits that the manual prints.
type Row struct {
	Name    string // as in errors and in the manual
	Unit    string
	Bounds  Bounds
	Meaning string // what is counted, and what happens at the limit
}

// Table returns the rows of the limits, in the order of the manual.
func (l Limits) Table() []Row {
	return []Row{
		{"connections", "", l.Connections, "Open connections to the KCM sockets. At the limit the account's connection that was idle longest closes, or that of the account with most; without an idle one the new connection is refused."},
		{"memory", "bytes", l.Memory, "Requests as they arrive, replies until they are read, and lists of credentials kept for iteration. A connection waits; after client_timeout its request fails with ENOMEM."},
		{"requests", "", l.Requests, "Requests worked on at once. The others wait, and accounts take turns."},
		{"unread", "bytes", l.Unread, "Answers and signals on D-Bus that the peer has not read. Answers wait; at last the peer's subscriptions end."},
		{"lines", "a minute", l.Lines, "Lines in the log that the account's requests cause. One line counts those left out."},
	}
}
