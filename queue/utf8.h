/* UTF-8 as Unicode defines it: no surrogates, no overlong forms, nothing above U+10FFFF. */
#ifndef ISOQ_QUEUE_UTF8_H
#define ISOQ_QUEUE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/*
 * The length of the sequence at s[0..len), len > 0. `*valid` false: these bytes are no character; the length
 * is then that of the maximal subpart, which one U+FFFD stands for (Unicode 3.9, as browsers do it).
 */
size_t utf8_step(const char *s, size_t len, bool *valid);

/* Offset of the first byte that is not UTF-8; len when all is well. */
size_t utf8_check(const char *s, size_t len);

/* The beginning of a text, for a message: whole characters, an ellipsis where it was cut, ? for what is no character or
 * a control character. At most size - 1 bytes, size 8 at least; NUL-terminated. Returns out. */
const char *utf8_excerpt(const char *text, size_t len, char *out, size_t size);

/* Copies with one U+FFFD for each maximal subpart; malloc'ed, NUL-terminated. NULL when memory is short. */
char *utf8_sanitize(const char *s, size_t len, size_t *out_len);

#endif
