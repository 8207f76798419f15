/* The steps: what programs do with a credential cache, a call or two each, and whole
 * programs. */

#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "driver.h"

/* look_up asks as krb5_get_credentials does before it asks a KDC. */
static krb5_error_code
look_up(struct place *p, int number, int64_t *took)
{
	krb5_creds wanted, found;
	krb5_timestamp now;
	krb5_error_code code;

	memset(&wanted, 0, sizeof wanted);
	code = krb5_timeofday(p->context, &now);
	if (code == 0)
		code = make_service(p, number, &wanted.server);
	if (code != 0)
		return code;
	wanted.client = p->client;
	wanted.times.endtime = now;
	MEASURED(took, krb5_cc_retrieve_cred(p->context, p->cache,
	    KRB5_TC_MATCH_TIMES | KRB5_TC_SUPPORTED_KTYPES, &wanted, &found));
	if (code == 0)
		krb5_free_cred_contents(p->context, &found);
	krb5_free_principal(p->context, wanted.server);
	return code;
}

/* step_retrieve looks up one of the tickets, another one each time. */
static krb5_error_code
step_retrieve(struct place *p, int64_t *took)
{
	static unsigned int state;

	if (state == 0)
		state = 1 + (unsigned int)client_number;
	return look_up(p, p->tickets > 0 ? rand_r(&state) % p->tickets : 0, took);
}

static krb5_error_code
step_miss(struct place *p, int64_t *took)
{
	krb5_error_code code = look_up(p, SERVICE_MISSING, took);

	if (code == 0)
		return KRB5_CC_FORMAT; /* nobody has stored this ticket */
	return code == KRB5_CC_NOTFOUND || code == KRB5_CC_NOT_KTYPE ? 0 : code;
}

static krb5_error_code
step_principal(struct place *p, int64_t *took)
{
	krb5_principal found;
	krb5_error_code code;

	MEASURED(took, krb5_cc_get_principal(p->context, p->cache, &found));
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
	while ((code = krb5_cc_next_cred(p->context, p->cache, &cursor, &found)) == 0) {
		n++;
		krb5_free_cred_contents(p->context, &found);
	}
	krb5_cc_end_seq_get(p->context, p->cache, &cursor);
	return code == KRB5_CC_END && n >= p->tickets ? 0 : code;
}

static krb5_error_code
step_iterate(struct place *p, int64_t *took)
{
	krb5_error_code code;

	MEASURED(took, iterate(p));
	return code;
}

/* step_again stores the client's own ticket, which after the first time is in the
 * cache. */
static krb5_error_code
step_again(struct place *p, int64_t *took)
{
	krb5_creds ticket;
	krb5_error_code code = make_ticket(p, SERVICE_OF_CLIENT + client_number, &ticket);

	if (code == 0)
		MEASURED(took, krb5_cc_store_cred(p->context, p->cache, &ticket));
	free_ticket(p, &ticket);
	return code;
}

/* step_store stores a new ticket, and removes it where the type of cache can. */
static krb5_error_code
step_store(struct place *p, int64_t *took)
{
	krb5_creds ticket;
	krb5_error_code code = step_again(p, took);

	if (code != 0 || !p->tidy)
		return code;
	code = make_ticket(p, SERVICE_OF_CLIENT + client_number, &ticket);
	if (code == 0)
		code = krb5_cc_remove_cred(p->context, p->cache, 0, &ticket);
	free_ticket(p, &ticket);
	return code;
}

/* step_replace replaces a cache by three tickets, as kinit does. */
static krb5_error_code
step_replace(struct place *p, int64_t *took)
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
	MEASURED(took, krb5_cc_move(p->context, memory, cache));
	krb5_cc_close(p->context, cache);
	return code;
}

/* list_caches gets the caches and their principals, as "klist -l" does. */
static krb5_error_code
list_caches(struct place *p)
{
	krb5_cccol_cursor cursor;
	krb5_ccache cache;
	krb5_principal found;
	krb5_error_code code;
	int n = 0;

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
	return code == 0 && n == 0 ? KRB5_CC_NOTFOUND : code;
}

static krb5_error_code
step_collection(struct place *p, int64_t *took)
{
	krb5_error_code code;

	MEASURED(took, list_caches(p));
	return code;
}

/* run runs a command and waits for its end. */
static krb5_error_code
run(const char *const *argv)
{
	extern char **environ;
	posix_spawn_file_actions_t files;
	int status, code;
	pid_t pid;

	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	code = posix_spawnp(&pid, argv[0], &files, NULL, (char *const *)argv, environ);
	posix_spawn_file_actions_destroy(&files);
	if (code != 0)
		return code;
	return waitpid(pid, &status, 0) == pid && status == 0 ? 0 : KRB5KRB_ERR_GENERIC;
}

static krb5_error_code
command(struct place *p, int64_t *took, const char *const *argv)
{
	krb5_error_code code;

	setenv("KRB5_CONFIG", p->krb5conf, 1);
	setenv("KRB5CCNAME", p->collection, 1);
	MEASURED(took, run(argv));
	return code;
}

#define COMMAND(name, ...) \
static krb5_error_code \
name(struct place *p, int64_t *took) \
{ \
	return command(p, took, (const char *const []){ __VA_ARGS__, NULL }); \
}

COMMAND(step_kinit, "kinit", "-k", "alice")
COMMAND(step_klist, "klist")
COMMAND(step_klist_all, "klist", "-A")
COMMAND(step_kvno, "kvno", "host/server.kcmd.test")

static const struct {
	const char *name;
	step_function *step;
} steps[] = {
	{ "retrieve", step_retrieve }, { "miss", step_miss }, { "principal", step_principal },
	{ "iterate", step_iterate },
	{ "collection", step_collection }, { "replace", step_replace }, { "store", step_store }, { "again", step_again },
	{ "kinit", step_kinit }, { "klist", step_klist }, { "klist-A", step_klist_all }, { "kvno", step_kvno },
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
