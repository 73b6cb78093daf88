/* JSON that AWS sent: read strictly, and with limits, since a tree in memory is many times as large as its text. */
#ifndef ISOQ_BINDINGS_JSON_ANSWER_H
#define ISOQ_BINDINGS_JSON_ANSWER_H

#include <stddef.h>

struct json_object;

#define JSON_ANSWER_DEPTH_MAX 100 /* resources nest policies in templates in stacks; nobody nests more */
#define JSON_ANSWER_MARKS_MAX                                                                                \
  250000 /* commas, colons and brackets: a page of 10,000 log events has 110,000 */
#define JSON_PROBLEM_SIZE 128

/* text[len] is NUL. The value, for the caller to put; NULL with `problem`: "is not JSON: ...". A null is refused. */
struct json_object *json_answer_parse(const char *text, size_t len, char problem[JSON_PROBLEM_SIZE]);

/* An object that prints as `text` itself, after the same checks; NULL with `problem`, also for what is no object. */
struct json_object *json_answer_verbatim(const char *text, size_t len, char problem[JSON_PROBLEM_SIZE]);

#endif
