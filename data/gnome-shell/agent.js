// kcm-agent, which asks for passwords.
import Gio from 'gi://Gio';
import GLib from 'gi://GLib';

import {gettext as _} from 'resource:///org/gnome/shell/extensions/extension.js';

const NAME = 'org.kcmd.Agent';

// signIn has the agent ask who signs in, and for the password. The session bus starts it if
// need be. It is done when the agent has begun, which tells errors by itself.
export function signIn() {
    return new Promise((resolve, reject) => {
        Gio.DBus.session.call(NAME, '/org/kcmd/Agent', 'org.freedesktop.Application', 'ActivateAction',
            new GLib.Variant('(sava{sv})', ['sign-in', [], {}]), null, Gio.DBusCallFlags.NONE, -1, null,
            (bus, result) => {
                try {
                    resolve(bus.call_finish(result));
                } catch (error) {
                    reject(error.matches(Gio.DBusError, Gio.DBusError.SERVICE_UNKNOWN)
                        ? new Error(_('The program kcm-agent is not installed.')) : error);
                }
            });
    });
}
