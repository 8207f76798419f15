package main

import "kcmd.org/kcmd/tests/lab"

// Where things are on the bus.
const (
	manager    = lab.BusName + " /org/kcmd/KCM1 " + lab.BusName + ".Manager"
	collection = lab.BusName + " /org/kcmd/KCM1/user/self " + lab.BusName + ".Collection"
)

// tell tells the story.
func (s *stage) tell() error {
	s.say("kcmd keeps the tickets of all users of a machine, in SQLite, and shows them on D-Bus.")
	s.startDaemon()

	s.say("Kerberos programs find it by the name KCM: in krb5.conf or KRB5CCNAME.")
	s.run("echo $KRB5CCNAME; grep kcm_socket $KRB5_CONFIG")

	s.say("kinit gets a ticket from the KDC and stores it in kcmd. (The password is typed by this script.)")
	s.run("kinit alice")
	s.run("klist")

	s.say("A second principal gets a cache of its own, which becomes the default.")
	s.run("kinit bob")
	s.run("klist -A")

	s.say("A ticket for a service comes from the KDC once. After that it is found in the cache.")
	s.run("kvno " + lab.Service)
	s.run("klist")

	s.say("kswitch chooses among the caches. The default is the first of the list.")
	s.run("kswitch -p alice")
	s.run("klist -l")

	s.say("kcmd is restarted. Nothing is lost.")
	s.stopDaemon()
	s.startDaemon()
	s.run("klist -A")

	s.say("kcmctl shows the same in one table, and each ticket of a cache.")
	s.run("kcmctl --session list")
	s.run("kcmctl --session show bob")

	s.say("On D-Bus the collection and the caches are objects...")
	s.until("(?s)/cache/.*/cache/", "busctl --user tree "+lab.BusName)

	s.say("...with properties...")
	s.run("busctl --user get-property " + collection + " DefaultCacheName")
	s.run("busctl --user call " + manager + " FindCaches s bob")
	s.run(`gdbus introspect --session --only-properties --dest ` + lab.BusName +
		` --object-path $(busctl --user call ` + manager + ` FindCaches s bob | cut -d '"' -f 2) | grep readonly`)

	s.say("...and signals, so that a desktop sees what happens as it happens, without asking. (The lines that begin with /org are the monitor's.)")
	s.listen()
	s.run("kvno " + lab.Service)
	s.hear("TicketsAdded .*host/")
	s.run("kinit carol")
	s.hear("InterfacesAdded .*carol@")
	s.run("kswitch -p bob")
	s.hear("PropertiesChanged .*DefaultCache")

	s.say("kdestroy destroys the default cache and keeps the others, kdestroy -A destroys all.")
	s.run("kdestroy")
	s.hear("InterfacesRemoved")
	s.fails("klist")
	s.run("klist -l")
	s.run("kdestroy -A")
	s.hear("InterfacesRemoved")
	s.fails("klist -l")

	if s.err == nil {
		s.say("This is the end.")
	}
	return s.err
}
