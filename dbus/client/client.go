package client

import (
	"context"
	"errors"
	"fmt"

	godbus "github.com/godbus/dbus/v5"
)

// ObjectPath is the path of an object on the bus.
type ObjectPath = godbus.ObjectPath

// Names on the bus.
const (
	BusName     = "org.kcmd.KCM1"
	ManagerPath = ObjectPath("/org/kcmd/KCM1")

	managerInterface    = "org.kcmd.KCM1.Manager"
	collectionInterface = "org.kcmd.KCM1.Collection"
	cacheInterface      = "org.kcmd.KCM1.Cache"
	propertiesInterface = "org.freedesktop.DBus.Properties"
	objectsInterface    = "org.freedesktop.DBus.ObjectManager"
)

// What an error of kcmd can be, for errors.Is. The text of the error is for people.
var (
	ErrNotRunning    = errors.New("kcmd is not on the bus")
	ErrNoSession     = errors.New("there is no session bus")
	ErrCannotStart   = errors.New("the bus cannot start kcmd")
	ErrUnknownObject = errors.New("no such collection or cache in view")
	ErrNoSuchTicket  = errors.New("no such ticket in the cache")
	ErrInvalidArgs   = errors.New("argument is not allowed")
	ErrAccessDenied  = errors.New("access denied")
	ErrUnknownMethod = errors.New("this version of kcmd has no such method")
	ErrNotAuthorized = errors.New("a password is needed, which the call does not allow to ask for")
	ErrNoProcess     = errors.New("the process is not on the bus")
	ErrLimit         = errors.New("limit exceeded")
	ErrFailed        = errors.New("kcmd failed; its log has the reason")

	// Of requests to a KDC.
	ErrKDCUnreachable = errors.New("no KDC answers")
	ErrKDC            = errors.New("the KDC refuses")
	ErrClientUnknown  = errors.New("the KDC does not know the client")
	ErrServerUnknown  = errors.New("the KDC does not know the service")
	ErrClientRevoked  = errors.New("the client is locked or disabled")
	ErrExpired        = errors.New("the ticket has expired")
	ErrNotRenewable   = errors.New("the ticket is not renewable")
	ErrNotYetValid    = errors.New("the ticket is not yet valid")
	ErrNoTGT          = errors.New("the cache has no TGT")
	ErrClockSkew      = errors.New("the clocks differ by too much")
	ErrSuperseded     = errors.New("the ticket was replaced meanwhile")
	ErrBusy           = errors.New("too many requests under way")
	ErrNotSupported   = errors.New("kcmd cannot do this here")
	ErrPreauthFailed  = errors.New("the password or the key is wrong")
	ErrPasswordOld    = errors.New("the password has expired")
	ErrRejected       = errors.New("the new password is not allowed")
	ErrUnverified     = errors.New("the KDC does not know the key of the host")
	ErrKeytab         = errors.New("there is no keytab with a key that fits")
	ErrDescriptor     = errors.New("the password or keytab cannot be read")
)

// meanings maps D-Bus errors to those above.
var meanings = map[string]error{
	"org.freedesktop.DBus.Error.ServiceUnknown":                   ErrNotRunning,
	"org.freedesktop.DBus.Error.NameHasNoOwner":                   ErrNotRunning,
	"org.freedesktop.DBus.Error.NoReply":                          ErrNotRunning, // it ended before it answered
	"org.freedesktop.DBus.Error.UnknownObject":                    ErrUnknownObject,
	"org.freedesktop.DBus.Error.UnknownMethod":                    ErrUnknownMethod,
	"org.freedesktop.DBus.Error.InvalidArgs":                      ErrInvalidArgs,
	"org.freedesktop.DBus.Error.AccessDenied":                     ErrAccessDenied,
	"org.freedesktop.DBus.Error.InteractiveAuthorizationRequired": ErrNotAuthorized,
	"org.freedesktop.DBus.Error.UnixProcessIdUnknown":             ErrNoProcess,
	"org.freedesktop.DBus.Error.LimitsExceeded":                   ErrLimit,
	"org.freedesktop.DBus.Error.Failed":                           ErrFailed,
	"org.kcmd.KCM1.Error.NoSuchTicket":                            ErrNoSuchTicket,
	"org.kcmd.KCM1.Error.KdcUnreachable":                          ErrKDCUnreachable,
	"org.kcmd.KCM1.Error.KdcError":                                ErrKDC,
	"org.kcmd.KCM1.Error.ClientUnknown":                           ErrClientUnknown,
	"org.kcmd.KCM1.Error.ServerUnknown":                           ErrServerUnknown,
	"org.kcmd.KCM1.Error.ClientRevoked":                           ErrClientRevoked,
	"org.kcmd.KCM1.Error.Expired":                                 ErrExpired,
	"org.kcmd.KCM1.Error.NotRenewable":                            ErrNotRenewable,
	"org.kcmd.KCM1.Error.NotYetValid":                             ErrNotYetValid,
	"org.kcmd.KCM1.Error.NoTgt":                                   ErrNoTGT,
	"org.kcmd.KCM1.Error.ClockSkew":                               ErrClockSkew,
	"org.kcmd.KCM1.Error.Superseded":                              ErrSuperseded,
	"org.kcmd.KCM1.Error.Busy":                                    ErrBusy,
	"org.kcmd.KCM1.Error.NotSupported":                            ErrNotSupported,
	"org.kcmd.KCM1.Error.PreauthFailed":                           ErrPreauthFailed,
	"org.kcmd.KCM1.Error.PasswordExpired":                         ErrPasswordOld,
	"org.kcmd.KCM1.Error.PasswordRejected":                        ErrRejected,
	"org.kcmd.KCM1.Error.VerificationFailed":                      ErrUnverified,
	"org.kcmd.KCM1.Error.NoKeytab":                                ErrKeytab,
	"org.kcmd.KCM1.Error.InvalidKeytab":                           ErrKeytab,
	"org.kcmd.KCM1.Error.InvalidFileDescriptor":                   ErrDescriptor,
	"org.kcmd.KCM1.Error.Failed":                                  ErrFailed,
}

