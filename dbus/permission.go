package dbus

import (
	"fmt"
	"os"

	"kcmd.org/kcmd/budget"
)

// The polkit actions, as data/polkit declares them. They are for administrators
// who are not root, and for the caches of others: users need no
// authorization for their own.
const (
	actionInspectAll = "org.kcmd.KCM1.inspect-all"
	actionManageAll  = "org.kcmd.KCM1.manage-all"
)

// asking bounds the questions under way: the bus lets only so many calls of ours
// wait for an answer.
var asking = budget.Bounds{Account: 4, Whole: 64}

// permit returns nil if the caller has a permission.
func (b *bus) permit(q *request, p permission) error {
	switch p {
	case manage:
		return b.mayManage(q)
	case inspect:
		return b.mayInspect(q)
	}
	return nil
}

// mayInspect returns nil if the caller may see what is about all users. On the bus of a
// session there is only the caller.
func (b *bus) mayInspect(q *request) error {
	if b.Session {
		return nil
	}
	return b.authorize(q, actionInspectAll)
}

// mayManage returns nil if the caller may change the object that is called.
func (b *bus) mayManage(q *request) error {
	if q.place.UID == q.scope.UID {
		return nil
	}
	if err := b.authorize(q, actionManageAll); err != nil {
		return err
	}
	b.Logger.Info("a user changes the caches of another",
		"uid", q.scope.UID, "owner", q.place.UID, "member", q.Member)
	return nil
}

// mayAdminister returns nil if the caller may change the service itself: as the user that
// it runs as, as root, or as polkit says of those who manage the caches of others.
func (b *bus) mayAdminister(q *request) error {
	if q.scope.UID == uint32(os.Geteuid()) {
		return nil
	}
	return b.authorize(q, actionManageAll)
}

var notAuthorized = &fault{errAccessDenied, "you are not authorized"}

// authorize returns nil if the caller is authorized for a polkit action. root is;
// about everybody else polkit decides, where there is one.
func (b *bus) authorize(q *request, action string) error {
	uid := q.scope.UID
	switch {
	case uid == 0:
		return nil
	case b.Session:
		return notAuthorized
	case b.questions.Take(budget.Account{UID: uid}, 1) != nil:
		return &fault{errLimitsExceeded, fmt.Sprintf("%d authorizations of the user are pending; allowed: %d", asking.Account, asking.Account)}
	}
	defer b.questions.Give(budget.Account{UID: uid}, 1)
	answer, err := q.CheckAuthorization(action)
	switch {
	case err != nil:
		b.Logger.Debug("polkit does not answer", "action", action, "err", err)
		return notAuthorized
	case answer.Authorized:
		return nil
	case answer.Challenge && !q.Interactive:
		return &fault{errNotAuthorizedYet, "a password is needed, and the call does not allow interactive authorization"}
	}
	return notAuthorized
}
