package link

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"time"

	godbus "github.com/godbus/dbus/v5"
)

const (
	polkitName  = "org.freedesktop.PolicyKit1"
	polkitPath  = "/org/freedesktop/PolicyKit1/Authority"
	polkitIface = polkitName + ".Authority"
)

// polkitTimeout is for an authority that asks no person. Typing a password may
// take longer.
const (
	polkitTimeout    = 10 * time.Second
	passwordPatience = 2 * time.Minute
)

// A polkitSubject is the caller that polkit is asked about.
type polkitSubject struct {
	Kind    string
	Details map[string]godbus.Variant
}

// An Authorization is the answer of polkit.
type Authorization struct {
	Authorized bool
	Challenge  bool // would be authorized after a password
	Details    map[string]string
}

// lastQuestion numbers the questions, so that they can be canceled.
var lastQuestion atomic.Uint64

// CheckAuthorization asks polkit whether the caller is authorized for an action.
// It waits for people, so no lock may be held. The question is canceled when the
// caller leaves the bus.
func (c *Call) CheckAuthorization(action string) (answer Authorization, err error) {
	timeout, flags := polkitTimeout, uint32(0)
	if c.Interactive {
		timeout, flags = passwordPatience, 1
	}
	ctx, cancel := context.WithTimeout(c.From.ctx, timeout)
	defer cancel()
	c.turn.End() // others of the user have theirs meanwhile
	defer func() { err = errors.Join(err, c.beginTurn(context.WithoutCancel(ctx))) }()
	authority := c.conn.bus.Object(polkitName, polkitPath)
	subject := polkitSubject{"system-bus-name", map[string]godbus.Variant{"name": godbus.MakeVariant(c.From.Name)}}
	id := "kcmd-" + strconv.FormatUint(lastQuestion.Add(1), 10)
	err = authority.CallWithContext(ctx, polkitIface+".CheckAuthorization", 0,
		subject, action, map[string]string{}, flags, id).Store(&answer)
	if ctx.Err() != nil {
		authority.Call(polkitIface+".CancelCheckAuthorization", godbus.FlagNoReplyExpected, id)
	}
	return answer, err
}
