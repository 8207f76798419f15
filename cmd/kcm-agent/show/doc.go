// Package show decides what a user sees of the caches: the icon, the menu and the
// notifications. It is a function of the caches and the time, and does nothing else.
//
// It imports dbus/client for its types, and words. Read its files in this order:
//
//   - world.go: what it is a function of
//   - health.go: what is wrong with a cache, and when that changes
//   - icon.go: the icon and its text
//   - menu.go: the menu
//   - notices.go: the notifications
package show
