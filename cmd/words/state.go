package words

// states have the words for a State of org.kcmd.KCM1.Cache.
var states = map[string]string{
	"empty":         "empty",
	"no-tgt":        "no TGT",
	"not-yet-valid": "not yet valid",
	"invalid":       "to be validated",
	"valid":         "valid",
	"expiring":      "expires soon",
	"expired":       "expired",
}

// State returns the words for a state. A later kcmd may have others.
func State(state string) string {
	if text, ok := states[state]; ok {
		return text
	}
	return state
}
