/*
 * The canned server is the lower bound for every server: it reads a request, framed
 * as KCM's are, and sends a recorded answer. A thread for each connection waits in
 * recv(), the quickest way of the kernel.
 *
 * A recording is a file of requests, each followed by its reply, with their headers.
 * To record, the same server passes requests on to kcmd. And it is the echo of a client
 * without libkrb5 (exchange), which sends the recorded requests.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "canned.h"

/* The length of a request counts what follows it; that of a reply does not count the
 * outer status. The requests have an opcode behind two bytes of version. */
enum { REQUEST_HEADER = 4, REPLY_HEADER = 8, OPCODE = REQUEST_HEADER + 2, SMALLEST = 8, LARGEST = 16 << 20 };

struct recorded {
	const uint8_t *request, *reply;
	size_t request_size, reply_size;
};

struct recording {
	struct recorded *all;
	size_t count;
};

static uint32_t
uint32_at(const uint8_t *b)
{
	uint32_t n;

	memcpy(&n, b, sizeof n);
	return ntohl(n);
}

static unsigned int
opcode_of(const uint8_t *request)
{
	return request[OPCODE] << 8 | request[OPCODE + 1];
}

/* next_answer returns the next recorded answer to a request with the same opcode: clients
 * repeat the recorded conversation. */
static const struct recorded *
next_answer(const struct recording *r, const uint8_t *request)
{
	static _Atomic size_t next;
	size_t at = next;

	for (size_t i = 0; i < r->count; i++, at++) {
		if (opcode_of(r->all[at % r->count].request) == opcode_of(request)) {
			next = at + 1;
			return &r->all[at % r->count];
		}
	}
	return NULL;
}

struct recording *
load(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	uint8_t *at;
	const uint8_t *end;
	struct recording *r = calloc(1, sizeof *r);

	if (r == NULL || fd < 0 || fstat(fd, &st) != 0 || (at = malloc((size_t)st.st_size + 1)) == NULL ||
	    read(fd, at, (size_t)st.st_size) != st.st_size ||
	    (r->all = calloc((size_t)st.st_size / SMALLEST + 1, sizeof *r->all)) == NULL)
		return NULL;
	close(fd);
	for (end = at + st.st_size; end - at >= SMALLEST; r->count++) {
		struct recorded *one = &r->all[r->count];

		one->request = at;
		one->request_size = REQUEST_HEADER + uint32_at(at);
		one->reply = at += one->request_size;
		one->reply_size = REPLY_HEADER + uint32_at(at);
		at += one->reply_size;
	}
	return r;
}

static int
address_of(const char *path, struct sockaddr_un *address)
{
	memset(address, 0, sizeof *address);
	address->sun_family = AF_UNIX;
	strncpy(address->sun_path, path, sizeof address->sun_path - 1);
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

/* Both transfer all bytes, or fail. */
#define RECEIVE(fd, buf, size) (recv((fd), (buf), (size), MSG_WAITALL) == (ssize_t)(size))
#define SEND(fd, buf, size) (send((fd), (buf), (size), MSG_NOSIGNAL) == (ssize_t)(size))

static const struct recording *answers; /* NULL to record */
static const char *recorded_server;
static int record; /* the file */

/* receive_request reads a request with as few calls as there can be: a client sends it
 * at once, and nothing behind it before the reply. */
static size_t
receive_request(int fd, uint8_t *buf)
{
	ssize_t got = recv(fd, buf, LARGEST, 0);
	size_t size;

	if (got < REQUEST_HEADER)
		return 0;
	size = REQUEST_HEADER + uint32_at(buf);
	if (size < SMALLEST || size > LARGEST || (size_t)got > size)
		return 0;
	return (size_t)got == size || RECEIVE(fd, buf + got, size - (size_t)got) ? size : 0;
}

/* ask gets the reply of the recorded server, and records both. */
static size_t
ask(int server, const uint8_t *request, size_t size, uint8_t *reply)
{
	size_t rest;

	if (!SEND(server, request, size) || !RECEIVE(server, reply, REPLY_HEADER))
		return 0;
	rest = uint32_at(reply);
	if (rest > LARGEST - REPLY_HEADER || !RECEIVE(server, reply + REPLY_HEADER, rest) ||
	    write(record, request, size) < 0 || write(record, reply, REPLY_HEADER + rest) < 0)
		return 0;
	return REPLY_HEADER + rest;
}

static void *
serve(void *arg)
{
	int fd = (int)(intptr_t)arg, server = answers == NULL ? connect_to(recorded_server) : -1;
	uint8_t *request = malloc(LARGEST), *buf = malloc(LARGEST);
	const uint8_t *reply = buf;
	const struct recorded *found;
	size_t size;

	while (request != NULL && buf != NULL && (size = receive_request(fd, request)) > 0) {
		if (answers == NULL) {
			size = ask(server, request, size, buf);
		} else {
			found = next_answer(answers, request);
			size = found != NULL ? found->reply_size : 0;
			reply = found != NULL ? found->reply : NULL;
		}
		if (size == 0 || !SEND(fd, reply, size))
			break;
	}
	free(request);
	free(buf);
	close(server);
	close(fd);
	return NULL;
}

int
serve_canned(const char *path, const char *recording, const char *server)
{
	struct sockaddr_un address;
	pthread_t thread;
	int fd, listener = address_of(path, &address);

	recorded_server = server;
	if (server == NULL)
		answers = load(recording);
	else
		record = open(recording, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	unlink(path); /* of the server before */
	if ((answers != NULL || server != NULL) && record >= 0 && listener >= 0 &&
	    bind(listener, (struct sockaddr *)&address, sizeof address) == 0 && listen(listener, 128) == 0) {
		while ((fd = accept(listener, NULL, NULL)) >= 0) {
			if (pthread_create(&thread, NULL, serve, (void *)(intptr_t)fd) == 0)
				pthread_detach(thread);
			else
				close(fd);
		}
	}
	perror("driver: cannot serve recorded answers");
	return 1;
}

int
connect_to(const char *path)
{
	struct sockaddr_un address;
	int fd = address_of(path, &address);

	if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

int
exchange(int fd, const struct recording *recording)
{
	static uint8_t *buf;

	if (buf == NULL && (buf = malloc(LARGEST)) == NULL)
		return ENOMEM;
	for (size_t i = 0; i < recording->count; i++) {
		const struct recorded *one = &recording->all[i];

		if (!SEND(fd, one->request, one->request_size) || !RECEIVE(fd, buf, one->reply_size))
			return EIO;
	}
	return 0;
}
