# Runs scenarios on machines that boot, for tests/boot/run and tests/desktop/run. To be
# sourced by them, after they have set:
#
#     runner              their name
#     scenario_directory  where the scenarios are
#     cache               where trees, logs and pictures are kept
#     helpers             files and directories that scenarios need; the first one is
#                         sourced before a scenario
#
# and have functions usage, make_all_trees, which calls make_trees, and more_packages, which
# makes in a directory what scenarios find in packages.
. tests/install.sh
. tests/boot/machine.sh
. tests/boot/readme.sh

# The programs of this test only. It replaces the function of tests/install.sh.
package_of() {
	case $1 in
	dpkg-deb) echo dpkg ;;
	ninja) echo ninja-build ;;
	pgrep) echo procps ;;
	*) echo "$1" ;;
	esac
}

die() {
	echo "$runner: $*" >&2
	exit 1
}

# find_tools makes debootstrap and systemd-nspawn available without installing
# them, which would also bring services to this machine.
find_tools() {
	local tools
	install_programs meson ninja pgrep dpkg-deb || die "programs are missing"
	unpack boot usr/bin/systemd-nspawn debootstrap systemd-container || die "programs are missing"
	tools=$(unpacked_directory boot)
	export DEBOOTSTRAP_DIR=$tools/usr/share/debootstrap
	PATH=$PATH:/usr/sbin:/sbin:$tools/usr/sbin:$tools/usr/bin
}

# make_trees CACHE RECIPE makes those that are missing, side by side, by a script that
# gets the release, the directory to make, the mirror, and what a former call made, which the
# new tree then lies over. trees has the result.
make_trees() {
	local base tree from recipe release lock children=() made=()
	mkdir -p "$1"
	exec {lock}>"$1/lock" # somebody else may be making them
	flock "$lock"
	for release in $releases; do
		base=${trees[$release]:-}
		recipe=$({ cat "$2"; printf %s "${base##*/}"; } | sha256sum | cut -c 1-16)
		tree=$1/$release-$recipe
		made+=("$tree")
		trees[$release]=$tree${base:+:$base}
		[ ! -d "$tree" ] || continue
		from=$(debian_mirror)
		[ -n "$from" ] || die "no Debian mirror known, set LAB_DEBIAN_MIRROR"
		echo "Making the tree of $release, which takes some minutes."
		find "$1" -mindepth 1 -maxdepth 1 -type d -name "$release-*" -exec rm -rf {} +
		"$2" "$release" "$tree" "$from" "$base" >"$1/$release.log" 2>&1 </dev/null &
		children+=($!)
	done
	making=${children[*]}
	[ ${#children[@]} = 0 ] || wait "${children[@]}" || true
	for tree in "${made[@]}"; do
		[ -d "$tree" ] || {
			tail -n 30 "${tree%-*}.log" >&2
			die "cannot make $tree (all of it: ${tree%-*}.log)"
		}
	done
	making=
	exec {lock}>&-
}

# build_package makes the package of the machines, in a tree whose path has a space, and
# unpacks it.
build_package() {
	if [ -n "${LAB_PACKAGE:-}" ]; then
		package=$(realpath "$LAB_PACKAGE")
		dpkg-deb -x "$package" "$tmp/dest"
		return
	fi
	mkdir "$tmp/a tree"
	tar --exclude=./.git --exclude='./build*' --exclude=./kcmd --exclude=./kcmctl -c . | tar -x -C "$tmp/a tree"
	package=$("$tmp/a tree/data/debian/build" --fast "$tmp") || die "cannot make the package"
	dpkg-deb -x "$package" "$tmp/dest"
}

# install_once RELEASE installs the package in a machine, for all scenarios that have it
# started: installing is a quarter of the work of a short one. To be run in a shell of
# its own.
install_once() {
	local release=$1 machine=$tmp/$1.installed
	trap 'trap "" HUP INT TERM; machine_kill' EXIT
	trap 'exit 143' TERM
	furnish
	machine_start "${trees[$1]}" "$machine" || exit 1
	inside bash -c 'cd /kcmd-test && . ./check.sh && install_kcmd'
	machine_stop
	rm -rf "$machine/over/kcmd-test" "$machine"/over/var/log/journal
	: >"$machine/over/etc/machine-id" # each machine has its own
}

# run_lane NUMBER runs scenarios one after the other, and leaves how many checks passed
# and failed in a file. To be run in a shell of its own.
run_lane() {
	local release scenario machine=$tmp/lane$1 TIMEFORMAT='# %0R s, of processors %0U s and in the kernel %0S s'
	trap 'trap "" HUP INT TERM; machine_kill' EXIT
	trap 'exit 143' TERM
	while read -r release scenario < <(next_scenario); do
		{ time run_scenario "$release" "$scenario"; } >"$machine.output" 2>&1
		flock "$tmp/lock" cat "$machine.output"
	done
	echo "$passed $failed" >"$machine.counts"
}

# next_scenario takes a line out of the queue. The lock is another file: sed replaces this one.
next_scenario() {
	flock "$tmp/queue.lock" sh -c 'head -n 1 "$1" && sed -i 1d "$1"' next "$tmp/queue"
}

# queue_scenarios writes the queue: those first that took longest the last time.
queue_scenarios() {
	local release scenario
	for scenario in "${scenarios[@]}"; do
		for release in $releases; do
			! runs_on "$release" "$scenario" ||
				echo "$(cat "$cache/$release-$scenario.seconds" 2>/dev/null || echo 30)" "$release" "$scenario"
		done
	done | sort -s -n -r -k 1,1 | cut -d ' ' -f 2- >"$tmp/queue"
}

# starts_kcmd SCENARIO succeeds if the scenario begins with the package installed.
starts_kcmd() {
	grep -q '^[[:space:]]*start_kcmd$' "$scenario_directory/$1"
}

# runs_on RELEASE SCENARIO succeeds unless the scenario is for another release.
runs_on() {
	local only
	only=$(sed -n 's/^# Only on //p' "$scenario_directory/$2")
	[ -z "$only" ] || [ "$only" = "$1" ]
}

# furnish FILE... puts the files into the machine that a scenario needs.
furnish() {
	mkdir -p "$machine/over/kcmd-test"
	cp -r "$package" "$tmp/packages" "$machine/over/kcmd-test/"
	cp -r README.md docs/*.md "${helpers[@]}" "$@" "$machine/over/kcmd-test/"
	(cd "$tmp/dest" && find . -type f | cut -c 2-) >"$machine/over/kcmd-test/installed"
}

# run_scenario RELEASE SCENARIO runs it in a machine of its own, which it may boot
# more than once.
run_scenario() {
	local release=$1 log=$cache/$1-$2 tree=${trees[$1]} began=$SECONDS
	echo "== $1: $2"
	furnish "$scenario_directory/$2"
	if starts_kcmd "$2"; then
		tree=$tmp/$1.installed/over:$tree
	elif ! grep -q '^# Begins without kcmd' "$scenario_directory/$2"; then
		cp -a "$tmp/dest/." "$machine/over/" # as meson install does
	fi
	: >"$log.log"
	: >"$log.journal"
	stage=0 outcome=reboot counted=0
	while [ "$outcome" = reboot ]; do
		stage=$((stage + 1)) outcome=
		machine_start "$tree" "$machine" || break
		run_stage "$2" >>"$log.log" 2>&1
		count_checks "$log.log"
		inside journalctl -q --no-pager >>"$log.journal" 2>/dev/null || true
		machine_stop
	done
	if [ -z "$outcome" ]; then
		echo "not ok - the scenario runs to its end within $scenario_patience seconds"
		failed=$((failed + 1))
	fi
	machine_stop
	keep_pictures "$log"
	rm -rf "$machine"
	echo $((SECONDS - began)) >"$log.seconds"
}

# run_stage SCENARIO runs the stage of it that the present boot is for, as a unit of
# the machine: logind and polkit do not know processes outside of its groups.
run_stage() {
	timeout --kill-after=5 "$scenario_patience" "${enter[@]}" \
		systemd-run --quiet --pipe --wait --setenv=HOME=/root --setenv=LANG=C.UTF-8 bash -c '
			stage=$2
			cd /kcmd-test && . "./$3" && . "./$1"
			echo "scenario ended"' scenario "$1" "$stage" "${helpers[0]##*/}" </dev/null &
	wait $! || true
}

# keep_pictures LOG keeps those that a scenario made beside its log.
keep_pictures() {
	local picture
	rm -f "$1".*.png
	for picture in "$machine"/over/kcmd-test/pictures/*.png; do
		[ ! -f "$picture" ] || cp "$picture" "$1.${picture##*/}"
	done
}

