/*
 * expat, with a path of the open elements. Answers may hold keys, so texts are overwritten when freed, in
 * expat's memory too.
 */
#include "bindings/aws_xml.h"
#include "bindings/wipe.h"

#include <errno.h>
#include <expat.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 16
#define ANSWER_MAX (1u << 20)
#define PATH_MAX_BYTES 1024
#define TEXT_MAX (64u << 10)

struct search {
  XML_Parser parser;
  struct aws_xml_want *wants;
  size_t count;
  char path[PATH_MAX_BYTES]; /* "/a/b/c" */
  size_t path_len;
  size_t ends[DEPTH_MAX]; /* where each open element's name begins */
  size_t depth;
  struct aws_xml_want *open; /* its text is being read */
  size_t open_depth, open_len;
  int error;
};

static void stop(struct search *search, int error) {
  search->error = error;
  XML_StopParser(search->parser, XML_FALSE);
}

/* The path ends in `wanted`, at the beginning of a name. */
static bool ends_in(const struct search *search, const char *wanted) {
  const size_t len = strlen(wanted);

  return search->path_len > len && search->path[search->path_len - len - 1] == '/' &&
         memcmp(search->path + search->path_len - len, wanted, len) == 0;
}

static void on_start(void *ctx, const char *name, const char **attributes) {
  struct search *search = ctx;
  const size_t len = strlen(name);

  (void)attributes;
  if (search->depth >= DEPTH_MAX || search->path_len + len + 1 >= sizeof(search->path)) {
    stop(search, -EINVAL);
    return;
  }
  search->ends[search->depth++] = search->path_len;
  search->path[search->path_len++] = '/';
  memcpy(search->path + search->path_len, name, len);
  search->path_len += len;
  if (search->open != NULL) return;
  for (size_t i = 0; i < search->count; i++) {
    if (search->wants[i].text != NULL || !ends_in(search, search->wants[i].path)) continue;
    search->wants[i].text = calloc(1, 1);
    if (search->wants[i].text == NULL) stop(search, -ENOMEM);
    search->open = &search->wants[i];
    search->open_depth = search->depth;
    search->open_len = 0;
    return;
  }
}

static void on_end(void *ctx, const char *name) {
  struct search *search = ctx;

  (void)name;
  if (search->open != NULL && search->open_depth == search->depth) search->open = NULL;
  search->path_len = search->ends[--search->depth];
}

static void on_text(void *ctx, const char *text, int len) {
  struct search *search = ctx;
  char *fresh;

  if (search->open == NULL || search->open_depth != search->depth) return;
  if (search->open_len + (size_t)len > TEXT_MAX) {
    stop(search, -EINVAL);
    return;
  }
  fresh = wipe_realloc(search->open->text, search->open_len + (size_t)len + 1);
  if (fresh == NULL) {
    stop(search, -ENOMEM);
    return;
  }
  memcpy(fresh + search->open_len, text, (size_t)len);
  search->open_len += (size_t)len;
  fresh[search->open_len] = '\0';
  search->open->text = fresh;
}

static void on_doctype(void *ctx, const char *name, const char *system_id, const char *public_id,
                       int internal) {
  (void)name;
  (void)system_id;
  (void)public_id;
  (void)internal;
  stop(ctx, -EINVAL);
}

int aws_xml_find(const char *text, size_t len, struct aws_xml_want *wants, size_t count) {
  static const XML_Memory_Handling_Suite memory = {malloc, wipe_realloc, wipe_free};
  struct search search = {.wants = wants, .count = count};

  for (size_t i = 0; i < count; i++)
    wants[i].text = NULL;
  if (len > ANSWER_MAX) return -EINVAL;
  search.parser = XML_ParserCreate_MM(NULL, &memory, NULL);
  if (search.parser == NULL) return -ENOMEM;
  XML_SetUserData(search.parser, &search);
  XML_SetElementHandler(search.parser, on_start, on_end);
  XML_SetCharacterDataHandler(search.parser, on_text);
  XML_SetStartDoctypeDeclHandler(search.parser, on_doctype);
  if (XML_Parse(search.parser, text, (int)len, 1) != XML_STATUS_OK && search.error == 0)
    search.error = XML_GetErrorCode(search.parser) == XML_ERROR_NO_MEMORY ? -ENOMEM : -EINVAL;
  XML_ParserFree(search.parser);
  return search.error;
}

void aws_xml_free(struct aws_xml_want *wants, size_t count) {
  for (size_t i = 0; i < count; i++) {
    wipe_free(wants[i].text);
    wants[i].text = NULL;
  }
}
