/*
 * The driver makes libkrb5's calls for tests/bench, so that every type of
 * credential cache is measured by the same calls of the public API. "driver
 * NUMBER" is one client.
 *
 * It reads commands from its standard input, a line each, and answers each with
 * a line: numbers and "ok", or an error and "error". Words are separated by tabs.
 *
 *   place PLACE KRB5CONF DEFAULT NAME TIDY   names a cache
 *   echo PLACE SOCKET RECORDING        makes a place an exchange of recorded requests
 *   fill PLACE TICKETS MS              makes the cache with so many tickets, until time is
 *                                      up; answers how many
 *   caches PLACE CACHES                makes so many other caches, with a ticket each
 *   step PLACE STEP TICKETS COUNT MS   does a step so often, for so long at most, in a
 *                                      cache with so many tickets; answers the
 *                                      nanoseconds of each
 *   clear PLACE                        destroys the caches of the collection
 *
 * "driver canned SOCKET RECORDING" is the server of recorded answers, and "driver
 * record SOCKET RECORDING SERVER" records them.
 */

#include <errno.h>
#include <fcntl.h>
#include <krb5.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "canned.h"

enum { MAX_PLACES = 64, MAX_WORDS = 8, MAX_SAMPLES = 20000 };

static int client_number;

/* A place is a credential cache of one peer. Each has a context of its own, since
 * krb5.conf names the socket of the KCM server. */
struct place {
	krb5_context context;
	krb5_ccache cache;
	krb5_principal client;
	char *krb5conf, *collection, *name; /* TYPE: and TYPE:RESIDUAL */
	int tickets;     /* in the cache, for the present step */
	int tidy;        /* the step "store" removes its ticket */
	int socket;      /* of the echo; -1 for a cache */
	struct recording *recording; /* to exchange with the echo */
};

/* Tickets are alice's, for numbered services. */

enum { TICKET_SIZE = 1200 };

/* Services without a ticket in a filled cache. */
enum { SERVICE_MISSING = 900000, SERVICE_OF_CLIENT = 910000 /* and its number */ };

/* do_once measures a whole step, or what is between these times. */
static int64_t began, ended;

static int64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

#define MEASURED(expression) (began = now_ns(), code = (expression), ended = now_ns())

/* All names have one length, so that all requests for them have. */
static krb5_error_code
make_service(struct place *p, int number, krb5_principal *service)
{
	char name[64];

	snprintf(name, sizeof name, "host/n%06d.kcmd.test@KCMD.TEST", number);
	return krb5_parse_name(p->context, name, service);
}

/* with_ticket stores or removes a ticket. */
static krb5_error_code
with_ticket(struct place *p, krb5_ccache cache, int number,
    krb5_error_code (*call)(krb5_context, krb5_ccache, krb5_creds *))
{
	static char zeros[TICKET_SIZE];
	static time_t start;
	krb5_creds ticket;
	krb5_error_code code;

	if (start == 0)
		start = time(NULL);
	memset(&ticket, 0, sizeof ticket);
	code = make_service(p, number, &ticket.server);
	if (code != 0)
		return code;
	ticket.client = p->client;
	ticket.keyblock.enctype = ENCTYPE_AES256_CTS_HMAC_SHA1_96;
	ticket.keyblock.length = 32;
	ticket.keyblock.contents = (krb5_octet *)zeros;
	ticket.times.authtime = ticket.times.starttime = start;
	ticket.times.endtime = start + 8 * 3600;
	ticket.ticket_flags = TKT_FLG_FORWARDABLE;
	ticket.ticket.length = TICKET_SIZE;
	ticket.ticket.data = zeros;
	MEASURED(call(p->context, cache, &ticket));
	krb5_free_principal(p->context, ticket.server);
	return code;
}

static krb5_error_code
remove_ticket(krb5_context context, krb5_ccache cache, krb5_creds *ticket)
{
	return krb5_cc_remove_cred(context, cache, 0, ticket);
}

