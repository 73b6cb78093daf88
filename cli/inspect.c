#include "cli/inspect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "worker/inspect.h"
#include "worker/local.h"

static void say_where(void *ctx, const char *url) {
  (void)ctx;
  fprintf(
      stderr,
      "Debugger listening on %s\n"
      "Open chrome://inspect, or devtools://devtools/bundled/js_app.html?experiments=true&v8only=true&ws=%s\n"
      "The script waits for it, and has no time limit.\n",
      url, url + strlen("ws://"));
}

int inspect_option(const struct cli *cli, struct local_options *options) {
  const char *value = cli->args.value[OPTION_INSPECT];
  char *end;
  unsigned long port = INSPECT_PORT;

  if (value == NULL) return CLI_OK;
  if (*value != '\0') {
    port = strtoul(value, &end, 10);
    if (*value < '0' || *value > '9' || *end != '\0' || port > 65535) {
      cli_error("--inspect: \"%s\" is no port; 0 (any that is free) to 65535, as in --inspect=%d", value,
                INSPECT_PORT);
      return CLI_USAGE;
    }
  }
  *options = (struct local_options){.inspect = true, .inspect_port = (uint16_t)port, .listening = say_where};
  return CLI_OK;
}
