package kdc

import (
	"slices"
	"time"

	"kcmd.org/kcmd/ccstore/ccache"
)

// An Op is what the helper does.
type Op string

// What the helper can do. Each but Network is done by a program of libkrb5.
const (
	Renew    Op = "renew"    // kinit -R
	Validate Op = "validate" // kinit -v
	Acquire  Op = "acquire"  // kinit, kinit -k
	Verify   Op = "verify"   // kvno, and the keytab of the host

	ChangePassword Op = "change-password" // kpasswd

	// Network waits until the routes of the machine are others than those of the request,
	// or for Wait. The daemon itself may see no network.
	Network Op = "network"
)

// Wait is how long the helper waits for other routes.
const Wait = Timeout - 5*time.Second

// A Request asks the helper for one operation.
type Request struct {
	Op        Op
	KDCOffset int32              // seconds to add to the local clock to get the KDC's
	TGT       *ccache.Credential // Renew, Validate, Verify: the ticket
	Principal string             // Acquire, ChangePassword: the client, as kinit takes it; "": that of the first key
	Keytab    []byte             // Acquire: with a key of the client
	Password  []byte             // Acquire: in place of a keytab; ChangePassword: the present one
	Next      []byte             // ChangePassword: the new one
	Ticket    TicketOptions      // Acquire: what to ask for
	Host      HostOptions        // Verify
	Routes    string             // Network: of an earlier reply; "": answer at once
}

// TicketOptions says what ticket to ask a KDC for. krb5.conf decides what is not set.
type TicketOptions struct {
	StartIn      uint32 `json:"start_in,omitempty"`      // seconds from now: a postdated ticket
	Lifetime     uint32 `json:"lifetime,omitempty"`      // seconds
	RenewableFor uint32 `json:"renewable_for,omitempty"` // seconds
	Forwardable  *bool  `json:"forwardable,omitempty"`
	Proxiable    *bool  `json:"proxiable,omitempty"`
	Addressless  *bool  `json:"addressless,omitempty"`
	Service      string `json:"service,omitempty"` // "": a TGT
}

// HostOptions says by which key of the host a TGT is verified.
type HostOptions struct {
	Service  string `json:"service,omitempty"`  // principal with a key in the keytab; "": the first of host/
	Optional bool   `json:"optional,omitempty"` // a host without a keytab verifies everything
}

// MaxPassword bounds a password, in bytes: libkrb5 reads a line of up to 1023.
const MaxPassword = 1022

// A Reply is the result of an operation.
type Reply struct {
	KDCOffset   int32                // as libkrb5 measured it, in seconds
	Credentials []*ccache.Credential // the ticket first, then configuration entries
	Routes      string               // Network: a hash of the routes
}

// PasswordExpires is the name of a configuration entry of kcmd's own: when the password
// of the client expires, by the KDC's clock in seconds since 1970.
const PasswordExpires = "kcmd_password_expires"

// Got returns the ticket that was asked for, or nil.
func (r *Reply) Got() *ccache.Credential {
	if len(r.Credentials) == 0 || r.Credentials[0].IsConfig() {
		return nil
	}
	return r.Credentials[0]
}

// TGT returns the ticket-granting ticket, or nil.
func (r *Reply) TGT() *ccache.Credential {
	if len(r.Credentials) == 0 || !r.Credentials[0].IsTGT() {
		return nil
	}
	return r.Credentials[0]
}

// A Reason tells failures apart. Its text is the last part of the D-Bus error name.
type Reason string

// Why an operation fails.
const (
	Unreachable   Reason = "KdcUnreachable" // no KDC answered
	Refused       Reason = "KdcError"       // the KDC refused for another reason than these
	ClientUnknown Reason = "ClientUnknown"
	ServerUnknown Reason = "ServerUnknown" // the service
	ClientRevoked Reason = "ClientRevoked" // locked or disabled
	Expired       Reason = "Expired"       // of the ticket
	NotRenewable  Reason = "NotRenewable"  // not at all, or not any more
	NotYetValid   Reason = "NotYetValid"   // of the ticket
	ClockSkew     Reason = "ClockSkew"     // the clocks differ by too much
	PreauthFailed Reason = "PreauthFailed" // the password or the key is wrong
	PasswordOld   Reason = "PasswordExpired"
	Rejected      Reason = "PasswordRejected"   // the new password, by a policy
	Unverified    Reason = "VerificationFailed" // the KDC does not know the key of the host
	NoKeytab      Reason = "NoKeytab"           // the host has none, or none that can be read
	BadKeytab     Reason = "InvalidKeytab"
	NoTGT         Reason = "NoTgt"
	Superseded    Reason = "Superseded"   // a client replaced the ticket meanwhile
	NotSupported  Reason = "NotSupported" // the program or the unit of the helper is missing
	Busy          Reason = "Busy"         // too many operations are under way
	Broken        Reason = "Failed"       // of the helper itself
)

// final are the reasons that no later attempt with the same ticket can remove.
var final = []Reason{ClientUnknown, ClientRevoked, Expired, NotRenewable}

// Final reports whether no later attempt with the same ticket can succeed.
func (r Reason) Final() bool { return slices.Contains(final, r) }

// A Failure says why an operation failed.
type Failure struct {
	Reason Reason
	Text   string // for people, of at most MaxText bytes
}

// MaxText bounds the text of a Failure, in bytes.
const MaxText = 256

func (f *Failure) Error() string { return f.Text }

// ErrorName returns the last part of the name of the error on D-Bus.
func (f *Failure) ErrorName() string { return string(f.Reason) }

// Timeout is how long the helper works on a request. A KDC that does not answer costs
// libkrb5 some 15 seconds.
const Timeout = 45 * time.Second
