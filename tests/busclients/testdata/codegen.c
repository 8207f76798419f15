/* Reads and changes caches through the code that gdbus-codegen generates from
 * the installed XML: "codegen system|session" prints all caches, waits for one
 * more, lists its tickets, destroys it, and waits for it to go. */
#include <stdio.h>
#include <string.h>
#include "kcm.h"

static GMainLoop *loop;
static gboolean gone;

static void die(const char *what, GError *error)
{
    fprintf(stderr, "%s: %s\n", what, error->message);
    exit(1);
}

static void on_removed(GDBusObjectManager *manager, GDBusObject *object, gpointer data)
{
    printf("removed %s\n", g_dbus_object_get_object_path(object));
    gone = TRUE;
    g_main_loop_quit(loop);
}

static void on_added(GDBusObjectManager *manager, GDBusObject *object, gpointer data)
{
    KcmCache *cache = kcm_object_peek_cache(KCM_OBJECT(object));
    GVariant *tickets, *none = g_variant_new("a{sv}", NULL);
    GError *error = NULL;
    guint total;

    if (!cache)
        return;
    printf("added %s %s\n", kcm_cache_get_client_principal(cache), kcm_cache_get_state(cache));
    if (!kcm_cache_call_list_tickets_sync(cache, none, &tickets, &total, NULL, &error))
        die("ListTickets", error);
    printf("tickets %u of %u\n", (guint)g_variant_n_children(tickets), total);
    if (!kcm_cache_call_destroy_sync(cache, NULL, &error))
        die("Destroy", error);
}

int main(int argc, char **argv)
{
    GBusType type = strcmp(argv[1], "system") ? G_BUS_TYPE_SESSION : G_BUS_TYPE_SYSTEM;
    GError *error = NULL;
    GDBusObjectManager *manager;
    KcmCollection *own;
    KcmManager *entry;

    setvbuf(stdout, NULL, _IOLBF, 0);
    manager = kcm_object_manager_client_new_for_bus_sync(type, G_DBUS_OBJECT_MANAGER_CLIENT_FLAGS_NONE,
                                                         "org.kcmd.KCM1", "/org/kcmd/KCM1", NULL, &error);
    if (!manager)
        die("object manager", error);
    entry = kcm_manager_proxy_new_for_bus_sync(type, G_DBUS_PROXY_FLAGS_NONE, "org.kcmd.KCM1", "/org/kcmd/KCM1", NULL, &error);
    if (!entry)
        die("manager", error);
    own = kcm_collection_proxy_new_for_bus_sync(type, G_DBUS_PROXY_FLAGS_NONE, "org.kcmd.KCM1",
                                                kcm_manager_get_own_collection(entry), NULL, &error);
    if (!own)
        die("collection", error);
    printf("uid %u limit %u\n", kcm_collection_get_uid(own), kcm_collection_get_max_caches(own));

    loop = g_main_loop_new(NULL, FALSE);
    g_signal_connect(manager, "object-added", G_CALLBACK(on_added), NULL);
    g_signal_connect(manager, "object-removed", G_CALLBACK(on_removed), NULL);
    printf("ready\n");
    while (!gone)
        g_main_loop_run(loop);
    return 0;
}
