package budget

// Bounds are the limits of one resource. No account has more than Account, all
// together have no more than Whole, and of Whole the Reserve is for root of the
// default namespace and the daemon itself alone.
type Bounds struct {
	Account int64
	Whole   int64
	Reserve int64
}

// LeastWhole is the least Whole of Fit: below it a Pool gives nothing to others
// than root.
const LeastWhole = 4

// Fit returns b for a smaller whole: no account has more than half of it, and
// the reserve is at most an eighth.
func (b Bounds) Fit(whole int64) Bounds {
	whole = max(whole, LeastWhole)
	if whole >= b.Whole {
		return b
	}
	return Bounds{Account: min(b.Account, whole/2), Whole: whole, Reserve: min(b.Reserve, whole/8)}
}

// Limits are all budgets of the daemon.
type Limits struct {
	Connections Bounds // open connections, counted when they are accepted
	Refusals    Bounds // refused connections that have not got their answer
	Memory      Bounds // bytes held for requests, replies and lists
	Stored      Bounds // bytes of stored collections
	Collections Bounds // bytes of those in memory
	Requests    Bounds // requests under way
	Lines       Bounds // log lines a minute that clients cause
	Unread      Bounds // bytes on D-Bus that clients have not read
	Helpers     Bounds // requests to Kerberos KDCs under way
	Descriptors Bounds // file descriptors of D-Bus calls that are not answered
}

// Default returns the limits of a daemon that is not configured otherwise.
func Default() Limits {
	return Limits{
		Connections: Bounds{Account: 256, Whole: 4096, Reserve: 64},
		Refusals:    Bounds{Account: 8, Whole: 32, Reserve: 1},
		Memory:      Bounds{Account: 24 << 20, Whole: 58 << 20, Reserve: 10 << 20},
		Stored:      Bounds{Account: 64 << 20, Whole: 4 << 30},
		Collections: Bounds{Account: 64 << 20, Whole: 80 << 20},
		Requests:    Bounds{Account: 2, Whole: 32, Reserve: 4},
		Lines:       Bounds{Account: 60, Whole: 600},
		Unread:      Bounds{Account: 40 << 20, Whole: 112 << 20, Reserve: 32 << 20},
		Helpers:     Bounds{Account: 2, Whole: 8, Reserve: 1},
		Descriptors: Bounds{Account: 8, Whole: 32, Reserve: 2},
	}
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
		{"connections", "", l.Connections, "Open connections to the KCM sockets. At the limit the connection that was idle for longest closes, or else one with half a request: of the same account, or of the account with most connections. Without one the new connection is refused."},
		{"refusals", "", l.Refusals, "Refused connections that wait a second for their first request, to answer it with an error. At the limit a refused connection closes at once."},
		{"memory", "bytes", l.Memory, "Requests and replies above 4 KiB, and lists of credentials kept for iteration, in bytes. At the limit a request waits, and after the client timeout fails."},
		{"stored", "bytes", l.Stored, "Stored caches and tickets, in bytes: of an account in memory, of the whole on disk. At the limit the store removes what may go of the same account, or the request fails with Disk quota exceeded."},
		{"collections", "bytes", l.Collections, "Stored caches and tickets in memory, in bytes. At the limit of the whole, collections that no request uses leave the memory, the largest first, and are read from the database when they are used again; subscriptions on D-Bus to the largest end."},
		{"requests", "", l.Requests, "Requests worked on at once. The others wait, and accounts take turns. An account has four times as many while no other works. An account whose requests took more than a quarter of a processor lately, or less when the processors are busy, shares as many turns as there are processors with others like it."},
		{"lines", "a minute", l.Lines, "Lines in the log about refused requests and connections, a minute. The next line counts those left out."},
		{"unread", "bytes", l.Unread, "Answers and signals on D-Bus that connections have not shown to have read, in bytes. They show it by answering org.freedesktop.DBus.Peer.Ping. At the limit calls wait for 10 seconds and fail, and subscriptions end."},
		{"helpers", "", l.Helpers, "Requests to Kerberos KDCs under way, each of which is a process. At the limit the next one waits. An account may have 8 calls on D-Bus under way or waiting, all together 64, and begin 60 at once, and then one a second; more fail with Busy."},
		{"descriptors", "", l.Descriptors, "File descriptors with passwords and keytabs that came with calls on D-Bus which are not answered yet. At the limit a call fails."},
	}
}
