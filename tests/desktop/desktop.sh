# What the scenarios of tests/desktop have besides the verbs of tests/boot/check.sh: a
# session of alice's with an X server. To be sourced in the machine.
. ./check.sh
mkdir -p pictures logs
patience=60 # GNOME needs half of it to start on a busy machine

# start_session DESKTOP [SIZE] logs alice in, with an X server of that size and the
# user's message bus. DESKTOP is the value of XDG_CURRENT_DESKTOP.
start_session() {
	local run
	run=/run/user/$(id -u alice)
	systemd-run -q --unit=alices-session -p User=alice -p PAMName=login \
		-E XDG_SESSION_TYPE=x11 -E XDG_SESSION_CLASS=user \
		Xvfb :77 -screen 0 "${2:-1024x768}x24" -nolisten tcp
	soon test -S "$run/bus"
	in_session=(as alice env -C /home/alice LOGNAME=alice LANG=C.UTF-8 DISPLAY=:77
		XDG_RUNTIME_DIR="$run" DBUS_SESSION_BUS_ADDRESS="unix:path=$run/bus"
		XDG_CURRENT_DESKTOP="$1" XDG_SESSION_TYPE=x11 XDG_SESSION_ID="$(loginctl show-user alice -P Display)"
		GDK_BACKEND=x11 GSK_RENDERER=cairo LIBGL_ALWAYS_SOFTWARE=1)
	soon on_desktop xdpyinfo
	# For the programs that the bus starts.
	on_desktop dbus-update-activation-environment --systemd DISPLAY XDG_CURRENT_DESKTOP \
		XDG_SESSION_TYPE GDK_BACKEND GSK_RENDERER LIBGL_ALWAYS_SOFTWARE
}

# start_xfce starts an Xfce with a panel, which has a tray, and a notification daemon.
start_xfce() {
	start_session XFCE "$@"
	start openbox openbox
	start dunst dunst
	start panel xfce4-panel --disable-wm-check
	soon owned org.kde.StatusNotifierWatcher
	soon owned org.freedesktop.Notifications
}

# start_gnome starts a GNOME Shell, which evaluates what shell gives it.
start_gnome() {
	start_session GNOME "$@"
	run_gnome
}

# run_gnome starts the GNOME Shell of start_gnome in a session.
run_gnome() {
	on_desktop gsettings set org.gnome.shell welcome-dialog-last-shown-version 99
	start shell gnome-shell --x11 --unsafe-mode
	soon shell_says true '!Main.layoutManager._startingUp'
	shell 'Main.overview.hide()' >/dev/null
	soon shell_says true '!Main.overview.visible'
}

# on_desktop COMMAND... runs a command in the session.
on_desktop() {
	"${in_session[@]}" timeout "$patience" "$@"
}

# start NAME COMMAND... starts a program in the session, with its output in logs/NAME.
# The end of the scenario ends it, or stop.
declare -A started
start() {
	"${in_session[@]}" "${@:2}" >"logs/$1" 2>&1 </dev/null &
	started[$1]=$!
}

# stop NAME ends a program that start has started, and waits for its end. It is the child
# of a shell, which runs the function as.
stop() {
	pkill -P "${started[$1]}"
	wait "${started[$1]}" 2>/dev/null
}

# logged NAME EXPRESSION succeeds if a program has printed that.
logged() { grep -E -e "$2" "logs/$1"; }

# owned NAME succeeds if a name is on the session bus.
owned() {
	on_desktop busctl --user call org.freedesktop.DBus /org/freedesktop/DBus \
		org.freedesktop.DBus NameHasOwner s "$1" | grep -q true
}

# shell EXPRESSION evaluates JavaScript in the GNOME Shell, and prints the value as JSON.
shell() {
	on_desktop gdbus call --session -d org.gnome.Shell -o /org/gnome/Shell -m org.gnome.Shell.Eval -- "$1" |
		python3 -c '
import ast, sys
text = sys.stdin.read().strip()
done, value = ast.literal_eval(text.replace("(true,", "(True,").replace("(false,", "(False,"))
print(value)
sys.exit(not done)'
}

# shell_says VALUE EXPRESSION succeeds if the GNOME Shell evaluates the expression to that.
shell_says() {
	local value
	value=$(shell "$2")
	printf '%s\n' "$value"
	[ "$value" = "$1" ]
}

# types TEXT types a line into the window or the dialog that has the focus. The text is in no
# list of arguments.
types() { printf %s "$1" | on_desktop xdotool type --file - && on_desktop xdotool key Return; }

# dialog prints the texts of the dialogs of the shell.
dialog() {
	shell '(function texts(a) {
		const text = a.mapped && (a.constructor.name === "St_Label" ? a.text : a.label);
		const own = typeof text === "string" && text ? [text] : [];
		return own.concat(...a.get_children().map(texts));
	})(Main.layoutManager.modalDialogGroup).join("|")'
}

# picture NAME [GEOMETRY] keeps a picture of the screen, or of a part of it.
picture() {
	on_desktop import -window root ${2:+-crop "$2"} png:- >"/tmp/$1.png" &&
		convert "/tmp/$1.png" +repage -strip -colors 255 "PNG8:pictures/$1.png"
}

# colours PICTURE succeeds if a picture has at least two colours: something is on it.
colours() { [ "$(identify -format %k "pictures/$1.png")" -ge "${2:-2}" ]; }

# tray_items prints the bus names and paths of the icons that the tray has.
tray_items() {
	on_desktop busctl --user get-property org.kde.StatusNotifierWatcher /StatusNotifierWatcher \
		org.kde.StatusNotifierWatcher RegisteredStatusNotifierItems
}

# install_agent DURATION... installs kcm-agent for a user who must act: nothing is renewed
# by itself. It warns so long before the end of a ticket.
install_agent() {
	systemctl start kcmd-kdc.socket
	check "the package can be installed" eval 'apt-get -q -y --no-install-recommends install ./packages/kcm-agent_*.deb'
	echo 'renew = "no"' >/etc/kcmd/kcmd.toml
	systemctl restart kcmd.service
	for principal in krbtgt/EXAMPLE.ORG alice; do
		kadmin.local modprinc -maxrenewlife 1d "$principal" >/dev/null
	done
	as alice mkdir -p /home/alice/.config
	echo "warn = $*" >/home/alice/.config/kcm-agent.conf
}
# item PROPERTY prints one of the icon of kcm-agent.
item() {
	on_desktop busctl --user --json=short get-property org.kcmd.Agent /StatusNotifierItem org.kde.StatusNotifierItem "$1"
}
icon_is() { soon prints "kcm-agent-$1" item IconName; }
# calls MEMBER prints the messages of that name that start_monitor has seen.
calls() { grep -E "\"member\":\"($1)\"" logs/bus; }
# unchanged NUMBER MEMBER succeeds if there are as many as before.
unchanged() { [ "$1" = "$(calls "$2" | wc -l)" ]; }
# displayed NUMBER waits for so many notifications, and notified for one with a text.
displayed() { soon eval "[ \"\$(on_desktop dunstctl count displayed)\" = $1 ]"; }
notified() { soon eval "calls Notify | grep -E '$1'"; }
# start_monitor keeps what passes the session bus.
start_monitor() { start bus stdbuf -oL busctl --user --json=short monitor; }

# ends prints when the default TGT ends.
ends() { as alice kcmctl show --json | jq -r .end_time; }
