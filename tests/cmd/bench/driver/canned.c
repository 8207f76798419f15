/*
 * The canned server is the lower bound for every server: it reads a request, framed
 * as KCM's are, and sends a recorded answer. A thread for each connection waits in
 * recv(), the quickest way of the kernel.
 *
 * A recording is a file of requests, each followed by its reply, with their headers.
 * The same server is the echo of a client without libkrb5 (exchange), which sends
 * the recorded requests.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "driver.h"

/* The length of a request counts what follows it; that of a reply does not count the
 * outer status. The requests have an opcode behind two bytes of version. */
enum { REQUEST_HEADER = 4, REPLY_HEADER = 8, OPCODE = REQUEST_HEADER + 2, SMALLEST = 8, LARGEST = 16 << 20 };

enum { OP_STORE = 6, OP_RETRIEVE = 7, OP_REPLACE = 13002, OPCODES = 1 << 16 };

/* MATCH_END is what RETRIEVE has behind the names of client and server: times, a byte,
 * and flags. */
enum { MATCH_END = 16 + 1 + 4 };

struct recorded {
	const uint8_t *request, *reply;
	size_t request_size, reply_size;
	const struct recorded *next; /* of the same slot */
};

enum { SLOTS = 1 << 14 };

struct recording {
	struct recorded *all;
	size_t count;
	const struct recorded *slots[SLOTS];
	const struct recorded *last[OPCODES]; /* for a request that was not recorded */
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

/* key_size returns how much of a request says which answer it gets: the times and keys
 * in the rest are other ones in each conversation. */
static size_t
key_size(const uint8_t *request, size_t size)
{
	switch (opcode_of(request)) {
	case OP_STORE:
	case OP_REPLACE:
		return SMALLEST;
	case OP_RETRIEVE:
		return size > SMALLEST + MATCH_END ? size - MATCH_END : size;
	}
	return size;
}

static unsigned int
slot_of(const uint8_t *key, size_t size)
{
	uint64_t hash = size, word;

	for (; size >= sizeof word; key += sizeof word, size -= sizeof word) {
		memcpy(&word, key, sizeof word);
		hash = (hash ^ word) * 0x9e3779b97f4a7c15;
		hash ^= hash >> 29;
	}
	while (size-- > 0)
		hash = (hash ^ *key++) * 0x9e3779b97f4a7c15;
	return (hash >> 40) % SLOTS;
}

static const struct recorded *
find(const struct recording *r, const uint8_t *request, size_t size)
{
	size_t key = key_size(request, size);
	const struct recorded *found = r->slots[slot_of(request, key)];

	for (; found != NULL; found = found->next) {
		if (key_size(found->request, found->request_size) == key && memcmp(found->request, request, key) == 0)
			return found;
	}
	return r->last[opcode_of(request)];
}

/* read_file returns the bytes of a file. */
static uint8_t *
read_file(const char *path, size_t *size)
{
	FILE *file = fopen(path, "r");
	uint8_t *bytes = NULL;
	long end;

	*size = 0;
	if (file == NULL)
		return NULL;
	if (fseek(file, 0, SEEK_END) == 0 && (end = ftell(file)) >= 0 && (bytes = malloc((size_t)end + 1)) != NULL) {
		rewind(file);
		*size = fread(bytes, 1, (size_t)end, file);
	}
	fclose(file);
	return bytes;
}

/* load returns the recording in a file, or NULL. */
struct recording *
load(const char *path)
{
	size_t size;
	const uint8_t *at = read_file(path, &size), *end = at + size;
	struct recording *r = calloc(1, sizeof *r);

	if (at == NULL || r == NULL || (r->all = calloc(size / SMALLEST + 1, sizeof *r->all)) == NULL)
		return NULL;
	while (end - at >= SMALLEST) {
		struct recorded *one = &r->all[r->count++];
		unsigned int slot;

		one->request = at;
		one->request_size = REQUEST_HEADER + uint32_at(at);
		one->reply = at += one->request_size;
		one->reply_size = REPLY_HEADER + uint32_at(at);
		at += one->reply_size;
		r->last[opcode_of(one->request)] = one;
		slot = slot_of(one->request, key_size(one->request, one->request_size));
		one->next = r->slots[slot];
		r->slots[slot] = one;
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

static const struct recording *answers;

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

static void *
serve(void *arg)
{
	int fd = (int)(intptr_t)arg;
	uint8_t *buf = malloc(LARGEST);
	const struct recorded *found;
	size_t size;

	while (buf != NULL && (size = receive_request(fd, buf)) > 0) {
		found = find(answers, buf, size);
		if (found == NULL || !SEND(fd, found->reply, found->reply_size))
			break;
	}
	free(buf);
	close(fd);
	return NULL;
}

int
serve_canned(const char *path, const char *recording)
{
	struct sockaddr_un address;
	pthread_t thread;
	int fd, listener = address_of(path, &address);

	answers = load(recording);
	unlink(path); /* of the server before */
	if (answers != NULL && listener >= 0 && bind(listener, (struct sockaddr *)&address, sizeof address) == 0 &&
	    listen(listener, 128) == 0) {
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

/* connect_to returns a connection to the echo, or -1. */
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

static int
send_recorded(const struct place *p)
{
	static uint8_t *buf;

	if (buf == NULL && (buf = malloc(LARGEST)) == NULL)
		return 0;
	for (size_t i = 0; i < p->recording->count; i++) {
		const struct recorded *one = &p->recording->all[i];

		if (!SEND(p->socket, one->request, one->request_size) || !RECEIVE(p->socket, buf, one->reply_size))
			return 0;
	}
	return 1;
}

/* exchange has the recorded conversation of a place. */
krb5_error_code
exchange(struct place *p, int64_t *took)
{
	int code;

	MEASURED(took, send_recorded(p));
	return code ? 0 : EIO;
}
