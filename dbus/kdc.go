package dbus

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/dbus/link"
	"kcmd.org/kcmd/dbus/view"
)

// A KDC has KDCs do what the calls of users ask for. Its errors with a method
// ErrorName() string are errors of D-Bus of that name, after the prefix of kcmd's. It
// bounds how many calls of a user are under way.
type KDC interface {
	// Renew and Validate put a new TGT in the place of that of a cache.
	Renew(ctx context.Context, owner ccstore.Owner, cache uuid.UUID) (*ccstore.Credential, error)
	Validate(ctx context.Context, owner ccstore.Owner, cache uuid.UUID) (*ccstore.Credential, error)

	// Verify finds out whether the KDC that issued the TGT of a cache knows the key of
	// a service in the keytab of the host, "" for any; optional is for a host that need
	// not have a keytab.
	Verify(ctx context.Context, owner ccstore.Owner, cache uuid.UUID, service string, optional bool) error

	// Acquire gets tickets and puts them into a cache.
	Acquire(ctx context.Context, owner ccstore.Owner, a Acquisition) (uuid.UUID, error)

	// ChangePassword changes the password of a client.
	ChangePassword(ctx context.Context, owner ccstore.Owner, client string, old, next Secret) error
}

// A Secret reads a password or a keytab, once. The result is overwritten by its user.
type Secret func(context.Context) ([]byte, error)

// An Acquisition says which tickets to get, and where to put them.
type Acquisition struct {
	Client   string // with or without realm; "": of the first key in the keytab
	Password Secret // or else there is a Keytab
	Keytab   Secret
	AcquireOptions
}

// AcquireOptions are the options of the methods that get tickets. krb5.conf decides what
// is left out.
type AcquireOptions struct {
	Cache        string `option:"cache"`         // name; "": the cache of the client, or a new one
	IfNeeded     bool   `option:"if-needed"`     // not if the cache has a valid TGT
	StartIn      uint32 `option:"start-in"`      // seconds
	Lifetime     uint32 `option:"lifetime"`      // seconds
	RenewableFor uint32 `option:"renewable-for"` // seconds
	Forwardable  *bool  `option:"forwardable"`
	Proxiable    *bool  `option:"proxiable"`
	Addressless  *bool  `option:"addressless"`
	Service      string `option:"service"` // "": a TGT
}

// features returns what not every kcmd can do.
func (b *bus) features() []string {
	list := []string{}
	if b.terms.Load().Renews {
		list = append(list, "auto-renew")
	}
	if b.KDC != nil {
		list = append(list, "renew", "validate", "verify")
		if b.Acquires {
			list = append(list, "acquire", "change-password")
		}
	}
	return list
}

var (
	notSupported    = &fault{errNotSupported, "kcmd has no way to a KDC; see Features of the manager"}
	takesNoPassword = &fault{errNotSupported, "kcmd takes no passwords and keytabs here; use kinit, or see acquire in kcmd(8)"}
)

func setAutoRenew(q *request, tx *ccstore.Tx, value any) error {
	cache, err := tx.CacheByUUID(q.place.Cache)
	if err != nil {
		return err
	}
	return tx.SetAutoRenew(cache.Name, value.(bool))
}

// noOptions are the options of a method that has none yet.
type noOptions struct{}

func renew(ctx context.Context, q *request, _ struct{ Options noOptions }) ([]any, error) {
	return q.exchange(ctx, KDC.Renew)
}

func validate(ctx context.Context, q *request, _ none) ([]any, error) {
	return q.exchange(ctx, KDC.Validate)
}

// exchange has a KDC exchange the TGT of the cache that is called, and returns the end
// of the new one.
func (q *request) exchange(ctx context.Context, do func(KDC, context.Context, ccstore.Owner, uuid.UUID) (*ccstore.Credential, error)) ([]any, error) {
	if q.bus.KDC == nil {
		return nil, notSupported
	}
	tgt, err := do(q.bus.KDC, ctx, q.owner(), q.place.Cache)
	if err != nil {
		return nil, err
	}
	return []any{int64(tgt.EndTime)}, nil
}

// verifyOptions are the options of Verify.
type verifyOptions struct {
	Service       string `option:"service"`
	RequireKeytab bool   `option:"require-keytab"`
}

// SetDefaults sets the values of options that are left out.
func (o *verifyOptions) SetDefaults() { o.RequireKeytab = true }

func verify(ctx context.Context, q *request, in struct{ Options verifyOptions }) ([]any, error) {
	if q.bus.KDC == nil {
		return nil, notSupported
	}
	if err := checkName("option \"service\"", in.Options.Service); err != nil {
		return nil, err
	}
	return nil, q.bus.KDC.Verify(ctx, q.owner(), q.place.Cache, in.Options.Service, !in.Options.RequireKeytab)
}

