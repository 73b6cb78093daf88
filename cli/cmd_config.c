/* isoq config: what the other commands would work with. It loads the settings the way they do, so it finds
 * what they would trip over. The example and the page come from the table alone, whatever the environment. */
#include "cli/cli.h"
#include "cli/redis.h"
#include "queue/redis_url.h"

int cmd_config(struct cli *cli) {
  if (args_has(&cli->args, OPTION_EXAMPLE)) {
    config_print_example(stdout);
    return CLI_OK;
  }
  if (args_has(&cli->args, OPTION_MARKDOWN)) {
    config_print_markdown(stdout);
    return CLI_OK;
  }
  int status = cli_load_config(cli);
  if (status) return status;

  char error[CONFIG_ERROR_SIZE];
  struct redis_url url;
  if (redis_url_parse(cli->config.redis_url, &url, error, sizeof error)) {
    cli_error("redis_url: %s", error);
    return CLI_USAGE;
  }
  config_print(&cli->config, url.display, stdout);
  redis_url_free(&url);
  return CLI_OK;
}
