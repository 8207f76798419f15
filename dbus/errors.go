package dbus

import (
	"errors"
	"fmt"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/dbus/view"
)

// A fault is an error for the caller.
type fault struct {
	name string // D-Bus error name
	text string // for people
}

func (f *fault) Error() string { return f.text }

// Error names of the D-Bus specification, and our own.
const (
	errUnknownObject    = "org.freedesktop.DBus.Error.UnknownObject"
	errUnknownInterface = "org.freedesktop.DBus.Error.UnknownInterface"
	errUnknownMethod    = "org.freedesktop.DBus.Error.UnknownMethod"
	errUnknownProperty  = "org.freedesktop.DBus.Error.UnknownProperty"
	errPropertyReadOnly = "org.freedesktop.DBus.Error.PropertyReadOnly"
	errInvalidArgs      = "org.freedesktop.DBus.Error.InvalidArgs"
	errAccessDenied     = "org.freedesktop.DBus.Error.AccessDenied"
	errLimitsExceeded   = "org.freedesktop.DBus.Error.LimitsExceeded"
	errFailed           = "org.freedesktop.DBus.Error.Failed"
	errFileNotFound     = "org.freedesktop.DBus.Error.FileNotFound"
	errNotAuthorizedYet = "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"
	errProcessUnknown   = "org.freedesktop.DBus.Error.UnixProcessIdUnknown"

	errNoSuchTicket = view.ErrorPrefix + "NoSuchTicket"
	errNotSupported = view.ErrorPrefix + "NotSupported"
	errDescriptor   = view.ErrorPrefix + "InvalidFileDescriptor"
)

// unknownObject is the answer for an object that does not exist and for one that
// the caller may not see. Nothing in it depends on which of the two it is.
var unknownObject = &fault{errUnknownObject, "no such object"}

func unknownInterface(name string) error {
	return &fault{errUnknownInterface, fmt.Sprintf("the object has no interface %q", view.Text(name))}
}

func unknownProperty(name string) error {
	return &fault{errUnknownProperty, fmt.Sprintf("the interface has no property %q", view.Text(name))}
}

func invalidArgs(format string, args ...any) error {
	return &fault{errInvalidArgs, fmt.Sprintf(format, args...)}
}

// busError returns name and text of the D-Bus error for err. It is the only
// place that knows which is which. Errors that are not for the caller come out
// as Failed without their details, which the log has.
func busError(err error) (name, text string) {
	var f *fault
	var named interface {
		error
		ErrorName() string
	}
	switch {
	case errors.As(err, &f):
		return f.name, f.text
	case errors.As(err, &named):
		return view.ErrorPrefix + named.ErrorName(), view.Text(named.Error())
	case errors.Is(err, ccstore.ErrNoCache):
		return unknownObject.name, unknownObject.text
	case errors.Is(err, ccstore.ErrNoCredential):
		return errNoSuchTicket, "no such ticket"
	case errors.Is(err, ccstore.ErrClosed):
		return errFailed, "the service is stopping"
	case errors.Is(err, ccstore.ErrBackend):
		return errFailed, "the credential cache store failed"
	}
	return errFailed, "internal error"
}
