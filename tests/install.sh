# Finds Go and installs what tests/run, tests/try and tests/bench need. Source it
# from the directory of the module.

# find_go SCRIPT puts a Go into PATH that is new enough for go.mod: the one in
# PATH, or else the one in /usr/local/go, which sudo's PATH does not have. It
# returns 1 after an error message.
find_go() {
	local wanted found seen=() directory in_path=
	wanted=$(sed -n 's/^go //p' go.mod)
	! in_path=$(command -v go) || in_path=${in_path%/*}
	for directory in "$in_path" /usr/local/go/bin; do
		[ -n "$directory" ] && [ -x "$directory/go" ] || continue
		[ ${#seen[@]} = 0 ] || [ "$directory" != "$in_path" ] || continue
		# Go from 1.21 on gets the version that go.mod asks for, or fails.
		found=$("$directory/go" env GOVERSION 2>/dev/null) || found=$(GOTOOLCHAIN=local "$directory/go" version | cut -d ' ' -f 3)
		found=$(sed -n 's/^.*go\([0-9][0-9.]*\).*$/\1/p' <<<"$found")
		if [ "$(printf '%s\n' "$wanted" "$found" | sort -V | head -n 1)" = "$wanted" ]; then
			[ "$directory" = "$in_path" ] || PATH=$directory:$PATH
			return 0
		fi
		seen+=("$directory/go is ${found:-unknown}")
	done
	{
		echo "$1: Go $wanted or newer is needed."
		if [ ${#seen[@]} = 0 ]; then
			echo "Go is neither in PATH nor in /usr/local/go."
		else
			printf 'Too old: %s\n' "${seen[@]}"
		fi
		echo "Unpack one from https://go.dev/dl/ to /usr/local/go, and run $1 again."
	} >&2
	return 1
}

# package_of prints the Debian package of a program or file.
package_of() {
	case $1 in
	/etc/ssl/certs/ca-certificates.crt) echo ca-certificates ;;
	gcc) echo gcc libc6-dev ;;
	kinit | klist | kvno | kswitch | kdestroy) echo krb5-user ;;
	krb5kdc | kdb5_util) echo krb5-kdc ;;
	kadmin.local) echo krb5-admin-server ;;
	dbus-daemon) echo dbus-daemon ;;
	gdbus) echo libglib2.0-bin ;;
	busctl | systemd-socket-activate) echo systemd ;;
	faketime) echo faketime ;;
	setpriv | unshare | nsenter) echo util-linux ;;
	ssh) echo openssh-client ;;
	umount) echo mount ;;
	ip) echo iproute2 ;;
	mkfs.ext4) echo e2fsprogs ;;
	appstreamcli) echo appstream ;;
	desktop-file-validate) echo desktop-file-utils ;;
	dpkg-deb) echo dpkg ;;
	ninja) echo ninja-build ;;
	rpmbuild) echo rpm ;;
	gdbus-codegen) echo libglib2.0-dev-bin ;;
	moc | qdbusxml2cpp) echo qtbase5-dev-tools ;;
	dbus-monitor) echo dbus-bin ;;
	xmllint) echo libxml2-utils ;;
	/usr/include/krb5.h) echo libkrb5-dev ;;
	/usr/include/glib-2.0/glib.h) echo libglib2.0-dev ;;
	/usr/include/systemd/sd-bus.h) echo libsystemd-dev ;;
	'/usr/include/*/qt5/QtDBus/QtDBus') echo qtbase5-dev ;;
	/usr/lib/polkit-1/polkitd) echo polkitd ;;
	/usr/lib/python3/dist-packages/gi) echo python3-gi gir1.2-glib-2.0 ;;
	/usr/lib/python3/dist-packages/dasbus) echo python3-dasbus ;;
	/usr/lib/python3/dist-packages/dbus) echo python3-dbus ;;
	/usr/lib/python3/dist-packages/dbus_next) echo python3-dbus-next ;;
	/usr/share/xml/dbus-1/introspect.dtd) echo libdbus-1-dev ;;
	*) echo "$1" ;;
	esac
}

