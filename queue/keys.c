/*
 * Kept apart so that no other file spells a key: a queue whose parts disagree on one name loses jobs without
 * an error. PROTOCOL.md lists the same names for everyone else.
 */
#include "queue/keys.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *make(const char *prefix, const char *queue, const char *kind, const char *name) {
  char *key;
  if (asprintf(&key, "%s:{%s}:%s%s", prefix, queue, kind, name) < 0) return NULL;
  return key;
}

int queue_keys_make(struct queue_keys *keys, const char *prefix, const char *queue, const char *worker) {
  *keys = (struct queue_keys){
      .jobs = make(prefix, queue, "jobs", ""),
      .claimed = worker ? make(prefix, queue, "claimed:", worker) : NULL,
      .workers = make(prefix, queue, "workers", ""),
      .dead = make(prefix, queue, "dead", ""),
      .stats = make(prefix, queue, "stats", ""),
      .delayed = make(prefix, queue, "delayed", ""),
      .about = worker ? key_about(prefix, queue, worker) : NULL,
      .submitted = make(prefix, queue, "submitted", ""),
      .cancel = make(prefix, queue, "cancel", ""),
      .claimed_prefix = make(prefix, queue, "claimed:", ""),
  };
  if (!keys->jobs || (worker && !keys->claimed) || !keys->workers || !keys->dead || !keys->stats ||
      (worker && !keys->about) || !keys->delayed || !keys->submitted || !keys->cancel ||
      !keys->claimed_prefix) {
    queue_keys_free(keys);
    return -ENOMEM;
  }
  return 0;
}

void queue_keys_free(struct queue_keys *keys) {
  free(keys->jobs);
  free(keys->claimed);
  free(keys->workers);
  free(keys->dead);
  free(keys->stats);
  free(keys->about);
  free(keys->delayed);
  free(keys->submitted);
  free(keys->cancel);
  free(keys->claimed_prefix);
  *keys = (struct queue_keys){0};
}

char *key_reply(const char *prefix, const char *queue, const char *id) {
  return make(prefix, queue, "reply:", id);
}

char *key_about(const char *prefix, const char *queue, const char *worker) {
  return make(prefix, queue, "worker:", worker);
}

char *key_done(const char *prefix, const char *queue, const char *id) {
  return make(prefix, queue, "done:", id);
}

char *key_record(const char *prefix, const char *queue, const char *id) {
  return make(prefix, queue, "record:", id);
}

bool key_prefix_valid(const char *prefix) {
  const size_t len = strlen(prefix);
  for (size_t i = 0; i < len; i++)
    if (prefix[i] <= ' ' || prefix[i] == 0x7f || prefix[i] == '{' || prefix[i] == '}') return false;
  return len >= 1 && len <= 64;
}

bool key_is_reserved(const char *prefix, const char *queue, const char *key) {
  char own[128], replies[256];
  const int own_len = snprintf(own, sizeof own, "%s:{", prefix);
  const int replies_len = snprintf(replies, sizeof replies, "%s:{%s}:reply:", prefix, queue);
  if (strncmp(key, own, (size_t)own_len) != 0) return false;
  return strncmp(key, replies, (size_t)replies_len) != 0 || key[replies_len] == '\0';
}

char *key_pattern(const char *prefix) {
  char *pattern = malloc(strlen(prefix) * 2 + 2), *to = pattern;
  if (!pattern) return NULL;
  for (; *prefix; prefix++) {
    if (strchr("*?[]^\\", *prefix)) *to++ = '\\';
    *to++ = *prefix;
  }
  *to++ = '*';
  *to = '\0';
  return pattern;
}
