/*
 * hiredis would call getaddrinfo(), which can hold the loop for many seconds, and an outage is just when
 * names do not resolve. libevent's resolver does the same without blocking. It is set up anew for each
 * look-up: that is rare (one per reconnect), and a container's resolv.conf and hosts may change while we wait
 * for Redis to come back.
 */
#include "queue/resolve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <event2/util.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct resolve {
  struct evdns_base *dns;
  struct evdns_getaddrinfo_request *request;
  struct event *finish; /* the answer is handed on from the loop, where the resolver can be freed */
  resolve_fn fn;
  void *ctx;
  struct resolve_addresses addresses;
  int error;
  bool is_localhost;
  bool answered, cancelled;
};

static void resolve_free(struct resolve *resolve) {
  if (resolve->dns) evdns_base_free(resolve->dns, 0);
  if (resolve->finish) event_free(resolve->finish);
  free(resolve);
}

static void add_address(struct resolve_addresses *addresses, const struct sockaddr *address) {
  char *text = addresses->text[addresses->count];
  const void *bytes;
  if (addresses->count == RESOLVE_MAX) return;
  if (address->sa_family == AF_INET)
    bytes = &((const struct sockaddr_in *)(const void *)address)->sin_addr;
  else if (address->sa_family == AF_INET6)
    bytes = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
  else
    return;
  if (inet_ntop(address->sa_family, bytes, text, INET6_ADDRSTRLEN)) addresses->count++;
}

static void on_answer(int error, struct evutil_addrinfo *list, void *ctx) {
  struct resolve *resolve = ctx;
  resolve->request = NULL;
  resolve->error = error;
  for (struct evutil_addrinfo *entry = list; entry && resolve->addresses.count < RESOLVE_MAX;
       entry = entry->ai_next)
    add_address(&resolve->addresses, entry->ai_addr);
  if (list) evutil_freeaddrinfo(list);
  resolve->answered = true;
  event_active(resolve->finish, EV_TIMEOUT, 0);
}

static void on_finish(evutil_socket_t fd, short events, void *ctx) {
  struct resolve *resolve = ctx;
  char why[160];
  (void)fd;
  (void)events;
  /* A hosts file need not list it, and then the name must not go out to a name server's answer (RFC 6761). */
  if (resolve->addresses.count == 0 && resolve->is_localhost) {
    strcpy(resolve->addresses.text[0], "127.0.0.1");
    strcpy(resolve->addresses.text[1], "::1");
    resolve->addresses.count = 2;
  }
  snprintf(why, sizeof why, "the host name does not resolve: %s",
           resolve->error ? evutil_gai_strerror(resolve->error) : "no address");
  if (!resolve->cancelled)
    resolve->fn(resolve->ctx, &resolve->addresses, resolve->addresses.count ? NULL : why);
  resolve_free(resolve);
}

static bool is_literal(const char *host) {
  unsigned char bytes[sizeof(struct in6_addr)];
  return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

int resolve_start(struct event_base *base, const char *host, resolve_fn fn, void *ctx, struct resolve **out) {
  *out = NULL;
  if (is_literal(host)) {
    struct resolve_addresses addresses = {.count = 1};
    snprintf(addresses.text[0], sizeof addresses.text[0], "%s", host);
    fn(ctx, &addresses, NULL);
    return 0;
  }
  struct resolve *resolve = calloc(1, sizeof *resolve);
  if (!resolve) return -ENOMEM;
  resolve->fn = fn;
  resolve->ctx = ctx;
  resolve->is_localhost = strcasecmp(host, "localhost") == 0;
  resolve->finish = event_new(base, -1, 0, on_finish, resolve);
  resolve->dns = evdns_base_new(base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
  if (!resolve->finish || !resolve->dns) {
    resolve_free(resolve);
    return -ENOMEM;
  }
  /* Without a resolv.conf the hosts file may still know the name. */
  if (evdns_base_resolv_conf_parse(resolve->dns, DNS_OPTIONS_ALL, "/etc/resolv.conf") != 0)
    evdns_base_load_hosts(resolve->dns, "/etc/hosts");
  const struct evutil_addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
  *out = resolve;
  struct evdns_getaddrinfo_request *request =
      evdns_getaddrinfo(resolve->dns, host, NULL, &hints, on_answer, resolve);
  if (!resolve->answered) resolve->request = request;
  return 0;
}

void resolve_cancel(struct resolve *resolve) {
  resolve->cancelled = true;
  if (resolve->answered) {
    resolve_free(resolve);
  } else if (resolve->request) {
    evdns_getaddrinfo_cancel(resolve->request); /* on_answer follows from the loop, and frees */
  }
}
