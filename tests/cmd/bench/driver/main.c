/*
 * The driver makes libkrb5's calls for tests/bench, so that every type of
 * credential cache is measured by the same calls of the public API. One driver
 * is one client.
 *
 * It reads commands from its standard input, a line each, and answers each with
 * a line that begins with "ok", "slow" (time was up) or "error". The words of a
 * command are separated by tabs.
 *
 *   client NUMBER BYTES                who this is, and how large its tickets are
 *   place PLACE KRB5CONF DEFAULT NAME TIDY   names a cache
 *   echo PLACE SOCKET REQUEST REPLY    has a place be an exchange of so many bytes
 *   fill PLACE TICKETS HOW MS          makes the cache, with so many tickets, one by
 *                                      "one" or "together"; or they are "there"
 *   caches PLACE CACHES                makes so many other caches, with a ticket each
 *   step PLACE STEP COUNT MS CPU       does a step so often, for so long at most, on one
 *                                      processor, or -1
 *   clear PLACE CACHES                 destroys all that it made
 *   gss SERVICE COUNT                  makes GSSAPI contexts with a cached ticket
 *
 * "step" and "gss" answer with the nanoseconds of each.
 *
 * "driver echo SOCKET" is the server for echo.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "driver.h"

enum { MAX_PLACES = 64, MAX_WORDS = 8, MAX_SAMPLES = 20000 };

static struct place places[MAX_PLACES];
static size_t ticket_size = 1200;
static int64_t samples[MAX_SAMPLES];

int64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* answer_error says what libkrb5 says of an error. */
static void
answer_error(struct place *p, const char *what, krb5_error_code code)
{
	const char *text = krb5_get_error_message(p->context, code);

	printf("error\t%s: %s\n", what, text);
	krb5_free_error_message(p->context, text);
}

static void
do_place(struct place *p, char **words)
{
	krb5_error_code code;

	setenv("KRB5_CONFIG", words[2], 1);
	code = krb5_init_context(&p->context);
	if (code == 0)
		code = krb5_cc_set_default_name(p->context, words[3]);
	if (code == 0)
		code = krb5_parse_name(p->context, "alice@KCMD.TEST", &p->client);
	p->name = strdup(words[4]);
	p->tidy = atoi(words[5]);
	p->socket = -1;
	if (code == 0)
		code = krb5_cc_resolve(p->context, p->name, &p->cache);
	if (code != 0)
		answer_error(p, "cannot open the cache", code);
	else
		printf("ok\n");
}

static void
do_echo(struct place *p, char **words)
{
	p->socket = connect_to(words[2]);
	p->request = strtoul(words[3], NULL, 10);
	p->reply = strtoul(words[4], NULL, 10);
	if (p->socket < 0)
		printf("error\tcannot connect to the echo: %s\n", strerror(errno));
	else
		printf("ok\n");
}

static void
do_fill(struct place *p, char **words)
{
	int tickets = atoi(words[2]), stored = tickets;
	int64_t deadline = now_ns() + atoll(words[4]) * 1000000;
	krb5_error_code code = 0;

	if (strcmp(words[3], "together") == 0)
		code = fill_at_once(p, tickets, ticket_size, deadline, &stored);
	else if (strcmp(words[3], "one") == 0)
		code = fill(p, p->cache, tickets, ticket_size, deadline, &stored);
	p->tickets = stored;
	if (code != 0)
		answer_error(p, "cannot store the tickets", code);
	else
		printf("%s\t%d\n", stored < tickets ? "slow" : "ok", stored);
}

/* do_caches makes or destroys the other caches of a place. */
static void
do_caches(struct place *p, int caches, int destroy)
{
	krb5_error_code code = 0;
	krb5_ccache cache;
	char suffix[32];
	int stored;

	for (int i = 0; i < caches && code == 0; i++) {
		snprintf(suffix, sizeof suffix, "-other%d", i);
		code = resolve_other(p, suffix, &cache);
		if (code != 0)
			break;
		if (destroy) {
			krb5_cc_destroy(p->context, cache);
			continue;
		}
		code = fill(p, cache, 1, ticket_size, INT64_MAX, &stored);
		krb5_cc_close(p->context, cache);
	}
	if (code != 0)
		answer_error(p, "cannot make the caches", code);
	else
		printf("ok\n");
}

