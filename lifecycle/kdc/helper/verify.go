package helper

import (
	"context"
	"crypto/subtle"
	"encoding/asn1"
	"errors"
	"io/fs"
	"slices"

	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/lifecycle/kdc"
)

// verify finds out whether the KDC that issued a TGT knows a key of the host. Whoever
// can answer in the place of the KDC can make a TGT for a password of his own, but no
// service ticket for the host (the attack of Zanarotti).
//
// A ticket that the key decrypts does not prove it alone: a liar may have one of his
// own, from the true KDC. The client and the session key in it must also be those that
// the KDC told the client, as krb5_verify_init_creds in libkrb5 finds out by a request
// of the client to itself.
func (r *room) verify(ctx context.Context, request *kdc.Request) (*kdc.Reply, error) {
	keytab, err := readHostKeytab()
	switch {
	case errors.Is(err, fs.ErrNotExist) && request.Host.Optional:
		return new(kdc.Reply), nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, noKeytab
	case err != nil:
		return nil, err
	}
	defer clear(keytab)
	keys, err := hostKeys(keytab, request.Host.Service)
	if err != nil {
		return nil, err
	}
	service := keys[0].principal
	if err := r.writeCache(request.TGT.Client, request.KDCOffset, request.TGT); err != nil {
		return nil, err
	}
	if _, err := r.run(ctx, nil, "kvno", "--", service.String()); err != nil {
		var failure *kdc.Failure
		if errors.As(err, &failure) && !slices.Contains([]kdc.Reason{kdc.Unreachable, kdc.Expired, kdc.NotYetValid, kdc.ClockSkew, kdc.NotSupported}, failure.Reason) {
			return nil, unverified("the KDC gives no ticket for " + service.String() + ": " + failure.Text)
		}
		return nil, err
	}
	reply, err := r.readCache()
	if err != nil {
		return nil, err
	}
	for _, c := range reply.Credentials {
		if !c.IsConfig() && !c.IsTGT() && slices.Equal(c.Server.Components, service.Components) {
			return new(kdc.Reply), prove(c, request.TGT.Client, keys)
		}
	}
	return nil, unverified("the KDC gave a ticket for another service")
}

func unverified(text string) *kdc.Failure {
	return &kdc.Failure{Reason: kdc.Unverified, Text: text[:min(len(text), kdc.MaxText)]}
}

// hostKeys returns the keys of a service in a keytab: if it is "", of the first one
// that is called host, or else of the first one.
func hostKeys(keytab []byte, service string) ([]key, error) {
	keys, err := parseKeytab(keytab)
	if err != nil || len(keys) == 0 {
		return nil, &kdc.Failure{Reason: kdc.BadKeytab, Text: "the keytab of the host has no key that can be read"}
	}
	is := func(k key) bool { return k.principal.String() == service }
	if service == "" {
		is = func(k key) bool { return len(k.principal.Components) == 2 && k.principal.Components[0] == "host" }
	}
	first := slices.IndexFunc(keys, is)
	switch {
	case first < 0 && service != "":
		return nil, &kdc.Failure{Reason: kdc.NoKeytab, Text: "the keytab of the host has no key of that service"}
	case first < 0:
		first = 0
	}
	of := keys[first].principal
	return slices.DeleteFunc(keys, func(k key) bool { return !k.principal.Equal(of) }), nil
}

// A principalName is one of RFC 4120, section 5.2.2.
type principalName struct {
	Type int32           `asn1:"explicit,tag:0"`
	Name []asn1.RawValue `asn1:"explicit,tag:1"`
}

// A sealedTicket is a Ticket (RFC 4120, section 5.3).
type sealedTicket struct {
	Version asn1.RawValue `asn1:"explicit,tag:0"`
	Realm   asn1.RawValue `asn1:"explicit,tag:1"`
	Server  principalName `asn1:"explicit,tag:2"`
	EncPart struct {
		Enctype int32  `asn1:"explicit,tag:0"`
		Version int64  `asn1:"explicit,optional,tag:1"`
		Cipher  []byte `asn1:"explicit,tag:2"`
	} `asn1:"explicit,tag:3"`
}

// A ticketPart is the beginning of an EncTicketPart, from the same section.
type ticketPart struct {
	Flags asn1.BitString `asn1:"explicit,tag:0"`
	Key   struct {
		Enctype int32  `asn1:"explicit,tag:0"`
		Value   []byte `asn1:"explicit,tag:1"`
	} `asn1:"explicit,tag:1"`
	Realm  asn1.RawValue `asn1:"explicit,tag:2"`
	Client principalName `asn1:"explicit,tag:3"`
}

// ticketUsage is the key usage of the encrypted part of a ticket (RFC 4120, 7.5.1).
const ticketUsage = 2

// prove returns nil if the service ticket c is for client, and was made by somebody who
// knows one of the keys and what the session key is.
func prove(c *ccache.Credential, client ccache.Principal, keys []key) error {
	var sealed sealedTicket
	if _, err := asn1.UnmarshalWithParams(c.Ticket, &sealed, "application,explicit,tag:1"); err != nil {
		return unverified("the KDC gave a ticket that cannot be read")
	}
	part := ticketPart{}
	opened := false
	for _, k := range keys {
		if k.enctype != sealed.EncPart.Enctype {
			continue
		}
		plain, err := decrypt(k.enctype, k.value, ticketUsage, sealed.EncPart.Cipher)
		if errors.Is(err, errEnctype) {
			return &kdc.Failure{Reason: kdc.NotSupported, Text: "kcmd cannot read tickets of this encryption type; it knows those with AES"}
		}
		if err == nil {
			_, err = asn1.UnmarshalWithParams(plain, &part, "application,explicit,tag:3")
			opened = err == nil
			break
		}
	}
	defer clear(part.Key.Value)
	switch {
	case !opened:
		return unverified("the KDC does not know the key of the host")
	case text(part.Realm) != c.Client.Realm || !sameName(part.Client.Name, c.Client.Components) || !c.Client.Equal(client):
		return unverified("the KDC gave a ticket of another client")
	case part.Key.Enctype != int32(c.Key.Type) || subtle.ConstantTimeCompare(part.Key.Value, c.Key.Value) != 1:
		return unverified("the KDC gave a ticket with another session key")
	}
	return nil
}

// text returns the string in an element with a tag of its context.
func text(tagged asn1.RawValue) string {
	var s asn1.RawValue
	if _, err := asn1.Unmarshal(tagged.Bytes, &s); err != nil {
		return ""
	}
	return string(s.Bytes)
}

func sameName(encoded []asn1.RawValue, components []string) bool {
	return slices.EqualFunc(encoded, components, func(e asn1.RawValue, s string) bool { return string(e.Bytes) == s })
}
