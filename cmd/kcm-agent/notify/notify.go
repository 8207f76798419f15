// Package notify shows notifications through org.freedesktop.Notifications: each once,
// replaced in place when it changes, and withdrawn when it is settled.
//
// It imports show, whose notices it shows. Its files are notify.go, which talks to the
// notification daemon, and book.go, which knows what was shown.
package notify

import (
	"context"
	"html"
	"slices"
	"strconv"
	"time"

	godbus "github.com/godbus/dbus/v5"

	"kcmd.org/kcmd/cmd/kcm-agent/show"
)

const (
	name  = "org.freedesktop.Notifications"
	path  = godbus.ObjectPath("/org/freedesktop/Notifications")
	urged = byte(2)
	usual = byte(1)
)

// patience is how long the daemon may take to answer, or to start.
const patience = 30 * time.Second

// labels are the buttons for what a user can do.
var labels = map[show.Verb]string{show.Renew: "Renew", show.SignIn: "Sign in", show.ChangePassword: "Change password", show.Destroy: "Destroy", show.MakeDefault: "Make default"}

// A Notifier shows notifications.
type Notifier struct {
	conn   *godbus.Conn
	wanted chan []show.Notice
	acted  func(show.Action)
	book   book
	last   []show.Notice // what is wanted
	known  bool          // whether the capabilities are
	can    []string
}

// New returns a Notifier, which calls acted for the buttons that a user presses.
func New(conn *godbus.Conn, acted func(show.Action)) *Notifier {
	return &Notifier{conn: conn, wanted: make(chan []show.Notice, 1), acted: acted, book: make(book)}
}

// Show sets what a user is to see. It waits for nothing; the last call counts.
func (n *Notifier) Show(notices []show.Notice) {
	for {
		select {
		case n.wanted <- notices:
			return
		case <-n.wanted:
		}
	}
}

// Run talks to the daemon until ctx ends, and withdraws what is shown then.
func (n *Notifier) Run(ctx context.Context) error {
	signals := make(chan *godbus.Signal, 64)
	n.conn.Signal(signals)
	for _, match := range [][]godbus.MatchOption{
		{godbus.WithMatchObjectPath(path), godbus.WithMatchInterface(name)},
		{godbus.WithMatchSender("org.freedesktop.DBus"), godbus.WithMatchMember("NameOwnerChanged"), godbus.WithMatchArg(0, name)},
	} {
		if err := n.conn.AddMatchSignal(match...); err != nil {
			return err
		}
	}
	for {
		select {
		case <-ctx.Done():
			n.update(nil)
			return nil
		case notices := <-n.wanted:
			n.update(notices)
		case s, ok := <-signals:
			if !ok {
				return nil
			}
			n.signal(s)
		}
	}
}

// update makes the daemon show what is wanted.
func (n *Notifier) update(notices []show.Notice) {
	n.last = notices
	withdrawn, news := n.book.update(notices)
	for _, id := range withdrawn {
		n.conn.Object(name, path).Go(name+".CloseNotification", godbus.FlagNoReplyExpected|godbus.FlagNoAutoStart, nil, id)
	}
	for _, notice := range news {
		e := n.book[notice.Key]
		id, since, err := n.send(notice, e.id)
		e.unseen = err != nil
		if err == nil {
			e.id, e.since = id, since
		}
	}
}

func (n *Notifier) capable(of string) bool {
	if !n.known {
		ctx, stop := context.WithTimeout(context.Background(), patience)
		defer stop()
		n.known = n.conn.Object(name, path).CallWithContext(ctx, name+".GetCapabilities", 0).Store(&n.can) == nil
	}
	return slices.Contains(n.can, of)
}

// send shows a notification, in the place of another one unless that is 0.
func (n *Notifier) send(notice show.Notice, replaces uint32) (id uint32, since godbus.Sequence, err error) {
	actions := []string{}
	if n.capable("actions") {
		if len(notice.Actions) > 0 {
			actions = append(actions, "default", labels[notice.Actions[0].Verb])
		}
		for i, a := range notice.Actions {
			actions = append(actions, strconv.Itoa(i), labels[a.Verb])
		}
	}
	body := notice.Body
	if n.capable("body-markup") {
		body = html.EscapeString(body)
	}
	urgency := usual
	if notice.Urgent {
		urgency = urged
	}
	hints := map[string]godbus.Variant{
		"urgency": godbus.MakeVariant(urgency), "desktop-entry": godbus.MakeVariant("org.kcmd.Agent"),
	}
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	// It stays until it is settled.
	call := n.conn.Object(name, path).CallWithContext(ctx, name+".Notify", 0,
		"Kerberos tickets", replaces, "org.kcmd.Agent", notice.Title, body, actions, hints, int32(0))
	err = call.Store(&id)
	return id, call.ResponseSequence, err
}

// signal takes a click, the end of a notification, or the end or start of the daemon.
func (n *Notifier) signal(s *godbus.Signal) {
	switch s.Name {
	case name + ".ActionInvoked":
		var id uint32
		var key string
		if godbus.Store(s.Body, &id, &key) != nil {
			return
		}
		if key == "default" {
			key = "0"
		}
		i, err := strconv.Atoi(key)
		if notice, ok := n.book.find(id); ok && err == nil && i >= 0 && i < len(notice.Actions) {
			n.acted(notice.Actions[i])
		}
	case name + ".NotificationClosed":
		var id, reason uint32
		if godbus.Store(s.Body, &id, &reason) == nil {
			n.book.closed(id, s.Sequence)
		}
	case "org.freedesktop.DBus.NameOwnerChanged":
		n.owner(s)
	}
}

// owner takes the end and the start of a daemon.
func (n *Notifier) owner(s *godbus.Signal) {
	var daemon, before, after string
	if godbus.Store(s.Body, &daemon, &before, &after) != nil {
		return
	}
	// A daemon that the bus has started for a call has answered it already: the ids are its own.
	if before != "" {
		n.known = false
		n.book.allClosed()
	}
	if after != "" {
		n.book.forgetUnseen()
		n.update(n.last)
	}
}
