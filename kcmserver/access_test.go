package kcmserver

import (
	"log/slog"
	"testing"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/kcmserver/kcm"
	"kcmd.org/kcmd/kcmserver/selinux"
)

// labelled returns a peer of uid with a label of that range.
func labelled(t *testing.T, uid uint32, labelRange string) Peer {
	t.Helper()
	label := "system_u:system_r:container_t:" + labelRange
	level, err := selinux.Level(label)
	if err != nil {
		t.Fatal(err)
	}
	return Peer{Namespace: ccstore.DefaultNamespace, UID: uid, PID: 1, Label: label, Level: level}
}

func newLabelledServer(t *testing.T) *Server {
	return newServer(t, Options{SELinux: selinux.Levels(slog.New(slog.DiscardHandler))})
}

// TestContainersOfOneUser has two containers of one uid and their host do what
// kinit, kswitch, klist and kdestroy do.
func TestContainersOfOneUser(t *testing.T) {
	s := newLabelledServer(t)
	one := connect(t, s, labelled(t, 1000, "s0:c1,c2"))
	two := connect(t, s, labelled(t, 1000, "s0:c3,c4"))
	host := connect(t, s, labelled(t, 1000, "s0-s0:c0.c1023"))

	// All use the same name, none is in the way of another.
	one.do(kcm.OpReplace, str(nameD), u32(0), princ("one@LAB.TEST"), u32(1), inner(credA))
	two.do(kcm.OpReplace, str(nameD), u32(0), princ("two@LAB.TEST"), u32(0))
	// The host has a default of that name too, if no cache yet.
	want(t, "caches of the host", []string{}, host.names())
	host.ask(kcm.FCCNoFile, kcm.OpGetPrincipal, str(nameD))
	host.ask(kcm.FCCNoFile, kcm.OpDestroy, str(nameD))
	want(t, "credentials of one", [][]byte{cred(credA)}, one.creds(nameD))
	want(t, "principal of two", princ("two@LAB.TEST"), two.get(kcm.OpGetPrincipal, str(nameD)))

	// Each has its own default.
	two.do(kcm.OpInitialize, str(nameN), princ("two@LAB.TEST"))
	two.do(kcm.OpSetDefaultCache, str(nameN))
	want(t, "default name of two", nameN, two.defaultName())
	want(t, "default name of one", nameD, one.defaultName())
	want(t, "caches of one", []string{nameD}, one.names())
	want(t, "caches of two", []string{nameN, nameD}, two.names())

	// One cannot tell what is two's from what is not.
	for _, name := range []string{nameN, nameN2} {
		for _, op := range []kcm.Opcode{kcm.OpGetPrincipal, kcm.OpGetCredList, kcm.OpGetCredUUIDList, kcm.OpGetKDCOffset, kcm.OpDestroy} {
			one.ask(kcm.FCCNoFile, op, str(name))
		}
		one.ask(kcm.FCCNoFile, kcm.OpStore, str(name), cred(credA))
		one.ask(kcm.FCCNoFile, kcm.OpRetrieve, str(name), server("host/a@LAB.TEST"))
		one.ask(kcm.FCCNoFile, kcm.OpMoveCache, str(name), str("1000:mine"))
	}
	for _, id := range uuids(t, two.get(kcm.OpGetCacheUUIDList)) {
		one.ask(kcm.CCEnd, kcm.OpGetCacheByUUID, id[:])
	}
	one.do(kcm.OpInitialize, str(nameN), princ("one@LAB.TEST"))
	want(t, "principal of two", princ("two@LAB.TEST"), two.get(kcm.OpGetPrincipal, str(nameN)))

	// The host's caches are not for its containers.
	host.do(kcm.OpInitialize, str("1000:host"), princ("host@LAB.TEST"))
	one.ask(kcm.FCCNoFile, kcm.OpGetPrincipal, str("1000:host"))
	want(t, "caches of one", []string{nameD, nameN}, one.names())

	// The host reaches into its containers by a name that is not its own.
	two.do(kcm.OpInitialize, str("1000:two"), princ("two@LAB.TEST"))
	want(t, "caches of the host", []string{"1000:host", nameN, "1000:two"}, host.names())
	want(t, "principal", princ("two@LAB.TEST"), host.get(kcm.OpGetPrincipal, str("1000:two")))
	host.do(kcm.OpStore, str("1000:two"), cred(credA))
	want(t, "credentials of two", [][]byte{cred(credA)}, two.creds("1000:two"))

	// What the host makes is its own, whatever the name. It hides the other one.
	host.do(kcm.OpInitialize, str("1000:two"), princ("host@LAB.TEST"))
	want(t, "principal of two", princ("two@LAB.TEST"), two.get(kcm.OpGetPrincipal, str("1000:two")))
	want(t, "principal of the host", princ("host@LAB.TEST"), host.get(kcm.OpGetPrincipal, str("1000:two")))
	host.do(kcm.OpDestroy, str("1000:two"))
	host.do(kcm.OpDestroy, str("1000:two"))
	two.ask(kcm.FCCNoFile, kcm.OpGetPrincipal, str("1000:two"))
	host.do(kcm.OpReplace, str(nameD), u32(0), princ("host@LAB.TEST"), u32(1), inner(credB))
	want(t, "credentials of one", [][]byte{cred(credA)}, one.creds(nameD))
}

