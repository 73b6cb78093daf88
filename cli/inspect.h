/* --inspect[=PORT] of isoq run and isoq replay. */
#ifndef ISOQ_CLI_INSPECT_H
#define ISOQ_CLI_INSPECT_H

struct cli;
struct local_options;

/* Fills `*options` where the option was given. CLI_OK, or CLI_USAGE after a message. */
int inspect_option(const struct cli *cli, struct local_options *options);

#endif
