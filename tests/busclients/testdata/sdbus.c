/* Listens to kcmd through sd-bus and prints what it is told:
 * "sdbus system|session once|silent". */
#include <stdio.h>
#include <string.h>
#include <systemd/sd-bus.h>

#define NAME "org.kcmd.KCM1"

static int on_signal(sd_bus_message *m, void *data, sd_bus_error *error)
{
    printf("signal %s %s\n", sd_bus_message_get_member(m), sd_bus_message_get_path(m));
    return fflush(stdout);
}

static int fail(const char *what, int r)
{
    fprintf(stderr, "%s: %s\n", what, strerror(-r));
    return 1;
}

int main(int argc, char **argv)
{
    sd_bus *bus;
    int r = strcmp(argv[1], "system") ? sd_bus_open_user(&bus) : sd_bus_open_system(&bus);
    if (r < 0)
        return fail("open", r);
    r = sd_bus_match_signal(bus, NULL, NAME, NULL, NULL, NULL, on_signal, NULL);
    if (r < 0)
        return fail("match", r);
    if (!strcmp(argv[2], "once")) {
        r = sd_bus_call_method(bus, NAME, "/org/kcmd/KCM1", NAME ".Manager", "Subscribe", NULL, NULL, "a{sv}", 0);
        if (r < 0)
            return fail("Subscribe", r);
    }
    puts("ready");
    fflush(stdout);
    while ((r = sd_bus_process(bus, NULL)) >= 0)
        if (r == 0)
            sd_bus_wait(bus, UINT64_MAX);
    return fail("process", r);
}
