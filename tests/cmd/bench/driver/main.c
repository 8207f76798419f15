/*
 * The driver makes libkrb5's calls for tests/bench, so that every type of
 * credential cache is measured by the same calls of the public API. "driver
 * NUMBER" is one client.
 *
 * It reads commands from its standard input, a line each, and answers each with
 * a line that begins with "ok", "slow" (time was up) or "error". The words of a
 * command are separated by tabs.
 *
 *   place PLACE KRB5CONF DEFAULT NAME TIDY   names a cache
 *   echo PLACE SOCKET RECORDING        makes a place an exchange of recorded requests
 *   fill PLACE TICKETS HOW MS          "make"s the cache, with so many tickets, or says
 *                                      that they are "there"
 *   caches PLACE CACHES                makes so many other caches, with a ticket each
 *   step PLACE STEP COUNT MS CPU       does a step so often, for so long at most, on one
 *                                      processor, or -1; answers the nanoseconds of each
 *   clear PLACE                        destroys the caches of the collection
 *
 * "driver canned SOCKET RECORDING" is the server of recorded answers.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "driver.h"

enum { MAX_PLACES = 64, MAX_WORDS = 8, MAX_SAMPLES = 20000 };

int client_number;

int64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* answer ends the answer to a command: "ok", or libkrb5's text of an error. */
static void
answer(struct place *p, const char *what, krb5_error_code code)
{
	const char *text;

	if (code == 0) {
		printf("ok\n");
		return;
	}
	text = p->socket >= 0 ? strerror(errno) : krb5_get_error_message(p->context, code);
	printf("error\t%s: %s\n", what, text);
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
	p->krb5conf = strdup(words[2]);
	p->collection = strdup(words[3]);
	p->name = strdup(words[4]);
	p->tidy = atoi(words[5]);
	p->socket = -1;
	if (code == 0)
		code = krb5_cc_resolve(p->context, p->name, &p->cache);
	answer(p, "cannot open the cache", code);
}

static void
do_echo(struct place *p, char **words)
{
	if (p->recording != NULL)
		close(p->socket);
	p->socket = connect_to(words[2]);
	p->recording = load(words[3]);
	if (p->socket < 0 || p->recording == NULL)
		printf("error\tcannot connect to the echo: %s\n", strerror(errno));
	else
		answer(p, "", 0);
}

static void
do_fill(struct place *p, char **words)
{
	int tickets = atoi(words[2]);
	int64_t deadline = now_ns() + atoll(words[4]) * 1000000;
	krb5_error_code code = 0;

	p->tickets = tickets;
	if (strcmp(words[3], "make") == 0)
		code = fill(p, p->cache, tickets, deadline, &p->tickets);
	if (code == 0 && p->tickets < tickets)
		printf("slow\t%d\n", p->tickets);
	else
		answer(p, "cannot store the tickets", code);
}

static void
do_caches(struct place *p, char **words)
{
	krb5_error_code code = 0;
	krb5_ccache cache;
	char suffix[32];
	int stored;

	for (int i = 0; i < atoi(words[2]) && code == 0; i++) {
		snprintf(suffix, sizeof suffix, "-other%d", i);
		code = resolve_other(p, suffix, &cache);
		if (code != 0)
			break;
		code = fill(p, cache, 1, INT64_MAX, &stored);
		krb5_cc_close(p->context, cache);
	}
	answer(p, "cannot make the caches", code);
}

static void
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
	if (code == 0)
		code = krb5_cc_resolve(p->context, p->name, &p->cache);
	answer(p, "cannot destroy the caches", code);
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
	CPU_ZERO(&one);
	if (processor >= 0 && CPU_ISSET(processor, &all))
		CPU_SET(processor, &one);
	else
		one = all;
	if (known)
		sched_setaffinity(0, sizeof one, &one);
}

static void
do_step(struct place *p, char **words)
{
	static int64_t samples[MAX_SAMPLES];
	step_function *step = p->socket >= 0 ? exchange : find_step(words[2]);
	int n = 0, count = atoi(words[3]);
	int64_t end;
	krb5_error_code code = step == NULL ? EINVAL : 0;

	stay_on(atoi(words[5]));
	end = now_ns() + atoll(words[4]) * 1000000;
	while (code == 0 && n < count && n < MAX_SAMPLES && (n == 0 || now_ns() < end))
		code = step(p, &samples[n++]);
	if (code != 0) {
		answer(p, words[2], code);
		return;
	}
	printf("ok");
	for (int i = 0; i < n; i++)
		printf("\t%lld", (long long)samples[i]);
	printf("\n");
}

/* commands has the number of words of each command, with its name. */
static const struct {
	const char *name;
	int words;
	void (*obey)(struct place *p, char **words);
} commands[] = {
	{ "place", 6, do_place }, { "echo", 4, do_echo }, { "fill", 5, do_fill },
	{ "caches", 3, do_caches }, { "step", 6, do_step }, { "clear", 2, do_clear },
};

static void
obey(char **words, int n)
{
	static struct place places[MAX_PLACES];

	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
		if (n == commands[i].words && strcmp(words[0], commands[i].name) == 0) {
			commands[i].obey(&places[strtoul(words[1], NULL, 10) % MAX_PLACES], words);
			return;
		}
	}
	printf("error\tbad command\n");
}

int
main(int argc, char **argv)
{
	char *line = NULL, *words[MAX_WORDS], *rest;
	size_t size = 0;
	int n;

	if (argc == 4 && strcmp(argv[1], "canned") == 0)
		return serve_canned(argv[2], argv[3]);
	if (argc != 2) {
		fprintf(stderr, "usage: driver NUMBER | canned SOCKET RECORDING\n");
		return 2;
	}
	client_number = atoi(argv[1]);
	while (getline(&line, &size, stdin) > 0) {
		line[strcspn(line, "\n")] = '\0';
		rest = line;
		for (n = 0; n < MAX_WORDS && rest != NULL; n++)
			words[n] = strsep(&rest, "\t");
		obey(words, n);
		fflush(stdout);
	}
	free(line);
	return 0;
}
