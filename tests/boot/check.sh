# What the scenarios of tests/boot check with. To be sourced in the machine.
set -u
. ./readme.sh
export PATH=$PATH:/usr/sbin:/sbin

# patience is how many seconds a scenario waits for what must happen. Only one
# that fails, or a very busy machine, gets there.
patience=60

# pass and fail report a check.
pass() { echo "ok - $*"; }
fail() { echo "not ok - $*"; }

# note shows a fact that the log of a run should have.
note() { echo "# $*"; }

# check TITLE COMMAND... passes if the command succeeds.
check() {
	local title=$1 out
	shift
	if out=$("$@" 2>&1); then
		pass "$title"
	else
		fail "$title"
		printf '%s\n' "$*" "$out" | sed 's/^/# /'
	fi
}

# refused TITLE COMMAND... passes if the command fails.
refused() {
	check "$1" not "${@:2}"
}

not() { ! "$@"; }

# prints EXPRESSION COMMAND... succeeds if what the command prints, on whatever
# output and with whatever status, matches.
prints() {
	local out
	out=$("${@:2}" 2>&1)
	printf '%s\n' "$out"
	grep -qE -e "$1" <<<"$out"
}

# soon COMMAND... succeeds as soon as the command does.
soon() {
	local deadline=$((SECONDS + patience)) out
	until out=$("$@" 2>&1); do
		if ((SECONDS > deadline)); then
			printf 'not within %s seconds; at last:\n%s\n' "$patience" "$out"
			return 1
		fi
		sleep 0.2
	done
}

# fails_soon USER COMMAND... succeeds if the command fails within 20 seconds. A bus
# that waits for an answer waits 25.
fails_soon() {
	local status
	as "$1" timeout 20 "${@:2}"
	status=$?
	[ $status != 0 ] && [ $status != 124 ]
}

# as USER COMMAND... runs a command as a user, without a session.
as() {
	setpriv --reuid "$1" --regid "$1" --init-groups env HOME="/home/$1" USER="$1" "${@:2}"
}

# kinit_as USER [ARGUMENT...] gets a ticket. The password is the user's name.
kinit_as() {
	as "$1" kinit "${@:2}" "$1" <<<"$1"
}

# has_tickets USER succeeds if klist shows the user's, from KCM.
has_tickets() {
	prints "^Ticket cache: KCM:" as "$1" klist && as "$1" klist | grep -q krbtgt/
}

# use_kcm has libkrb5 use kcmd by the line of README.md.
use_kcm() {
	sed -i "/\[libdefaults\]/a $(readme '### krb5.conf' 1)" /etc/krb5.conf
}

# install_package NAME installs one that tests/boot/tree has downloaded.
install_package() {
	DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends \
		-o Dpkg::Options::=--force-confold install /debs/"$1"/*.deb
}

# journal [ARGUMENT...] prints the log lines of kcmd.
journal() {
	journalctl --sync
	journalctl -q -o cat -u kcmd.service "$@"
}

# in_journal EXPRESSION succeeds when kcmd has logged that.
in_journal() {
	journal | grep -E -e "$1"
}

# finds LEVEL EXPRESSION succeeds if doctor has such a finding.
finds() { prints "^$1 +.*$2" kcmctl doctor; }

# obey_doctor does what doctor prints: runs commands, and writes lines to the end of files.
obey_doctor() {
	local verb file text
	while IFS=$'\t' read -r verb file text; do
		case $verb in
		run) bash -c "$text" </dev/null ;;
		write) printf '%s\n' "$text" >>"$file" ;;
		esac
	done < <(kcmctl doctor | awk '
		/^[a-z]/ { verb = "" }
		/^         run:$/ { verb = "run"; file = "-"; next }
		/^         write to .*:$/ { verb = "write"; file = $3; sub(/:$/, "", file); next }
		verb && /^             / { print verb "\t" file "\t" substr($0, 14) }')
}

# install_kcmd installs the package by the line of README.md, which starts kcmd.
install_kcmd() {
	DEBIAN_FRONTEND=noninteractive bash -euc "$(readme '## Install' 1 | grep apt-get)"
}

# start_kcmd starts what the runner has installed by install_kcmd.
start_kcmd() {
	systemctl start kcmd.socket kcmd-kdc.socket kcmd.service || fail "kcmd starts"
}

# start_built runs what README.md says after an installation with meson.
start_built() {
	bash -euc "$(readme '## Build and install' 3)"
}

# reboot boots the machine again, for the next stage of the scenario.
reboot() {
	echo "scenario reboots"
	exit
}
