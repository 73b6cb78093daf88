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
#define DB_MAX 1000000

struct parts { /* NUL-terminated pieces of a copy of the text */
  char *user, *password, *host, *port, *path, *query;
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

/* user:password@host:port, in place. The last @ counts: a host has none, a careless password may. */
static const char *split_authority(char *authority, struct parts *parts) {
  char *at = strrchr(authority, '@');
  parts->host = authority;
  if (at) {
    *at = '\0';
    parts->host = at + 1;
    parts->user = authority;
    parts->password = cut(authority, ':');
    if (!parts->password && *authority)
      return "a user without a password; for a password alone write redis://:PASSWORD@host:6379/0";
  }
  if (parts->host[0] == '[') {
    char *end = strchr(++parts->host, ']');
    if (!end) return "no ] after the IPv6 address; write redis://[::1]:6379/0";
    *end++ = '\0';
    if (*end && *end != ':') return "text after the ] of the IPv6 address; write redis://[::1]:6379/0";
    parts->port = *end ? end + 1 : NULL;
  } else {
    parts->port = cut(parts->host, ':');
    if (parts->port && strchr(parts->port, ':'))
      return "more than one colon after the host; write an IPv6 address as redis://[::1]:6379/0, and "
             "percent-encode "
             "/ ? # in a password";
  }
  return *parts->host ? NULL : "no host; write redis://127.0.0.1:6379/0";
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

static const char *check_tcp(struct parts *parts, struct redis_url *url) {
  if (parts->query)
    return "a redis:// address takes no ? parameters; write redis://user:password@host:6379/0";
  url->port = parts->port ? number(parts->port, 65535) : DEFAULT_PORT;
  if (url->port < 1)
    return "the port is no number from 1 to 65535; write redis://host:6379/0, and percent-encode : / ? # @ "
           "in a "
           "password";
  if (parts->path && *parts->path && (url->db = number(parts->path, DB_MAX)) < 0)
    return "the database after / is not a number; write redis://host:6379/0";
  if (decode(parts->host) < 0) return "a % in the host without two hex digits";
  for (const char *c = parts->host; *c; c++)
    if (*c <= ' ' || *c == 0x7f || *c == '[' || *c == ']')
      return "a blank or a bracket in the host; write redis://host:6379/0";
  return NULL;
}

static const char *split(char *text, struct parts *parts, struct redis_url *url) {
  char *rest = strstr(text, "://");
  if (!rest)
    return "no scheme; write redis://127.0.0.1:6379/0, rediss://… (TLS), or unix:///path/to/redis.sock";
  *rest = '\0';
  rest += 3;
  url->is_unix = strcasecmp(text, "unix") == 0;
  url->tls = strcasecmp(text, "rediss") == 0;
  if (!url->is_unix && !url->tls && strcasecmp(text, "redis") != 0)
    return "unknown scheme; known ones are redis://, rediss:// (TLS) and unix://";
#ifndef ISOQ_HAVE_TLS
  if (url->tls)
    return "rediss:// needs TLS, and this isoq was built with a hiredis that has none; build it with hiredis "
           "1.0 or "
           "later (hiredis_ssl), or go through a TLS tunnel (stunnel) with redis://";
#endif
  if (strchr(rest, '#')) return "a # has no meaning here; write it as %23 in a password";
  parts->query = cut(rest, '?');
  if (url->is_unix) {
    parts->path = rest;
    return check_unix(parts, url);
  }
  parts->path = cut(rest, '/');
  const char *why = split_authority(rest, parts);
  return why ? why : check_tcp(parts, url);
}

static char *display(const struct redis_url *url) {
  const char *scheme = url->tls ? "rediss" : "redis", *user = url->user ? url->user : "";
  char *text = NULL;
  int n;
  if (url->is_unix)
    n = url->db ? asprintf(&text, "unix://%s?db=%d", url->host, url->db)
                : asprintf(&text, "unix://%s", url->host);
  else
    n = asprintf(&text, strchr(url->host, ':') ? "%s://%s%s[%s]:%d/%d" : "%s://%s%s%s:%d/%d", scheme, user,
                 *user ? "@" : "", url->host, url->port, url->db);
  return n < 0 ? NULL : text;
}

int redis_url_parse(const char *text, struct redis_url *out, char *error, size_t error_size) {
  struct redis_url url = {0};
  struct parts parts = {0};
  int r = -ENOMEM;
  char *copy = strdup(text);
  if (!copy) goto out;
  r = -EINVAL;
  const char *why = split(copy, &parts, &url);
  if (!why && ((parts.user && decode(parts.user) < 0) || (parts.password && decode(parts.password) < 0)))
    why = "a % in the user or password without two hex digits; write a literal % as %25";
  if (!why && parts.user && *parts.user && (!parts.password || !*parts.password))
    why = "a user without a password; write redis://USER:PASSWORD@host:6379/0 or "
          "unix:///path?user=NAME&password=PASSWORD";
  if (why) {
    fail(error, error_size, why);
    goto out;
  }
  r = -ENOMEM;
  url.host = strdup(url.is_unix ? parts.path : parts.host);
  if (parts.user && *parts.user && !(url.user = strdup(parts.user))) goto out;
  if (parts.password && *parts.password && !(url.password = strdup(parts.password))) goto out;
  if (!url.host || !(url.display = display(&url))) goto out;
  *out = url;
  url = (struct redis_url){0};
  r = 0;
out:
  redis_url_free(&url);
  if (copy) explicit_bzero(copy, strlen(text));
  free(copy);
  if (r == -ENOMEM) snprintf(error, error_size, "Redis URL: out of memory");
  return r;
}

void redis_url_free(struct redis_url *url) {
  free(url->host);
  free(url->user);
  if (url->password) explicit_bzero(url->password, strlen(url->password));
  free(url->password);
  free(url->display);
  *url = (struct redis_url){0};
}
