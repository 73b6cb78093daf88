/*
 * What isoq can do, as a table. A command that this version does not have is not in it: the parser then says
 * so and lists those that exist, which helps more than a stub.
 */
#include "cli/commands.h"

#include <string.h>

const struct option_row option_rows[OPTION_COUNT] = {
#define O(id, name, alias, letter, argument, commands, help)                                                 \
  {OPTION_##id, name, alias, letter, argument, commands, help},
#include "cli/options.def"
#undef O
};

#define JOB_STATUS                                                                                           \
  "  0  the job succeeded\n"                                                                                 \
  "  1  it ran and failed\n"                                                                                 \
  "  2  wrong usage, configuration or job\n"

const struct command commands[] = {
    {.name = "run",
     .bit = RUN,
     .max_operands = 1,
     .operand = "FILE",
     .usage =
         "run [FILE|-] [-e CODE] [--input JSON] [--timeout MS] [--memory MB] [--inspect[=PORT]] [--json]",
     .summary = "run a script here, as a worker would; no Redis needed",
     .about =
         "Runs the JavaScript in FILE, on standard input (-, or no FILE), or in -e CODE, in the same sandbox "
         "as "
         "a worker.\nIts console.log goes to stdout, console.error to stderr, and the value of its last "
         "expression to stdout after\nthem; objects and arrays as indented JSON, undefined not at all.\n",
     .status = JOB_STATUS "  3  the script could not be run: no usable isoq-executor\n"
                          "  130  interrupted; the result says cancelled\n",
     .examples = {{"a file, with an input:", "isoq run report.js --input '{\"region\":\"eu-west-1\"}'"},
                  {"an expression, two seconds at most:",
                   "isoq run -e 'await Promise.resolve(6) * 7' --timeout 2000"}},
     .run = cmd_run},
    {.name = "worker",
     .bit = WORKER,
     .max_operands = 0,
     .usage = "worker [--config FILE] [--queue A,B] [--executors N]",
     .summary = "serve queues until SIGTERM",
     .about =
         "Takes jobs from the queues, in strict order of preference, runs each in a pristine isolate, and "
         "publishes one\nresult for each. SIGTERM (or Ctrl-C) lets running jobs end, for drain_timeout_s, "
         "and "
         "gives back the rest.\nThe log goes to stderr.\n",
     .status = "  0  stopped as asked\n"
               "  1  ended with results that Redis never heard of; other workers run those jobs again\n"
               "  2  wrong usage or configuration, or no usable isoq-executor\n"
               "  128+N  ended at once by a second signal N\n"
               "  A worker without Redis does not end: it waits, says so, and keeps trying.\n",
     .examples = {{"two queues, four jobs at once:", "isoq worker --queue high,default --executors 4"},
                  {"everything from a file:", "isoq worker --config /etc/isoq.conf"}},
     .run = cmd_worker},
    {.name = "submit",
     .bit = SUBMIT,
     .max_operands = 1,
     .operand = "FILE",
     .usage = "submit [FILE|-] [-e CODE] [--id ID] [--input JSON] [--wait[=SECONDS]] [--json]",
     .summary = "push a job to a queue; prints its id, or waits for the result",
     .about = "The job is checked here, under this machine's settings, before it is pushed. Without --wait "
              "the id is "
              "printed;\nwith it, the result is taken from Redis and printed as isoq run would. Ctrl-C while "
              "waiting "
              "leaves the job alone.\n",
     .status = JOB_STATUS "  3  no Redis, or no result in time\n  130  interrupted while waiting\n",
     .examples = {{"push, and read the result later:",
                   "id=$(isoq submit report.js) && isoq result \"$id\" --wait"},
                  {"push and wait:",
                   "isoq submit -e 'input.a + input.b' --input '{\"a\":1,\"b\":2}' --wait"}},
     .run = cmd_submit},
    {.name = "result",
     .bit = RESULT,
     .max_operands = 1,
     .operand = "ID",
     .usage = "result ID [--wait[=SECONDS]] [--json]",
     .summary = "print the result of a job",
     .about =
         "Reading does not consume: the result can be read again until its time to live ends, and a BLPOP of "
         "the producer's\nown still gets it. Every queue of the queue setting is looked at.\n",
     .status = JOB_STATUS "  3  no Redis, or no result (in time)\n  130  interrupted while waiting\n",
     .examples = {{"as JSON, for jq:", "isoq result 0190-example --json | jq .execution_time_ms"},
                  {"wait for up to a minute:", "isoq result 0190-example --wait=60"}},
     .run = cmd_result},
    {.name = "status",
     .bit = STATUS,
     .max_operands = 0,
     .usage = "status [--check] [--json]",
     .summary = "show queues, workers and counters",
     .about = "For every queue of the queue setting: waiting jobs, dead letters, counters, and the workers "
              "with the "
              "jobs that each\nholds and what is left of its lease.\n",
     .status = "  0  Redis answers (with --check: and every queue has a live worker)\n"
               "  1  with --check: a queue has no live worker\n"
               "  2  wrong usage or configuration\n"
               "  3  no Redis\n",
     .examples = {{"two queues:", "isoq status --queue high,default"},
                  {"a container's health check:", "isoq status --check"}},
     .run = cmd_status},
    {.name = "config",
     .bit = CONFIG,
     .max_operands = 0,
     .usage = "config [--example|--markdown]",
     .summary = "print the settings in force and where each comes from",
     .about = "The order is: flag, environment (ISOQ_…), file, default. Passwords are not shown.\n",
     .status = "  0  the settings are valid\n  2  they are not, or wrong usage\n",
     .examples = {{"check a file:", "isoq config --config isoq.conf"},
                  {"start one:", "isoq config --example > isoq.conf"}},
     .run = cmd_config},
    {.name = "help",
     .bit = HELP,
     .max_operands = 1,
     .operand = "COMMAND",
     .usage = "help [COMMAND]",
     .summary = "explain isoq, or one command",
     .about = "isoq COMMAND --help prints the same.\n",
     .status = "  0  always, unless there is no such command (2)\n",
     .examples = {{"all commands:", "isoq help"}, {"one of them:", "isoq help submit"}},
     .run = cmd_help},
};

const size_t command_count = sizeof commands / sizeof *commands;

const struct command *command_find(const char *name) {
  for (size_t i = 0; i < command_count; i++)
    if (strcmp(commands[i].name, name) == 0) return &commands[i];
  return NULL;
}

static void list(unsigned bits, const char *before_each, char *text, size_t size) {
  size_t len = 0, left = 0;
  for (size_t i = 0; i < command_count; i++)
    left += (bits & commands[i].bit) != 0;
  text[0] = 0;
  for (size_t i = 0; i < command_count && len < size; i++) {
    if (!(bits & commands[i].bit)) continue;
    left--;
    len += (size_t)snprintf(text + len, size - len, "%s%s%s", before_each, commands[i].name,
                            left > 1 ? ", "
                            : left   ? " and "
                                     : "");
  }
}

void commands_list(char *text, size_t size) {
  list(ALL, "", text, size);
}

void commands_with(unsigned bits, char *text, size_t size) {
  size_t len;
  list(bits, "isoq ", text, size);
  len = strlen(text);
  snprintf(text + len, size - len, bits & (bits - 1) ? " do" : " does");
}
