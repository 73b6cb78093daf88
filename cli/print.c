/*
 * What a person sees of a result is what node would have shown: the console's lines on the streams they were
 * written to, in the order they were written, then the value on stdout, then, for a failure, one line of what
 * and where on stderr.
 *
 * Everything in a result may be chosen by a script that nobody trusts, so it is written by terminal_write().
 */
#include "cli/print.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/compare.h"
#include "cli/excerpt.h"
#include "cli/json_indent.h"
#include "cli/terminal.h"
#include "engine/status.h"

struct text {
  const char *data;
  size_t len;
};

static struct text get_text(struct json_object *object, const char *name) {
  struct json_object *value;
  if (!json_object_object_get_ex(object, name, &value) || !json_object_is_type(value, json_type_string))
    return (struct text){0};
  return (struct text){json_object_get_string(value), (size_t)json_object_get_string_len(value)};
}

static int get_int(struct json_object *object, const char *name) {
  struct json_object *value;
  return json_object_object_get_ex(object, name, &value) ? json_object_get_int(value) : 0;
}

static bool get_bool(struct json_object *object, const char *name) {
  struct json_object *value;
  return json_object_object_get_ex(object, name, &value) && json_object_get_boolean(value);
}

static struct json_object *get_object(struct json_object *object, const char *name, enum json_type type) {
  struct json_object *value;
  return json_object_object_get_ex(object, name, &value) && json_object_is_type(value, type) ? value : NULL;
}

static int level_stream(struct text level) {
  for (int i = 0; i < ISOQ_CONSOLE_COUNT; i++)
    if (level.data && strcmp(isoq_console_level_name((enum isoq_console_level)i), level.data) == 0)
      return isoq_console_level_stream((enum isoq_console_level)i);
  return 1;
}

/*
 * console_output has the order, stdout and stderr have the bytes. Entries are written from the streams as
 * long as the two agree; the rest of each stream (an uncaught error, what was cut) follows.
 */
static void print_console(struct json_object *result) {
  FILE *streams[2] = {stdout, stderr};
  struct text texts[2] = {get_text(result, "stdout"), get_text(result, "stderr")};
  struct json_object *entries = get_object(result, "console_output", json_type_array);
  size_t count = entries ? json_object_array_length(entries) : 0;

  for (size_t i = 0; i < count; i++) {
    struct json_object *entry = json_object_array_get_idx(entries, i);
    if (!json_object_is_type(entry, json_type_object)) break;
    int stream = level_stream(get_text(entry, "level")) - 1;
    struct text line = get_text(entry, "text"), *rest = &texts[stream];
    if (rest->len < line.len + 1 || (line.len && memcmp(rest->data, line.data, line.len) != 0) ||
        rest->data[line.len] != '\n')
      break;
    terminal_write(streams[stream], rest->data, line.len + 1);
    fflush(streams[stream]);
    rest->data += line.len + 1;
    rest->len -= line.len + 1;
  }
  for (int stream = 0; stream < 2; stream++) {
    if (texts[stream].len == 0) continue;
    terminal_write(streams[stream], texts[stream].data, texts[stream].len);
    if (texts[stream].data[texts[stream].len - 1] != '\n') putc('\n', streams[stream]);
    fflush(streams[stream]);
  }
}

static void print_value(struct json_object *result) {
  struct text value = get_text(result, "result"), type = get_text(result, "result_type");
  if (!value.data) return;
  if (isatty(STDOUT_FILENO)) {
    bool colour = terminal_has_colour(stdout);
    fprintf(stdout, "%s→%s ", colour ? "\033[2m" : "", colour ? "\033[0m" : "");
  }
  bool is_json = type.data && (strcmp(type.data, "object") == 0 || strcmp(type.data, "array") == 0);
  char *indented = NULL;
  size_t indented_len = 0;
  FILE *memory = is_json ? open_memstream(&indented, &indented_len) : NULL;
  if (memory) {
    json_indent(value.data, value.len, memory);
    if (fclose(memory) == 0) value = (struct text){indented, indented_len};
  }
  terminal_write(stdout, value.data, value.len);
  putc('\n', stdout);
  free(indented);
  fflush(stdout);
}

/* `Name: message`, the message's first line only; "" where there is no error. Owned, NULL when memory is
 * short. */
static char *error_line(struct json_object *error, size_t *len) {
  struct text name = get_text(error, "name"), message = get_text(error, "message");
  char *line = NULL;
  const char *newline = message.len ? memchr(message.data, '\n', message.len) : NULL;
  FILE *memory = open_memstream(&line, len);

  if (!memory) return NULL;
  if (newline) message.len = (size_t)(newline - message.data);
  fwrite(name.data ? name.data : "", 1, name.len, memory);
  if (name.len && message.len) fputs(": ", memory);
  fwrite(message.data ? message.data : "", 1, message.len, memory);
  return fclose(memory) ? NULL : line;
}

static void print_place(const struct print_options *options, struct json_object *error) {
  int line = get_int(error, "line"), column = get_int(error, "column");
  if (line > 0 && options->name)
    fprintf(stderr, " (%s:%d:%d)", options->name, line, column);
  else if (line > 0)
    fprintf(stderr, " (line %d, column %d)", line, column);
  putc('\n', stderr);
  if (options->code) excerpt_print(options->code, options->code_len, line, column, stderr);
}

/* What and where. The message is left out when the script's stderr, just above, has it already, with the
 * stack. */
static void print_failure(const struct print_options *options, struct json_object *result) {
  struct text status = get_text(result, "status"), before = get_text(result, "stderr");
  struct json_object *error = get_object(result, "error", json_type_object);
  bool colour = terminal_has_colour(stderr);
  size_t len = 0;

  fprintf(stderr, "isoq: %s", colour ? "\033[1;31m" : "");
  terminal_write(stderr, status.data ? status.data : "failed", status.data ? status.len : strlen("failed"));
  fputs(colour ? "\033[0m" : "", stderr);
  if (!error) {
    putc('\n', stderr);
    return;
  }
  char *line = error_line(error, &len);
  if (line && len > 0 && !(before.len && memmem(before.data, before.len, line, len))) {
    fputs(": ", stderr);
    terminal_write(stderr, line, len);
  }
  free(line);
  print_place(options, error);
}

static void print_truncated(struct json_object *result) {
  struct json_object *truncated = get_object(result, "truncated", json_type_object);
  if (truncated && (get_bool(truncated, "stdout") || get_bool(truncated, "stderr")))
    cli_error("the console output was cut at the job's limit; raise --max-output to see the rest");
}

int print_result(const struct print_options *options, const char *json, size_t len) {
  struct json_object *result = compare_parse(json, len), *success;
  if (!result || !json_object_object_get_ex(result, "success", &success)) {
    json_object_put(result);
    cli_error(
        "what is on the reply key is not an ExecutionResult; something other than an isoq worker wrote it");
    return CLI_UNAVAILABLE;
  }
  bool succeeded = json_object_get_boolean(success);
  if (options->json) {
    fwrite(json, 1, len, stdout);
    putc('\n', stdout);
  } else {
    print_console(result);
    print_value(result);
    print_truncated(result);
    if (!succeeded) print_failure(options, result);
  }
  json_object_put(result);
  return succeeded ? CLI_OK : CLI_FAILED;
}
