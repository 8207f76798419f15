package lifecycle

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/google/uuid"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/lifecycle/kdc"
)

// A Secret reads a password or a keytab. The result is overwritten.
type Secret func(context.Context) ([]byte, error)

// An Acquisition says which tickets to get, and where to put them.
type Acquisition struct {
	Client   string // with or without realm; "": of the first key of the keytab
	Password Secret // or else there is a Keytab
	Keytab   Secret
	Cache    string // name; "": the cache of the client, or a new one
	IfNeeded bool   // not if the cache has a valid TGT
	Ticket   kdc.TicketOptions
}

// Acquire gets tickets from the KDC and puts them into a cache in place of what is
// there, in one step. It returns the cache.
func (d *Desk) Acquire(ctx context.Context, owner ccstore.Owner, a *Acquisition) (uuid.UUID, error) {
	leave, err := d.enter(owner)
	if err != nil {
		return uuid.Nil, err
	}
	defer leave()
	if a.IfNeeded {
		if cache, err := d.present(ctx, owner, a); err != nil || cache != nil {
			return idOf(cache), err
		}
	}
	request := &kdc.Request{Op: kdc.Acquire, Principal: a.Client, Ticket: a.Ticket}
	defer request.Wipe()
	if a.Password != nil {
		request.Password, err = a.Password(ctx)
	} else {
		request.Keytab, err = a.Keytab(ctx)
	}
	if err != nil {
		return uuid.Nil, err
	}
	reply, err := d.ask(ctx, owner, request)
	if err != nil {
		return uuid.Nil, err
	}
	if reply.Got() == nil {
		return uuid.Nil, &kdc.Failure{Reason: kdc.Broken, Text: "the KDC helper has no ticket"}
	}
	var cache *ccstore.Cache
	err = d.store.Update(ctx, owner, func(tx *ccstore.Tx) (err error) {
		client := reply.Got().Client
		name := a.Cache
		if name == "" {
			name = cacheFor(tx.Collection, client)
		}
		tx.Replace(name, client, reply.KDCOffset, reply.Credentials)
		cache, err = tx.Cache(name)
		return err
	})
	return idOf(cache), err
}

func idOf(c *ccstore.Cache) uuid.UUID {
	if c == nil {
		return uuid.Nil
	}
	return c.UUID
}

// ask has a helper work for owner, when there is one.
func (d *Desk) ask(ctx context.Context, owner ccstore.Owner, r *kdc.Request) (*kdc.Reply, error) {
	release, err := d.takeHelper(ctx, owner)
	if err != nil {
		return nil, err
	}
	defer release()
	return d.KDC.Do(ctx, r)
}

// present returns the cache where the client has a valid TGT already, nil if there is
// none. A postdated TGT whose time has come is validated.
func (d *Desk) present(ctx context.Context, owner ccstore.Owner, a *Acquisition) (*ccstore.Cache, error) {
	c, err := d.store.Latest(ctx, owner)
	if err != nil {
		return nil, err
	}
	for _, cache := range c.Caches() { // the default one first
		if !isClient(cache, a.Client) || a.Cache != "" && cache.Name != a.Cache || cache.TGT() == nil {
			continue
		}
		switch tgt := cache.TGT(); tgt.State(cache.KDCTime(d.Clock.Now()), 0) {
		case ccache.Valid:
			return cache, nil
		case ccache.Invalid:
			release, err := d.takeHelper(ctx, owner)
			if err != nil {
				return nil, err
			}
			_, err = d.exchange(ctx, owner, cache, tgt, kdc.Validate)
			release()
			if err == nil || ctx.Err() != nil {
				return cache, err
			}
		}
	}
	return nil, nil
}

// isClient reports whether a cache is of a client, whose name may lack the realm.
func isClient(c *ccstore.Cache, client string) bool {
	name := c.Principal.String()
	return name == client || !strings.Contains(client, "@") && strings.HasPrefix(name, client+"@")
}

// cacheFor returns the name of the cache for the tickets of a client: that of its cache,
// or of the default one if that does not exist, or a new one.
func cacheFor(c *ccstore.Collection, client ccache.Principal) string {
	list := c.Caches()
	i := slices.IndexFunc(list, func(cache *ccstore.Cache) bool { return cache.Principal.Equal(client) })
	if i >= 0 {
		return list[i].Name
	}
	if _, err := c.Cache(c.DefaultName()); errors.Is(err, ccstore.ErrNoCache) {
		return c.DefaultName()
	}
	return c.UniqueName()
}

// Verify finds out whether the KDC that issued the TGT of a cache knows a key of the
// host. It fails with ccstore.ErrNoCache.
func (d *Desk) Verify(ctx context.Context, owner ccstore.Owner, id uuid.UUID, host kdc.HostOptions) error {
	leave, err := d.enter(owner)
	if err != nil {
		return err
	}
	defer leave()
	cache, tgt, err := d.tgt(ctx, owner, id)
	if err != nil {
		return err
	}
	if failure := obstacle(kdc.Verify, tgt.Credential, cache.KDCTime(d.Clock.Now())); failure != nil {
		return failure
	}
	_, err = d.ask(ctx, owner, &kdc.Request{Op: kdc.Verify, KDCOffset: cache.KDCOffset, TGT: tgt.Credential, Host: host})
	return err
}

// ChangePassword has the KDC change the password of a client.
func (d *Desk) ChangePassword(ctx context.Context, owner ccstore.Owner, client string, old, next Secret) error {
	leave, err := d.enter(owner)
	if err != nil {
		return err
	}
	defer leave()
	request := &kdc.Request{Op: kdc.ChangePassword, Principal: client}
	defer request.Wipe()
	if request.Password, err = old(ctx); err != nil {
		return err
	}
	if request.Next, err = next(ctx); err != nil {
		return err
	}
	_, err = d.ask(ctx, owner, request)
	return err
}

// refill has the KDC give a TGT to the client principal, by a keytab, and puts it into
// the cache of that name, whose service tickets stay if it is the client's already. The
// keytab is overwritten.
func (d *Desk) refill(ctx context.Context, owner ccstore.Owner, name, principal string, keytab []byte) error {
	request := &kdc.Request{Op: kdc.Acquire, Principal: principal, Keytab: keytab}
	defer request.Wipe()
	reply, err := d.ask(ctx, owner, request)
	if err != nil {
		return err
	}
	if reply.TGT() == nil {
		return &kdc.Failure{Reason: kdc.Broken, Text: "the KDC helper has no ticket"}
	}
	return d.store.Update(ctx, owner, func(tx *ccstore.Tx) error { return fill(tx, name, reply) })
}

// fill puts what the KDC gave into a cache.
func fill(tx *ccstore.Tx, name string, reply *kdc.Reply) error {
	client := reply.TGT().Client
	cache, err := tx.Cache(name)
	if err != nil || cache.TGT() == nil || !cache.Principal.Equal(client) {
		tx.Replace(name, client, reply.KDCOffset, reply.Credentials)
		return nil
	}
	if _, err := tx.Renew(cache.UUID, cache.TGT().UUID, reply.TGT()); err != nil {
		return err
	}
	for _, c := range reply.Credentials[1:] {
		if err := tx.Store(name, c); err != nil {
			return err
		}
	}
	return tx.SetKDCOffset(name, reply.KDCOffset)
}
