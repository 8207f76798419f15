package dbus

import (
	"encoding/asn1"

	godbus "github.com/godbus/dbus/v5"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/ccache"
)

// ticket returns the description of a ticket in c. It tells nothing of the
// session key and of the ticket but their encryption types.
func (c cache) ticket(cred *ccstore.Credential) map[string]godbus.Variant {
	return variants(map[string]any{
		"id":             cred.UUID.String(),
		"server":         principal(cred.Server),
		"client":         principal(cred.Client),
		"is-tgt":         cred.IsTGT(),
		"auth-time":      int64(cred.AuthTime),
		"start-time":     int64(cred.Start()),
		"end-time":       int64(cred.EndTime),
		"renew-until":    renewUntil(cred),
		"flags":          cred.Flags.Names(),
		"enctype":        int32(cred.Key.Type),
		"ticket-enctype": ticketEnctype(cred.Ticket),
		"state":          c.ticketState(cred),
		"size":           uint32(len(cred.Bytes())),
	})
}

// ticketEstimate returns about how many bytes a description takes in a message.
func ticketEstimate(t map[string]godbus.Variant) int {
	return 700 + len(t["server"].Value().(string)) + len(t["client"].Value().(string))
}

func (c cache) ticketState(cred *ccstore.Credential) string {
	return ticketState(cred, c.kdcTime(), c.in.warning)
}

// ticketState returns the state of a ticket at a time by the KDC's clock.
func ticketState(cred *ccstore.Credential, now, warning int64) string {
	switch start, end := int64(cred.Start()), int64(cred.EndTime); {
	case now >= end:
		return "expired"
	case now < start:
		return "not-yet-valid"
	case cred.Flags&ccache.FlagInvalid != 0:
		return "invalid"
	case now >= end-warning:
		return "expiring"
	}
	return "valid"
}

// turningPoints returns when the state of a ticket changes by itself, by the
// KDC's clock.
func turningPoints(cred *ccstore.Credential, warning int64) [3]int64 {
	end := int64(cred.EndTime)
	return [3]int64{int64(cred.Start()), end - warning, end}
}

func renewUntil(cred *ccstore.Credential) int64 {
	if cred.Flags&ccache.FlagRenewable == 0 {
		return 0
	}
	return int64(cred.RenewTill)
}

// A derTicket is a Ticket of RFC 4120, section 5.3, as far as it is looked at.
type derTicket struct {
	Version asn1.RawValue `asn1:"explicit,tag:0"`
	Realm   asn1.RawValue `asn1:"explicit,tag:1"`
	Server  asn1.RawValue `asn1:"explicit,tag:2"`
	EncPart struct {
		Enctype int32         `asn1:"explicit,tag:0"`
		Version asn1.RawValue `asn1:"explicit,optional,tag:1"`
		Cipher  asn1.RawValue `asn1:"explicit,tag:2"`
	} `asn1:"explicit,tag:3"`
}

// ticketEnctype returns the encryption type of an encoded ticket, 0 if it cannot
// be read.
func ticketEnctype(der []byte) int32 {
	var t derTicket
	if _, err := asn1.UnmarshalWithParams(der, &t, "application,explicit,tag:1"); err != nil {
		return 0
	}
	return t.EncPart.Enctype
}
