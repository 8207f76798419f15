package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/ccstore/sqlite"
	"kcmd.org/kcmd/safetext"
)

// newDump is the command that prints what a store holds.
func newDump() *cobra.Command {
	asJSON := false
	cmd := newInspector(&cobra.Command{
		Use:   "dump [options] [STORE]",
		Short: "print what a store holds, but for keys and tickets themselves",
		Long: `kcmd dump prints what is in the database of the configuration, or in STORE:
collections, caches, and of each ticket everything but its key and itself. It
changes nothing, and a daemon may use the database meanwhile.

It exits with 0, with 1 if the store is damaged, and with 2 if it cannot be
read; see kcmd check.`,
	}, func(ctx context.Context, r *sqlite.Reader, path string, out io.Writer) error {
		if asJSON {
			return dump(ctx, r, path, func(c any) error { return printJSON(out, c) })
		}
		return dump(ctx, r, path, func(c any) error { return printCollection(out, c.(*dumpedCollection)) })
	})
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a line of JSON for each collection")
	return cmd
}

// What is printed of a collection. There are no keys and no tickets in it.
type (
	dumpedCollection struct {
		Namespace string        `json:"namespace"`
		UID       uint32        `json:"uid"`
		Level     string        `json:"level"`
		Default   string        `json:"default"` // name of the default cache; empty if none was ever set
		Caches    []dumpedCache `json:"caches"`
		Error     string        `json:"error,omitempty"` // why nothing can be read
		owner     ccstore.Owner
	}
	dumpedCache struct {
		Name        string             `json:"name"`
		UUID        string             `json:"uuid"`
		Principal   string             `json:"principal"`
		KDCOffset   int32              `json:"kdc_offset"` // seconds
		Label       string             `json:"label"`
		Changed     int64              `json:"changed"` // this and other times: seconds since 1970, 0 for none
		Ends        int64              `json:"ends"`
		Error       string             `json:"error,omitempty"` // why it is not in use
		Credentials []dumpedCredential `json:"credentials"`
	}
	dumpedCredential struct {
		UUID        string   `json:"uuid"`
		Error       string   `json:"error,omitempty"`   // why it is not in use; there is no more then
		Setting     string   `json:"setting,omitempty"` // name of a configuration entry, which has no times, flags and enctype
		Client      string   `json:"client,omitempty"`
		Server      string   `json:"server,omitempty"`
		AuthTime    uint32   `json:"auth_time"`
		StartTime   uint32   `json:"start_time"`
		EndTime     uint32   `json:"end_time"`
		RenewUntil  uint32   `json:"renew_until"`
		Flags       []string `json:"flags"`
		Enctype     int16    `json:"enctype"` // of the session key
		EnctypeName string   `json:"enctype_name"`
		Size        int      `json:"size"`        // bytes in the store
		TicketSize  int      `json:"ticket_size"` // bytes of the ticket, or of the setting's value
	}
)

// dump prints the collections one by one: all of them may be more than the
// memory holds.
func dump(ctx context.Context, r *sqlite.Reader, path string, print func(any) error) error {
	owners, err := r.Owners(ctx)
	if err != nil {
		return unreadable(fmt.Errorf("cannot read store %s: %w", path, err))
	}
	damaged := false
	for _, owner := range owners {
		record, err := r.Load(ctx, owner)
		if err != nil && !sqlite.Damaged(err) {
			return unreadable(fmt.Errorf("cannot read store %s: %w", path, err))
		}
		damaged = damaged || err != nil
		if err := print(describe(owner, record, err)); err != nil {
			return failure{fmt.Errorf("cannot print: %w", err), exitUnchecked}
		}
	}
	if damaged {
		return failure{fmt.Errorf("store %s is damaged", path), exitDamaged}
	}
	return nil
}

// printJSON prints a line of JSON that a terminal shows safely.
func printJSON(w io.Writer, c any) error {
	line, err := json.Marshal(c)
	if err == nil {
		_, err = w.Write(append(safetext.JSON(line), '\n'))
	}
	return err
}

// describe returns what is printed of a collection, or of the error in its place.
func describe(owner ccstore.Owner, r *ccstore.Record, err error) *dumpedCollection {
	c := &dumpedCollection{
		Namespace: text(owner.Namespace), UID: owner.UID, Level: text(owner.Level), Caches: []dumpedCache{}, owner: owner,
	}
	if err != nil {
		c.Error = err.Error()
		return c
	}
	c.Default = text(r.Default)
	slices.SortFunc(r.Credentials, ccstore.CredentialRecord.Compare)
	for _, cache := range r.Caches {
		d := describeCache(cache)
		for _, cred := range r.Credentials {
			if cred.Cache == cache.ID {
				d.Credentials = append(d.Credentials, describeCredential(cred))
			}
		}
		c.Caches = append(c.Caches, d)
	}
	return c
}

func describeCache(r ccstore.CacheRecord) dumpedCache {
	d := dumpedCache{
		Name: text(r.Name), UUID: r.UUID.String(), KDCOffset: r.KDCOffset, Label: text(r.Label), Changed: r.Changed,
		Credentials: []dumpedCredential{},
	}
	if r.Ends != ccstore.Never {
		d.Ends = r.Ends
	}
	principal, err := ccache.ParsePrincipal(r.Principal)
	if err == nil {
		d.Principal = text(principal.String())
	}
	d.Error = reason(r.Quarantined, r.Err, err)
	return d
}

func describeCredential(r ccstore.CredentialRecord) dumpedCredential {
	d := dumpedCredential{UUID: r.UUID.String(), Size: len(r.Data), Flags: []string{}}
	if r.Quarantined != "" || r.Err != nil {
		d.Error = reason(r.Quarantined, r.Err, nil)
		return d
	}
	cred, err := ccache.ParseCredential(r.Data)
	if err != nil {
		d.Error = reason("", nil, err)
		return d
	}
	d.Client, d.Server, d.TicketSize = text(cred.Client.String()), text(cred.Server.String()), len(cred.Ticket)
	if cred.IsConfig() {
		d.Setting = text(strings.Join(cred.Server.Components[1:], " for "))
		return d
	}
	d.AuthTime, d.StartTime, d.EndTime, d.RenewUntil = cred.AuthTime, cred.StartTime, cred.EndTime, cred.RenewTill
	d.Flags = cred.Flags.Names()
	d.Enctype, d.EnctypeName = cred.Key.Type, ccache.EnctypeName(cred.Key.Type)
	return d
}

// reason returns why an entry is not in use, "" if it is.
func reason(quarantined string, errs ...error) string {
	if quarantined != "" {
		return "quarantined: " + text(quarantined)
	}
	for _, err := range errs {
		if err != nil {
			return "cannot be read: " + text(err.Error())
		}
	}
	return ""
}

// text returns a string of bytes so that JSON, which has none, shows each of
// them.
func text(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return safetext.Escape(s)
}
