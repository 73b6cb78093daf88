/*
 * docs/bindings.md, from the tables: bindings/bindings.def and, for the limits, config/options.def.
 *
 *   bindings-doc          prints it
 *   bindings-doc FILE     exits with 1 when FILE has another text
 *
 * It is no part of isoq: nobody needs it but who changes the tables.
 */
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bindings/arguments.h"

struct row {
  const char *name;
  struct argument {
    const char *name;
    enum binding_type type;
    bool required;
    const char *help;
  } arguments[BINDING_ARGUMENTS_MAX + 1];
  const char *api, *permissions, *returns, *help, *notes, *example;
};

#define REQUIRED true
#define OPTIONAL false
#define ARGUMENT(argument_name, argument_type, argument_required, argument_help)                             \
  {argument_name, BINDING_##argument_type, argument_required, argument_help},
static const struct row rows[] = {
#define BINDING(id, binding_name, host, binding_arguments, ...)                                              \
  {binding_name, {binding_arguments{0}}, __VA_ARGS__},
#include "bindings/bindings.def"
#undef BINDING
};
#define ROW_COUNT (sizeof rows / sizeof rows[0])

static const struct {
  const char *name, *default_text, *unit, *help;
} settings[] = {
#define X(kind, name, default_value, min, max, unit, help) {#name, #default_value, unit, help},
#include "config/options.def"
#undef X
};

static const char *const types[] = {
    [BINDING_STRING] = "string",
    [BINDING_ACCOUNT] = "account",
    [BINDING_REGION] = "region",
    [BINDING_TIME] = "time",
};

/* As GitHub names a heading. */
static void print_anchor(const char *name, FILE *out) {
  for (; *name; name++)
    putc(tolower((unsigned char)*name), out);
}

static void print_intro(FILE *out) {
  fputs(
      "# Host functions\n"
      "\n"
      "<!-- Made by `build/release/tests/bin/bindings-doc` from bindings/bindings.def. Change it there. -->\n"
      "\n"
      "What a script may ask of AWS. Each function is a global, asynchronous, and gives an array\n"
      "of plain objects. The credentials, the network and the signing stay in the worker; a\n"
      "script sees values only.\n"
      "\n"
      "| function | result | AWS |\n"
      "|---|---|---|\n",
      out);
  for (size_t i = 0; i < ROW_COUNT; i++) {
    fprintf(out, "| [`%s`](#", rows[i].name);
    print_anchor(rows[i].name, out);
    fprintf(out, ") | `[%s]` | %s |\n", rows[i].returns, rows[i].api);
  }
}

static void print_arguments(FILE *out) {
  fprintf(out,
          "\n"
          "## Arguments\n"
          "\n"
          "Two forms mean the same: `queryResources('AWS::S3::Bucket', 'self', 'us-east-1')`, and one\n"
          "object, `queryResources({resourceType: 'AWS::S3::Bucket', region: 'us-east-1', limit:\n"
          "50})`. An argument that is left out, `undefined` or `null` takes its default; but a time\n"
          "or a `limit` that an object names as null is refused, and so are `NaN`, `Infinity` and an\n"
          "invalid `Date` everywhere. Every function takes one argument more in its object form:\n"
          "\n"
          "- `limit`: how many items at most, 1 to %d; %d unless given. All pages up to there are\n"
          "  read, in AWS' order. A result of just so many items may not be all there are.\n"
          "\n"
          "The types:\n"
          "\n"
          "- **string**: at most %d bytes.\n"
          "- **account**: 12 digits, as a string, or the account's name (see below). Left out, `''`\n"
          "  or `'self'`: the account of the worker's credentials. In another, the role that\n"
          "  `aws_assume_role` names is assumed.\n"
          "- **region**: such as `'us-east-1'`. Left out: the worker's (`AWS_REGION`, or its\n"
          "  profile's), else `us-east-1`.\n"
          "- **time**: milliseconds since 1970, a `Date`, or ISO 8601 text: `'2026-11-22'`,\n"
          "  `'2026-11-22T10:00:00Z'`, `'2026-11-22T11:00:00.000+01:00'`; UTC where it names no zone.\n"
          "  Seconds since 1970 are refused. A `startTime` must not be later than its `endTime`.\n"
          "\n"
          "## Accounts by name\n"
          "\n"
          "Text that is not 12 digits is an account's name in the organization, such as `'prod'`, in\n"
          "just this spelling. The worker looks it up with Organizations ListAccounts\n"
          "(`organizations:ListAccounts`), keeps the list for five minutes, and goes on with the\n"
          "number, which is what results name as `accountId`.\n"
          "\n"
          "- No account has the name, or more than one has it: the call rejects with a `TypeError`.\n"
          "- Organizations cannot be asked (`AccessDeniedException`,\n"
          "  `AWSOrganizationsNotInUseException`, no such service at the endpoint, no connection), and\n"
          "  `aws_assume_role` is not set: no other account can be reached, so the own one is meant,\n"
          "  whatever its name. `accountId` is its number, or the text as it was given where even\n"
          "  `sts:GetCallerIdentity` does not tell the number.\n"
          "- It cannot be asked, and `aws_assume_role` is set: the call rejects with the reason.\n"
          "  Numbers and `'self'` work all the same.\n"
          "- Other errors of Organizations, such as `ThrottlingException`, reject as they are.\n",
          BINDING_LIMIT_MAX, BINDING_LIMIT_DEFAULT, BINDING_STRING_MAX);
}

static void print_limits(FILE *out) {
  static const char *const names[] = {
      "max_calls",       "max_parallel_calls", "max_answer_bytes",    "max_total_answer_bytes",
      "call_timeout_ms", "aws_max_requests",   "aws_cloudtrail_per_s"};
  fputs("\n"
        "## Limits\n"
        "\n"
        "Calls run side by side (`Promise.all`); what is over `max_parallel_calls` waits, first\n"
        "come, first served. A call ends with its job at the latest, and its transfers with it. It\n"
        "is not answered for the end of the job's own time: the job ends then, as `timeout`.\n"
        "[configuration.md](configuration.md) has the settings.\n"
        "\n"
        "| setting | default | meaning |\n"
        "|---|---|---|\n",
        out);
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
    for (size_t k = 0; k < sizeof settings / sizeof settings[0]; k++)
      if (strcmp(settings[k].name, names[i]) == 0)
        fprintf(out, "| `%s` | %s%s%s | %s |\n", names[i], settings[k].default_text,
                *settings[k].unit ? " " : "", settings[k].unit, settings[k].help);
}

static void print_errors(FILE *out) {
  fputs("\n"
        "## Errors\n"
        "\n"
        "A call that fails rejects with an `Error`. Its `name` says what happened:\n"
        "\n"
        "| `name` | when |\n"
        "|---|---|\n"
        "| `TypeError` | an argument is wrong; the message names it |\n"
        "| `RangeError` | the arguments have more than 65536 bytes, or there are too many calls |\n"
        "| `BindingError` | not among the job's bindings, or the worker cannot make the call |\n"
        "| `BudgetError` | the job has used up `max_calls` or `max_total_answer_bytes` |\n"
        "| `AnswerTooLargeError` | the result is over `max_answer_bytes`; nothing of it is given |\n"
        "| `TimeoutError` | no answer within `call_timeout_ms`, or no connection |\n"
        "| `AnswerError` | AWS' answer cannot be used: no JSON, another shape, pages without end |\n"
        "| `CredentialsError` | no credentials; the message says where they were looked for |\n"
        "| `NetworkError` | AWS could not be reached |\n"
        "| any other | the code of AWS' error: `AccessDeniedException`, `ThrottlingException` |\n"
        "\n"
        "Where AWS answered, the error also has `statusCode`, `requestId` and `retryable`.\n"
        "Throttling and passing errors have been retried by then.\n"
        "\n"
        "```js\n"
        "try {\n"
        "  await queryResources('AWS::EC2::Instance', '123456789012', 'us-east-1');\n"
        "} catch (e) {\n"
        "  if (e.name !== 'AccessDeniedException') throw e;\n"
        "  console.warn(e.message, e.requestId);\n"
        "}\n"
        "```\n",
        out);
}

static void print_row(const struct row *row, FILE *out) {
  fprintf(out, "\n## %s\n\n%s.\n\n```\n%s(", row->name, row->help, row->name);
  for (size_t i = 0; row->arguments[i].name; i++)
    fprintf(out, "%s%s%s", i ? ", " : "", row->arguments[i].name, row->arguments[i].required ? "" : "?");
  fprintf(out, ")\n%s({", row->name);
  for (size_t i = 0; row->arguments[i].name; i++)
    fprintf(out, "%s%s, ", row->arguments[i].name, row->arguments[i].required ? "" : "?");
  fprintf(out, "limit?})\n→ [%s]\n```\n\n", row->returns);
  if (row->arguments[0].name) {
    fputs("| argument | type | |\n|---|---|---|\n", out);
    for (size_t i = 0; row->arguments[i].name; i++)
      fprintf(out, "| `%s` | %s%s | %s |\n", row->arguments[i].name, types[row->arguments[i].type],
              row->arguments[i].required ? ", required" : "", row->arguments[i].help);
    putc('\n', out);
  }
  fprintf(out, "- AWS: %s.\n- Permissions: %s.\n%s\n```js\n%s\n```\n", row->api, row->permissions, row->notes,
          row->example);
}

static int print(char **text) {
  size_t len;
  FILE *out = open_memstream(text, &len);
  if (!out) return -1;
  print_intro(out);
  print_arguments(out);
  print_limits(out);
  print_errors(out);
  for (size_t i = 0; i < ROW_COUNT; i++)
    print_row(&rows[i], out);
  return fclose(out);
}

static bool same(const char *path, const char *text) {
  FILE *file = fopen(path, "r");
  bool equal = file != NULL;
  for (const char *c = text; equal && *c; c++)
    equal = getc(file) == (unsigned char)*c;
  if (equal) equal = getc(file) == EOF;
  if (file) fclose(file);
  return equal;
}

int main(int argc, char **argv) {
  char *text;
  if (print(&text) != 0) return EXIT_FAILURE;
  const bool ok = argc < 2 || same(argv[1], text);
  if (argc < 2) fputs(text, stdout);
  if (!ok)
    fprintf(stderr, "%s is not what the tables give; make it anew: %s >%s\n", argv[1], argv[0], argv[1]);
  free(text);
  return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
