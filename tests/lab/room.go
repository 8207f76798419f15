package lab

import (
	"os/exec"
	"strconv"
	"syscall"
)

// WellKnownSocket is where clients look for a KCM server unasked.
const WellKnownSocket = "/var/run/.heim_org.h5l.kcm-socket"

// A Room is what a command sees of the machine when it is given a /run of its
// own, with nothing in it but a KCM socket at the well-known path: Heimdal's
// clients look for it nowhere else, and this is what a container has into which
// somebody has mounted the socket. The room ends with the command. Only root
// can make one.
type Room struct {
	// Socket is the socket that is mounted.
	Socket string
	// FirstUID, if it is not 0, makes the room a container with a user
	// namespace: its uid 0 is this one outside, and those that follow follow.
	FirstUID int
	// UID is whom the command is run as, as the room numbers users.
	UID int
}

// roomUIDs is how many users a container has.
const roomUIDs = 65536

// furnish is run in the new namespaces before the command takes its place. The
// rest of the machine does not see what it mounts.
const furnish = `
mount --make-rslave /
mount -t tmpfs -o mode=755 kcmd-lab /run
: >/run/.heim_org.h5l.kcm-socket
mount --bind "$1" /run/.heim_org.h5l.kcm-socket
uid=$2
shift 2
exec setpriv --reuid="$uid" --regid="$uid" --clear-groups --pdeathsig=KILL -- "$@"
`

// Enter has the command run in the room. Its environment must be set already.
func (r *Room) Enter(cmd *exec.Cmd) error {
	shell, err := exec.LookPath("sh")
	if err != nil {
		return err
	}
	// A program that is known by other names than its path is not run so.
	cmd.Args = append([]string{"sh", "-euc", furnish, "sh", r.Socket, strconv.Itoa(r.UID), cmd.Path}, cmd.Args[1:]...)
	cmd.Path, cmd.Err = shell, nil
	// The directory we are in may be closed to whoever runs it.
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if r.FirstUID != 0 {
		all := []syscall.SysProcIDMap{{ContainerID: 0, HostID: r.FirstUID, Size: roomUIDs}}
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER | syscall.CLONE_NEWPID
		cmd.SysProcAttr.UidMappings = all
		cmd.SysProcAttr.GidMappings = all
		cmd.SysProcAttr.GidMappingsEnableSetgroups = true
		cmd.SysProcAttr.Credential = &syscall.Credential{}
	}
	return nil
}
