/* TLS for a hiredis connection, where hiredis has it (ISOQ_HAVE_TLS: hiredis 1.0 or later with hiredis_ssl).
 */
#ifndef ISOQ_QUEUE_REDIS_TLS_H
#define ISOQ_QUEUE_REDIS_TLS_H

#include <stddef.h>

struct redisContext;
struct redis_url;

/* Starts TLS on a connection just made, with the system's certificates. 0 or a negative errno, why in
 * `error`. */
int redis_tls_start(struct redisContext *c, const struct redis_url *url, char *error, size_t error_size);

#endif
