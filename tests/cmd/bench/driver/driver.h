/* The driver of tests/bench: see main.c. */

#ifndef DRIVER_H
#define DRIVER_H

#include <krb5.h>
#include <stddef.h>
#include <stdint.h>

/* A place is one credential cache, and what belongs to it, at one of the peers
 * that are measured. Each has a context of its own, since krb5.conf says where
 * the KCM server is. */
struct place {
	krb5_context context;
	char *name;      /* of the cache, TYPE:RESIDUAL */
	krb5_ccache cache;
	krb5_principal client;
	int tickets;     /* that are in the cache */
	int tidy;        /* what a step stored is removed again */

	int socket;      /* to the echo, -1: this is a cache */
	size_t request, reply; /* bytes of an exchange with the echo */
};

/* Numbers of services that no filled cache has. */
enum {
	SERVICE_MISSING = 900000,
	SERVICE_OF_CLIENT = 910000, /* and the number of the client */
};

/* now_ns is a clock that only goes forward, in nanoseconds. */
int64_t now_ns(void);

/* tickets.c */
krb5_error_code make_service(struct place *p, int number, krb5_principal *service);
krb5_error_code make_ticket(struct place *p, int number, size_t size, krb5_creds *ticket);
void free_ticket(struct place *p, krb5_creds *ticket);
krb5_error_code fill(struct place *p, krb5_ccache cache, int tickets, size_t size,
    int64_t deadline, int *stored);
krb5_error_code fill_at_once(struct place *p, int tickets, size_t size, int64_t deadline, int *stored);
krb5_error_code resolve_other(struct place *p, const char *suffix, krb5_ccache *cache);

/* steps.c */

/* A step does once what it is called after, and says in *took how many
 * nanoseconds the measured part took. */
typedef krb5_error_code step_function(struct place *p, int64_t *took);

step_function *find_step(const char *name);
void set_client(int number, size_t ticket_size);

/* echo.c */
int connect_to(const char *path);
krb5_error_code exchange(struct place *p, int64_t *took);
int serve_echo(const char *path);

/* gss.c */
int make_contexts(const char *service, int count, int64_t *took, char *why, size_t why_size);

#endif