// TestLabelsOfOneLevel has processes of different domains, but of one level,
// work with the same collection: sshd stores what the shell uses.
func TestLabelsOfOneLevel(t *testing.T) {
	s := newLabelledServer(t)
	sshd, shell := labelled(t, 1000, "s0-s0:c0.c1023"), labelled(t, 1000, "s0")
	sshd.Label = "system_u:system_r:sshd_t:s0-s0:c0.c1023"
	a, b := connect(t, s, sshd), connect(t, s, shell)
	a.do(kcm.OpInitialize, str(nameN), princ(alice))
	a.do(kcm.OpSetDefaultCache, str(nameN))
	want(t, "default name", nameN, b.defaultName())
	want(t, "principal", princ(alice), b.get(kcm.OpGetPrincipal, str(nameN)))
	b.do(kcm.OpStore, str(nameN), cred(credA))
	want(t, "credentials", [][]byte{cred(credA)}, a.creds(nameN))
}

// TestOtherUsersStayApart has labels that would allow what uids do not.
func TestOtherUsersStayApart(t *testing.T) {
	s := newLabelledServer(t)
	owner := connect(t, s, labelled(t, 1000, "s0:c1"))
	other := connect(t, s, labelled(t, 1001, "s0:c1"))
	root := connect(t, s, labelled(t, 0, "s0-s0:c0.c1023"))
	confined := connect(t, s, labelled(t, 0, "s0:c2"))
	owner.do(kcm.OpInitialize, str(nameD), princ(alice))
	other.ask(kcm.FCCNoFile, kcm.OpGetPrincipal, str(nameD))
	want(t, "principal, as root sees it", princ(alice), root.get(kcm.OpGetPrincipal, str(nameD)))
	confined.ask(kcm.FCCNoFile, kcm.OpGetPrincipal, str(nameD))
}

// TestWithoutLabel has caches from a time without SELinux.
func TestWithoutLabel(t *testing.T) {
	s := newLabelledServer(t)
	before := connect(t, s, user(1000)) // no label
	before.do(kcm.OpInitialize, str(nameD), princ(alice))
	before.do(kcm.OpInitialize, str(nameN), princ(alice))
	after := connect(t, s, labelled(t, 1000, "s0:c1"))
	want(t, "caches", []string{nameN}, after.names())
	want(t, "principal", princ(alice), after.get(kcm.OpGetPrincipal, str(nameN)))
}
