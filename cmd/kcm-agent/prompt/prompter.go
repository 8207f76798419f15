package prompt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	godbus "github.com/godbus/dbus/v5"

	"kcmd.org/kcmd/cmd/kcm-agent/prompt/exchange"
	"kcmd.org/kcmd/dbus/client"
)

// GNOME Shell has this name on the session bus; elsewhere it starts gcr-prompter. Facts
// about it are in gcr/gcr-system-prompter.c of gcr.
const (
	prompterName      = "org.gnome.keyring.SystemPrompter"
	prompterPath      = godbus.ObjectPath("/org/gnome/keyring/Prompter")
	prompterInterface = "org.gnome.keyring.internal.Prompter"
	callbackInterface = prompterInterface + ".Callback"
	callbackPath      = godbus.ObjectPath("/org/kcmd/Agent/Prompt")
)

const (
	// prompterTime is how long the prompter may take to answer a call.
	prompterTime = 25 * time.Second
	// turnTime is how long it may show the windows of others.
	turnTime = 2 * time.Minute
	// closeTime is how long it may take to close a window.
	closeTime = 2 * time.Second
)

var (
	errBusy = errors.New("the password dialog of GNOME shows another question")
	errGone = errors.New("the password dialog of GNOME has ended")
	// errSilent is for a prompter that hangs.
	errSilent = errors.New("it does not answer")
)

// A prompter is a conversation with the prompter of GNOME: one window for all questions.
type prompter struct {
	conn     *godbus.Conn // of its own: its end ends the window
	owner    string       // the unique name of the prompter, "" before the first question
	signals  chan *godbus.Signal
	answers  chan answer
	open     context.Context // until the prompter has closed the window
	exchange *exchange.Exchange
	// prompterTime and turnTime, but in tests.
	limit, turn time.Duration
}

// An answer is a call of PromptReady.
type answer struct {
	reply   string // "" for the turn of a conversation, else "yes" or "no"
	message string // of the exchange
}

// newPrompter connects to the session bus.
func newPrompter(ctx context.Context) (*prompter, error) {
	address, err := client.SessionAddress()
	if err != nil {
		return nil, err
	}
	// The window is closed by a call after the end of ctx.
	conn, err := godbus.Connect(address, godbus.WithContext(context.WithoutCancel(ctx)))
	if err != nil {
		return nil, fmt.Errorf("cannot connect to the session bus: %w", err)
	}
	return &prompter{conn: conn, open: context.Background(), limit: prompterTime, turn: turnTime}, nil
}

// available returns whether the bus has the prompter or can start it.
func (p *prompter) available(ctx context.Context) bool {
	if p.find(ctx) != "" {
		return true
	}
	ctx, stop := context.WithTimeout(ctx, p.limit)
	defer stop()
	var names []string
	err := p.conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.ListActivatableNames", 0).Store(&names)
	return err == nil && slices.Contains(names, prompterName)
}

// find returns the owner of the name.
func (p *prompter) find(ctx context.Context) (owner string) {
	ctx, stop := context.WithTimeout(ctx, p.limit)
	defer stop()
	_ = p.conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.GetNameOwner", 0, prompterName).Store(&owner)
	return owner
}

// begin begins the conversation, unless it has begun, and waits for its turn.
func (p *prompter) begin(ctx context.Context) error {
	if p.exchange != nil {
		return nil
	}
	if p.owner != "" {
		return errGone // the first question has failed
	}
	if err := p.connect(ctx); err != nil {
		return fmt.Errorf("cannot start the password dialog of GNOME: %w", err)
	}
	if err := p.call(ctx, "BeginPrompting", callbackPath); err != nil {
		return fmt.Errorf("cannot start the password dialog of GNOME: %w", err)
	}
	turn, stop := context.WithTimeoutCause(ctx, p.turn, errBusy)
	defer stop()
	first, err := p.await(turn)
	if err != nil {
		return err
	}
	if first.reply != "" {
		return unexpected(first)
	}
	p.exchange, err = exchange.New(first.message)
	return wrong(err)
}

// connect finds or starts the prompter, watches it, and exports our side.
func (p *prompter) connect(ctx context.Context) error {
	limited, stop := context.WithTimeout(ctx, p.limit)
	defer stop()
	err := p.reach(limited)
	if timedOut(err, limited, ctx) {
		return errSilent
	}
	return err
}

// timedOut reports whether a call has failed for its own limit of time.
func timedOut(err error, limited, ctx context.Context) bool {
	return err != nil && limited.Err() != nil && ctx.Err() == nil
}

// reach is connect without a limit of time.
func (p *prompter) reach(ctx context.Context) error {
	if p.owner = p.find(ctx); p.owner == "" {
		if err := p.conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.StartServiceByName", 0, prompterName, uint32(0)).Err; err != nil {
			return err
		}
		if p.owner = p.find(ctx); p.owner == "" {
			return errGone
		}
	}
	p.signals = make(chan *godbus.Signal, 10)
	p.conn.Signal(p.signals)
	if err := p.conn.AddMatchSignalContext(ctx, godbus.WithMatchSender("org.freedesktop.DBus"),
		godbus.WithMatchMember("NameOwnerChanged"), godbus.WithMatchArg(0, p.owner)); err != nil {
		return err
	}
	p.answers = make(chan answer, 1)
	var closed context.CancelFunc
	p.open, closed = context.WithCancel(context.Background())
	return p.conn.Export(callback{p.owner, p.answers, closed}, callbackPath, callbackInterface)
}

