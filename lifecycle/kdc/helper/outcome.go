package helper

import (
	"strings"

	"kcmd.org/kcmd/lifecycle/kdc"
	"kcmd.org/kcmd/safetext"
)

// outcomes are the messages of MIT's libkrb5 in the C locale (krb5_err.et,
// kdc5_err.et, k5_err.et), and of Heimdal's where they differ. The first that is part
// of a line decides.
var outcomes = []struct {
	message string
	reason  kdc.Reason
}{
	// Of a new password.
	{"Password change rejected", kdc.Rejected},
	{"Password not changed", kdc.Rejected},

	// The way to the KDC.
	{"Cannot contact any KDC", kdc.Unreachable},
	{"Cannot find KDC for", kdc.Unreachable},
	{"Cannot resolve network address for KDC", kdc.Unreachable},
	{"Cannot resolve servers for KDC", kdc.Unreachable},
	{"A service is not available that is required to process the request", kdc.Unreachable}, // KDC_ERR_SVC_UNAVAILABLE
	{"Resource temporarily unavailable", kdc.Unreachable},
	{"unable to reach any KDC", kdc.Unreachable}, // Heimdal

	// What it says of the service and the client.
	{"Server not found in Kerberos database", kdc.ServerUnknown},
	{"not found in Kerberos database", kdc.ClientUnknown}, // the server is a krbtgt of the KDC's own
	{"Client not found", kdc.ClientUnknown},
	{"Client's entry in database has expired", kdc.ClientRevoked},
	{"Client's credentials have been revoked", kdc.ClientRevoked},
	{"Clients credentials have been revoked", kdc.ClientRevoked}, // Heimdal
	{"Client not yet valid", kdc.ClientRevoked},
	{"Password has expired", kdc.PasswordOld},
	{"Password expired", kdc.PasswordOld},

	// Of the key.
	{"Password incorrect", kdc.PreauthFailed},
	{"Preauthentication failed", kdc.PreauthFailed},
	{"Decrypt integrity check failed", kdc.PreauthFailed},
	{"Keytab contains no suitable keys", kdc.PreauthFailed},
	{"no suitable keys for", kdc.PreauthFailed},
	{"Key table entry not found", kdc.PreauthFailed},
	{"Unsupported key table format version", kdc.PreauthFailed},

	// Of the ticket.
	{"Ticket expired", kdc.Expired},
	{"Matching credential not found", kdc.Expired}, // libkrb5 looks for a valid one
	{"Ticket not yet valid", kdc.NotYetValid},
	{"Requested effective lifetime is negative or too short", kdc.NotRenewable}, // renew_till has passed
	{"KDC can't fulfill requested option", kdc.NotRenewable},
	{"KDC cannot fulfill requested option", kdc.NotRenewable},
	{"Ticket is ineligible for postdating", kdc.NotRenewable},
	{"KDC policy rejects request", kdc.Refused},

	// Of the clocks.
	{"Clock skew too great", kdc.ClockSkew},
}

// outcome returns what the messages of a program mean that failed.
func outcome(program, messages string) *kdc.Failure {
	for _, o := range outcomes {
		for line := range strings.Lines(messages) {
			if strings.Contains(line, o.message) {
				return failure(o.reason, program, line)
			}
		}
	}
	text := "it failed without a message"
	for line := range strings.Lines(messages) { // prompts come before
		if strings.TrimSpace(line) != "" {
			text = line
		}
		if strings.HasPrefix(line, program+": ") {
			break
		}
	}
	return failure(kdc.Refused, program, text)
}

// failure returns a failure with the line of a program as its text.
func failure(reason kdc.Reason, program, line string) *kdc.Failure {
	if _, said, ok := strings.Cut(line, program+": "); ok {
		line = said // without a prompt
	} else if i := strings.Index(line, "Password change"); i > 0 {
		line = line[i:]
	}
	line = strings.TrimSpace(line)
	return &kdc.Failure{Reason: reason, Text: safetext.Truncate(line, kdc.MaxText-3)}
}