static void
do_clear(struct place *p, char **words)
{
	static const char *const made[] = { "-replace", "-destroy", NULL };
	krb5_ccache cache;

	for (int i = 0; made[i] != NULL; i++) {
		if (resolve_other(p, made[i], &cache) == 0)
			krb5_cc_destroy(p->context, cache);
	}
	krb5_cc_destroy(p->context, p->cache);
	p->tickets = 0;
	if (krb5_cc_resolve(p->context, p->name, &p->cache) != 0) {
		printf("error\tcannot open the cache again\n");
		return;
	}
	do_caches(p, atoi(words[2]), 1);
}

static void
answer_samples(int n)
{
	printf("ok");
	for (int i = 0; i < n; i++)
		printf("\t%lld", (long long)samples[i]);
	printf("\n");
}

/* stay_on has the client run on one processor only, or anywhere again. */
static void
stay_on(int processor)
{
	static cpu_set_t all;
	static int known;
	cpu_set_t one;

	if (!known)
		known = sched_getaffinity(0, sizeof all, &all) == 0;
	if (!known)
		return;
	CPU_ZERO(&one);
	if (processor >= 0 && CPU_ISSET(processor, &all)) {
		CPU_SET(processor, &one);
		sched_setaffinity(0, sizeof one, &one);
	} else
		sched_setaffinity(0, sizeof all, &all);
}

static void
do_step(struct place *p, char **words)
{
	step_function *step = p->socket >= 0 ? exchange : find_step(words[2]);
	int n = 0, count = atoi(words[3]);
	int64_t end;
	krb5_error_code code = 0;

	if (step == NULL) {
		printf("error\tunknown step %s\n", words[2]);
		return;
	}
	stay_on(atoi(words[5]));
	end = now_ns() + atoll(words[4]) * 1000000;
	if (count > MAX_SAMPLES)
		count = MAX_SAMPLES;
	do {
		code = step(p, &samples[n]);
		n++;
	} while (code == 0 && n < count && now_ns() < end);
	if (code == 0)
		answer_samples(n);
	else if (p->socket >= 0)
		printf("error\tthe echo does not answer: %s\n", strerror(errno));
	else
		answer_error(p, words[2], code);
}

static void
do_gss(char **words)
{
	int count = atoi(words[2]);
	char why[256];

	if (count > MAX_SAMPLES)
		count = MAX_SAMPLES;
	if (make_contexts(words[1], count, samples, why, sizeof why) != 0)
		printf("error\t%s\n", why);
	else
		answer_samples(count);
}

/* commands says how many words each command has, with itself. */
static const struct {
	const char *name;
	int words;
} commands[] = {
	{ "client", 3 }, { "place", 6 }, { "echo", 5 }, { "fill", 5 },
	{ "caches", 3 }, { "step", 6 }, { "clear", 3 }, { "gss", 3 },
};

static int
known(char **words, int n)
{
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
		if (n > 0 && strcmp(words[0], commands[i].name) == 0)
			return n == commands[i].words;
	}
	return 0;
}

static void
obey(char **words)
{
	int number = atoi(words[1]);
	struct place *p = &places[number];

	if (strcmp(words[0], "client") == 0) {
		ticket_size = strtoul(words[2], NULL, 10);
		set_client(number, ticket_size);
		printf("ok\n");
		return;
	}
	if (strcmp(words[0], "gss") == 0) {
		do_gss(words);
		return;
	}
	if (number < 0 || number >= MAX_PLACES) {
		printf("error\tthere are %d places\n", MAX_PLACES);
		return;
	}
	if (strcmp(words[0], "place") == 0)
		do_place(p, words);
	else if (strcmp(words[0], "echo") == 0)
		do_echo(p, words);
	else if (strcmp(words[0], "fill") == 0)
		do_fill(p, words);
	else if (strcmp(words[0], "caches") == 0)
		do_caches(p, atoi(words[2]), 0);
	else if (strcmp(words[0], "step") == 0)
		do_step(p, words);
	else
		do_clear(p, words);
}

int
main(int argc, char **argv)
{
	char *line = NULL, *words[MAX_WORDS], *rest;
	size_t size = 0;
	int n;

	if (argc == 3 && strcmp(argv[1], "echo") == 0)
		return serve_echo(argv[2]);
	if (argc != 1) {
		fprintf(stderr, "usage: driver [echo SOCKET]\n");
		return 2;
	}
	while (getline(&line, &size, stdin) > 0) {
		line[strcspn(line, "\n")] = '\0';
		rest = line;
		for (n = 0; n < MAX_WORDS && rest != NULL; n++)
			words[n] = strsep(&rest, "\t");
		if (known(words, n))
			obey(words);
		else
			printf("error\tbad command\n");
		fflush(stdout);
	}
	free(line);
	return 0;
}
