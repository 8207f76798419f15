/*
 * The echo is the lower bound for every server: it reads a request, framed as
 * KCM's are, and sends as many bytes as the first argument of the request asks
 * for. A thread for each connection waits in recv(), the quickest way of the
 * kernel.
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

/* A request is a length, four bytes of version and opcode, and the number of
 * bytes of data in the reply. */
enum { ARGUMENT = 2, SMALLEST = 12, REPLY_HEADER = 12, LARGEST = 16 << 20 };

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

static void *
serve(void *arg)
{
	int fd = (int)(intptr_t)arg;
	uint32_t *in = malloc(LARGEST), *out = calloc(1, LARGEST);

	while (in != NULL && out != NULL && RECEIVE(fd, in, 4)) {
		uint32_t length = ntohl(in[0]), data;

		if (length < SMALLEST - 4 || length > LARGEST - 4 || !RECEIVE(fd, in + 1, length))
			break;
		data = ntohl(in[ARGUMENT]);
		if (data > LARGEST - REPLY_HEADER)
			break;
		out[0] = htonl(4 + data);
		if (!SEND(fd, out, REPLY_HEADER + data))
			break;
	}
	free(in);
	free(out);
	close(fd);
	return NULL;
}

int
serve_echo(const char *path)
{
	struct sockaddr_un address;
	pthread_t thread;
	int fd, listener = address_of(path, &address);

	if (listener >= 0 && bind(listener, (struct sockaddr *)&address, sizeof address) == 0 &&
	    listen(listener, 128) == 0) {
		while ((fd = accept(listener, NULL, NULL)) >= 0) {
			if (pthread_create(&thread, NULL, serve, (void *)(intptr_t)fd) == 0)
				pthread_detach(thread);
			else
				close(fd);
		}
	}
	perror("driver: cannot serve the echo");
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

/* exchange sends and receives the bytes of a place. */
krb5_error_code
exchange(struct place *p, int64_t *took)
{
	static uint32_t *buf;
	int code;

	if (buf == NULL && (buf = calloc(1, LARGEST)) == NULL)
		return ENOMEM;
	if (p->request < SMALLEST || p->reply < REPLY_HEADER || p->request > LARGEST || p->reply > LARGEST)
		return errno = EINVAL;
	buf[0] = htonl((uint32_t)p->request - 4);
	buf[ARGUMENT] = htonl((uint32_t)p->reply - REPLY_HEADER);
	MEASURED(took, SEND(p->socket, buf, p->request) && RECEIVE(p->socket, buf, p->reply));
	return code ? 0 : EIO;
}
