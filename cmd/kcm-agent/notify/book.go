package notify

import (
	godbus "github.com/godbus/dbus/v5"

	"kcmd.org/kcmd/cmd/kcm-agent/show"
)

// A book has what was shown, by key, as long as it is not settled.
type book map[string]*entry

type entry struct {
	notice show.Notice
	id     uint32          // 0 if the user has closed it
	since  godbus.Sequence // of the answer that has the id
	unseen bool            // there was no daemon to show it
}

// update keeps what is wanted now. It returns the ids to withdraw, and what is to be
// shown: what is new, and what has another stage.
func (b book) update(wanted []show.Notice) (withdrawn []uint32, news []show.Notice) {
	keep := make(map[string]bool)
	for _, n := range wanted {
		keep[n.Key] = true
		e := b[n.Key]
		if e == nil {
			e = new(entry)
			b[n.Key] = e
		} else if e.notice.Stage == n.Stage {
			continue
		}
		e.notice = n
		news = append(news, n)
	}
	for key, e := range b {
		if keep[key] {
			continue
		}
		if e.id != 0 {
			withdrawn = append(withdrawn, e.id)
		}
		delete(b, key)
	}
	return withdrawn, news
}

func (b book) find(id uint32) (show.Notice, bool) {
	for _, e := range b {
		if e.id == id && id != 0 {
			return e.notice, true
		}
	}
	return show.Notice{}, false
}

// closed forgets an id. The entry stays: the user has seen it. What was closed before the
// answer that has the id is the notification that this one replaced, with the same id.
func (b book) closed(id uint32, at godbus.Sequence) {
	for _, e := range b {
		if e.id == id && at > e.since {
			e.id = 0
		}
	}
}

// forgetUnseen has update return again what no daemon has shown.
func (b book) forgetUnseen() {
	for key, e := range b {
		if e.unseen {
			delete(b, key)
		}
	}
}

func (b book) allClosed() {
	for _, e := range b {
		e.id = 0
	}
}
