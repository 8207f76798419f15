/* The steps: what programs do with a credential cache, a call or two each. */

#include <string.h>

#include "driver.h"

static int client_number;
static size_t ticket_size = 1200;
static unsigned int random_state;

void
set_client(int number, size_t size)
{
	client_number = number;
	ticket_size = size;
	random_state = 12345 + 7919u * number;
}

/* some_service is the number of one of the tickets, another one each time. */
static int
some_service(struct place *p)
{
	random_state = random_state * 1103515245u + 12345u;
	return p->tickets > 0 ? (int)((random_state >> 8) % (unsigned int)p->tickets) : 0;
}

/* look_up asks as krb5_get_credentials does before it asks a KDC. */
static krb5_error_code
look_up(struct place *p, int number, int64_t *took)
{
	krb5_creds wanted, found;
	krb5_timestamp now;
	krb5_error_code code;
	int64_t start;

	memset(&wanted, 0, sizeof wanted);
	code = krb5_timeofday(p->context, &now);
	if (code == 0)
		code = make_service(p, number, &wanted.server);
	if (code != 0)
		return code;
	wanted.client = p->client;
	wanted.times.endtime = now;
	start = now_ns();
	code = krb5_cc_retrieve_cred(p->context, p->cache,
	    KRB5_TC_MATCH_TIMES | KRB5_TC_SUPPORTED_KTYPES, &wanted, &found);
	*took = now_ns() - start;
	krb5_free_principal(p->context, wanted.server);
	if (code == 0)
		krb5_free_cred_contents(p->context, &found);
	return code;
}

static krb5_error_code
step_retrieve(struct place *p, int64_t *took)
{
	return look_up(p, some_service(p), took);
}

static krb5_error_code
step_miss(struct place *p, int64_t *took)
{
	krb5_error_code code = look_up(p, SERVICE_MISSING, took);

	if (code == 0)
		return KRB5_CC_FORMAT; /* found what nobody has stored */
	return code == KRB5_CC_NOTFOUND || code == KRB5_CC_NOT_KTYPE ? 0 : code;
}

static krb5_error_code
step_iterate(struct place *p, int64_t *took)
{
	krb5_cc_cursor cursor;
	krb5_creds found;
	krb5_error_code code;
	int n = 0;
	int64_t start = now_ns();

	code = krb5_cc_start_seq_get(p->context, p->cache, &cursor);
	if (code != 0)
		return code;
	while ((code = krb5_cc_next_cred(p->context, p->cache, &cursor, &found)) == 0) {
		n++;
		krb5_free_cred_contents(p->context, &found);
	}
	krb5_cc_end_seq_get(p->context, p->cache, &cursor);
	*took = now_ns() - start;
	if (code == KRB5_CC_END)
		code = 0;
	return code == 0 && n < p->tickets ? KRB5_CC_END : code;
}

/* step_open is what a program does first. */
static krb5_error_code
step_open(struct place *p, int64_t *took)
{
	krb5_ccache cache;
	krb5_principal found;
	int64_t start = now_ns();
	krb5_error_code code = krb5_cc_resolve(p->context, p->name, &cache);

	if (code != 0)
		return code;
	code = krb5_cc_get_principal(p->context, cache, &found);
	krb5_cc_close(p->context, cache);
	*took = now_ns() - start;
	if (code == 0)
		krb5_free_principal(p->context, found);
	return code;
}

static krb5_error_code
store(struct place *p, int64_t *took)
{
	krb5_creds ticket;
	krb5_error_code code = make_ticket(p, SERVICE_OF_CLIENT + client_number, ticket_size, &ticket);
	int64_t start = now_ns();

	if (code == 0)
		code = krb5_cc_store_cred(p->context, p->cache, &ticket);
	*took = now_ns() - start;
	free_ticket(p, &ticket);
	return code;
}

static krb5_error_code
take_away(struct place *p, int64_t *took)
{
	krb5_creds ticket;
	krb5_error_code code = make_ticket(p, SERVICE_OF_CLIENT + client_number, ticket_size, &ticket);
	int64_t start = now_ns();

	if (code == 0)
		code = krb5_cc_remove_cred(p->context, p->cache, 0, &ticket);
	*took = now_ns() - start;
	free_ticket(p, &ticket);
	return code;
}