/* fill initializes a cache and stores tickets one by one, until the deadline. */
static krb5_error_code
fill(struct place *p, krb5_ccache cache, int tickets, int64_t deadline, int *stored)
{
	krb5_error_code code = krb5_cc_initialize(p->context, cache, p->client);

	for (*stored = 0; code == 0 && *stored < tickets && now_ns() < deadline; ++*stored)
		code = with_ticket(p, cache, *stored, krb5_cc_store_cred);
	return code;
}

/* resolve_other opens another cache of the same collection. */
static krb5_error_code
resolve_other(struct place *p, const char *suffix, krb5_ccache *cache)
{
	char name[256];

	snprintf(name, sizeof name, "%s%s", p->name, suffix);
	return krb5_cc_resolve(p->context, name, cache);
}

/* The steps: what programs do with a credential cache, a call or two each, and whole
 * programs. */

/* look_up asks as krb5_get_credentials does before it asks a KDC. */
static krb5_error_code
look_up(struct place *p, int number)
{
	krb5_creds wanted, found;
	krb5_error_code code;

	memset(&wanted, 0, sizeof wanted);
	code = make_service(p, number, &wanted.server);
	if (code != 0)
		return code;
	wanted.client = p->client;
	krb5_timeofday(p->context, &wanted.times.endtime);
	MEASURED(krb5_cc_retrieve_cred(p->context, p->cache,
	    KRB5_TC_MATCH_TIMES | KRB5_TC_SUPPORTED_KTYPES, &wanted, &found));
	if (code == 0)
		krb5_free_cred_contents(p->context, &found);
	krb5_free_principal(p->context, wanted.server);
	return code;
}

/* retrieve looks up one of the tickets, another one each time. */
static krb5_error_code
retrieve(struct place *p)
{
	static unsigned int state;

	if (state == 0)
		state = 1 + (unsigned int)client_number;
	return look_up(p, p->tickets > 0 ? rand_r(&state) % p->tickets : 0);
}

static krb5_error_code
miss(struct place *p)
{
	krb5_error_code code = look_up(p, SERVICE_MISSING);

	if (code == 0)
		return KRB5_CC_FORMAT; /* nobody has stored this ticket */
	return code == KRB5_CC_NOTFOUND || code == KRB5_CC_NOT_KTYPE ? 0 : code;
}

static krb5_error_code
principal(struct place *p)
{
	krb5_principal found;
	krb5_error_code code;

	MEASURED(krb5_cc_get_principal(p->context, p->cache, &found));
	if (code == 0)
		krb5_free_principal(p->context, found);
	return code;
}

static krb5_error_code
iterate(struct place *p)
{
	krb5_cc_cursor cursor;
	krb5_creds found;
	krb5_error_code code;
	int n = 0;

	code = krb5_cc_start_seq_get(p->context, p->cache, &cursor);
	if (code != 0)
		return code;
	for (; (code = krb5_cc_next_cred(p->context, p->cache, &cursor, &found)) == 0; n++)
		krb5_free_cred_contents(p->context, &found);
	krb5_cc_end_seq_get(p->context, p->cache, &cursor);
	return code == KRB5_CC_END && n >= p->tickets ? 0 : code;
}

/* again stores the client's own ticket, which after the first time is in the cache. */
static krb5_error_code
again(struct place *p)
{
	return with_ticket(p, p->cache, SERVICE_OF_CLIENT + client_number, krb5_cc_store_cred);
}

/* store stores a new ticket, and removes it where the type of cache can. */
static krb5_error_code
store(struct place *p)
{
	krb5_error_code code = again(p);
	int64_t from = began, to = ended;

	if (code == 0 && p->tidy)
		code = with_ticket(p, p->cache, SERVICE_OF_CLIENT + client_number, remove_ticket);
	began = from;
	ended = to;
	return code;
}

