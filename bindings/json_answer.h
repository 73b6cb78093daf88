/*
 * JSON that AWS sent: read strictly, piece by piece, and with limits. A tree in memory is many times as large
 * as its text, and a large page takes many milliseconds, so neither is ever there whole.
 */
#ifndef ISOQ_BINDINGS_JSON_ANSWER_H
#define ISOQ_BINDINGS_JSON_ANSWER_H

#include <stddef.h>

struct json_object;
struct json_page;

#define JSON_DEPTH_MAX 100 /* of an item: resources nest policies in templates in stacks; nobody nests more */
#define JSON_MARKS_MAX 250000 /* commas, colons and brackets: a page of 10,000 log events has 110,000 */
#define JSON_PROBLEM_SIZE 160

/*
 * One page: an object with the array `items`, and the string `token` when there are more pages. Reads a copy
 * of `text`; borrows the names. NULL when memory is short.
 */
struct json_page *json_page_new(const char *text, size_t len, const char *items, const char *token);
void json_page_free(struct json_page *page);

enum json_step {
  JSON_STEP_ITEM, /* *item is the next one, an object, for the caller to put */
  JSON_STEP_END,
  JSON_STEP_BROKEN, /* json_page_problem() says why; nothing more can be read */
};
enum json_step json_page_next(struct json_page *page, struct json_object **item);

/* After JSON_STEP_END: a string, borrowed, or NULL when this was the last page. */
struct json_object *json_page_token(const struct json_page *page);
/* "Regions is not an array" */
const char *json_page_problem(const struct json_page *page);

/* An object of JSON that prints as `text` itself, once that was read in the same way; NULL with `problem`,
 * "is not JSON: ...". text[len] is NUL. */
struct json_object *json_verbatim(const char *text, size_t len, char problem[JSON_PROBLEM_SIZE]);

#endif
