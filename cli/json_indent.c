/*
 * A result's text is laid out, never parsed and written anew: 1.0, 1e400 and 2^64 would come out as something
 * else. Text that is not JSON passes through too, only oddly indented.
 */
#include "cli/json_indent.h"

static void newline(int depth, FILE *out) {
  putc('\n', out);
  for (int i = 0; i < depth && i < 256; i++)
    fputs("  ", out);
}

/* From a quote to behind its partner. */
static size_t copy_string(const char *json, size_t len, size_t at, FILE *out) {
  putc(json[at++], out);
  while (at < len && json[at] != '"') {
    if (json[at] == '\\' && at + 1 < len) putc(json[at++], out);
    putc(json[at++], out);
  }
  if (at < len) putc(json[at++], out);
  return at;
}

static size_t skip_blanks(const char *json, size_t len, size_t at) {
  while (at < len && (json[at] == ' ' || json[at] == '\n' || json[at] == '\t' || json[at] == '\r'))
    at++;
  return at;
}

void json_indent(const char *json, size_t len, FILE *out) {
  int depth = 0;
  for (size_t at = skip_blanks(json, len, 0); at < len; at = skip_blanks(json, len, at)) {
    char c = json[at];
    if (c == '"') {
      at = copy_string(json, len, at, out);
      continue;
    }
    at++;
    if (c == '{' || c == '[') {
      putc(c, out);
      size_t next = skip_blanks(json, len, at);
      if (next < len && (json[next] == '}' || json[next] == ']')) { /* empty: {} */
        putc(json[next], out);
        at = next + 1;
        continue;
      }
      newline(++depth, out);
    } else if (c == '}' || c == ']') {
      newline(depth > 0 ? --depth : 0, out);
      putc(c, out);
    } else if (c == ',') {
      putc(c, out);
      newline(depth, out);
    } else {
      putc(c, out);
      if (c == ':') putc(' ', out);
    }
  }
}
