package main

import (
	"context"
	"time"

	"kcmd.org/kcmd/kcmserver/kcm"
)

// systemSocket is where libkrb5 finds a credential cache manager unasked.
const systemSocket = "/run/.heim_org.h5l.kcm-socket"

// systemPatience is how long a manager of the machine may take to answer.
const systemPatience = 2 * time.Second

// stepsBack reports whether a daemon of the session has nothing to do, because
// one of the machine serves the user already. Where the socket of the session
// was asked for, by an option or by systemd, somebody wants it all the same.
func stepsBack(ctx context.Context, c *config, activated bool, system string) bool {
	return c.session && !c.socketAsked && !activated && serves(ctx, system)
}

// serves reports whether a credential cache manager answers at the socket.
func serves(ctx context.Context, path string) bool {
	ctx, cancel := context.WithTimeout(ctx, systemPatience)
	defer cancel()
	client, err := kcm.Dial(ctx, path)
	if err != nil {
		return false
	}
	defer client.Close()
	stop := context.AfterFunc(ctx, func() { client.Close() })
	defer stop()
	_, err = client.Call(kcm.OpGetDefaultCache, nil)
	return err == nil
}
