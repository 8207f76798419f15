package main

import (
	"context"
	"fmt"

	godbus "github.com/godbus/dbus/v5"

	"kcmd.org/kcmd/cmd/kcm-agent/show"
	"kcmd.org/kcmd/dbus/client"
)

// The agent on the session bus. Its object has org.freedesktop.Application.
const (
	agentName   = "org.kcmd.Agent"
	agentPath   = godbus.ObjectPath("/org/kcmd/Agent")
	application = "org.freedesktop.Application"
)

// connect connects to the session bus, and takes the name of the agent. If another
// agent has it, conn is nil.
func connect(ctx context.Context, signIn bool, acted func(show.Action)) (conn *godbus.Conn, err error) {
	address, err := client.SessionAddress()
	if err != nil {
		return nil, err
	}
	conn, err = godbus.Connect(address, godbus.WithContext(ctx), godbus.WithSignalHandler(godbus.NewSequentialSignalHandler()))
	if err != nil {
		return nil, fmt.Errorf("cannot connect to the session bus: %w", err)
	}
	if err := conn.Export(app{acted}, agentPath, application); err != nil {
		return nil, fmt.Errorf("cannot export the agent: %w", err)
	}
	reply, err := conn.RequestName(agentName, godbus.NameFlagDoNotQueue)
	if err != nil {
		return nil, fmt.Errorf("cannot take the name %s: %w", agentName, err)
	}
	if reply == godbus.RequestNameReplyPrimaryOwner {
		return conn, nil
	}
	defer conn.Close()
	if !signIn {
		return nil, nil
	}
	call := conn.Object(agentName, agentPath).CallWithContext(ctx, application+".ActivateAction", 0, "sign-in", []godbus.Variant{}, map[string]godbus.Variant{})
	if call.Err != nil {
		return nil, fmt.Errorf("cannot ask the agent that runs: %w", call.Err)
	}
	return nil, nil
}

// app has the methods by which the desktop activates the agent.
type app struct{ acted func(show.Action) }

// Activate is the start of the program that runs already.
func (a app) Activate(map[string]godbus.Variant) *godbus.Error {
	a.acted(show.Action{Verb: show.SignIn})
	return nil
}

// Open is for files, of which the agent has none.
func (a app) Open([]string, map[string]godbus.Variant) *godbus.Error { return nil }

// ActivateAction is an action of the desktop file.
func (a app) ActivateAction(name string, _ []godbus.Variant, _ map[string]godbus.Variant) *godbus.Error {
	if name != "sign-in" {
		return godbus.NewError("org.freedesktop.DBus.Error.InvalidArgs", []any{"there is no action " + name})
	}
	a.acted(show.Action{Verb: show.SignIn})
	return nil
}
