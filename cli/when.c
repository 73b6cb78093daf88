/*
 * A point in time for a job must not depend on where its producer sits, so a time without a zone is refused
 * rather than guessed; so is a number that is plainly seconds, which would run the job at once.
 */
#include "cli/when.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LEAST_PLAUSIBLE_MS INT64_C(100000000000) /* 1973; as seconds: the year 5138 */
#define MOST_MS INT64_C(253402300799999)         /* the year 9999 */

const char *when_span(int64_t ms, char out[WHEN_TEXT_SIZE]) {
  if (ms < 1000)
    snprintf(out, WHEN_TEXT_SIZE, "%d ms", ms > 0 ? (int)ms : 0);
  else if (ms < 120000)
    snprintf(out, WHEN_TEXT_SIZE, "%" PRId64 " s", ms / 1000);
  else if (ms < 2 * 3600000)
    snprintf(out, WHEN_TEXT_SIZE, "%" PRId64 " min", ms / 60000);
  else if (ms < INT64_C(48) * 3600000)
    snprintf(out, WHEN_TEXT_SIZE, "%" PRId64 " h", ms / 3600000);
  else
    snprintf(out, WHEN_TEXT_SIZE, "%" PRId64 " d", ms / (INT64_C(24) * 3600000));
  return out;
}

const char *when_date(int64_t real_ms, char out[WHEN_TEXT_SIZE]) {
  const time_t seconds = (time_t)(real_ms / 1000);
  struct tm tm;
  if (real_ms < 0 || real_ms > MOST_MS || !gmtime_r(&seconds, &tm) ||
      strftime(out, WHEN_TEXT_SIZE, "%Y-%m-%d %H:%M:%S UTC", &tm) == 0)
    snprintf(out, WHEN_TEXT_SIZE, "%" PRId64 " ms since 1970", real_ms);
  return out;
}

/* Exactly `count` digits, min to max. */
static bool take_number(const char **at, int count, int min, int max, int *out) {
  int number = 0;
  for (int i = 0; i < count; i++) {
    if (!isdigit((unsigned char)(*at)[i])) return false;
    number = number * 10 + (*at)[i] - '0';
  }
  *at += count;
  *out = number;
  return number >= min && number <= max;
}

static bool take_one_of(const char **at, const char *wanted) {
  if (!**at || !strchr(wanted, **at)) return false;
  (*at)++;
  return true;
}

static bool take_date(const char **at, struct tm *tm) {
  int year, month, day;
  if (!take_number(at, 4, 1970, 9999, &year) || !take_one_of(at, "-") || !take_number(at, 2, 1, 12, &month) ||
      !take_one_of(at, "-") || !take_number(at, 2, 1, 31, &day))
    return false;
  *tm = (struct tm){.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day};
  return true;
}

/* hh:mm, and :ss and a fraction, which may be left out. */
static bool take_time(const char **at, struct tm *tm, int *ms) {
  *ms = 0;
  if (!take_number(at, 2, 0, 23, &tm->tm_hour) || !take_one_of(at, ":") ||
      !take_number(at, 2, 0, 59, &tm->tm_min))
    return false;
  if (!take_one_of(at, ":")) return true;
  if (!take_number(at, 2, 0, 59, &tm->tm_sec)) return false;
  if (!take_one_of(at, ".,")) return true;
  if (!isdigit((unsigned char)**at)) return false;
  for (int scale = 100; isdigit((unsigned char)**at); scale /= 10)
    *ms += (*(*at)++ - '0') * scale;
  return true;
}

static bool take_zone(const char **at, int *minutes) {
  int hours, rest = 0;
  bool west = **at == '-';
  *minutes = 0;
  if (take_one_of(at, "Zz")) return true;
  if (!take_one_of(at, "+-") || !take_number(at, 2, 0, 23, &hours)) return false;
  bool colon = take_one_of(at, ":");
  if ((colon || **at) && !take_number(at, 2, 0, 59, &rest)) return false;
  *minutes = (hours * 60 + rest) * (west ? -1 : 1);
  return true;
}

static int parse_iso(const char *text, int64_t *real_ms, const char **problem) {
  struct tm tm;
  int ms, zone_minutes;

  *problem = "it is no time";
  if (!take_date(&text, &tm)) return -EINVAL;
  const int day = tm.tm_mday;
  if (!take_one_of(&text, "Tt ") || !take_time(&text, &tm, &ms)) return -EINVAL;
  *problem = "it has no time zone";
  if (!*text) return -EINVAL;
  *problem = "what follows the time is no time zone";
  if (!take_zone(&text, &zone_minutes) || *text) return -EINVAL;
  const time_t seconds = timegm(&tm);
  *problem = "there is no such day";
  if (tm.tm_mday != day) return -EINVAL; /* timegm() made 30 February a day of March */
  *real_ms = (int64_t)seconds * 1000 + ms - (int64_t)zone_minutes * 60000;
  return 0;
}

int when_parse(const char *text, int64_t *real_ms, const char **problem) {
  if (!*text || text[strspn(text, "0123456789")]) return parse_iso(text, real_ms, problem);
  errno = 0;
  const int64_t number = strtoll(text, NULL, 10);
  *problem = "it is after the year 9999";
  if (errno == ERANGE || number > MOST_MS) return -EINVAL;
  *problem = "as milliseconds that is long ago; are these seconds?";
  if (number < LEAST_PLAUSIBLE_MS) return -EINVAL;
  *real_ms = number;
  return 0;
}
