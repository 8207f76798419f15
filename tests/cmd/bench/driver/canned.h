/* The server of recorded answers, and the echo: see canned.c. */

#ifndef CANNED_H
#define CANNED_H

struct recording;

/* load returns the recording in a file, or NULL. */
struct recording *load(const char *path);

/* connect_to returns a connection to a server, or -1. */
int connect_to(const char *path);

/* exchange has a recorded conversation, and returns 0 or an errno. */
int exchange(int fd, const struct recording *recording);

/* serve_canned sends recorded answers, or records those of a server. */
int serve_canned(const char *path, const char *recording, const char *server);

#endif
