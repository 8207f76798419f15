package show

import (
	"fmt"

	"kcmd.org/kcmd/cmd/words"
)

// An Icon is the state that the icon shows. Each has a shape of its own.
type Icon string

// The states, the best first.
const (
	Quiet     Icon = "kcm-agent-quiet"
	None      Icon = "kcm-agent-none"
	Attention Icon = "kcm-agent-attention"
	Expired   Icon = "kcm-agent-expired"
	Away      Icon = "kcm-agent-away"
)

// Icon returns the worst state that matters, and what it means in words.
func (w *World) Icon() (icon Icon, text string) {
	if !w.Running {
		return Away, "kcmd is not running"
	}
	worst, worstCache := idle, (*Cache)(nil)
	for i := range w.Caches {
		c := &w.Caches[i]
		if w.replaced(c) {
			continue
		}
		if h, _ := w.health(c); h > worst {
			worst, worstCache = h, c
		}
	}
	switch {
	case worst == ended:
		return Expired, fmt.Sprintf("The ticket of %s has expired", worstCache.ClientPrincipal)
	case worst == unrenewed:
		return Attention, fmt.Sprintf("The ticket of %s is not renewed", worstCache.ClientPrincipal)
	case worst == soon:
		return Attention, fmt.Sprintf("The ticket of %s ends at %s", worstCache.ClientPrincipal, words.Clock(Local(&worstCache.Cache, worstCache.EndTime), w.Now))
	case len(w.Wanted) > 0:
		return Attention, "A program wants you to sign in"
	case worst == good:
		for i := range w.Caches {
			if w.passwordStage(&w.Caches[i]) != "" {
				return Attention, fmt.Sprintf("The password of %s expires", w.Caches[i].ClientPrincipal)
			}
		}
		return Quiet, w.Caches[0].ClientPrincipal + w.timeLeft(&w.Caches[0])
	}
	return None, "No tickets"
}

// timeLeft says how long the TGT of a cache lasts.
func (w *World) timeLeft(c *Cache) string {
	if c.EndTime.IsZero() {
		return ", " + words.State(c.State)
	}
	left := c.EndTime.Sub(w.now(c))
	switch {
	case c.State == "not-yet-valid" || c.State == "invalid":
		return ", " + words.State(c.State)
	case left > 0:
		return ", " + words.Duration(left) + " left"
	}
	return ", expired " + words.Duration(-left) + " ago"
}
