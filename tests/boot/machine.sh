# Boots a Debian as a container with systemd as its process 1. To be sourced.
#
# A machine is a tree of tests/boot/tree, read only, and a directory over it that
# takes what is different. It has a network, process ids and control groups of its
# own, and nothing on the host knows of it: no machined, no unit.

# machine_patience is how many seconds a machine may take to boot. It needs one or
# two.
machine_patience=60

# control_groups prints the directories below which the machine's groups are: of a
# host with the unified hierarchy, or with both.
control_groups() {
	local root
	for root in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/systemd; do
		[ ! -e "$root/cgroup.procs" ] || echo "$root"
	done
}

# machine_start TREE DIRECTORY boots. What is in DIRECTORY/over is in the machine
# over what the tree has, and is kept when the machine stops.
# Keyrings are for caches of type KEYRING, locked memory for the passwords in GNOME Shell.
machine_start() {
	local tree=$1 machine=$2 root i
	group=kcmd-boot-$BASHPID # a shell boots one at a time
	rm -rf "$machine/work"
	mkdir -p "$machine"/{over,work,root}
	for root in $(control_groups); do
		mkdir "$root/$group"
	done
	setsid unshare --mount --propagation private bash -c '
		for root in $4; do
			echo $$ >"$root/$3/cgroup.procs"
		done
		cd "$2" &&
			mount -t overlay -o "lowerdir=$1,upperdir=over,workdir=work" kcmd-boot root &&
			exec systemd-nspawn -q -D "$2/root" -M "$3" --hostname=debhost --register=no --keep-unit \
				--console=passive --kill-signal=SIGRTMIN+3 --link-journal=no --private-network \
				--system-call-filter="@keyring @memlock" --resolv-conf=off --timezone=off -b' \
		machine_start "$tree" "$machine" "$group" "$(control_groups | tr '\n' ' ')" \
		</dev/null >"$machine/console" 2>&1 &
	nspawn=$!
	for ((i = 0; i < machine_patience * 10; i++)); do
		kill -0 "$nspawn" 2>/dev/null || break
		process1=$(pgrep -P "$nspawn" | head -n 1)
		enter=(nsenter -t "$process1" -a -- env -i HOME=/root LANG=C.UTF-8
			PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin)
		if [ -n "$process1" ] && inside systemctl is-system-running --wait >"$machine/state" 2>/dev/null; then
			return
		fi
		! grep -q 'degraded\|maintenance' "$machine/state" 2>/dev/null || break
		sleep 0.1
	done
	cat "$machine/console" >&2
	[ -z "$process1" ] || inside systemctl --failed >&2 || true
	return 1
}

# inside runs a command in the machine, as root. The command to begin with is
# "${enter[@]}" for programs that run others.
inside() {
	"${enter[@]}" "$@"
}

# machine_stop turns it off, after ten seconds by force.
machine_stop() {
	local i
	[ -n "${nspawn:-}" ] || return 0
	[ -z "${process1:-}" ] || kill -s RTMIN+3 "$process1" 2>/dev/null || true
	for ((i = 0; i < 100; i++)); do
		kill -0 "$nspawn" 2>/dev/null || break
		sleep 0.1
	done
	machine_kill
}

# machine_kill ends it at once, and removes its control groups, which the kernel
# allows only when the last process is gone.
machine_kill() {
	local i processes root
	[ -n "${nspawn:-}" ] || return 0
	for ((i = 0; i < 100; i++)); do
		processes=$(machine_processes)
		[ -n "$processes" ] || break
		kill -KILL $processes 2>/dev/null || true
		sleep 0.1
	done
	wait "$nspawn" 2>/dev/null || true
	for root in $(control_groups); do
		[ ! -d "$root/$group" ] || find "$root/$group" -depth -type d -exec rmdir {} + ||
			echo "cannot remove the control group $root/$group; its processes: $processes" >&2
	done
	nspawn= process1=
}

# machine_processes prints the process IDs of the machine, as the host has them.
machine_processes() {
	local root
	for root in $(control_groups); do
		[ ! -d "$root/$group" ] || find "$root/$group" -name cgroup.procs -exec cat {} + 2>/dev/null || true
	done | sort -u
}
