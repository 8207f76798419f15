// Listens to kcmd with godbus: "listen system|session once|silent".
package main

import (
	"fmt"
	"log"
	"os"

	"github.com/godbus/dbus/v5"
)

func main() {
	connect := dbus.ConnectSessionBus
	if os.Args[1] == "system" {
		connect = dbus.ConnectSystemBus
	}
	bus, err := connect()
	if err != nil {
		log.Fatal(err)
	}
	signals := make(chan *dbus.Signal, 100)
	bus.Signal(signals)
	if err := bus.AddMatchSignal(dbus.WithMatchSender("org.kcmd.KCM1")); err != nil {
		log.Fatal(err)
	}
	if os.Args[2] == "once" {
		manager := bus.Object("org.kcmd.KCM1", "/org/kcmd/KCM1")
		if err := manager.Call("org.kcmd.KCM1.Manager.Subscribe", 0, map[string]dbus.Variant{}).Err; err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println("ready")
	for s := range signals {
		if s.Sender != "org.freedesktop.DBus" {
			fmt.Println("signal", s.Name)
		}
	}
}
