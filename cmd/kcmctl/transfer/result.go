package transfer

// A Result says what became of a cache. Its JSON form is described in kcmctl(1).
type Result struct {
	Source    string `json:"source"`
	Target    string `json:"target"` // "" if it has none
	UID       uint32 `json:"uid"`
	Principal string `json:"principal"` // "" if it cannot be read
	Tickets   int    `json:"tickets"`   // in the source
	Outcome   string `json:"outcome"`
	Reason    string `json:"reason"`  // why it was skipped
	Default   bool   `json:"default"` // its target is the default cache there
	Removed   bool   `json:"removed"` // it is no longer in the source
	Error     string `json:"error"`   // of reading, writing or removing
}

// Outcomes.
const (
	Taken    = "taken"
	Replaced = "replaced" // as the target had older tickets of the principal
	Skipped  = "skipped"
	Failed   = "failed"
)

// Reasons for Skipped.
const (
	Expired    = "expired"    // all its tickets have
	Empty      = "empty"      // it has no ticket
	Exists     = "exists"     // the target has the same tickets
	Newer      = "newer"      // the target has a TGT of the principal that does not end earlier
	OneOnly    = "one-only"   // the target has room for one cache
	Unreadable = "unreadable" // Error says why
)

// OK reports whether nothing failed.
func (r *Result) OK() bool { return r.Error == "" }