// A Client is a connection to a bus. Its methods may be called at the same time.
type Client struct {
	conn        *godbus.Conn
	bus         string
	interactive bool
	noStart     bool // calls do not have the bus start kcmd
}

// Dial connects to the bus "system" or "session", or to a D-Bus address. Find is for
// programs that do not know which.
func Dial(ctx context.Context, bus string) (*Client, error) {
	address := bus
	connect := func(o ...godbus.ConnOption) (*godbus.Conn, error) { return godbus.Connect(address, o...) }
	switch bus {
	case "system":
		connect = godbus.ConnectSystemBus
	case "session":
		var err error
		if address, err = SessionAddress(); err != nil {
			return nil, err
		}
	}
	// It keeps the order of signals, and the connection never waits for their reader.
	conn, err := connect(godbus.WithContext(ctx), godbus.WithSignalHandler(godbus.NewSequentialSignalHandler()))
	if err != nil {
		return nil, fmt.Errorf("cannot connect to the %s bus: %w", bus, err)
	}
	return &Client{conn: conn, bus: bus}, nil
}

// Bus returns what Dial was called with: "system", "session" or an address.
func (c *Client) Bus() string { return c.bus }

// Close disconnects. The end of Dial's context does too.
func (c *Client) Close() error { return c.conn.Close() }

// Done is closed at the end of the connection.
func (c *Client) Done() <-chan struct{} { return c.conn.Context().Done() }

// Interactive returns a client over the same connection whose calls may have polkit
// ask the user for a password.
func (c *Client) Interactive() *Client { return c.with(true) }

// NonInteractive returns a client over the same connection whose calls fail with
// ErrNotAuthorized where a password would be needed.
func (c *Client) NonInteractive() *Client { return c.with(false) }

func (c *Client) with(interactive bool) *Client {
	other := *c
	other.interactive = interactive
	return &other
}

// call calls a method and stores its results in out.
func (c *Client) call(ctx context.Context, object ObjectPath, iface, method string, in []any, out ...any) error {
	// Not by conn.Object, which sends none of the flags that it does not know.
	m := &godbus.Message{
		Type: godbus.TypeMethodCall,
		Headers: map[godbus.HeaderField]godbus.Variant{
			godbus.FieldDestination: godbus.MakeVariant(BusName),
			godbus.FieldPath:        godbus.MakeVariant(object),
			godbus.FieldInterface:   godbus.MakeVariant(iface),
			godbus.FieldMember:      godbus.MakeVariant(method),
		},
		Body: in,
	}
	if len(in) > 0 {
		m.Headers[godbus.FieldSignature] = godbus.MakeVariant(godbus.SignatureOf(in...))
	}
	if c.interactive {
		m.Flags |= godbus.FlagAllowInteractiveAuthorization
	}
	if c.noStart {
		m.Flags |= godbus.FlagNoAutoStart
	}
	err := (<-c.conn.SendWithContext(ctx, m, make(chan *godbus.Call, 1)).Done).Store(out...)
	if err == nil {
		return nil
	}
	var e godbus.Error
	if errors.As(err, &e) {
		if meaning := meanings[e.Name]; meaning != nil {
			return fmt.Errorf("%s: %w: %w", method, meaning, e)
		}
	}
	return fmt.Errorf("%s: %w", method, err)
}

// getAll stores the properties of an object in the struct that into points to. It
// subscribes the connection.
func (c *Client) getAll(ctx context.Context, object ObjectPath, iface string, into any) error {
	var properties map[string]godbus.Variant
	if err := c.call(ctx, object, propertiesInterface, "GetAll", []any{iface}, &properties); err != nil {
		return err
	}
	return decode(properties, into)
}
