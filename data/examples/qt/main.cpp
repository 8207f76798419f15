// Prints the user's credential caches whenever they change, with the classes that
// qdbusxml2cpp makes of the XML: see org.kcmd.KCM1(5). It listens to signals, and does not
// poll; it waits for a kcmd that is not there, and goes on after a restart.
#include <QCoreApplication>
#include <QDBusConnection>
#include <QDBusConnectionInterface>
#include <QDBusMetaType>
#include <QDBusServiceWatcher>
#include <QTextStream>

#include "cache_interface.h"
#include "manager_interface.h"

static const QString name = "org.kcmd.KCM1", root = "/org/kcmd/KCM1";

class Caches : public QObject {
    Q_OBJECT
public:
    explicit Caches(const QDBusConnection &to)
        : bus(to), watcher(name, to, QDBusServiceWatcher::WatchForOwnerChange)
    {
        const QString properties = "org.freedesktop.DBus.Properties", objects = "org.freedesktop.DBus.ObjectManager";
        // Of all objects: "" is any path.
        bus.connect(name, "", properties, "PropertiesChanged", this, SLOT(show()));
        bus.connect(name, root, objects, "InterfacesAdded", this, SLOT(show()));
        bus.connect(name, root, objects, "InterfacesRemoved", this, SLOT(show()));
        connect(&watcher, &QDBusServiceWatcher::serviceOwnerChanged, this,
                [this](const QString &, const QString &, const QString &owner) {
                    if (owner.isEmpty())
                        say("kcmd is not running");
                    else
                        begin();
                });
        begin();
    }

    // begin subscribes, which QtDBus does not do by itself, and again after each start.
    void begin()
    {
        OrgKcmdKCM1ManagerInterface manager(name, root, bus);
        auto answer = manager.Subscribe({{"tickets", false}});
        answer.waitForFinished();
        if (answer.isError())
            say("cannot subscribe: " + answer.error().message());
        else
            show();
    }

public slots:
    void show()
    {
        OrgKcmdKCM1ManagerInterface manager(name, root, bus);
        auto paths = manager.FindCaches("");
        paths.waitForFinished();
        if (paths.isError())
            return; // it has just gone, which the watcher tells
        QStringList lines;
        for (const auto &path : paths.value()) {
            OrgKcmdKCM1CacheInterface cache(name, path.path(), bus);
            lines += cache.clientPrincipal() + ": " + cache.state();
        }
        say(lines.isEmpty() ? "no tickets" : lines.join(", "));
    }

private:
    void say(const QString &text)
    {
        if (text != last)
            QTextStream(stdout) << text << Qt::endl;
        last = text;
    }

    QDBusConnection bus;
    QDBusServiceWatcher watcher;
    QString last;
};

int main(int argc, char **argv)
{
    QCoreApplication application(argc, argv);
    qDBusRegisterMetaType<QList<QVariantMap>>();
    qDBusRegisterMetaType<QPair<uint, QDBusObjectPath>>();
    qDBusRegisterMetaType<QList<QPair<uint, QDBusObjectPath>>>();
    qDBusRegisterMetaType<QPair<QString, QString>>();
    qDBusRegisterMetaType<QList<QPair<QString, QString>>>();
    // kcmd is on the bus of the machine, unless this user has one of the session.
    const bool system = QDBusConnection::systemBus().interface()->isServiceRegistered(name) ||
        QDBusConnection::systemBus().interface()->startService(name).isValid();
    Caches caches(system ? QDBusConnection::systemBus() : QDBusConnection::sessionBus());
    return application.exec();
}

#include "main.moc"
