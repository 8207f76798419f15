/* Tickets of alice for numbered services. */

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
make_ticket(struct place *p, int number, krb5_creds *ticket)
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
	ticket->ticket.length = TICKET_SIZE;
	ticket->ticket.data = calloc(1, TICKET_SIZE);
	return ticket->keyblock.contents == NULL || ticket->ticket.data == NULL ? ENOMEM : 0;
}

void
free_ticket(struct place *p, krb5_creds *ticket)
{
	ticket->client = NULL;
	krb5_free_cred_contents(p->context, ticket);
}

/* fill initializes a cache and stores tickets one by one, until the deadline. */
krb5_error_code
fill(struct place *p, krb5_ccache cache, int tickets, int64_t deadline, int *stored)
{
	krb5_error_code code = krb5_cc_initialize(p->context, cache, p->client);
	krb5_creds ticket;

	for (*stored = 0; code == 0 && *stored < tickets && now_ns() < deadline; ++*stored) {
		code = make_ticket(p, *stored, &ticket);
		if (code == 0)
			code = krb5_cc_store_cred(p->context, cache, &ticket);
		free_ticket(p, &ticket);
	}
	return code;
}

/* resolve_other opens another cache of the same collection. */
krb5_error_code
resolve_other(struct place *p, const char *suffix, krb5_ccache *cache)
{
	char name[256];

	snprintf(name, sizeof name, "%s%s", p->name, suffix);
	return krb5_cc_resolve(p->context, name, cache);
}