// call calls a method of the prompter that had the name at the beginning.
func (p *prompter) call(ctx context.Context, method string, args ...any) error {
	limited, stop := context.WithTimeout(ctx, p.limit)
	defer stop()
	err := p.conn.Object(p.owner, prompterPath).CallWithContext(limited, prompterInterface+"."+method, godbus.FlagNoAutoStart, args...).Err
	switch {
	case named(err, "org.gnome.keyring.Prompter.InProgress"):
		return errBusy
	case named(err, "org.freedesktop.DBus.Error.NoReply", "org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner"):
		return errGone
	case timedOut(err, limited, ctx):
		return errSilent
	}
	return err
}

// named reports whether an error of D-Bus has one of the names.
func named(err error, names ...string) bool {
	var e godbus.Error
	return errors.As(err, &e) && slices.Contains(names, e.Name)
}

// ask asks a question, and returns the password that the user has typed.
func (p *prompter) ask(ctx context.Context, kind string, properties map[string]godbus.Variant) ([]byte, error) {
	if err := p.begin(ctx); err != nil {
		return nil, err
	}
	if p.open.Err() != nil {
		return nil, ErrCancelled
	}
	select {
	case a := <-p.answers:
		return nil, unexpected(a)
	default:
	}
	if err := p.perform(ctx, kind, properties); err != nil {
		return nil, err
	}
	a, err := p.await(ctx)
	switch {
	case err != nil:
		return nil, err
	case a.reply == "no":
		return nil, ErrCancelled
	case a.reply != "yes":
		return nil, unexpected(a)
	case kind != "password":
		return nil, nil
	}
	password, err := p.exchange.Open(a.message)
	return password, wrong(err)
}

// perform shows a question. The prompter refuses it until it has our reply to its last
// call, which godbus sends after our method has returned: at any time.
func (p *prompter) perform(ctx context.Context, kind string, properties map[string]godbus.Variant) error {
	for tries, pause := 0, time.Millisecond; ; tries++ {
		err := p.call(ctx, "PerformPrompt", callbackPath, kind, properties, p.exchange.Message())
		again := errors.Is(err, errBusy) || named(err, "org.freedesktop.DBus.Error.Failed")
		switch {
		case err == nil:
			return nil
		case p.open.Err() != nil:
			return ErrCancelled
		case !again || tries == 10:
			return fmt.Errorf("cannot show the password dialog of GNOME: %w", err)
		}
		select {
		case <-time.After(pause):
			pause *= 2
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// await waits for an answer.
func (p *prompter) await(ctx context.Context) (answer, error) {
	for {
		select {
		case a := <-p.answers:
			return a, nil
		case s := <-p.signals:
			if s != nil && (len(s.Body) != 3 || s.Body[0] != p.owner || s.Body[2] != "") {
				continue
			}
			return answer{}, errGone
		case <-p.open.Done():
			return answer{}, ErrCancelled
		case <-p.conn.Context().Done():
			return answer{}, errGone
		case <-ctx.Done():
			return answer{}, context.Cause(ctx)
		}
	}
}

// unexpected is the error for an answer that nobody has asked for.
func unexpected(a answer) error {
	return wrong(fmt.Errorf("%.20q is not allowed here", a.reply))
}

// wrong is the error for an answer that is not allowed.
func wrong(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("cannot read the answer of the password dialog of GNOME: %w", err)
}

// close closes the window.
func (p *prompter) close() {
	if p.owner != "" {
		ctx, stop := context.WithTimeout(context.Background(), closeTime)
		defer stop()
		_ = p.call(ctx, "StopPrompting", callbackPath) // it may have ended
	}
	p.conn.Close()
	if p.exchange != nil {
		p.exchange.Close()
	}
}

// callback has the methods that the prompter calls.
type callback struct {
	owner   string
	answers chan answer
	closed  context.CancelFunc
}

var errNotPrompter = godbus.NewError("org.freedesktop.DBus.Error.AccessDenied", []any{"only the prompter may call this"})

// PromptReady is the turn of a conversation, or what the user has answered.
func (c callback) PromptReady(sender godbus.Sender, reply string, _ map[string]godbus.Variant, message string) *godbus.Error {
	if string(sender) != c.owner {
		return errNotPrompter
	}
	select {
	case c.answers <- answer{reply, message}:
		return nil
	default:
		return godbus.NewError("org.freedesktop.DBus.Error.LimitsExceeded", []any{"there is an answer already"})
	}
}

// PromptDone is the end of the conversation.
func (c callback) PromptDone(sender godbus.Sender) *godbus.Error {
	if string(sender) != c.owner {
		return errNotPrompter
	}
	c.closed()
	return nil
}
