package view

import "kcmd.org/kcmd/ccstore"

// ErrorPrefix begins the names of kcmd's own errors.
const ErrorPrefix = "org.kcmd.KCM1.Error."

// addRenewal adds the properties about the renewal of the TGT.
func (c Cache) addRenewal(p map[string]any) {
	r := c.TGTRenewal()
	p["AutoRenew"] = !r.Off
	p["RenewalState"] = c.renewalState()
	p["NextRenewal"], p["RenewalError"] = int64(0), ""
	if due, ok := c.RenewalDue(); ok && (p["RenewalState"] == "planned" || p["RenewalState"] == "failing") {
		p["NextRenewal"] = due.Unix()
	}
	if r.Reason != "" {
		p["RenewalError"] = ErrorPrefix + r.Reason
	}
}

func (c Cache) renewalState() string {
	r, tgt := c.TGTRenewal(), c.TGT()
	_, due := c.RenewalDue()
	switch {
	case r.Off || !c.in.terms.Renews:
		return "off"
	case tgt == nil || tgt.IsExpired(c.kdcTime()) || !due:
		return "impossible"
	case r.Reason != "":
		return "failing"
	}
	return "planned"
}

// renewalSignal returns the signal of a notice about the renewal of the TGT.
func (c Cache) renewalSignal(n ccstore.Notice) Signal {
	if n.Kind == ccstore.Renewed {
		return c.signal(aboutExpiry, "TicketRenewed", n.Former.String(), c.describe(c.TGT()))
	}
	next := n.Next
	if next == never {
		next = 0
	}
	return c.signal(aboutExpiry, "RenewalFailed", ErrorPrefix+n.Reason, Text(n.Text), next)
}
