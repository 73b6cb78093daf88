/*
 * Addresses come from people, configuration files and platforms that generate them, so each refusal shows a
 * right one. A refused address is never echoed: it may hold a password in the wrong place.
 */
#include "queue/redis_url.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#define DEFAULT_PORT 6379
#define DEFAULT_SENTINEL_PORT 26379
#define DB_MAX 1000000

#define SENTINEL_EXAMPLE "redis-sentinel://host1:26379,host2:26379/mymaster/0"

struct parts { /* NUL-terminated pieces of a copy of the text */
  char *user, *password, *host, *port, *path, *query;
  char *master_name, *sentinel_user, *sentinel_password;
  char *sentinel_hosts[REDIS_URL_SENTINELS_MAX];
  int sentinel_ports[REDIS_URL_SENTINELS_MAX];
  size_t sentinel_count;
};

static int fail(char *error, size_t error_size, const char *why) {
  snprintf(error, error_size, "Redis URL: %s", why);
  return -EINVAL;
}

static int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = (char)tolower((unsigned char)c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-decodes in place. -EINVAL for a % without two hex digits, and for %00. */
static int decode(char *s) {
  char *to = s;
  for (; *s; s++, to++) {
    if (*s != '%') {
      *to = *s;
      continue;
    }
    const int high = hex_value(s[1]), low = high < 0 ? -1 : hex_value(s[2]);
    if (low < 0 || high * 16 + low == 0) return -EINVAL;
    *to = (char)(high * 16 + low);
    s += 2;
  }
  *to = '\0';
  return 0;
}

/* A decimal number without sign or blanks, or -1. */
static int number(const char *s, int max) {
  long n = 0;
  if (!*s) return -1;
  for (; *s; s++) {
    if (*s < '0' || *s > '9') return -1;
    n = n * 10 + (*s - '0');
    if (n > max) return -1;
  }
  return (int)n;
}

static char *cut(char *s, char c) {
  char *at = strchr(s, c);
  if (at) *at++ = '\0';
  return at;
}

/* user:password@hosts, in place: what is left in parts->host. The last @ counts: a host has none, a careless
 * password may. */
static const char *split_user(char *authority, struct parts *parts) {
  char *at = strrchr(authority, '@');
  parts->host = authority;
  if (!at) return NULL;
  *at = '\0';
  parts->host = at + 1;
  parts->user = authority;
  parts->password = cut(authority, ':');
  if (!parts->password && *authority)
    return "a user without a password; for a password alone write redis://:PASSWORD@host:6379/0";
  return NULL;
}

/* host:port or [address]:port, in place. */
static const char *split_host(char **host, char **port) {
  if ((*host)[0] == '[') {
    char *end = strchr(++*host, ']');
    if (!end) return "no ] after the IPv6 address; write redis://[::1]:6379/0";
    *end++ = '\0';
    if (*end && *end != ':') return "text after the ] of the IPv6 address; write redis://[::1]:6379/0";
    *port = *end ? end + 1 : NULL;
  } else {
    *port = cut(*host, ':');
    if (*port && strchr(*port, ':'))
      return "more than one colon after the host; write an IPv6 address as redis://[::1]:6379/0, and "
             "percent-encode / ? # in a password";
  }
  return NULL;
}

/* db=N&user=…&password=… */
static const char *split_query(char *query, struct parts *parts, char **db) {
  while (query && *query) {
    char *next = cut(query, '&'), *value = cut(query, '=');
    if (!value) return "a ? parameter without =; write unix:///path?db=0&user=NAME&password=PASSWORD";
    if (strcmp(query, "db") == 0)
      *db = value;
    else if (strcmp(query, "user") == 0)
      parts->user = value;
    else if (strcmp(query, "password") == 0)
      parts->password = value;
    else
      return "unknown ? parameter; known ones are db, user and password: unix:///path?db=0&password=PASSWORD";
    query = next;
  }
  return NULL;
}

static const char *check_unix(struct parts *parts, struct redis_url *url) {
  char *db = NULL;
  const char *why = split_query(parts->query, parts, &db);
  if (why) return why;
  if (parts->path[0] != '/' || !parts->path[1])
    return "no absolute path; write unix:///run/redis/redis.sock?db=0";
  if (db && (url->db = number(db, DB_MAX)) < 0)
    return "db is not a number; write unix:///run/redis/redis.sock?db=0";
  if (decode(parts->path) < 0) return "a % in the path without two hex digits; write a literal % as %25";
  if (strlen(parts->path) >= sizeof((struct sockaddr_un *)0)->sun_path)
    return "the path is longer than a socket's path may be (107 bytes); use a shorter one";
  return NULL;
}

static const char *check_host(char *host) {
  if (decode(host) < 0) return "a % in the host without two hex digits";
  for (const char *c = host; *c; c++)
    if (*c <= ' ' || *c == 0x7f || *c == '[' || *c == ']')
      return "a blank or a bracket in the host; write redis://host:6379/0";
  return NULL;
}

static const char *check_tcp(struct parts *parts, struct redis_url *url) {
  const char *why = split_host(&parts->host, &parts->port);
  if (why) return why;
  if (!*parts->host) return "no host; write redis://127.0.0.1:6379/0";
  if (strchr(parts->host, ','))
    return "more than one host; for the Sentinels of a server write " SENTINEL_EXAMPLE;
  if (parts->query)
    return "a redis:// address takes no ? parameters; write redis://user:password@host:6379/0";
  url->port = parts->port ? number(parts->port, 65535) : DEFAULT_PORT;
  if (url->port < 1)
    return "the port is no number from 1 to 65535; write redis://host:6379/0, and percent-encode : / ? # @ "
           "in a password";
  if (parts->path && *parts->path && (url->db = number(parts->path, DB_MAX)) < 0)
    return "the database after / is not a number; write redis://host:6379/0";
  return check_host(parts->host);
}

/* host[:port],host[:port]…, in place. */
static const char *split_sentinels(struct parts *parts) {
  for (char *host = parts->host, *port, *next; host; host = next) {
    next = cut(host, ',');
    const char *why = split_host(&host, &port);
    if (!why) why = check_host(host);
    if (why) return why;
    if (!*host) return "no host, or an empty one in the list; write " SENTINEL_EXAMPLE;
    if (parts->sentinel_count == REDIS_URL_SENTINELS_MAX)
      return "more than 16 Sentinels; name a few of them: they know the same";
    const int number_of_port = port ? number(port, 65535) : DEFAULT_SENTINEL_PORT;
    if (number_of_port < 1)
      return "the port of a Sentinel is no number from 1 to 65535; write " SENTINEL_EXAMPLE
             ", and percent-encode : / ? # @ in a password";
    parts->sentinel_hosts[parts->sentinel_count] = host;
    parts->sentinel_ports[parts->sentinel_count++] = number_of_port;
  }
  return NULL;
}

/* sentinel_user=…&sentinel_password=… */
static const char *split_sentinel_query(char *query, struct parts *parts) {
  while (query && *query) {
    char *next = cut(query, '&'), *value = cut(query, '=');
    if (!value) return "a ? parameter without =; write " SENTINEL_EXAMPLE "?sentinel_password=PASSWORD";
    if (strcmp(query, "sentinel_user") == 0)
      parts->sentinel_user = value;
    else if (strcmp(query, "sentinel_password") == 0)
      parts->sentinel_password = value;
    else
      return "unknown ? parameter; known ones are sentinel_user and sentinel_password: " SENTINEL_EXAMPLE
             "?sentinel_user=NAME&sentinel_password=PASSWORD";
    query = next;
  }
  return NULL;
}

static const char *check_sentinel(struct parts *parts, struct redis_url *url) {
  const char *why = split_sentinels(parts);
  if (!why) why = split_sentinel_query(parts->query, parts);
  if (why) return why;
  parts->master_name = parts->path;
  if (!parts->master_name || !*parts->master_name || *parts->master_name == '/')
    return "no master name after the Sentinels (the one in their \"sentinel monitor\" line); "
           "write " SENTINEL_EXAMPLE;
  char *db = cut(parts->master_name, '/');
  if (db && *db && (url->db = number(db, DB_MAX)) < 0)
    return "the database after the master name is not a number; write " SENTINEL_EXAMPLE;
  for (const char *c = parts->master_name; *c; c++)
    if (!isalnum((unsigned char)*c) && !strchr("._-", *c))
      return "a master name has letters, digits, '.', '_' and '-' only; write " SENTINEL_EXAMPLE;
  if (parts->sentinel_user && (!parts->sentinel_password || !*parts->sentinel_password))
    return "a sentinel_user without a sentinel_password; write " SENTINEL_EXAMPLE
           "?sentinel_user=NAME&sentinel_password=PASSWORD";
  return NULL;
}

/* The scheme, in front of ://. */
static const char *check_scheme(const char *scheme, struct redis_url *url, bool *sentinel) {
  *sentinel = strcasecmp(scheme, "redis-sentinel") == 0 || strcasecmp(scheme, "rediss-sentinel") == 0;
  url->is_unix = strcasecmp(scheme, "unix") == 0;
  url->tls = strcasecmp(scheme, "rediss") == 0 || strcasecmp(scheme, "rediss-sentinel") == 0;
  if (!*sentinel && !url->is_unix && !url->tls && strcasecmp(scheme, "redis") != 0)
    return "unknown scheme; known ones are redis://, rediss:// (TLS), unix://, redis-sentinel:// and "
           "rediss-sentinel:// (TLS)";
#ifndef ISOQ_HAVE_TLS
  if (url->tls)
    return *sentinel
               ? "rediss-sentinel:// needs TLS, and this isoq was built with a hiredis that has none; build "
                 "it with hiredis 1.0 or later (hiredis_ssl), or write redis-sentinel:// in a network of "
                 "your own"
               : "rediss:// needs TLS, and this isoq was built with a hiredis that has none; build it with "
                 "hiredis 1.0 or later (hiredis_ssl), or go through a TLS tunnel (stunnel) with redis://";
#endif
  return NULL;
}

static const char *split(char *text, struct parts *parts, struct redis_url *url) {
  bool sentinel;
  char *rest = strstr(text, "://");
  if (!rest)
    return "no scheme; write redis://127.0.0.1:6379/0, rediss://… (TLS), redis-sentinel://…, or "
           "unix:///path/to/redis.sock";
  *rest = '\0';
  rest += 3;
  const char *why = check_scheme(text, url, &sentinel);
  if (why) return why;
  if (strchr(rest, '#')) return "a # has no meaning here; write it as %23 in a password";
  parts->query = cut(rest, '?');
  if (url->is_unix) {
    parts->path = rest;
    return check_unix(parts, url);
  }
  parts->path = cut(rest, '/');
  why = split_user(rest, parts);
  if (why) return why;
  return sentinel ? check_sentinel(parts, url) : check_tcp(parts, url);
}

/* user and password, percent-encoded as they came. */
static const char *decode_credentials(struct parts *parts) {
  char *const encoded[] = {parts->user, parts->password, parts->sentinel_user, parts->sentinel_password};
  for (size_t i = 0; i < sizeof encoded / sizeof encoded[0]; i++)
    if (encoded[i] && decode(encoded[i]) < 0)
      return "a % in the user or password without two hex digits; write a literal % as %25";
  if (parts->user && *parts->user && (!parts->password || !*parts->password))
    return "a user without a password; write redis://USER:PASSWORD@host:6379/0 or "
           "unix:///path?user=NAME&password=PASSWORD";
  return NULL;
}

static char *display_sentinels(const struct redis_url *url) {
  char *text = NULL;
  size_t size;
  FILE *out = open_memstream(&text, &size);
  if (!out) return NULL;
  fprintf(out, "%s-sentinel://%s%s", url->tls ? "rediss" : "redis", url->user ? url->user : "",
          url->user ? "@" : "");
  for (size_t i = 0; i < url->sentinel_count; i++)
    fprintf(out, "%s%s", i ? "," : "", strchr(url->sentinels[i].display, ' ') + 1);
  fprintf(out, "/%s/%d", url->master_name, url->db);
  if (fclose(out) == 0) return text;
  free(text);
  return NULL;
}

static char *display(const struct redis_url *url) {
  const char *scheme = url->tls ? "rediss" : "redis", *user = url->user ? url->user : "";
  char *text = NULL;
  int n;
  if (url->master_name) return display_sentinels(url);
  if (url->is_unix)
    n = url->db ? asprintf(&text, "unix://%s?db=%d", url->host, url->db)
                : asprintf(&text, "unix://%s", url->host);
  else
    n = asprintf(&text, strchr(url->host, ':') ? "%s://%s%s[%s]:%d/%d" : "%s://%s%s%s:%d/%d", scheme, user,
                 *user ? "@" : "", url->host, url->port, url->db);
  return n < 0 ? NULL : text;
}

static int copy_text(char **to, const char *from) {
  if (!from || !*from) return 0;
  *to = strdup(from);
  return *to ? 0 : -ENOMEM;
}

static int copy_sentinels(const struct parts *parts, struct redis_url *url) {
  url->sentinels = calloc(parts->sentinel_count, sizeof *url->sentinels);
  if (!url->sentinels) return -ENOMEM;
  url->sentinel_count = parts->sentinel_count;
  for (size_t i = 0; i < url->sentinel_count; i++) {
    struct redis_url *sentinel = &url->sentinels[i];
    const char *host = parts->sentinel_hosts[i];
    sentinel->tls = url->tls;
    sentinel->port = parts->sentinel_ports[i];
    if (copy_text(&sentinel->host, host) < 0 || copy_text(&sentinel->user, parts->sentinel_user) < 0 ||
        copy_text(&sentinel->password, parts->sentinel_password) < 0)
      return -ENOMEM;
    if (asprintf(&sentinel->display, strchr(host, ':') ? "sentinel [%s]:%d" : "sentinel %s:%d", host,
                 sentinel->port) < 0) {
      sentinel->display = NULL;
      return -ENOMEM;
    }
  }
  return copy_text(&url->master_name, parts->master_name);
}

static int copy_parts(const struct parts *parts, struct redis_url *url) {
  if (parts->sentinel_count && copy_sentinels(parts, url) < 0) return -ENOMEM;
  if (!parts->sentinel_count && copy_text(&url->host, url->is_unix ? parts->path : parts->host) < 0)
    return -ENOMEM;
  if (copy_text(&url->user, parts->user) < 0 || copy_text(&url->password, parts->password) < 0)
    return -ENOMEM;
  url->display = display(url);
  return url->display ? 0 : -ENOMEM;
}

int redis_url_parse(const char *text, struct redis_url *out, char *error, size_t error_size) {
  struct redis_url url = {0};
  struct parts parts = {0};
  int r = -ENOMEM;
  char *copy = strdup(text);
  if (!copy) goto out;
  const char *why = split(copy, &parts, &url);
  if (!why) why = decode_credentials(&parts);
  if (why) {
    r = fail(error, error_size, why);
    goto out;
  }
  r = copy_parts(&parts, &url);
  if (r < 0) goto out;
  *out = url;
  url = (struct redis_url){0};
out:
  redis_url_free(&url);
  if (copy) explicit_bzero(copy, strlen(text));
  free(copy);
  if (r == -ENOMEM) snprintf(error, error_size, "Redis URL: out of memory");
  return r;
}

void redis_url_free(struct redis_url *url) {
  for (size_t i = 0; i < url->sentinel_count; i++)
    redis_url_free(&url->sentinels[i]);
  free(url->sentinels);
  free(url->master_name);
  free(url->host);
  free(url->user);
  if (url->password) explicit_bzero(url->password, strlen(url->password));
  free(url->password);
  free(url->display);
  *url = (struct redis_url){0};
}