# missing prints those of the programs and files that are not installed. Servers
# are in directories that the PATH of a Debian user does not have.
missing() {
	local program
	for program; do
		case $program in
		/*) compgen -G "$program" >/dev/null || echo "$program" ;;
		*) PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin command -v "$program" >/dev/null || echo "$program" ;;
		esac
	done
}

# Go needs certificates to download modules. Other systems than Debian have them
# elsewhere, and always.
certificates=
if command -v apt-get >/dev/null; then
	certificates=/etc/ssl/certs/ca-certificates.crt
fi

# What the tests of D-Bus clients need besides.
bus_clients="mandoc g++ pkg-config xmllint gdbus-codegen moc qdbusxml2cpp dbus-monitor dbus-broker unshare
	/usr/include/*/qt5/QtDBus/QtDBus /usr/include/glib-2.0/glib.h /usr/include/systemd/sd-bus.h
	/usr/lib/polkit-1/polkitd
	/usr/lib/python3/dist-packages/gi /usr/lib/python3/dist-packages/dasbus
	/usr/lib/python3/dist-packages/dbus /usr/lib/python3/dist-packages/dbus_next /usr/share/xml/dbus-1/introspect.dtd"

# unpacked_directory is where packages are unpacked that cannot be installed.
unpacked_directory() {
	echo "${XDG_CACHE_HOME:-$HOME/.cache}/kcmd-tests/$1"
}

# unpack_heimdal unpacks Heimdal's clients. They cannot be installed: that would
# remove MIT's.
unpack_heimdal() {
	unpack heimdal usr/bin/kgetcred heimdal-clients
}

# unpack_servers unpacks the KCM server that kcmd is compared with. Installing it
# would start it, where everybody's tickets are.
unpack_servers() {
	unpack servers usr/libexec/sssd/sssd_kcm sssd-kcm sssd-common
}

# unpack DIRECTORY PROGRAM PACKAGE... unpacks packages, and the libraries that they
# need unless those are installed, so that PROGRAM exists. It returns 1 after an
# error message.
unpack() (
	target=$(unpacked_directory "$1")
	program=$2
	shift 2
	[ ! -x "$target/$program" ] || exit 0
	if ! command -v apt-get >/dev/null; then
		echo "Missing, and without apt-get to download them:" "$@" >&2
		exit 1
	fi
	echo "Unpacking:" "$@"
	mkdir -p "${target%/*}" &&
		new=$(mktemp -d "$target.XXXXXX") || exit 1
	trap 'rm -rf "$new"' EXIT
	# In one step, so that the directory is complete or missing.
	if ! fetch "$new" "$@" </dev/null >"$new/log" 2>&1; then
		cat "$new/log" >&2
		exit 1
	fi
	rm "$new/log"
	mv -T "$new" "$target"
)

# fetch DIRECTORY PACKAGE... unpacks into a new directory.
fetch() {
	local directory=$1 package list
	shift
	# A new machine has no lists of packages yet; only root can download them.
	apt-cache show "$@" >/dev/null 2>&1 || apt-get -q update
	list=$*
	for package in $(libraries_of $(libraries_of "$@") --recurse); do
		dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed ||
			list="$list $package"
	done
	# apt downloads as a user of its own.
	chmod 755 "$directory" && mkdir -m 777 "$directory/download" && cd "$directory/download" &&
		apt-get -q download $list || return 1
	for package in *.deb; do
		dpkg -x "$package" "$directory" || return 1
	done
	rm -r "$directory/download"
}

# libraries_of prints the packages of libraries that packages depend on.
libraries_of() {
	apt-cache depends --important "$@" | sed -n 's/^ *|\?\(Depends:\)\? *\(lib[^ ]*\)$/\2/p' | sort -u
}

# install_programs PROGRAM... installs the missing ones. It returns 1 after an error
# message if one is missing in the end.
install_programs() (
	root=()
	lack=$(missing "$@")
	[ -n "$lack" ] || return 0

	packages=$(for program in $lack; do package_of "$program"; done | tr ' ' '\n' | sort -u)
	if ! command -v apt-get >/dev/null; then
		echo "Not installed, and without apt-get to install them:" $lack >&2
		return 1
	fi
	if [ "$(id -u)" != 0 ]; then
		# sudo can ask for a password only at a terminal.
		if ! command -v sudo >/dev/null || ! { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
			{
				echo "These packages are missing, and only root can install them:"
				echo "    apt-get install --no-install-recommends" $packages
				echo "tests/run --short needs none of them."
			} >&2
			return 1
		fi
		root=(sudo)
	fi

	echo "Installing:" $packages
	work=$(mktemp -d) || return 1
	trap 'rm -rf "$work"' EXIT
	# An interrupted apt leaves temporary files, and it makes some as a user of its own.
	chmod 755 "$work" && mkdir -m 1777 "$work/apt" || return 1
	root+=(env TMPDIR="$work/apt" DEBIAN_FRONTEND=noninteractive)
	# krb5-config would ask for a realm; each test has its own.
	if ! {
		"${root[@]}" apt-get -q update &&
			"${root[@]}" apt-get -q -y --no-install-recommends install $packages
	} </dev/null >"$work/log" 2>&1; then
		cat "$work/log" >&2
	fi

	lack=$(missing "$@")
	[ -z "$lack" ] || echo "Could not be installed:" $lack >&2
	[ -z "$lack" ]
)

# debian_mirror prints where this machine's Debian comes from, and not the security
# updates, which have a mirror of their own.
debian_mirror() {
	if [ -n "${LAB_DEBIAN_MIRROR:-}" ]; then
		echo "$LAB_DEBIAN_MIRROR"
		return
	fi
	(. /etc/os-release && [ "$ID" = debian ]) || return
	apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
		awk '$1 !~ /[-\/]/ && $2 == "main" { print $3; exit }'
}
