package render

// states have the words and the colour for a State of org.kcmd.KCM1.Cache.
var states = map[string]cell{
	"empty":         {"empty", dim},
	"no-tgt":        {"no TGT", dim},
	"not-yet-valid": {"not yet valid", yellow},
	"invalid":       {"to be validated", yellow},
	"valid":         {"valid", green},
	"expiring":      {"expires soon", yellow},
	"expired":       {"expired", red},
}

// State returns the words for a state.
func State(state string) string { return stateCell(state).text }

// stateCell returns the words for a state. A later kcmd may have others.
func stateCell(state string) cell {
	if c, ok := states[state]; ok {
		return c
	}
	return cell{text: state}
}
