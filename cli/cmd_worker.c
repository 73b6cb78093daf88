/* isoq worker: the settings, and then the broker. */
#include "worker/worker.h"

#include "cli/cli.h"

int cmd_worker(struct cli *cli) {
  int status = cli_load_config(cli);
  return status ? status : worker_run(&cli->config);
}
