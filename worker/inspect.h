/*
 * Where a debugger attaches: a server of the Chrome DevTools protocol on 127.0.0.1, for one job and one client at a time.
 * It knows nothing of the protocol's messages; they pass through as text.
 *
 *   GET /json/version, /json, /json/list     what there is to debug, as Chrome and node answer it
 *   GET /<uuid>                              the WebSocket; nobody can guess the path
 *
 * Who attaches can run code in the executor and read the job's data. So the port is on the loopback interface only, and
 * a browser's page gets nothing: a request whose Host is another name than this machine's own (DNS rebinding), or whose
 * Origin is not a DevTools page, is answered with 403.
 *
 * Owns its sockets. Lives on the given event loop; its callbacks come from there, and from none of these functions.
 */
#ifndef ISOQ_WORKER_INSPECT_H
#define ISOQ_WORKER_INSPECT_H

#include <stddef.h>
#include <stdint.h>

#define INSPECT_PORT 9229 /* node's, which Chrome looks at by itself */
#define INSPECT_URL_SIZE 80
#define INSPECT_MESSAGE_MAX (32u << 20)

struct event_base;
struct inspect_server;

struct inspect_callbacks {
  void *ctx;
  void (*message)(void *ctx, const char *text, size_t len); /* of the client; never empty; borrowed */
  void (*attached)(void *ctx);
  void (*detached)(void *ctx);
};

/*
 * Listens. Port 0: any that is free. `title` is what a client shows. 0, or a negative errno with what failed and what
 * to do in `error`: -EADDRINUSE, -EACCES, -ENOMEM, ...
 */
int inspect_server_new(struct event_base *base, uint16_t port, const char *title,
                       const struct inspect_callbacks *callbacks, struct inspect_server **out, char *error,
                       size_t error_size);

/* "ws://127.0.0.1:9229/…"; the server's. */
const char *inspect_server_url(const struct inspect_server *server);

/* To the client, in order. Copies. 0, -ENOTCONN, or -ENOMEM; a client that does not read loses its connection. */
int inspect_server_send(struct inspect_server *server, const char *text, size_t len);

/* Sends what waits and says goodbye to the client, for a second at most. */
void inspect_server_free(struct inspect_server *server);

#endif
