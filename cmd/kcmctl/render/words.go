package render

import "kcmd.org/kcmd/cmd/words"

// stateColours have the colour for a State of org.kcmd.KCM1.Cache.
var stateColours = map[string]colour{
	"empty":         dim,
	"no-tgt":        dim,
	"not-yet-valid": yellow,
	"invalid":       yellow,
	"valid":         green,
	"expiring":      yellow,
	"expired":       red,
}

// stateCell returns the words for a state, with a colour if it is known.
func stateCell(state string) cell {
	return cell{words.State(state), stateColours[state]}
}