/* replace replaces a cache by three tickets, as kinit does. */
static krb5_error_code
replace(struct place *p)
{
	krb5_ccache memory, cache;
	krb5_error_code code = krb5_cc_new_unique(p->context, "MEMORY", NULL, &memory);
	int stored;

	if (code == 0)
		code = fill(p, memory, 3, INT64_MAX, &stored);
	if (code == 0)
		code = resolve_other(p, "-replace", &cache);
	if (code != 0)
		return code;
	MEASURED(krb5_cc_move(p->context, memory, cache));
	krb5_cc_close(p->context, cache);
	return code;
}

/* collection gets the caches and their principals, as "klist -l" does. */
static krb5_error_code
collection(struct place *p)
{
	krb5_cccol_cursor cursor;
	krb5_ccache cache;
	krb5_principal found;
	krb5_error_code code;
	int n = 0;

	code = krb5_cccol_cursor_new(p->context, &cursor);
	if (code != 0)
		return code;
	for (; (code = krb5_cccol_cursor_next(p->context, cursor, &cache)) == 0 && cache != NULL; n++) {
		if (krb5_cc_get_principal(p->context, cache, &found) == 0)
			krb5_free_principal(p->context, found);
		krb5_cc_close(p->context, cache);
	}
	krb5_cccol_cursor_free(p->context, &cursor);
	return code == 0 && n == 0 ? KRB5_CC_NOTFOUND : code;
}

/* run runs a command and waits for its end. */
static krb5_error_code
run(struct place *p, const char *const *argv)
{
	extern char **environ;
	posix_spawn_file_actions_t files;
	int status, code;
	pid_t pid;

	setenv("KRB5_CONFIG", p->krb5conf, 1);
	setenv("KRB5CCNAME", p->collection, 1);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	code = posix_spawnp(&pid, argv[0], &files, NULL, (char *const *)argv, environ);
	posix_spawn_file_actions_destroy(&files);
	if (code != 0)
		return code;
	return waitpid(pid, &status, 0) == pid && status == 0 ? 0 : KRB5KRB_ERR_GENERIC;
}

static const struct {
	const char *name;
	krb5_error_code (*step)(struct place *p);
	const char *command[4];
} steps[] = {
	{ "retrieve", retrieve, { 0 } }, { "miss", miss, { 0 } }, { "principal", principal, { 0 } },
	{ "iterate", iterate, { 0 } }, { "collection", collection, { 0 } }, { "replace", replace, { 0 } },
	{ "store", store, { 0 } }, { "again", again, { 0 } },
	{ "kinit", NULL, { "kinit", "-k", "alice" } }, { "klist", NULL, { "klist" } },
	{ "klist-A", NULL, { "klist", "-A" } }, { "kvno", NULL, { "kvno", "host/server.kcmd.test" } },
};

/* do_once does a step once, or the recorded conversation of an echo. */
static krb5_error_code
do_once(struct place *p, const char *name, int64_t *took)
{
	krb5_error_code code = EINVAL;

	began = now_ns();
	ended = 0;
	if (p->socket >= 0) {
		code = exchange(p->socket, p->recording);
	} else {
		for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
			if (strcmp(steps[i].name, name) == 0)
				code = steps[i].step != NULL ? steps[i].step(p) : run(p, steps[i].command);
		}
	}
	*took = (ended != 0 ? ended : now_ns()) - began;
	return code;
}

/* The commands from standard input. */

static krb5_error_code
do_place(struct place *p, char **words)
{
	krb5_error_code code;

	p->krb5conf = strdup(words[2]);
	p->collection = strdup(words[3]);
	p->name = strdup(words[4]);
	p->tidy = atoi(words[5]);
	p->socket = -1;
	setenv("KRB5_CONFIG", p->krb5conf, 1);
	code = krb5_init_context(&p->context);
	if (code == 0)
		code = krb5_cc_set_default_name(p->context, p->collection);
	if (code == 0)
		code = krb5_parse_name(p->context, "alice@KCMD.TEST", &p->client);
	return code != 0 ? code : krb5_cc_resolve(p->context, p->name, &p->cache);
}

