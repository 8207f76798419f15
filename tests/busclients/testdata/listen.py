# Listens to kcmd in one of the ways that programs do, and prints what it
# gets: "listen.py system|session manager|proxy|subscribe|silent [PATH [INTERFACE]]".
import sys

import gi
from gi.repository import Gio, GLib

NAME, ROOT = "org.kcmd.KCM1", "/org/kcmd/KCM1"
TYPE = Gio.BusType.SYSTEM if sys.argv[1] == "system" else Gio.BusType.SESSION
MODE = sys.argv[2]


def say(*words):
    print(*words, flush=True)


def with_manager():
    manager = Gio.DBusObjectManagerClient.new_for_bus_sync(
        TYPE, Gio.DBusObjectManagerClientFlags.NONE, NAME, ROOT, None, None, None)
    manager.connect("object-added", lambda m, o: say("signal object-added", o.get_object_path()))
    manager.connect("object-removed", lambda m, o: say("signal object-removed", o.get_object_path()))
    manager.connect("interface-proxy-properties-changed",
                    lambda m, o, p, changed, gone: say("signal changed", *sorted(changed.unpack())))
    manager.connect("interface-proxy-signal", lambda m, o, p, sender, name, args: say("signal", name))
    for o in manager.get_objects():
        say("object", o.get_object_path())
    return manager


def with_proxy():
    interface = sys.argv[4] if len(sys.argv) > 4 else "Collection"
    proxy = Gio.DBusProxy.new_for_bus_sync(
        TYPE, Gio.DBusProxyFlags.NONE, None, NAME, sys.argv[3], NAME + "." + interface, None)
    proxy.connect("g-properties-changed",
                  lambda p, changed, gone: say("signal changed", *sorted(changed.unpack())))
    proxy.connect("g-signal", lambda p, sender, name, args: say("signal", name))
    proxy.connect("notify::g-name-owner", lambda p, name: say("owner", p.get_name_owner()))
    say("properties", *sorted(proxy.get_cached_property_names()))
    return proxy


def with_subscription():
    bus = Gio.bus_get_sync(TYPE, None)
    bus.signal_subscribe(NAME, None, None, None, None, Gio.DBusSignalFlags.NONE,
                         lambda bus, sender, path, iface, name, args: say("signal", name, path))
    if MODE == "subscribe":
        bus.call_sync(NAME, ROOT, NAME + ".Manager", "Subscribe", GLib.Variant("(a{sv})", ({},)),
                      None, Gio.DBusCallFlags.NONE, -1, None)
    else:  # so that its rule is there
        bus.call_sync("org.freedesktop.DBus", "/", "org.freedesktop.DBus", "GetId", None,
                      None, Gio.DBusCallFlags.NONE, -1, None)
    return bus


kept = {"manager": with_manager, "proxy": with_proxy}.get(MODE, with_subscription)()
say("ready")
GLib.MainLoop().run()
