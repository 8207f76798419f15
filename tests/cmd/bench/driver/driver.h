/* The driver of tests/bench: see main.c. */

#ifndef DRIVER_H
#define DRIVER_H

#include <krb5.h>
#include <stddef.h>
#include <stdint.h>

/* A place is a credential cache of one peer. Each has a context of its own, since
 * krb5.conf names the socket of the KCM server. */
struct place {
	krb5_context context;
	char *name;      /* of the cache, TYPE:RESIDUAL */
	krb5_ccache cache;
	krb5_principal client;
	int tickets;     /* in the cache */
	int tidy;        /* the step "store" removes its ticket */

	char *krb5conf, *collection; /* for commands */

	int socket;      /* of the echo; -1 for a cache */
	struct recording *recording; /* to exchange with the echo */
};

/* Services without a ticket in a filled cache. */
enum { SERVICE_MISSING = 900000, SERVICE_OF_CLIENT = 910000 /* and its number */ };

enum { TICKET_SIZE = 1200 };

extern int client_number;

/* now_ns is a monotonic clock in nanoseconds. */
int64_t now_ns(void);

/* MEASURED sets code to the value of an expression, and *took to its nanoseconds. */
#define MEASURED(took, expression) (*(took) = now_ns(), code = (expression), *(took) = now_ns() - *(took))

/* tickets.c */
krb5_error_code make_service(struct place *p, int number, krb5_principal *service);
krb5_error_code make_ticket(struct place *p, int number, krb5_creds *ticket);
void free_ticket(struct place *p, krb5_creds *ticket);
krb5_error_code fill(struct place *p, krb5_ccache cache, int tickets, int64_t deadline, int *stored);
krb5_error_code resolve_other(struct place *p, const char *suffix, krb5_ccache *cache);

/* A step does one thing, and sets *took to the nanoseconds of the measured part. */
typedef krb5_error_code step_function(struct place *p, int64_t *took);

step_function *find_step(const char *name); /* steps.c */

/* canned.c */
step_function exchange;
struct recording *load(const char *path);
int connect_to(const char *path);
int serve_canned(const char *path, const char *recording);

#endif
