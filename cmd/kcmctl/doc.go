// Command kcmctl shows and changes credential caches, through kcmd on a bus. It is
// for people at a terminal and for scripts.
//
// It imports dbus/client, render, transfer and doctor below it, and leaves. Other packages do
// not import it. Everything that it can do, another program can do over D-Bus.
//
// Files, in the order in which to read them:
//
//   - main.go, command.go: the program and its command line
//   - exit.go: exit statuses, and what to do about an error
//   - terminal.go: the terminal
//   - account.go: names and uids of users
//   - bus.go, agent.go: the connection to kcmd, and polkit's agent that asks for passwords
//   - choose.go: the cache or the ticket that an argument means
//   - list.go, show.go, status.go, users.go: commands that read
//   - watch.go, panel.go: the command that follows events, and its lines for a panel
//   - change.go, remove.go, autorenew.go, progress.go: commands that change something, and the line
//     while a KDC is asked
//   - acquire.go, passwd.go, password.go, verify.go: tickets from a password or a keytab,
//     the change of a password, how one is read, and the verification of a TGT
//   - import.go, adopt.go: copies between kcmd and other places
//   - wait.go, duration.go: the command that waits for a valid TGT
//   - complete.go: what the shell completes
//   - doctor.go: the command that checks the machine
package main
