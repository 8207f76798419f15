# Installs the programs that tests/run and tests/try need. To be sourced.

# package_of says which Debian package brings a program.
package_of() {
	case $1 in
	gcc) echo gcc libc6-dev ;;
	kinit | klist | kvno | kswitch | kdestroy) echo krb5-user ;;
	krb5kdc | kdb5_util) echo krb5-kdc ;;
	kadmin.local) echo krb5-admin-server ;;
	dbus-daemon) echo dbus-daemon ;;
	gdbus) echo libglib2.0-bin ;;
	busctl | systemd-socket-activate) echo systemd ;;
	faketime) echo faketime ;;
	*) echo "$1" ;;
	esac
}

# missing prints those of the programs that are not installed. Servers are in
# directories that the PATH of a Debian user does not have.
missing() {
	local program
	for program; do
		PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin command -v "$program" >/dev/null || echo "$program"
	done
}

# install_programs installs what is missing of the programs. It returns 1, and
# has said why, if something is missing in the end.
install_programs() {
	local lack packages root=()
	lack=$(missing "$@")
	[ -n "$lack" ] || return 0

	packages=$(for program in $lack; do package_of "$program"; done | tr ' ' '\n' | sort -u)
	if ! command -v apt-get >/dev/null; then
		echo "Not installed, and there is no apt-get to install them:" $lack >&2
		return 1
	fi
	if [ "$(id -u)" != 0 ]; then
		# A password can only be asked for at a terminal.
		if ! command -v sudo >/dev/null || ! { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
			echo "Not installed, and only root can install them:" $packages >&2
			return 1
		fi
		root=(sudo)
	fi

	echo "Installing:" $packages
	local log
	log=$(mktemp) || return 1
	# The packages ask for a realm; the tests have their own. What apt says is
	# of interest only if it fails.
	if ! {
		"${root[@]}" apt-get -q update &&
			"${root[@]}" env DEBIAN_FRONTEND=noninteractive \
				apt-get -q -y --no-install-recommends install $packages
	} </dev/null >"$log" 2>&1; then
		cat "$log" >&2
	fi
	rm -f "$log"

	lack=$(missing "$@")
	[ -z "$lack" ] || echo "Could not be installed:" $lack >&2
	[ -z "$lack" ]
}