# count_checks LOG prints the checks of the last stage, and counts them.
count_checks() {
	local line
	while IFS= read -r line; do
		case $line in
		"scenario ended") outcome=ended ;;
		"scenario reboots") outcome=reboot ;;
		"ok - "*) passed=$((passed + 1)) ;;&
		"not ok - "*) failed=$((failed + 1)) ;;&
		"ok - "* | "not ok - "* | "# "*) printf '%s\n' "$line" ;;
		esac
	done < <(tail -n "+$((counted + 1))" "$1")
	counted=$(wc -l <"$1")
}

clean_up() {
	trap '' HUP INT TERM # a second one must not end this half way
	[ -z "$making$running" ] || kill $making $running 2>/dev/null || true
	wait || true # each removes its machine
	rm -rf "$tmp"
}

scenarios=()
while [ $# -gt 0 ]; do
	case $1 in
	-h | --help)
		usage
		exit 0
		;;
	*)
		if [ ! -f "$scenario_directory/$1" ]; then
			echo "$runner: no scenario $1; there are:" "$scenario_directory"/* >&2
			exit 2
		fi
		scenarios+=("$1")
		;;
	esac
	shift
done
[ ${#scenarios[@]} -gt 0 ] || scenarios=($(ls "$scenario_directory"))
[ "$(id -u)" = 0 ] || die "needs root, to boot a machine"
command -v go >/dev/null || die "go is not installed"

# scenario_patience is how long a scenario may run, in seconds. It needs about 10, and
# many times that on a busy machine.
scenario_patience=900
releases=${LAB_BOOT_RELEASES:-bookworm trixie}
# Scenarios at a time. They wait for a third of the time, most of them for systemd.
lanes=$(($(nproc) + 1))
declare -A trees
making= running= package= nspawn= process1=
passed=0 failed=0
tmp=$(mktemp -d)
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

find_tools
make_all_trees
build_package
mkdir "$tmp/packages"
more_packages "$tmp/packages"
queue_scenarios
if for scenario in "${scenarios[@]}"; do starts_kcmd "$scenario" && break; done; then
	for release in $releases; do
		install_once "$release" >"$cache/$release-install.log" 2>&1 &
		running+=" $!"
	done
	for child in $running; do
		wait "$child" || {
			tail -n 30 "$cache"/*-install.log >&2
			die "the package cannot be installed"
		}
	done
	running=
fi
for ((lane = 0; lane < lanes; lane++)); do
	run_lane $lane &
	running+=" $!"
done
wait $running || true
for ((lane = 0; lane < lanes; lane++)); do
	read -r one other <"$tmp/lane$lane.counts" || die "a run was ended"
	passed=$((passed + one)) failed=$((failed + other))
done
echo "$passed passed, $failed failed"
[ $failed = 0 ]