func acquireWithPassword(ctx context.Context, q *request, in struct {
	Client   string
	Password link.Handle
	Options  AcquireOptions
}) ([]any, error) {
	if in.Client == "" {
		return nil, invalidArgs("the client principal is missing")
	}
	return q.acquire(ctx, Acquisition{Client: in.Client, Password: q.password(in.Password), AcquireOptions: in.Options})
}

// maxKeytab bounds a keytab, in bytes.
const maxKeytab = 64 << 10

func acquireWithKeytab(ctx context.Context, q *request, in struct {
	Client  string
	Keytab  link.Handle
	Options AcquireOptions
}) ([]any, error) {
	return q.acquire(ctx, Acquisition{Client: in.Client, Keytab: q.secret(in.Keytab, maxKeytab), AcquireOptions: in.Options})
}

func (q *request) acquire(ctx context.Context, a Acquisition) ([]any, error) {
	if err := q.maySendSecrets(); err != nil {
		return nil, err
	}
	for what, name := range map[string]string{"client principal": a.Client, "option \"service\"": a.Service} {
		if err := checkName(what, name); err != nil {
			return nil, err
		}
	}
	a.Cache = strings.TrimPrefix(a.Cache, "KCM:")
	if a.Cache != "" && !q.ownsName(a.Cache) {
		return nil, invalidArgs("option \"cache\": %q is not allowed; allowed: KCM:%d and KCM:%d:..., of at most %d bytes", view.Text(a.Cache), q.place.UID, q.place.UID, maxCacheName)
	}
	cache, err := q.bus.KDC.Acquire(ctx, q.owner(), a)
	if err != nil {
		return nil, err
	}
	return []any{view.CachePath(q.place.UID, cache)}, nil
}

func changePassword(ctx context.Context, q *request, in struct {
	Client        string
	Password, New link.Handle
}) ([]any, error) {
	if err := q.maySendSecrets(); err != nil {
		return nil, err
	}
	if in.Client == "" {
		return nil, invalidArgs("the client principal is missing")
	}
	if err := checkName("client principal", in.Client); err != nil {
		return nil, err
	}
	return nil, q.bus.KDC.ChangePassword(ctx, q.owner(), in.Client, q.password(in.Password), q.password(in.New))
}

// maySendSecrets returns nil if this kcmd takes passwords and keytabs.
func (q *request) maySendSecrets() error {
	switch {
	case q.bus.KDC == nil:
		return notSupported
	case !q.bus.Acquires:
		return takesNoPassword
	}
	return nil
}

// Limits of names.
const (
	maxPrincipal = 1024
	maxCacheName = 255
)

// checkName returns an error for a name of a principal that no program takes.
func checkName(what, name string) error {
	if len(name) > maxPrincipal || strings.ContainsFunc(name, unicode.IsControl) || strings.HasPrefix(name, "-") {
		return invalidArgs("%s: %q is not allowed; allowed: at most %d bytes without control characters, and no - at the beginning", what, view.Text(name), maxPrincipal)
	}
	return nil
}

// ownsName reports whether the collection that is called may have a cache of that name.
func (q *request) ownsName(name string) bool {
	first, _, _ := strings.Cut(name, ":")
	uid, isUID := view.ParseUID(first)
	return len(name) <= maxCacheName && !strings.ContainsFunc(name, unicode.IsControl) &&
		(isUID && uid == q.place.UID || !isUID && q.place.UID == 0)
}

// maxPassword bounds a password with the end of its line, in bytes.
const maxPassword = 1024

// password returns the Secret of a password. One end of a line after it is left out.
func (q *request) password(h link.Handle) Secret {
	read := q.secret(h, maxPassword)
	return func(ctx context.Context) ([]byte, error) {
		b, err := read(ctx)
		if err != nil {
			return nil, err
		}
		b = bytes.TrimSuffix(b, []byte("\n"))
		if len(b) == 0 || bytes.ContainsAny(b, "\n\x00") {
			clear(b)
			return nil, invalidArgs("a password is one line, and not empty")
		}
		return b, nil
	}
}

// secretPatience is how long the end of a secret may take to come.
const secretPatience = 10 * time.Second

// secret returns the Secret that is read from a file descriptor of the call.
func (q *request) secret(h link.Handle, most int) Secret {
	return func(ctx context.Context) ([]byte, error) {
		ctx, cancel := context.WithTimeout(ctx, secretPatience)
		defer cancel()
		d, err := q.Take(h)
		if err == nil {
			defer d.Close()
			var b []byte
			if b, err = d.ReadAll(ctx, most); err == nil {
				return b, nil
			}
		}
		if errors.Is(err, link.ErrDescriptor) {
			return nil, &fault{errDescriptor, err.Error()}
		}
		return nil, err
	}
}
