/*
 * The echo is the limit that no server can pass: it reads a request, framed as
 * KCM's are, and sends back as many bytes as the first argument of the request
 * asks for. A connection is a thread that waits for it in read(), which is the
 * quickest that the kernel has.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "driver.h"

/* A request is a length, four bytes of version and opcode, and then how many
 * bytes of data the reply is to have. */
enum { ARGUMENT = 8, SMALLEST = 12, REPLY_HEADER = 12, LARGEST = 16 << 20 };

static int
address_of(const char *path, struct sockaddr_un *address)
{
	memset(address, 0, sizeof *address);
	address->sun_family = AF_UNIX;
	if (strlen(path) >= sizeof address->sun_path) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(address->sun_path, path);
	return 0;
}

static int
read_all(int fd, char *buf, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t n = read(fd, buf + done, size - done);

		if (n <= 0)
			return -1;
		done += (size_t)n;
	}
	return 0;
}

static int
write_all(int fd, const char *buf, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t n = write(fd, buf + done, size - done);

		if (n <= 0)
			return -1;
		done += (size_t)n;
	}
	return 0;
}

static uint32_t
get32(const char *p)
{
	uint32_t n;

	memcpy(&n, p, sizeof n);
	return ntohl(n);
}

static void
put32(char *p, uint32_t n)
{
	n = htonl(n);
	memcpy(p, &n, sizeof n);
}

static void *
serve(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char *in = malloc(LARGEST), *out = calloc(1, LARGEST);

	while (in != NULL && out != NULL && read_all(fd, in, 4) == 0) {
		uint32_t length = get32(in), data;

		if (length < SMALLEST - 4 || length > LARGEST - 4 || read_all(fd, in + 4, length) != 0)
			break;
		data = get32(in + ARGUMENT);
		if (data > LARGEST - REPLY_HEADER)
			break;
		put32(out, 4 + data);
		if (write_all(fd, out, REPLY_HEADER + data) != 0)
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
	int fd, listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (listener < 0 || address_of(path, &address) != 0 ||
	    bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 128) != 0) {
		perror("driver: cannot listen");
		return 1;
	}
	while ((fd = accept(listener, NULL, NULL)) >= 0) {
		if (pthread_create(&thread, NULL, serve, (void *)(intptr_t)fd) != 0) {
			close(fd);
			continue;
		}
		pthread_detach(thread);
	}
	perror("driver: cannot accept");
	return 1;
}

/* connect_to returns a connection to the echo, or -1. */
int
connect_to(const char *path)
{
	struct sockaddr_un address;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	if (address_of(path, &address) != 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* exchange sends and receives the bytes that a place was told. */
krb5_error_code
exchange(struct place *p, int64_t *took)
{
	static char *buf;
	int64_t start;

	if (buf == NULL && (buf = calloc(1, LARGEST)) == NULL)
		return ENOMEM;
	if (p->request < SMALLEST || p->reply < REPLY_HEADER || p->request > LARGEST || p->reply > LARGEST) {
		errno = EINVAL;
		return EINVAL;
	}
	put32(buf, (uint32_t)p->request - 4);
	put32(buf + ARGUMENT, (uint32_t)p->reply - REPLY_HEADER);
	start = now_ns();
	if (write_all(p->socket, buf, p->request) != 0 || read_all(p->socket, buf, p->reply) != 0)
		return EIO;
	*took = now_ns() - start;
	return 0;
}
