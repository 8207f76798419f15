// The credential caches of the user, as kcmd shows them on D-Bus. It listens to signals,
// and asks for nothing a second time.
import Gio from 'gi://Gio';
import GLib from 'gi://GLib';

const NAME = 'org.kcmd.KCM1';
const ROOT = '/org/kcmd/KCM1';
const CACHE = `${NAME}.Cache`;
const MANAGER = `${NAME}.Manager`;

// The KDC may be slow, and there may be several: Renew asks for so much.
const RENEW_TIMEOUT = 120 * 1000;

const known = ['empty', 'no-tgt', 'not-yet-valid', 'invalid', 'valid', 'expiring', 'expired'];

// Cache is one credential cache at one moment.
export class Cache {
    constructor(path, proxy) {
        const property = name => proxy.get_cached_property(name)?.deepUnpack();
        this.path = path;
        this.name = property('Name') ?? '';
        this.principal = property('ClientPrincipal') ?? '';
        this.isDefault = property('IsDefault') ?? false;
        this._end = property('EndTime') ?? 0;
        this._offset = property('KdcOffset') ?? 0;
        this._renewal = property('RenewalState') ?? 'off';
        this._state = property('State') ?? 'empty';
        this._fromKeytab = (property('RefreshTime') ?? 0) !== 0;
        this._renewUntil = property('RenewUntil') ?? 0;
    }

    // left is how many seconds the TGT lasts, by the clock of the KDC.
    get left() {
        return Math.max(0, this._end - this._offset - Math.floor(GLib.get_real_time() / 1000000));
    }

    // state is that of the TGT. A later kcmd may know more.
    get state() {
        if (known.includes(this._state))
            return this._state;
        return this.left > 0 ? 'valid' : 'expired';
    }

    get isValid() {
        return this.state === 'valid' || this.state === 'expiring';
    }

    get canRenew() {
        return this.isValid && this._renewUntil > this._end;
    }

    // needsUser is whether only the user can keep or get back the tickets.
    get needsUser() {
        if (this._fromKeytab)
            return false;
        return this.state === 'expired' ||
            this.state === 'expiring' && this._renewal !== 'planned' ||
            this.isValid && this._renewal === 'failing';
    }
}

// Service is kcmd on one bus.
class Service {
    constructor(type, flags, changed) {
        this._changed = changed;
        this._own = `${ROOT}/user/${new Gio.Credentials().get_unix_user()}/cache/`;
        this._connections = [];
        this._watch = Gio.bus_watch_name(type, NAME, flags,
            bus => this._appeared(bus), () => this._vanished());
    }

    destroy() {
        Gio.bus_unwatch_name(this._watch);
        // The connection stays, and kcmd would go on to send it signals.
        if (this._bus)
            this.call(this._bus, ROOT, MANAGER, 'Unsubscribe').catch(() => {});
        this._changed = () => {};
        this._vanished();
    }

    get running() {
        return Boolean(this._manager);
    }

    get caches() {
        const caches = [];
        for (const object of this._manager?.get_objects() ?? []) {
            const path = object.get_object_path();
            const proxy = object.get_interface(CACHE);
            // Root sees those of others as well.
            if (proxy && path.startsWith(this._own))
                caches.push(new Cache(path, proxy));
        }
        return caches.sort((a, b) => b.isDefault - a.isDefault || a.name.localeCompare(b.name));
    }

    // act calls a method of a cache. The answer of a service that went away is no error.
    async act(cache, method, parameters = null) {
        if (this._bus)
            await this.call(this._bus, cache.path, CACHE, method, parameters, this._cancellable);
    }

    call(bus, path, iface, method, parameters = null, cancellable = null) {
        return new Promise((resolve, reject) => {
            bus.call(NAME, path, iface, method, parameters, null,
                Gio.DBusCallFlags.NO_AUTO_START, RENEW_TIMEOUT, cancellable, (_bus, result) => {
                    try {
                        resolve(bus.call_finish(result));
                    } catch (error) {
                        reject(error);
                    }
                });
        });
    }

    _appeared(bus) {
        this._vanished();
        const cancellable = new Gio.Cancellable();
        this._bus = bus;
        this._cancellable = cancellable;
        Gio.DBusObjectManagerClient.new(bus, Gio.DBusObjectManagerClientFlags.DO_NOT_AUTO_START,
            NAME, ROOT, null, cancellable, (_source, result) => {
                try {
                    const manager = Gio.DBusObjectManagerClient.new_finish(result);
                    if (!cancellable.is_cancelled())
                        this._follow(manager);
                } catch (error) {
                    if (!error.matches(Gio.IOErrorEnum, Gio.IOErrorEnum.CANCELLED))
                        console.warn(`kcmd: cannot list caches: ${error.message}`);
                }
            });
    }

    _follow(manager) {
        this._manager = manager;
        for (const signal of ['object-added', 'object-removed', 'interface-proxy-properties-changed'])
            this._connections.push(manager.connect(signal, () => this._changed()));
        this._changed();
    }

    _vanished() {
        this._cancellable?.cancel();
        for (const connection of this._connections)
            this._manager.disconnect(connection);
        this._connections = [];
        this._manager = null;
        this._cancellable = null;
        this._bus = null;
        this._changed();
    }
}

// Tickets has the caches of the daemon of the machine, or else of that of the session.
// It starts the first one if need be; the second one is there only for who wants it.
export class Tickets {
    constructor(changed) {
        this._services = [];
        const all = () => {
            if (this._services.length === 2)
                changed();
        };
        this._services = [
            new Service(Gio.BusType.SYSTEM, Gio.BusNameWatcherFlags.AUTO_START, all),
            new Service(Gio.BusType.SESSION, Gio.BusNameWatcherFlags.NONE, all),
        ];
    }

    destroy() {
        for (const service of this._services)
            service.destroy();
        this._services = [];
    }

    get _service() {
        return this._services.find(service => service.running);
    }

    get running() {
        return this._service !== undefined;
    }

    get caches() {
        return this._service?.caches ?? [];
    }

    async makeDefault(cache) {
        await this._service?.act(cache, 'SwitchTo');
    }

    async renew(cache) {
        await this._service?.act(cache, 'Renew', new GLib.Variant('(a{sv})', [{}]));
    }

    async destroyCache(cache) {
        await this._service?.act(cache, 'Destroy');
    }
}
