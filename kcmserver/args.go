package kcmserver

import (
	"github.com/google/uuid"

	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/kcmserver/kcm"
)

// The arguments of a request. The row of its operation lists those that are set.
type arguments struct {
	name      string // of the cache, never empty
	to        string // of the other cache, never empty
	principal ccache.Principal
	cred      *ccache.Credential
	creds     []*ccache.Credential
	match     *ccache.Match
	uuid      uuid.UUID
	kdcOffset int32
	uid       uint32
	mode      uint16

	unnamed bool // a name is empty on the wire
}

// An arg is one argument in the row of an operation.
type arg struct {
	name string
	read func(*arguments, kcm.Decoder)
}

// The arguments that operations have. Those that are read and not kept mean
// nothing to kcmd.
var (
	argName        = arg{"name", func(a *arguments, in kcm.Decoder) { a.readName(&a.name, in) }}
	argNameTo      = arg{"name to", func(a *arguments, in kcm.Decoder) { a.readName(&a.to, in) }}
	argPrincipal   = arg{"principal", func(a *arguments, in kcm.Decoder) { a.principal = in.Principal("principal") }}
	argCredential  = arg{"credential", func(a *arguments, in kcm.Decoder) { a.cred = in.Credential("credential") }}
	argCredentials = arg{"credentials", func(a *arguments, in kcm.Decoder) { a.creds = in.CredentialList() }}
	argMatch       = arg{"match", func(a *arguments, in kcm.Decoder) { a.match = in.Match() }}
	argRemoveMatch = arg{"match", func(a *arguments, in kcm.Decoder) { a.match = in.RemoveMatch() }}
	argUUID        = arg{"UUID", func(a *arguments, in kcm.Decoder) { a.uuid = in.UUID() }}
	argKDCOffset   = arg{"KDC offset", func(a *arguments, in kcm.Decoder) { a.kdcOffset = in.Int32("KDC offset") }}
	argFlags       = arg{"flags", func(_ *arguments, in kcm.Decoder) { in.Uint32("flags") }}
	argUID         = arg{"uid", func(a *arguments, in kcm.Decoder) { a.uid = in.Uint32("uid") }}
	argGID         = arg{"gid", func(_ *arguments, in kcm.Decoder) { in.Uint32("gid") }}
	argMode        = arg{"mode", func(a *arguments, in kcm.Decoder) { a.mode = in.Uint16("mode") }}
)

func (a *arguments) readName(name *string, in kcm.Decoder) {
	*name = in.Name()
	a.unnamed = a.unnamed || *name == ""
}

// decode reads the arguments. If there is no memory for them now, it reads them
// again once there is: meanwhile it keeps none.
func (c *call) decode(list []arg) error {
	whole := c.in.Rest()
	c.readArguments(list)
	if n := int64(c.in.Elements() * elementSize); n > freeMemory && !c.conn.holdNow(n) {
		c.args = arguments{}
		if err := c.conn.waitForMemory(n); err != nil {
			return err
		}
		c.in.Reset(whole)
		c.readArguments(list)
	}
	if err := c.in.Err(); err != nil {
		return err
	}
	if c.args.unnamed {
		return c.nameDefault()
	}
	return nil
}

func (c *call) readArguments(list []arg) {
	for _, a := range list {
		a.read(&c.args, c.in)
	}
}

// nameDefault puts the name of the default cache in place of an empty one:
// Heimdal's clients send an empty name for "KCM:".
func (c *call) nameDefault() error {
	defaultName, err := c.defaultName()
	if err != nil {
		return err
	}
	for _, name := range []*string{&c.args.name, &c.args.to} {
		if *name == "" {
			*name = defaultName
		}
	}
	return nil
}
