/*
 * One decoder for everything that takes bytes for text: the checker and the replacer must agree on what is
 * valid, or a job accepted by one would be refused by the other.
 */
#include "queue/utf8.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

size_t utf8_step(const char *s, size_t len, bool *valid) {
  const uint8_t lead = (uint8_t)s[0];
  uint8_t low = 0x80, high = 0xbf; /* of the second byte: what excludes overlong forms and surrogates */
  size_t tail;

  *valid = true;
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) {
    tail = 1;
  } else if (lead >= 0xe0 && lead <= 0xef) {
    tail = 2;
    if (lead == 0xe0) low = 0xa0;
    if (lead == 0xed) high = 0x9f;
  } else if (lead >= 0xf0 && lead <= 0xf4) {
    tail = 3;
    if (lead == 0xf0) low = 0x90;
    if (lead == 0xf4) high = 0x8f;
  } else {
    *valid = false;
    return 1;
  }
  for (size_t i = 1; i <= tail; i++) {
    if (i >= len || (uint8_t)s[i] < low || (uint8_t)s[i] > high) {
      *valid = false;
      return i;
    }
    low = 0x80;
    high = 0xbf;
  }
  return tail + 1;
}

/* Of eight bytes, whether all are ASCII: most text is nothing else. */
static bool is_ascii(const char *s) {
  uint64_t word;
  memcpy(&word, s, sizeof word);
  return !(word & UINT64_C(0x8080808080808080));
}

size_t utf8_check(const char *s, size_t len) {
  for (size_t i = 0; i < len;) {
    bool valid;
    if (len - i >= 8 && is_ascii(s + i)) {
      i += 8;
      continue;
    }
    const size_t step = utf8_step(s + i, len - i, &valid);
    if (!valid) return i;
    i += step;
  }
  return len;
}

char *utf8_sanitize(const char *s, size_t len, size_t *out_len) {
  size_t bad = 0, n = 0;
  bool valid;

  for (size_t i = 0; i < len; i += utf8_step(s + i, len - i, &valid)) {
    utf8_step(s + i, len - i, &valid);
    bad += !valid;
  }
  char *out = malloc(len + bad * 3 + 1);
  if (!out) return NULL;
  for (size_t i = 0; i < len;) {
    const size_t step = utf8_step(s + i, len - i, &valid);
    memcpy(out + n, valid ? s + i : "\xef\xbf\xbd", valid ? step : 3);
    n += valid ? step : 3;
    i += step;
  }
  out[n] = '\0';
  *out_len = n;
  return out;
}

const char *utf8_excerpt(const char *text, size_t len, char *out, size_t size) {
  const size_t limit = len < size ? len : size - 4;
  size_t n = 0;
  for (size_t i = 0, step; i < len; i += step) {
    bool valid;
    step = utf8_step(text + i, len - i, &valid);
    if (i + step > limit) {
      memcpy(out + n, "\xe2\x80\xa6", 3); /* … */
      n += 3;
      break;
    }
    const unsigned char c = (unsigned char)text[i];
    if (!valid || c < 0x20 || c == 0x7f || (c == 0xc2 && (unsigned char)text[i + 1] < 0xa0)) {
      out[n++] = '?';
    } else {
      memcpy(out + n, text + i, step);
      n += step;
    }
  }
  out[n] = '\0';
  return out;
}
