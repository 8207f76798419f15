// Command kcm-agent shows the state of the user's tickets on the desktop: an icon with a
// menu, and notifications where the user must act. It follows signals and polls nothing.
//
// It imports dbus/client, and the rooms below it: link follows the caches, show decides
// what to show, tray, notify, lock and prompt talk to the desktop. Other packages do not
// import it.
//
// Files, in the order in which to read them:
//
//   - main.go, settings.go: the program, its flags and the settings of the user
//   - session.go: the session bus, and the one agent on it
//   - agent.go: the loop: what comes in, and what is shown
//   - act.go: what the user does
//   - signin.go, kinit.go: dialogs for passwords; kinit and kpasswd where kcmd takes none
//   - clipboard.go, process.go: the clipboard, and the names of processes
package main
