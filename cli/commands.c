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
     .operand = "one FILE",
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
     .operand = "one FILE",
     .usage =
         "submit [FILE|-] [-e CODE] [--id ID] [--input JSON] [--delay MS] [--attempts N] [--wait[=SECONDS]] "
         "[--json]\n"
         "       isoq submit --jobs FILE|- [--json]",
     .summary = "push a job to a queue, or many; prints the id, or waits for the result",
     .about = "The job is checked here, under this machine's settings, before it is pushed. Without --wait "
              "the id is "
              "printed;\nwith it, the result is taken from Redis and printed as isoq run would. Ctrl-C while "
              "waiting "
              "leaves the job alone.\n\n"
              "An id that is known (its job waits, runs, or has a result that Redis still keeps) is not "
              "queued again; "
              "submit\nsays so, and --wait then shows the result of the first one. So a submission may be "
              "repeated "
              "safely.\n\n"
              "--jobs submits many: each line is a job with the fields of queue/PROTOCOL.md, such as "
              "{\"id\":\"a1\","
              "\"code\":\"2 + 2\"};\none without an id gets one. Every line is queued whole or not at all. "
              "Ids go to "
              "stdout, one a line (--json:\nan object a line), what is wrong to stderr as FILE:LINE: and "
              "why, then the "
              "sum.\n",
     .status = JOB_STATUS "  3  no Redis, or no result in time\n  130  interrupted while waiting\n"
                          "  With --jobs: 0 every line was accepted or known; 1 some were not; 2 wrong "
                          "usage, or the file cannot be "
                          "read;\n  3 no Redis, or it went away: the last line that it confirmed is said.\n",
     .examples =
         {{"push, and read the result later:", "id=$(isoq submit report.js) && isoq result \"$id\" --wait"},
          {"ten seconds from now, and three times if it fails:",
           "isoq submit -e 'input.a + input.b' --input '{\"a\":1,\"b\":2}' --delay 10000 --attempts 3"}},
     .run = cmd_submit},
    {.name = "result",
     .bit = RESULT,
     .max_operands = 1,
     .operand = "one ID",
     .usage = "result ID [--wait[=SECONDS]] [--json|--record FILE]",
     .summary = "print the result of a job",
     .about =
         "Reading does not consume: the result can be read again until its time to live ends, and a BLPOP of "
         "the producer's\nown still gets it. Every queue of the queue setting is looked at. --record writes "
         "the job's replay "
         "record to a file\ninstead, for isoq replay on another machine.\n",
     .status = JOB_STATUS "  3  no Redis, or no result (in time)\n  130  interrupted while waiting\n",
     .examples = {{"as JSON, for jq:", "isoq result 0190-example --json | jq .execution_time_ms"},
                  {"wait for up to a minute:", "isoq result 0190-example --wait=60"}},
     .run = cmd_result},
    {.name = "cancel",
     .bit = CANCEL,
     .max_operands = 1,
     .operand = "one ID",
     .usage = "cancel ID [--json]",
     .summary = "stop a job, or take it out of its queue",
     .about = "A job that waits, or is delayed, is taken out of the queue. One that a worker has is stopped "
              "there, "
              "which keeps what\nit has printed. Either way its result has the status cancelled, so whoever "
              "waits for "
              "it hears of it. Every queue of\nthe queue setting is looked at, in order.\n",
     .status = "  0  it is cancelled\n"
               "  1  nothing to cancel: there is no such job, or it has a result already\n"
               "  2  wrong usage or configuration\n"
               "  3  no Redis, or the worker that has the job did not answer\n",
     .examples = {{"by the id that isoq submit printed:", "isoq cancel 0190-example"},
                  {"where it was:", "isoq cancel 0190-example --json | jq -r .was"}},
     .run = cmd_cancel},
    {.name = "replay",
     .bit = REPLAY,
     .max_operands = 1,
     .operand = "one ID or FILE",
     .usage = "replay ID|RECORD.json [--code FILE [--live]] [--inspect[=PORT]] [--json]",
     .summary = "run a recorded job again, exactly as it ran",
     .about =
         "Takes the job's record from Redis (every queue of the queue setting is looked at) or from a file "
         "that isoq result\n--record wrote, and runs the job again, offline: what it read of clock and "
         "random "
         "values, the order of its timers\nand the answers of its host functions come from the record. "
         "Prints "
         "the result, then identical, or the first\nthing that was not as recorded.\n\n"
         "--code runs another script under the same record: its calls are answered by recorded calls of the "
         "same name and\narguments, each once; others are refused, or made in earnest with --live.\n\n"
         "--inspect lets Chrome DevTools step through the recorded run.\n",
     .status = "  0  identical (with --code: the script succeeded)\n"
               "  1  something differs (with --code: it ran and failed)\n"
               "  2  wrong usage or configuration, or no usable record in the file\n"
               "  3  no Redis, no record, or no usable isoq-executor\n"
               "  130  interrupted\n",
     .examples = {{"a job that went wrong:", "isoq replay 0190-example"},
                  {"what a corrected script would have done:", "isoq replay 0190-example --code fixed.js"}},
     .run = cmd_replay},
    {.name = "dead",
     .bit = DEAD,
     .max_operands = 2,
     .operand = "an action and one number",
     .usage = "dead [list|show N|retry N|retry all|purge] [--json]",
     .summary = "look at dead letters, queue their jobs again, or delete them",
     .about = "A dead letter is a job whose end somebody should look at: it was invalid, it cost too many "
              "workers, "
              "or its result\ncould not be published; the reason is in it. Number 1 is the newest, so "
              "numbers grow "
              "as letters are added.\n\n"
              "  list       number, age, id and reason of each (--json: the letters, one a line)\n"
              "  show N     one letter: the job as it was, the reason, the result (--json: the letter)\n"
              "  retry N    queue its job again, as its producer wrote it; the letter and the old result go\n"
              "  retry all  the same for each, the oldest first\n"
              "  purge      delete them all; asks on a terminal, and needs --yes elsewhere\n",
     .status = "  0  done\n"
               "  1  there is no such letter, some could not be queued again, or purge was not confirmed\n"
               "  2  wrong usage or configuration\n"
               "  3  no Redis\n",
     .examples = {{"what went wrong lately:", "isoq dead list"},
                  {"the ids of all of them:", "isoq dead list --json | jq -r .result.id"}},
     .run = cmd_dead},
    {.name = "status",
     .bit = STATUS,
     .max_operands = 0,
     .usage = "status [--check] [--watch[=SECONDS]] [--json]",
     .summary = "show queues, workers and counters",
     .about = "For every queue of the queue setting: jobs that wait, are delayed or claimed, and dead "
              "letters; for how "
              "long the\noldest has waited; counters; and the workers, with what is left of their leases, "
              "and the jobs "
              "that each one runs.\nWhat a worker says of itself is as old as its last lease "
              "renewal.\n--check asks Redis for less: it leaves out what the workers run.\n",
     .status = "  0  Redis answers (with --check: and every queue has a live worker)\n"
               "  1  with --check: a queue has no live worker\n"
               "  2  wrong usage or configuration\n"
               "  3  no Redis\n",
     .examples = {{"two queues, again and again:", "isoq status --queue high,default --watch"},
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
     .operand = "one COMMAND",
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