/* step_store stores a ticket that is not there, and takes it away unless that
 * leaves something or is not possible. */
static krb5_error_code
step_store(struct place *p, int64_t *took)
{
	krb5_error_code code = store(p, took);
	int64_t other;

	return code == 0 && p->tidy ? take_away(p, &other) : code;
}

/* step_again stores what is there. */
static krb5_error_code
step_again(struct place *p, int64_t *took)
{
	return store(p, took);
}

/* step_replace puts three tickets in the place of what a cache has, as kinit
 * does. */
static krb5_error_code
step_replace(struct place *p, int64_t *took)
{
	krb5_ccache memory, cache;
	krb5_error_code code = krb5_cc_new_unique(p->context, "MEMORY", NULL, &memory);
	int stored;
	int64_t start;

	if (code != 0)
		return code;
	code = fill(p, memory, 3, ticket_size, INT64_MAX, &stored);
	if (code == 0)
		code = resolve_other(p, "-replace", &cache);
	if (code != 0) {
		krb5_cc_destroy(p->context, memory);
		return code;
	}
	start = now_ns();
	code = krb5_cc_move(p->context, memory, cache);
	*took = now_ns() - start;
	if (code != 0)
		krb5_cc_destroy(p->context, memory);
	krb5_cc_close(p->context, cache);
	return code;
}

/* step_switch changes which cache is the default, to and fro. */
static krb5_error_code
step_switch(struct place *p, int64_t *took)
{
	static int other;
	krb5_ccache cache;
	krb5_error_code code = resolve_other(p, other ? "-other0" : "", &cache);
	int64_t start = now_ns();

	if (code != 0)
		return code;
	other = !other;
	code = krb5_cc_switch(p->context, cache);
	*took = now_ns() - start;
	krb5_cc_close(p->context, cache);
	return code;
}

/* step_collection lists the caches and whose they are, as "klist -l" does. */
static krb5_error_code
step_collection(struct place *p, int64_t *took)
{
	krb5_cccol_cursor cursor;
	krb5_ccache cache;
	krb5_principal found;
	krb5_error_code code;
	int n = 0;
	int64_t start = now_ns();

	code = krb5_cccol_cursor_new(p->context, &cursor);
	if (code != 0)
		return code;
	while ((code = krb5_cccol_cursor_next(p->context, cursor, &cache)) == 0 && cache != NULL) {
		n++;
		if (krb5_cc_get_principal(p->context, cache, &found) == 0)
			krb5_free_principal(p->context, found);
		krb5_cc_close(p->context, cache);
	}
	krb5_cccol_cursor_free(p->context, &cursor);
	*took = now_ns() - start;
	return code == 0 && n == 0 ? KRB5_CC_NOTFOUND : code;
}

/* step_destroy destroys a cache of three tickets. */
static krb5_error_code
step_destroy(struct place *p, int64_t *took)
{
	krb5_ccache cache;
	krb5_error_code code = resolve_other(p, "-destroy", &cache);
	int stored;
	int64_t start;

	if (code != 0)
		return code;
	code = fill(p, cache, 3, ticket_size, INT64_MAX, &stored);
	if (code != 0) {
		krb5_cc_close(p->context, cache);
		return code;
	}
	start = now_ns();
	code = krb5_cc_destroy(p->context, cache);
	*took = now_ns() - start;
	return code;
}

static const struct {
	const char *name;
	step_function *step;
} steps[] = {
	{ "open", step_open },
	{ "retrieve", step_retrieve },
	{ "miss", step_miss },
	{ "iterate", step_iterate },
	{ "collection", step_collection },
	{ "switch", step_switch },
	{ "replace", step_replace },
	{ "destroy", step_destroy },
	{ "store", step_store },
	{ "again", step_again },
};

step_function *
find_step(const char *name)
{
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		if (strcmp(steps[i].name, name) == 0)
			return steps[i].step;
	}
	return NULL;
}
