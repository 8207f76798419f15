/* What is stored: tickets of alice for numbered services. */

#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "driver.h"

/* All names have one length, so that all requests for them have. */
krb5_error_code
make_service(struct place *p, int number, krb5_principal *service)
{
	char name[64];

	snprintf(name, sizeof name, "host/n%06d.kcmd.test@KCMD.TEST", number);
	return krb5_parse_name(p->context, name, service);
}

krb5_error_code
make_ticket(struct place *p, int number, size_t size, krb5_creds *ticket)
{
	static time_t began;
	krb5_error_code code;

	if (began == 0)
		began = time(NULL);
	memset(ticket, 0, sizeof *ticket);
	code = make_service(p, number, &ticket->server);
	if (code != 0)
		return code;
	ticket->client = p->client;
	ticket->keyblock.enctype = ENCTYPE_AES256_CTS_HMAC_SHA1_96;
	ticket->keyblock.length = 32;
	ticket->keyblock.contents = calloc(1, 32);
	ticket->times.authtime = ticket->times.starttime = began;
	ticket->times.endtime = began + 8 * 3600;
	ticket->ticket_flags = TKT_FLG_FORWARDABLE;
	ticket->ticket.length = size;
	ticket->ticket.data = calloc(1, size);
	return ticket->keyblock.contents == NULL || ticket->ticket.data == NULL ? ENOMEM : 0;
}

void
free_ticket(struct place *p, krb5_creds *ticket)
{
	ticket->client = NULL;
	krb5_free_cred_contents(p->context, ticket);
}

/* store_from stores tickets one by one, from number *stored on, until the
 * deadline. */
static krb5_error_code
store_from(struct place *p, krb5_ccache cache, int tickets, size_t size, int64_t deadline, int *stored)
{
	krb5_error_code code = 0;
	krb5_creds ticket;

	while (code == 0 && *stored < tickets && now_ns() < deadline) {
		code = make_ticket(p, *stored, size, &ticket);
		if (code == 0)
			code = krb5_cc_store_cred(p->context, cache, &ticket);
		free_ticket(p, &ticket);
		if (code == 0)
			++*stored;
	}
	return code;
}

/* fill makes a cache of tickets that are stored one by one, until the deadline. */
krb5_error_code
fill(struct place *p, krb5_ccache cache, int tickets, size_t size, int64_t deadline, int *stored)
{
	krb5_error_code code = krb5_cc_initialize(p->context, cache, p->client);

	*stored = 0;
	return code == 0 ? store_from(p, cache, tickets, size, deadline, stored) : code;
}

/* fill_at_once lets the library hand over a whole cache, which some servers take
 * in one request, unless that becomes too large. What is left is stored one by
 * one. */
krb5_error_code
fill_at_once(struct place *p, int tickets, size_t size, int64_t deadline, int *stored)
{
	const int most = (int)((8 << 20) / size);
	krb5_ccache memory;
	krb5_error_code code = krb5_cc_new_unique(p->context, "MEMORY", NULL, &memory);

	if (code != 0)
		return code;
	code = fill(p, memory, tickets < most ? tickets : most, size, INT64_MAX, stored);
	if (code == 0)
		code = krb5_cc_move(p->context, memory, p->cache);
	if (code != 0) {
		krb5_cc_destroy(p->context, memory);
		return code;
	}
	return store_from(p, p->cache, tickets, size, deadline, stored);
}

/* resolve_other opens another cache of the same collection. */
krb5_error_code
resolve_other(struct place *p, const char *suffix, krb5_ccache *cache)
{
	krb5_error_code code;
	char *name;

	if (asprintf(&name, "%s%s", p->name, suffix) < 0)
		return ENOMEM;
	code = krb5_cc_resolve(p->context, name, cache);
	free(name);
	return code;
}
