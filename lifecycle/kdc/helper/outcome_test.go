package helper

import (
	"strings"
	"testing"

	"kcmd.org/kcmd/lifecycle/kdc"
)

// TestOutcome has the messages of kinit, as MIT's and Heimdal's print them.
func TestOutcome(t *testing.T) {
	for messages, want := range map[string]kdc.Reason{
		"kinit: Cannot contact any KDC for realm 'A' while renewing credentials\n":                             kdc.Unreachable,
		"kinit: Cannot find KDC for realm \"A\" while renewing credentials\n":                                  kdc.Unreachable,
		"kinit: krb5_get_kdc_cred: unable to reach any KDC in realm A, tried 1 KDC\n":                          kdc.Unreachable,
		"kinit: KDC can't fulfill requested option while renewing credentials\n":                               kdc.NotRenewable,
		"kinit: Requested effective lifetime is negative or too short while renewing credentials\n":            kdc.NotRenewable,
		"kinit: Ticket expired while renewing credentials\n":                                                   kdc.Expired,
		"kinit: Ticket not yet valid while validating credentials\n":                                           kdc.NotYetValid,
		"kinit: Client's credentials have been revoked while getting initial credentials\n":                    kdc.ClientRevoked,
		"kinit: Client's entry in database has expired while getting initial credentials\n":                    kdc.ClientRevoked,
		"kinit: Client 'b@A' not found in Kerberos database while getting initial credentials\n":               kdc.ClientUnknown,
		"kinit: Password incorrect while getting initial credentials\n":                                        kdc.PreauthFailed,
		"kinit: Preauthentication failed while getting initial credentials\n":                                  kdc.PreauthFailed,
		"kinit: Clock skew too great while renewing credentials\n":                                             kdc.ClockSkew,
		"kinit: Invalid message type while renewing credentials\n":                                             kdc.Refused,
		"Warning: a note\nkinit: Cannot contact any KDC for realm 'A' while renewing credentials\n":            kdc.Unreachable,
		"Password for a@A: \nkinit: Server not found in Kerberos database while getting initial credentials\n": kdc.ServerUnknown,
		"": kdc.Refused,
	} {
		if f := outcome("kinit", messages); f.Reason != want || strings.Contains(f.Text, "kinit: ") || strings.Contains(f.Text, "\n") {
			t.Errorf("%q: %s %q, want %s", messages, f.Reason, f.Text, want)
		}
	}
	if f := outcome("kinit", strings.Repeat("\x1b[2J", 5000)); len(f.Text) > kdc.MaxText || strings.Contains(f.Text, "\x1b") {
		t.Errorf("a message of control characters becomes %q", f.Text)
	}
}
