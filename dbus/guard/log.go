package guard

import "time"

// The log has at most refusalBurst lines about refusals at once, then one in
// each refusalEvery.
const (
	refusalBurst = 10
	refusalEvery = 10 * time.Second
)

// logRefusal writes why a message was refused. Paths are not written: they may
// be as long as a message.
func (c *Conn) logRefusal(h header, why string) {
	c.refusals.Info("message refused", "why", why, "sender", h.sender, "type", h.kind,
		"interface", h.iface, "member", h.member, "signature", h.signature)
}
