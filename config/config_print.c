/*
 * The table as people read it: --help, the reference page, the example file, and the settings in force. What
 * is committed of these (docs/configuration.md, config/isoq.conf.example) is compared with this output by a
 * test.
 */
#include "config/config_internal.h"

#include <inttypes.h>
#include <string.h>

static const char *unit_of(const struct setting *setting) {
  return setting->kind == KIND_INT ? setting->unit : "";
}

void config_print_help(FILE *out) {
  for (int i = 0; i < CONFIG_SETTING_COUNT; i++) {
    const struct setting *setting = &config_settings[i];
    char flag[SETTING_TEXT_SIZE], valid[SETTING_TEXT_SIZE];
    setting_spell(setting, false, '-', flag, sizeof flag);
    setting_valid_text(setting, valid, sizeof valid);

    fprintf(out, "  --%s%s\n      %s\n", flag, setting->kind == KIND_BOOL ? "[=BOOL]" : " VALUE",
            setting->help);
    if (setting->kind == KIND_BOOL)
      fprintf(out, "      default %s\n", setting->default_text);
    else
      fprintf(out, "      %s; default %s\n", valid, *setting->default_text ? setting->default_text : "empty");
  }
}

static void print_cell(const char *text, FILE *out) {
  for (; *text; text++)
    if (*text == '|')
      fputs("\\|", out);
    else
      putc(*text, out);
}

void config_print_markdown(FILE *out) {
  fputs("# Configuration\n"
        "\n"
        "<!-- Made by `isoq config --markdown` from config/options.def. Change it there. -->\n"
        "\n"
        "Every setting can be given in four places. The first that names it decides:\n"
        "\n"
        "1. on the command line: `--timeout-ms 5000` or `--timeout-ms=5000` (`--redis` is short for "
        "`--redis-url`);\n"
        "2. in the environment: `ISOQ_TIMEOUT_MS=5000`; for `redis_url`, `REDIS_URL` is read too, below "
        "`ISOQ_REDIS_URL`;\n"
        "   an empty variable counts as unset;\n"
        "3. in a file: `timeout_ms = 5000`. The file is the one that `--config FILE` or `ISOQ_CONFIG` names; "
        "no other "
        "is\n"
        "   looked for. `#` and `;` start a comment line, and ` ;` one after a value. There are no sections "
        "and no "
        "quotes;\n"
        "4. the default.\n"
        "\n"
        "`isoq config` prints the settings in force and where each came from; `isoq config --example` prints "
        "a file "
        "with\n"
        "all of them. An unknown name, a setting that appears twice in the file, or a value that is not "
        "valid stops\n"
        "the program with exit status 2 and a message that says where it is and what would be valid. Numbers "
        "are\n"
        "whole numbers without a suffix, in the unit of the last part of the name. A switch is `true`, "
        "`yes`, `on` "
        "or\n"
        "`1`, or `false`, `no`, `off` or `0`.\n"
        "\n"
        "A password belongs in the environment or in a file that only the worker can read: command lines are "
        "visible "
        "to\n"
        "every user of a machine.\n"
        "\n"
        "| setting | default | valid | meaning |\n"
        "|---|---|---|---|\n",
        out);
  for (int i = 0; i < CONFIG_SETTING_COUNT; i++) {
    const struct setting *setting = &config_settings[i];
    char valid[SETTING_TEXT_SIZE];
    setting_valid_text(setting, valid, sizeof valid);
    fprintf(out, "| `%s` | ", setting->name);
    if (*setting->default_text)
      fprintf(out, "`%s`", setting->default_text);
    else
      fputs("empty", out);
    fprintf(out, " | %s | ", valid);
    print_cell(setting->help, out);
    fputs(" |\n", out);
  }
}

void config_print_example(FILE *out) {
  fputs("# isoq.conf: every setting, with its default. Made by `isoq config --example`.\n"
        "#\n"
        "# isoq reads no file unless told to: isoq worker --config isoq.conf, or ISOQ_CONFIG=isoq.conf.\n"
        "# A flag (--timeout-ms 5000) or a variable (ISOQ_TIMEOUT_MS=5000) goes over what is set here.\n",
        out);
  for (int i = 0; i < CONFIG_SETTING_COUNT; i++) {
    const struct setting *setting = &config_settings[i];
    char valid[SETTING_TEXT_SIZE];
    setting_valid_text(setting, valid, sizeof valid);
    fprintf(out, "\n# %s\n# %s\n#%s =%s%s\n", setting->help, valid, setting->name,
            *setting->default_text ? " " : "", setting->default_text);
  }
}

static void print_value(const struct config *config, const struct setting *setting, FILE *out) {
  const void *place = (const char *)config + setting->offset;
  switch (setting->kind) {
  case KIND_INT: fprintf(out, "%" PRId64, *(const int64_t *)place); break;
  case KIND_BOOL: fputs(*(const bool *)place ? "true" : "false", out); break;
  case KIND_STRING: fputs(*(char *const *)place, out); break;
  case KIND_LIST: {
    const struct config_list *list = place;
    if (list->count == 0) fputs(CONFIG_LIST_EMPTY, out);
    for (size_t i = 0; i < list->count; i++)
      fprintf(out, "%s%s", i ? "," : "", list->items[i]);
    break;
  }
  }
}

void config_print(const struct config *config, const char *redis, FILE *out) {
  static const char *const sources[] = {"default", "file", "environment", "flag"};
  for (int i = 0; i < CONFIG_SETTING_COUNT; i++) {
    const struct setting *setting = &config_settings[i];
    fprintf(out, "%s = ", setting->name);
    if (i == CONFIG_SETTING_redis_url)
      fputs(redis, out);
    else
      print_value(config, setting, out);
    const char *unit = unit_of(setting);
    fprintf(out, " ; %s%s%s\n", unit, *unit ? ", " : "", sources[config->source[i]]);
  }
}