static krb5_error_code
do_echo(struct place *p, char **words)
{
	if (p->recording != NULL)
		close(p->socket);
	p->socket = connect_to(words[2]);
	p->recording = load(words[3]);
	return p->socket < 0 || p->recording == NULL ? errno : 0;
}

static krb5_error_code
do_fill(struct place *p, char **words)
{
	int64_t deadline = now_ns() + atoll(words[3]) * 1000000;
	int stored;
	krb5_error_code code = fill(p, p->cache, atoi(words[2]), deadline, &stored);

	if (code == 0)
		printf("%d\t", stored);
	return code;
}

static krb5_error_code
do_caches(struct place *p, char **words)
{
	krb5_error_code code = 0;
	krb5_ccache cache;
	char suffix[32];
	int stored;

	for (int i = 0; i < atoi(words[2]) && code == 0; i++) {
		snprintf(suffix, sizeof suffix, "-other%d", i);
		code = resolve_other(p, suffix, &cache);
		if (code == 0) {
			code = fill(p, cache, 1, INT64_MAX, &stored);
			krb5_cc_close(p->context, cache);
		}
	}
	return code;
}

static krb5_error_code
do_clear(struct place *p, char **words)
{
	krb5_cccol_cursor cursor;
	krb5_ccache cache;
	krb5_error_code code = krb5_cccol_cursor_new(p->context, &cursor);

	(void)words;
	if (code == 0) {
		while ((code = krb5_cccol_cursor_next(p->context, cursor, &cache)) == 0 && cache != NULL)
			krb5_cc_destroy(p->context, cache);
		krb5_cccol_cursor_free(p->context, &cursor);
	}
	krb5_cc_close(p->context, p->cache); /* its type may remember what is gone */
	return code != 0 ? code : krb5_cc_resolve(p->context, p->name, &p->cache);
}

static krb5_error_code
do_step(struct place *p, char **words)
{
	static int64_t samples[MAX_SAMPLES];
	int n = 0, count = atoi(words[4]);
	int64_t end = now_ns() + atoll(words[5]) * 1000000;
	krb5_error_code code = 0;

	p->tickets = atoi(words[3]);
	while (code == 0 && n < count && n < MAX_SAMPLES && (n == 0 || now_ns() < end))
		code = do_once(p, words[2], &samples[n++]);
	for (int i = 0; i < n && code == 0; i++)
		printf("%lld\t", (long long)samples[i]);
	return code;
}

static const struct {
	const char *name;
	int words;
	krb5_error_code (*obey)(struct place *p, char **words);
} commands[] = {
	{ "place", 6, do_place }, { "echo", 4, do_echo }, { "fill", 4, do_fill },
	{ "caches", 3, do_caches }, { "step", 6, do_step }, { "clear", 2, do_clear },
};

static void
obey(char **words, int n)
{
	static struct place places[MAX_PLACES];
	struct place *p = &places[n > 1 ? atoi(words[1]) % MAX_PLACES : 0];
	krb5_error_code code = EINVAL;

	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
		if (n == commands[i].words && strcmp(words[0], commands[i].name) == 0)
			code = commands[i].obey(p, words);
	}
	if (code == 0)
		printf("ok\n");
	else
		printf("%s\terror\n", p->context != NULL ? krb5_get_error_message(p->context, code) : strerror(code));
	fflush(stdout);
}

int
main(int argc, char **argv)
{
	char *line = NULL, *words[MAX_WORDS], *rest;
	size_t size = 0;
	int n;

	if (argc == 4 || argc == 5)
		return serve_canned(argv[2], argv[3], argv[4]);
	if (argc != 2) {
		fprintf(stderr, "usage: driver NUMBER | canned SOCKET RECORDING | record SOCKET RECORDING SERVER\n");
		return 2;
	}
	client_number = atoi(argv[1]);
	while (getline(&line, &size, stdin) > 0) {
		line[strcspn(line, "\n")] = '\0';
		rest = line;
		for (n = 0; n < MAX_WORDS && rest != NULL; n++)
			words[n] = strsep(&rest, "\t");
		obey(words, n);
	}
	return 0;
}
