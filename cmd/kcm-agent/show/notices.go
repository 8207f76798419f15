package show

import (
	"fmt"
	"strings"
	"time"

	"kcmd.org/kcmd/cmd/words"
)

// passwordDay is when a user is told for the second time that a password expires.
const passwordDay = 24 * time.Hour

// A Notice is a notification. Its Key says what it is about, its Stage how far that has
// got: a user sees each stage once.
type Notice struct {
	Key, Stage  string
	Title, Body string
	Urgent      bool
	Actions     []Action // the first is that of a click on the notification
}

// Notices returns the notifications that a user is to see.
func (w *World) Notices() []Notice {
	var notices []Notice
	if w.Running {
		for i := range w.Caches {
			c := &w.Caches[i]
			if n, ok := w.notice(c); ok && !w.replaced(c) {
				notices = append(notices, n)
			}
			if n, ok := w.passwordNotice(c); ok {
				notices = append(notices, n)
			}
		}
		if len(w.Wanted) > 0 {
			notices = append(notices, w.wantedNotice())
		}
	}
	for _, f := range w.Failed {
		notices = append(notices, Notice{
			Key: "failed " + string(f.Action.Verb) + " " + string(f.Action.Cache), Stage: f.Reason, Title: f.Title, Body: f.Reason,
			Actions: []Action{f.Action},
		})
	}
	return notices
}

// notice tells about the end of a ticket.
func (w *World) notice(c *Cache) (n Notice, ok bool) {
	h, warning := w.health(c)
	n = Notice{Key: string(c.Path), Actions: []Action{{SignIn, c.Path, c.ClientPrincipal}}}
	end := Local(&c.Cache, c.EndTime)
	renew := func() {
		if w.canRenew(c) {
			n.Actions = append([]Action{{Renew, c.Path, c.ClientPrincipal}}, n.Actions...)
		}
	}
	switch h {
	case ended:
		if w.Now.Sub(end) > staleAfter || len(w.Wanted) > 0 {
			return n, false
		}
		n.Stage = "ended " + c.EndTime.String()
		n.Title, n.Urgent = "Your ticket has expired", true
		n.Body = fmt.Sprintf("That of %s ended at %s.", c.ClientPrincipal, words.Clock(end, w.Now))
	case soon:
		n.Stage = "soon " + warning.String() + " " + c.EndTime.String()
		n.Title = "Your ticket ends soon"
		n.Body = fmt.Sprintf("That of %s ends at %s.", c.ClientPrincipal, words.Clock(end, w.Now))
		renew()
	case unrenewed:
		n.Stage = "unrenewed " + warning.String() + " " + c.RenewalError
		n.Title = "Your ticket is not renewed"
		n.Body = fmt.Sprintf("That of %s ends at %s. %s", c.ClientPrincipal, words.Clock(end, w.Now), Plain(c.RenewalError, c.Message))
		renew()
	default:
		return n, false
	}
	return n, true
}

// passwordStage says how near the end of a password is, "" for far.
func (w *World) passwordStage(c *Cache) string {
	if c.PasswordExpires.IsZero() || !c.RefreshTime.IsZero() {
		return ""
	}
	left := c.PasswordExpires.Sub(w.now(c))
	switch {
	case left <= 0:
		return "expired"
	case left <= passwordDay && w.Settings.Password > 0:
		return "day"
	case left <= w.Settings.Password:
		return "days"
	}
	return ""
}

func (w *World) passwordNotice(c *Cache) (n Notice, ok bool) {
	stage := w.passwordStage(c)
	if stage == "" {
		return n, false
	}
	n = Notice{
		Key: "password " + c.ClientPrincipal, Stage: stage + " " + c.PasswordExpires.String(),
		Title: "Your password expires", Urgent: stage != "days",
		Body:    fmt.Sprintf("That of %s expires on %s.", c.ClientPrincipal, words.Clock(Local(&c.Cache, c.PasswordExpires), w.Now)),
		Actions: []Action{{ChangePassword, c.Path, c.ClientPrincipal}},
	}
	if stage == "expired" {
		n.Title, n.Body = "Your password has expired", fmt.Sprintf("That of %s is to be changed.", c.ClientPrincipal)
	}
	return n, true
}

// wantedNotice says which programs want a sign-in.
func (w *World) wantedNotice() Notice {
	var programs []string
	for _, p := range w.Wanted {
		name := p.Program
		if name == "" {
			name = "a program"
		}
		if p.PID != 0 {
			name = fmt.Sprintf("%s (%d)", name, p.PID)
		}
		programs = append(programs, name)
	}
	n := Notice{
		Key: "wanted", Stage: strings.Join(programs, ", "), Title: "Sign-in wanted",
		Body:    fmt.Sprintf("%s looks for a ticket.", strings.Join(programs, ", ")),
		Actions: []Action{{Verb: SignIn}},
	}
	if len(w.Caches) > 0 {
		n.Actions[0].Cache, n.Actions[0].Principal = w.Caches[0].Path, w.Caches[0].ClientPrincipal
	}
	if len(programs) > 1 {
		n.Body = fmt.Sprintf("%s look for a ticket.", strings.Join(programs, ", "))
	}
	return n
}

// plain has the errors of kcmd in the words of users.
var plain = map[string]string{
	"KdcUnreachable":   "No server of the realm answers. Check the network.",
	"ClientUnknown":    "The realm does not know this user.",
	"ClientRevoked":    "The account is locked or disabled.",
	"ClockSkew":        "The clock of this machine is wrong.",
	"PreauthFailed":    "The password is wrong.",
	"PasswordExpired":  "The password has expired.",
	"PasswordRejected": "The realm does not allow this password.",
	"NotRenewable":     "The ticket cannot be renewed any more.",
	"Expired":          "The ticket has expired.",
	"Busy":             "There are too many requests. Try again.",
	"NotSupported":     "kcmd cannot do this here.",
}

// Plain returns the words for an error of kcmd by its name, else its message.
func Plain(name, message string) string {
	if text, ok := plain[name[strings.LastIndexByte(name, '.')+1:]]; ok {
		return text
	}
	return message
}
