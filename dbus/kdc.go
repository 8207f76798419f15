package dbus

import (
	"context"

	"github.com/google/uuid"

	"kcmd.org/kcmd/ccstore"
)

// A KDC has tickets of the store renewed and validated. Its errors with a method
// ErrorName() string are errors of D-Bus of that name, after the prefix of kcmd's.
type KDC interface {
	// Renew and Validate put a new TGT in the place of that of a cache.
	Renew(ctx context.Context, owner ccstore.Owner, cache uuid.UUID) (*ccstore.Credential, error)
	Validate(ctx context.Context, owner ccstore.Owner, cache uuid.UUID) (*ccstore.Credential, error)
}

// features returns what not every kcmd can do.
func (b *bus) features() []string {
	list := []string{}
	if b.Renews {
		list = append(list, "auto-renew")
	}
	if b.KDC != nil {
		list = append(list, "renew", "validate")
	}
	return list
}

var notSupported = &fault{errNotSupported, "kcmd has no way to a KDC; see Features of the manager"}

func setAutoRenew(q *request, tx *ccstore.Tx, value any) error {
	cache, err := tx.CacheByUUID(q.place.Cache)
	if err != nil {
		return err
	}
	return tx.SetAutoRenew(cache.Name, value.(bool))
}

// noOptions are the options of a method that has none yet.
type noOptions struct{}

func renew(q *request, _ struct{ Options noOptions }) ([]any, error) {
	return q.exchange(KDC.Renew)
}

func validate(q *request, _ none) ([]any, error) { return q.exchange(KDC.Validate) }

// exchange has a KDC exchange the TGT of the cache that is called, and returns the end
// of the new one. Signals of the change come before the answer.
func (q *request) exchange(do func(KDC, context.Context, ccstore.Owner, uuid.UUID) (*ccstore.Credential, error)) ([]any, error) {
	if q.bus.KDC == nil {
		return nil, notSupported
	}
	var tgt *ccstore.Credential
	var err error
	if out := q.Outside(func(ctx context.Context) { tgt, err = do(q.bus.KDC, ctx, q.owner(), q.place.Cache) }); out != nil {
		return nil, out
	}
	q.bus.announceTo(q)
	if err != nil {
		return nil, err
	}
	return []any{int64(tgt.EndTime)}, nil
}
