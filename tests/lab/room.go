package lab

import (
	"os/exec"
	"strconv"
	"syscall"
)

// WellKnownSocket is the path of the KCM socket in clients without a configuration.
const WellKnownSocket = "/var/run/.heim_org.h5l.kcm-socket"

// A Room is a mount namespace for a command, with a /run that has only a KCM socket at
// the well-known path: Heimdal's clients know no other path, and a container with a
// mounted socket looks alike. The room ends with the command. Only root can make one.
type Room struct {
	// Socket is the socket that is mounted.
	Socket string
	// FirstUID, if it is not 0, makes the room a container with a user namespace:
	// its uid N is FirstUID + N outside.
	FirstUID int
	// UID is the user of the command, by its number in the room.
	UID int
}

// roomUIDs is the number of users of a container.
const roomUIDs = 65536

// furnish runs in the new namespaces and then executes the command. Its mounts are
// invisible outside.
const furnish = `
mount --make-rslave /
mount -t tmpfs -o mode=755 kcmd-lab /run
: >/run/.heim_org.h5l.kcm-socket
mount --bind "$1" /run/.heim_org.h5l.kcm-socket
uid=$2
shift 2
exec setpriv --reuid="$uid" --regid="$uid" --clear-groups --pdeathsig=KILL -- "$@"
`

// Enter makes the command run in the room. Its environment must be set already.
func (r *Room) Enter(cmd *exec.Cmd) error {
	shell, err := exec.LookPath("sh")
	if err != nil {
		return err
	}
	// The command runs under its path: the shell cannot set another cmd.Args[0].
	cmd.Args = append([]string{"sh", "-euc", furnish, "sh", r.Socket, strconv.Itoa(r.UID), cmd.Path}, cmd.Args[1:]...)
	cmd.Path, cmd.Err = shell, nil
	// The user of the command may not be able to read the working directory.
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
