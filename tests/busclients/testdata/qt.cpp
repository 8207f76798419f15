// Listens to kcmd with the classes that qdbusxml2cpp makes from the XML:
// "qt system|session again|once|silent COLLECTION". It subscribes again when kcmd is
// restarted, once, or not at all.
#include <QtCore/QCoreApplication>
#include <QtDBus/QtDBus>
#include <cstdio>

#include "manager.h"
#include "collection.h"
#include "cache.h"

static const char name[] = "org.kcmd.KCM1", root[] = "/org/kcmd/KCM1";

static void say(const QString &text)
{
    std::puts(qPrintable(text));
    std::fflush(stdout);
}

class Listener : public QObject {
    Q_OBJECT
    QDBusConnection bus;
    KcmManager manager{name, root, bus};
    QMap<QString, KcmCache *> caches;

public:
    Listener(const QDBusConnection &bus, const QString &collection) : bus(bus)
    {
        this->bus.connect(name, collection, "org.freedesktop.DBus.Properties", "PropertiesChanged",
                          this, SLOT(changed(QString, QVariantMap, QStringList)));
    }

    bool subscribe()
    {
        auto answer = manager.Subscribe({{"expiry", true}});
        answer.waitForFinished();
        return !answer.isError();
    }

    void update()
    {
        auto collections = manager.ListCollections();
        auto found = manager.FindCaches("");
        for (const auto &c : collections.value())
            say(QString("collection %1 of %2").arg(c.second.path()).arg(c.first));
        for (const auto &path : found.value()) {
            if (caches.contains(path.path()))
                continue;
            auto cache = caches[path.path()] = new KcmCache(name, path.path(), bus, this);
            connect(cache, &KcmCache::TicketsAdded, [](const QList<QVariantMap> &tickets) {
                say("added " + tickets.value(0)["server"].toString());
            });
            connect(cache, &KcmCache::TicketsRemoved, [](const QList<QPair<QString, QString>> &tickets, const QString &reason) {
                say(reason + " " + tickets.value(0).second);
            });
            auto answer = cache->ListTickets({{"limit", 1}});
            say(QString("cache %1 %2, tickets %3 of %4").arg(cache->clientPrincipal(), cache->state())
                .arg(answer.argumentAt<0>().size()).arg(answer.argumentAt<1>()));
        }
    }

public slots:
    void changed(const QString &, const QVariantMap &properties, const QStringList &)
    {
        say("changed " + QStringList(properties.keys()).join(" "));
        update();
    }
};

int main(int argc, char **argv)
{
    QCoreApplication app(argc, argv);
    qDBusRegisterMetaType<QList<QVariantMap>>();
    qDBusRegisterMetaType<QPair<QString, QString>>();
    qDBusRegisterMetaType<QList<QPair<QString, QString>>>();
    qDBusRegisterMetaType<QPair<uint, QDBusObjectPath>>();
    qDBusRegisterMetaType<QList<QPair<uint, QDBusObjectPath>>>();
    const QString type = argv[1], mode = argv[2];
    const auto bus = type == "system" ? QDBusConnection::systemBus() : QDBusConnection::sessionBus();
    Listener listener(bus, argv[3]);
    QDBusServiceWatcher watcher(name, bus, QDBusServiceWatcher::WatchForRegistration);
    if (mode == "again")
        QObject::connect(&watcher, &QDBusServiceWatcher::serviceRegistered, [&] {
            if (listener.subscribe())
                say("subscribed");
        });
    if (mode != "silent" && !listener.subscribe())
        return 1;
    say("ready");
    return app.exec();
}

#include "qt.moc"
#include "manager.cpp"
#include "manager.moc"
#include "collection.cpp"
#include "collection.moc"
#include "cache.cpp"
#include "cache.moc"
