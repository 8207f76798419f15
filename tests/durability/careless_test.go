package durability

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/sqlite"
	"kcmd.org/kcmd/kcmserver"
)

// carelessWord has this test binary be a daemon that waits for no disk, which
// kcmd has no option for: the check of the store must find that
// it is bad. The daemon's own command line follows, of which it takes what it
// understands.
const carelessWord = "careless"

func careless(args []string) int {
	flags := flag.NewFlagSet(carelessWord, flag.ExitOnError)
	store := flags.String("store", "", "")
	socket := flags.String("socket", "", "")
	flags.String("bus", "", "")
	_ = flags.Parse(args[1:]) // exits by itself
	if err := serveCarelessly(strings.TrimPrefix(*store, "sqlite:"), *socket); err != nil {
		fmt.Fprintln(os.Stderr, "careless:", err)
		return 1
	}
	return 0
}

func serveCarelessly(database, socket string) error {
	ctx, cancel := signal.NotifyContext(context.Background(), unix.SIGTERM)
	defer cancel()
	backend, err := sqlite.Open(ctx, database, sqlite.Options{Synchronous: "off"})
	if err != nil {
		return err
	}
	store := ccstore.Open(backend, ccstore.Options{})
	defer store.Close()
	os.Remove(socket) // of one that was killed
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	server := kcmserver.New(store, kcmserver.Options{})
	context.AfterFunc(ctx, func() { _ = server.Shutdown(context.Background()) })
	if err := sayReady(); err != nil {
		return err
	}
	return server.Serve(l, ccstore.DefaultNamespace)
}

func sayReady() error {
	c, err := net.Dial("unixgram", os.Getenv("NOTIFY_SOCKET"))
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Write([]byte("READY=1"))
	return err
}
