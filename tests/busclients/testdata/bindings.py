# Listens to kcmd with a binding of Python, and prints what it gets:
# "bindings.py dbus-python|dasbus|dbus-next system|session once|silent COLLECTION".
import asyncio
import sys

BINDING, TYPE, MODE, COLLECTION = sys.argv[1:]
NAME, ROOT = "org.kcmd.KCM1", "/org/kcmd/KCM1"
MANAGER, PROPERTIES = NAME + ".Manager", "org.freedesktop.DBus.Properties"


def say(*words):
    print(*words, flush=True)


def with_dbus_python():
    import dbus
    from dbus.mainloop.glib import DBusGMainLoop
    from gi.repository import GLib

    DBusGMainLoop(set_as_default=True)
    bus = dbus.SystemBus() if TYPE == "system" else dbus.SessionBus()
    bus.add_signal_receiver(lambda *args, **kw: say("signal", kw["member"]), bus_name=NAME, member_keyword="member")
    if MODE == "once":
        manager = dbus.Interface(bus.get_object(NAME, ROOT), MANAGER)
        manager.Subscribe(dbus.Dictionary({}, signature="sv"))
    bus.get_name_owner(NAME)  # so that its rule is there
    say("ready")
    GLib.MainLoop().run()


def with_dasbus():
    from dasbus.connection import SessionMessageBus, SystemMessageBus
    from dasbus.loop import EventLoop

    bus = SystemMessageBus() if TYPE == "system" else SessionMessageBus()
    collection = bus.get_proxy(NAME, COLLECTION)
    collection.PropertiesChanged.connect(lambda interface, changed, gone: say("signal changed", *sorted(changed)))
    say("caches", len(collection.Caches))
    if MODE == "once":
        bus.get_proxy(NAME, ROOT).Subscribe({})
    say("ready")
    EventLoop().run()


async def with_dbus_next():
    from dbus_next import BusType
    from dbus_next.aio import MessageBus

    bus = await MessageBus(bus_type=BusType.SYSTEM if TYPE == "system" else BusType.SESSION).connect()

    async def interface(path, name):
        return bus.get_proxy_object(NAME, path, await bus.introspect(NAME, path)).get_interface(name)

    properties = await interface(COLLECTION, PROPERTIES)
    properties.on_properties_changed(lambda interface, changed, gone: say("signal changed", *sorted(changed)))
    if MODE == "once":
        await (await interface(ROOT, MANAGER)).call_subscribe({})
    await properties.call_get(NAME + ".Collection", "UID")  # so that its rule is there
    say("ready")
    await bus.wait_for_disconnect()


if BINDING == "dbus-python":
    with_dbus_python()
elif BINDING == "dasbus":
    with_dasbus()
else:
    asyncio.run(with_dbus_next())
