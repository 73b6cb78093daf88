/*
 * isoq run: a job without Redis. It goes the same way as a worker's, job_parse() and the executor included,
 * so that a script that works here works there; and it is printed from its JSON, as isoq result prints it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/id.h"
#include "cli/inspect.h"
#include "cli/print.h"
#include "cli/script.h"
#include "queue/result.h"
#include "worker/local.h"

static int print(const struct cli *cli, const struct script *script, const struct job_result *result) {
  const struct print_options options = {.json = args_has(&cli->args, OPTION_JSON),
                                        .code = script->code,
                                        .code_len = script->len,
                                        .name = cli_script_name(cli)};
  char *json;
  size_t len;
  int rc = job_result_to_json(result, script->job, &json, &len);
  if (rc) {
    cli_error("%s", strerror(-rc));
    return CLI_UNAVAILABLE;
  }
  int status = print_result(&options, json, len);
  free(json);
  return status;
}

static int run(const struct cli *cli, const struct script *script) {
  struct local_options options = {0};
  char error[CONFIG_ERROR_SIZE] = "";
  struct job_result result = {0};

  if (inspect_option(cli, &options) != CLI_OK) return CLI_USAGE;
  int rc = local_run(&cli->config, script->job, &options, &result, error, sizeof error);
  if (rc == -EINTR) return CLI_INTERRUPTED;
  if (rc) {
    cli_error("%s", *error ? error : strerror(-rc));
    return rc == -EINVAL ? CLI_USAGE : CLI_UNAVAILABLE;
  }
  int status = print(cli, script, &result);
  if (result.status == ISOQ_STATUS_CANCELLED)
    status = CLI_INTERRUPTED; /* nobody else could have asked for it */
  job_result_free(&result);
  return status;
}

int cmd_run(struct cli *cli) {
  char made_id[ID_SIZE];
  const char *id = cli->args.value[OPTION_ID];
  struct script script;

  int status = cli_load_config(cli);
  if (status) return status;
  if (!id) {
    id_make(made_id);
    id = made_id;
  }
  status = script_load(cli, id, NULL, &script);
  if (status) return status;
  status = run(cli, &script);
  script_free(&script);
  return status;
}
