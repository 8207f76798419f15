// The tile in Quick Settings, and the icon in the panel.
import Gio from 'gi://Gio';
import GLib from 'gi://GLib';
import GObject from 'gi://GObject';
import St from 'gi://St';
import Clutter from 'gi://Clutter';

import * as Main from 'resource:///org/gnome/shell/ui/main.js';
import * as PopupMenu from 'resource:///org/gnome/shell/ui/popupMenu.js';
import * as QuickSettings from 'resource:///org/gnome/shell/ui/quickSettings.js';
import {gettext as _, ngettext} from 'resource:///org/gnome/shell/extensions/extension.js';

import {signIn} from './agent.js';
import {Tickets} from './tickets.js';

// fill puts numbers in the place of %d.
function fill(text, ...numbers) {
    return numbers.reduce((filled, number) => filled.replace('%d', number), text);
}

// timeLeft says how long a cache is valid.
function timeLeft(seconds) {
    const minutes = Math.floor(seconds / 60);
    const hours = Math.floor(minutes / 60);
    const days = Math.floor(hours / 24);
    if (days > 1)
        return fill(ngettext('%d day', '%d days', days), days);
    if (hours > 0)
        return fill(_('%d h %d min'), hours, minutes % 60);
    if (minutes > 0)
        return fill(_('%d min'), minutes);
    return _('less than 1 min');
}

// describe says in words how it is with a cache.
function describe(cache) {
    switch (cache.state) {
    case 'valid':
    case 'expiring':
        return timeLeft(cache.left);
    case 'expired':
        return _('expired');
    case 'not-yet-valid':
        return _('not yet valid');
    case 'invalid':
        return _('must be validated');
    default:
        return _('no tickets');
    }
}

// CacheItem is a cache in the menu. It stays as long as the cache, and changes in place.
const CacheItem = GObject.registerClass(
class KcmdCacheItem extends PopupMenu.PopupBaseMenuItem {
    _init() {
        super._init();
        this.label = new St.Label({x_expand: true, y_align: Clutter.ActorAlign.CENTER});
        this.detail = new St.Label({y_align: Clutter.ActorAlign.CENTER});
        this.add_child(this.label);
        this.add_child(this.detail);
        this.label_actor = this.label;
    }

    update(cache) {
        this.cache = cache;
        this.label.text = cache.principal || cache.name;
        this.detail.text = describe(cache);
        this.setOrnament(cache.isDefault ? PopupMenu.Ornament.DOT : PopupMenu.Ornament.NONE);
    }
});

const Tile = GObject.registerClass(
class KcmdTile extends QuickSettings.QuickMenuToggle {
    _init(tickets, icon) {
        super._init({gicon: icon, toggleMode: false});
        this._tickets = tickets;
        this._icon = icon;
        this._items = new Map();
        this.connect('clicked', () => this.menu.open());

        this._caches = new PopupMenu.PopupMenuSection();
        this.menu.addMenuItem(this._caches);
        this.menu.addMenuItem(new PopupMenu.PopupSeparatorMenuItem());
        this._signIn = this.menu.addAction(_('Sign In…'), () => this._do(_('Cannot sign in'), signIn()));
        this._renew = this.menu.addAction(_('Renew'), () =>
            this._do(_('Cannot renew the tickets'), this._tickets.renew(this._default)));
        this._destroy = this.menu.addAction(_('Destroy Tickets'), () =>
            this._do(_('Cannot destroy the tickets'), this._tickets.destroyCache(this._default)));
    }

    // update shows the caches. Times are those of this moment.
    update() {
        const caches = this._tickets.caches;
        this._default = caches[0];
        this.visible = this._tickets.running;
        this.checked = this._default?.isValid ?? false;
        const title = this._default?.principal || _('Kerberos');
        const name = title.split('@')[0]; // the tile is narrow
        const state = this._default ? describe(this._default) : _('no tickets');
        if ('subtitle' in this) {
            this.title = name;
            this.subtitle = state;
        } else { // GNOME 43
            this.label = `${name}: ${state}`;
        }
        this.menu.setHeader(this._icon, title, state);
        this._updateItems(caches);
        this._renew.sensitive = this._default?.canRenew ?? false;
        this._destroy.sensitive = this._default !== undefined;
    }

    _updateItems(caches) {
        const paths = caches.map(cache => cache.path);
        for (const [path, item] of this._items) {
            if (!paths.includes(path)) {
                item.destroy();
                this._items.delete(path);
            }
        }
        caches.forEach((cache, index) => {
            let item = this._items.get(cache.path);
            if (!item) {
                item = new CacheItem();
                item.connect('activate', () =>
                    this._do(_('Cannot change the default'), this._tickets.makeDefault(item.cache)));
                this._items.set(cache.path, item);
                this._caches.addMenuItem(item);
            }
            this._caches.moveMenuItem(item, index);
            item.update(cache);
        });
    }

    // _do waits for an action, and says if it failed.
    async _do(title, action) {
        try {
            await action;
        } catch (error) {
            if (error.matches?.(Gio.IOErrorEnum, Gio.IOErrorEnum.CANCELLED))
                return;
            if (error instanceof GLib.Error)
                Gio.DBusError.strip_remote_error(error);
            Main.notifyError(title, error.message);
        }
    }
});

// Indicator has the tile, and an icon in the panel while a cache needs the user.
export const Indicator = GObject.registerClass(
class KcmdIndicator extends QuickSettings.SystemIndicator {
    _init(directory) {
        super._init();
        const icon = name => new Gio.FileIcon({file: directory.get_child('icons').get_child(`${name}-symbolic.svg`)});
        this._panelIcon = this._addIndicator();
        this._panelIcon.gicon = icon('kcmd-attention');
        this._panelIcon.visible = false;

        this._tickets = new Tickets(() => this._update());
        this._tile = new Tile(this._tickets, icon('kcmd-ticket'));
        this.quickSettingsItems.push(this._tile);

        // The time left is shown only there. Nothing runs while it is closed.
        this._quickSettings = Main.panel.statusArea.quickSettings;
        this._opened = this._quickSettings.menu.connect('open-state-changed', (_menu, open) => {
            this._stopClock();
            if (open) {
                this._update();
                this._clock = GLib.timeout_add_seconds(GLib.PRIORITY_DEFAULT, 15, () => {
                    this._update();
                    return GLib.SOURCE_CONTINUE;
                });
            }
        });
        this.connect('destroy', () => this._end());
        this._update();
    }

    _end() {
        this._stopClock();
        this._quickSettings.menu.disconnect(this._opened);
        this._tickets.destroy();
        this._tile.destroy();
        this._tile = null;
    }

    _update() {
        if (!this._tile)
            return;
        this._tile.update();
        this._panelIcon.visible = this._tickets.caches.some(cache => cache.needsUser);
    }

    _stopClock() {
        if (this._clock)
            GLib.source_remove(this._clock);
        this._clock = 0;
    }
});
