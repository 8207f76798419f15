package helper

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/lifecycle/kdc"
)

// keytabName is the file of the keytab in a room.
const keytabName = "keytab"

// acquire has kinit get a ticket with a password or a keytab.
func (r *room) acquire(ctx context.Context, request *kdc.Request) (*kdc.Reply, error) {
	args := ticketArgs(request.Ticket)
	var input []byte
	if request.Password != nil {
		if request.Principal == "" {
			return nil, &kdc.Failure{Reason: kdc.ClientUnknown, Text: "no client principal is given"}
		}
		var err error
		if input, err = lines(request.Password); err != nil {
			return nil, err
		}
		defer clear(input)
	} else {
		if err := os.WriteFile(r.path(keytabName), request.Keytab, 0o600); err != nil {
			return nil, err
		}
		if request.Principal == "" {
			keys, err := parseKeytab(request.Keytab)
			if err != nil || len(keys) == 0 {
				return nil, &kdc.Failure{Reason: kdc.BadKeytab, Text: "the keytab has no key that can be read"}
			}
			request.Principal = keys[0].principal.String()
		}
		args = append(args, "-k", "-t", "FILE:"+r.path(keytabName))
	}
	messages, err := r.run(ctx, input, "kinit", append(args, "--", request.Principal)...)
	if err != nil {
		return nil, err
	}
	reply, err := r.readCache()
	if err != nil {
		return nil, err
	}
	list := reply.Credentials
	i := slices.IndexFunc(list, func(c *ccache.Credential) bool { return !c.IsConfig() })
	if i < 0 {
		return nil, errors.New("kinit left no ticket")
	}
	list[0], list[i] = list[i], list[0]
	if at, ok := passwordExpires(messages); ok {
		note, err := (&ccache.Credential{
			Client: list[0].Client, Server: ccache.ConfigServer(kdc.PasswordExpires),
			Ticket: strconv.AppendInt(nil, at.Unix(), 10),
		}).Clone()
		if err != nil {
			return nil, err
		}
		reply.Credentials = append(list, note)
	}
	return reply, nil
}

// ticketArgs returns the options of kinit for a ticket.
func ticketArgs(o kdc.TicketOptions) (args []string) {
	for _, one := range []struct {
		option  string
		seconds uint32
	}{{"-s", o.StartIn}, {"-l", o.Lifetime}, {"-r", o.RenewableFor}} {
		if one.seconds != 0 {
			args = append(args, one.option, fmt.Sprintf("%ds", one.seconds))
		}
	}
	for _, one := range []struct {
		is      *bool
		yes, no string
	}{{o.Forwardable, "-f", "-F"}, {o.Proxiable, "-p", "-P"}, {o.Addressless, "-A", "-a"}} {
		switch {
		case one.is == nil:
		case *one.is:
			args = append(args, one.yes)
		default:
			args = append(args, one.no)
		}
	}
	if o.Service != "" {
		args = append(args, "-S", o.Service)
	}
	return args
}

// lines returns passwords as a program reads them. The caller overwrites it.
func lines(passwords ...[]byte) ([]byte, error) {
	b := make([]byte, 0, len(passwords)*(kdc.MaxPassword+1)) // not moved: no copy is left behind
	for _, p := range passwords {
		if len(p) == 0 || len(p) > kdc.MaxPassword || bytes.ContainsAny(p, "\n\x00") {
			clear(b)
			return nil, &kdc.Failure{Reason: kdc.PreauthFailed, Text: fmt.Sprintf("a password has 1 to %d bytes, in one line", kdc.MaxPassword)}
		}
		b = append(append(b, p...), '\n')
	}
	return b, nil
}

// changePassword has kpasswd change a password, which may have expired.
func (r *room) changePassword(ctx context.Context, request *kdc.Request) (*kdc.Reply, error) {
	if request.Principal == "" || strings.HasPrefix(request.Principal, "-") {
		return nil, &kdc.Failure{Reason: kdc.ClientUnknown, Text: "no client principal is given"}
	}
	input, err := lines(request.Password, request.Next, request.Next) // it asks for the new one twice
	if err != nil {
		return nil, err
	}
	defer clear(input)
	if _, err := r.run(ctx, input, "kpasswd", request.Principal); err != nil {
		return nil, err
	}
	return new(kdc.Reply), nil
}

// warning is the line by which kinit warns that the password is about to expire. MIT's
// libkrb5 prints it a week before, and whenever the KDC asks for that (last-req in the
// reply); it tells no other time.
var warning = regexp.MustCompile(`password will expire .*\b([A-Z][a-z]{2} [A-Z][a-z]{2} [ 0-9][0-9] [0-9:]{8} [0-9]{4})`)

// passwordExpires returns when the password expires, if kinit warns of it. The programs
// run with the locale C and in UTC.
func passwordExpires(messages string) (time.Time, bool) {
	found := warning.FindStringSubmatch(messages)
	if found == nil {
		return time.Time{}, false
	}
	at, err := time.Parse(time.ANSIC, found[1])
	return at, err == nil
}
