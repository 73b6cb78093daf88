/*
 * The settings: every source, what each refuses and how it says so, and that what is committed of the
 * generated texts is what the table generates.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/config.h"
#include "config/nearest.h"

static struct config config;
static char error[CONFIG_ERROR_SIZE];
static char path[64];

static void set_up(void) {
  ck_assert_int_eq(config_init(&config), 0);
  error[0] = 0;
  snprintf(path, sizeof path, "/tmp/isoq-config-XXXXXX");
  int fd = mkstemp(path);
  ck_assert_int_ge(fd, 0);
  close(fd);
}

static void tear_down(void) {
  config_free(&config);
  unlink(path);
}

static int load_bytes(const char *text, size_t len) {
  FILE *file = fopen(path, "w");
  ck_assert_ptr_nonnull(file);
  fwrite(text, 1, len, file);
  fclose(file);
  return config_load_file(&config, path, error, sizeof error);
}

static int load(const char *text) {
  return load_bytes(text, strlen(text));
}

/* "FILE:LINE: " and then text that has `what` in it. */
static void refused_on_line(const char *text, int line, const char *what) {
  char start[80];
  ck_assert_int_eq(load(text), -EINVAL);
  snprintf(start, sizeof start, "%s:%d: ", path, line);
  ck_assert_msg(strncmp(error, start, strlen(start)) == 0, "\"%s\" does not start with \"%s\"", error, start);
  ck_assert_msg(strstr(error, what) != NULL, "\"%s\" does not say \"%s\"", error, what);
}

static int load_environment(const char *a, const char *b) {
  char first[256], second[256];
  snprintf(first, sizeof first, "%s", a);
  snprintf(second, sizeof second, "%s", b ? b : "");
  char *const variables[] = {first, b ? second : NULL, NULL};
  return config_load_environment(&config, variables, error, sizeof error);
}

START_TEST(defaults_are_valid_and_go_together) {
  ck_assert_int_eq(config.timeout_ms, 30000);
  ck_assert_str_eq(config.prefix, "isoq");
  ck_assert_uint_eq(config.queue.count, 1);
  ck_assert_str_eq(config.queue.items[0], "default");
  ck_assert(!config.unlocked);
  ck_assert_int_eq(config_check(&config, error, sizeof error), 0);
}
END_TEST

START_TEST(an_integer_is_a_whole_number_within_its_range) {
  static const char *const bad[] = {
      "", " 5", "5 ", "+5", "5s", "0x10", "1e3", "-1", "0", "86400001", "99999999999999999999", "five", "-"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    ck_assert_msg(config_set(&config, "timeout_ms", bad[i], error, sizeof error) == -EINVAL, "took \"%s\"",
                  bad[i]);
    ck_assert_ptr_nonnull(strstr(error, "1 to 86400000 ms"));
    ck_assert_ptr_nonnull(strstr(error, bad[i]));
    ck_assert_int_eq(config.timeout_ms, 30000);
  }
  ck_assert_int_eq(config_set(&config, "timeout_ms", "1", error, sizeof error), 0);
  ck_assert_int_eq(config.timeout_ms, 1);
  ck_assert_int_eq(config_set(&config, "timeout_ms", "86400000", error, sizeof error), 0);
  ck_assert_int_eq(config.timeout_ms, 86400000);
}
END_TEST

START_TEST(a_switch_takes_eight_words) {
  static const char *const words[2][4] = {{"false", "no", "off", "0"}, {"true", "yes", "on", "1"}};
  for (int truth = 0; truth < 2; truth++)
    for (int i = 0; i < 4; i++) {
      config.unlocked = !truth;
      ck_assert_int_eq(config_set(&config, "unlocked", words[truth][i], error, sizeof error), 0);
      ck_assert_int_eq(config.unlocked, truth);
    }
  ck_assert_int_eq(config_set(&config, "unlocked", "TRUE", error, sizeof error), -EINVAL);
  ck_assert_int_eq(config_set(&config, "unlocked", "", error, sizeof error), -EINVAL);
  ck_assert_ptr_nonnull(strstr(error, "true or false"));
}
END_TEST

START_TEST(a_list_keeps_its_order_and_refuses_what_is_no_name) {
  ck_assert_int_eq(config_set(&config, "queue", "high, default ,low.1", error, sizeof error), 0);
  ck_assert_uint_eq(config.queue.count, 3);
  ck_assert_str_eq(config.queue.items[0], "high");
  ck_assert_str_eq(config.queue.items[1], "default");
  ck_assert_str_eq(config.queue.items[2], "low.1");

  static const char *const bad[] = {
      "", ",", "a,", "a,,b", "a b", "a,a", "{a}", "\xc3\xa9", "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    ck_assert_msg(config_set(&config, "queue", bad[i], error, sizeof error) == -EINVAL, "took \"%s\"",
                  bad[i]);
    ck_assert_uint_eq(config.queue.count, 3);
  }
  char long_name[66];
  memset(long_name, 'q', sizeof long_name);
  long_name[65] = 0;
  ck_assert_int_eq(config_set(&config, "queue", long_name, error, sizeof error), -EINVAL);
  long_name[64] = 0;
  ck_assert_int_eq(config_set(&config, "queue", long_name, error, sizeof error), 0);
}
END_TEST

START_TEST(a_list_that_may_be_empty_is_so_by_the_word_none) {
  char *text = NULL;
  size_t size;
  FILE *out = open_memstream(&text, &size);

  ck_assert_int_eq(config_set(&config, "bindings", "none", error, sizeof error), 0);
  ck_assert_uint_eq(config.bindings.count, 0);
  config_print(&config, "", out);
  fclose(out);
  ck_assert_ptr_nonnull(strstr(text, "\nbindings = none ;"));
  free(text);
  ck_assert_int_eq(config_set(&config, "bindings", "", error, sizeof error), -EINVAL);
  ck_assert_ptr_nonnull(strstr(error, "valid: none, or 1 to 32 different names"));
  ck_assert_int_eq(config_set(&config, "queue", "none", error, sizeof error), 0); /* a queue of this name */
  ck_assert_uint_eq(config.queue.count, 1);
}
END_TEST

START_TEST(a_word_is_one_of_its_choices) {
  ck_assert_int_eq(config_set(&config, "log_level", "warn", error, sizeof error), 0);
  ck_assert_str_eq(config.log_level, "warn");
  ck_assert_int_eq(config_set(&config, "log_level", "war", error, sizeof error), -EINVAL);
  ck_assert_ptr_nonnull(strstr(error, "debug, info, warn or error"));
  ck_assert_int_eq(config_set(&config, "log_level", "warn|error", error, sizeof error), -EINVAL);
  ck_assert_int_eq(config_set(&config, "log_level", "", error, sizeof error), -EINVAL);
  ck_assert_str_eq(config.log_level, "warn");
}
END_TEST

START_TEST(a_refused_address_does_not_show_its_password) {
  char address[3000] = "redis://:secret@";
  memset(address + strlen(address), 'h', sizeof address - strlen(address) - 1);
  address[sizeof address - 1] = 0;
  ck_assert_int_eq(config_set(&config, "redis_url", address, error, sizeof error), -EINVAL);
  ck_assert_ptr_null(strstr(error, "secret"));
  ck_assert_ptr_nonnull(strstr(error, "1 to 2048"));
}
END_TEST

START_TEST(an_unknown_setting_names_the_nearest) {
  ck_assert_int_eq(config_set(&config, "timout_ms", "1", error, sizeof error), -ENOENT);
  ck_assert_str_eq(error, "unknown setting \"timout_ms\" (did you mean \"timeout_ms\"?)");
  ck_assert_int_eq(config_set(&config, "zzzzzz", "1", error, sizeof error), -ENOENT);
  ck_assert_ptr_null(strstr(error, "did you mean"));
}
END_TEST

START_TEST(control_characters_of_a_bad_value_are_made_visible) {
  ck_assert_int_eq(config_set(&config, "timeout_ms", "\033[2J", error, sizeof error), -EINVAL);
  ck_assert_ptr_null(strchr(error, '\033'));
  ck_assert_ptr_nonnull(strstr(error, "\\x1b[2J"));
}
END_TEST

START_TEST(a_file_sets_what_it_names) {
  ck_assert_int_eq(load("# a comment\n"
                        "; another\n"
                        "\n"
                        "timeout_ms = 5000\n"
                        "   memory_mb=64   ; after a value\n"
                        "redis_url = redis://host:1/2?a=b\r\n"
                        "queue: a,b\n"
                        "unlocked = yes"),
                   0);
  ck_assert_int_eq(config.timeout_ms, 5000);
  ck_assert_int_eq(config.memory_mb, 64);
  ck_assert_str_eq(config.redis_url, "redis://host:1/2?a=b");
  ck_assert_uint_eq(config.queue.count, 2);
  ck_assert(config.unlocked);
  ck_assert_int_eq(config.source[CONFIG_SETTING_timeout_ms], CONFIG_FILE);
  ck_assert_int_eq(config.source[CONFIG_SETTING_prefix], CONFIG_DEFAULT);
}
END_TEST

START_TEST(a_file_may_start_with_a_byte_order_mark) {
  ck_assert_int_eq(load("\xef\xbb\xbftimeout_ms = 7\n"), 0);
  ck_assert_int_eq(config.timeout_ms, 7);
}
END_TEST

START_TEST(an_empty_file_changes_nothing) {
  ck_assert_int_eq(load(""), 0);
  ck_assert_int_eq(config.timeout_ms, 30000);
}
END_TEST

START_TEST(errors_of_a_file_name_its_line) {
  refused_on_line("# x\n\ntimout_ms = 5\n", 3,
                  "unknown setting \"timout_ms\" (did you mean \"timeout_ms\"?)");
  refused_on_line("timeout_ms = 5s\n", 1,
                  "timeout_ms: \"5s\" is not a whole number; valid: 1 to 86400000 ms");
  refused_on_line("timeout_ms = 5 # five\n", 1, "semicolon");
  refused_on_line("memory_mb = 4\nwhat is this\ntimeout_ms = x\n", 2, "expected name = value");
  refused_on_line("= 5\n", 1, "expected name = value");
  refused_on_line("prefix = \"isoq\"\n", 1, "without quotes");
}
END_TEST

START_TEST(a_section_is_an_error_even_when_empty) {
  refused_on_line("timeout_ms = 5\n[worker]\n", 2, "no sections");
  refused_on_line("\xef\xbb\xbf[worker]\n", 1, "no sections");
  refused_on_line("  [worker]\nmemory_mb = 4\n", 1, "no sections");
}
END_TEST

START_TEST(a_setting_twice_names_both_lines) {
  refused_on_line("timeout_ms = 5\n\ntimeout_ms = 5\n", 3, "timeout_ms was set already, on line 1");
  refused_on_line("timeout_ms = 5\n  timeout_ms = 6\n", 2, "on line 1"); /* not a continued line */
}
END_TEST

START_TEST(a_long_line_is_an_error_and_not_cut) {
  char line[400];
  int start = snprintf(line, sizeof line, "timeout_ms = 5\nprefix = ");
  memset(line + start, 'p', sizeof line - (size_t)start);
  memcpy(line + sizeof line - 2, "\n", 2);
  refused_on_line(line, 2, "longer than");

  memset(line, '#', 300); /* a comment as well: its tail would be read as a line */
  memcpy(line + 300, "\n", 2);
  refused_on_line(line, 1, "longer than");
}
END_TEST

START_TEST(a_nul_byte_is_an_error) {
  static const char text[] = "timeout_ms = 5\nprefix = a\0b\n";
  ck_assert_int_eq(load_bytes(text, sizeof text - 1), -EINVAL);
  ck_assert_ptr_nonnull(strstr(error, ":2: a NUL byte"));
}
END_TEST

START_TEST(the_first_error_is_the_one_reported) {
  refused_on_line("timeout_ms = a\nmemory_mb = b\n", 1, "timeout_ms");
  refused_on_line("gibberish\nmemory_mb = b\n", 1, "expected");
}
END_TEST

START_TEST(a_file_that_cannot_be_read_is_named) {
  ck_assert_int_eq(config_load_file(&config, "/nonexistent/isoq.conf", error, sizeof error), -ENOENT);
  ck_assert_ptr_nonnull(strstr(error, "/nonexistent/isoq.conf"));
  ck_assert_int_eq(config_load_file(&config, "/tmp", error, sizeof error), -EISDIR);
  ck_assert_ptr_nonnull(strstr(error, "/tmp"));
}
END_TEST

START_TEST(the_environment_goes_over_the_file) {
  ck_assert_int_eq(load("timeout_ms = 5\nmemory_mb = 8\n"), 0);
  ck_assert_int_eq(load_environment("ISOQ_TIMEOUT_MS=6", "HOME=/root"), 0);
  ck_assert_int_eq(config.timeout_ms, 6);
  ck_assert_int_eq(config.memory_mb, 8);
  ck_assert_int_eq(config.source[CONFIG_SETTING_timeout_ms], CONFIG_ENVIRONMENT);
}
END_TEST

START_TEST(isoq_redis_url_goes_over_redis_url_in_either_order) {
  ck_assert_int_eq(load_environment("REDIS_URL=redis://a", NULL), 0);
  ck_assert_str_eq(config.redis_url, "redis://a");
  ck_assert_int_eq(load_environment("REDIS_URL=redis://a", "ISOQ_REDIS_URL=redis://b"), 0);
  ck_assert_str_eq(config.redis_url, "redis://b");
  ck_assert_int_eq(load_environment("ISOQ_REDIS_URL=redis://c", "REDIS_URL=redis://a"), 0);
  ck_assert_str_eq(config.redis_url, "redis://c");
}
END_TEST

START_TEST(an_empty_variable_counts_as_unset) {
  ck_assert_int_eq(load_environment("ISOQ_TIMEOUT_MS=", "REDIS_URL="), 0);
  ck_assert_int_eq(config.timeout_ms, 30000);
  ck_assert_str_eq(config.redis_url, "redis://127.0.0.1:6379/0");
}
END_TEST

START_TEST(an_unknown_variable_names_the_nearest) {
  ck_assert_int_eq(load_environment("ISOQ_TIMOUT_MS=5", NULL), -EINVAL);
  ck_assert_ptr_nonnull(strstr(error, "ISOQ_TIMOUT_MS (did you mean ISOQ_TIMEOUT_MS?)"));
  ck_assert_int_eq(load_environment("ISOQ_=5", NULL), -EINVAL);
  ck_assert_int_eq(load_environment("ISOQ_TIMEOUT_MS=5s", NULL), -EINVAL);
  ck_assert_ptr_nonnull(strstr(error, "environment: ISOQ_TIMEOUT_MS: \"5s\""));
}
END_TEST

START_TEST(variables_of_others_are_left_alone) {
  static const char *const others[] = {"ISOQ_CONFIG=/x",
                                       "ISOQ_TEST_ANYTHING=1",
                                       "ISOQ_REDIS_SERVICE_HOST=10.0.0.1",
                                       "ISOQ_REDIS_SERVICE_PORT=6379",
                                       "ISOQ_REDIS_SERVICE_PORT_TCP_REDIS=6379",
                                       "ISOQ_REDIS_PORT=tcp://10.0.0.1:6379",
                                       "ISOQ_REDIS_PORT_6379_TCP=tcp://10.0.0.1:6379",
                                       "ISOQ_REDIS_PORT_6379_TCP_ADDR=10.0.0.1",
                                       "ISOQ_PORT=udp://10.0.0.1:53",
                                       "ISOQUANT=1",
                                       "NOT_A_PAIR"};
  for (size_t i = 0; i < sizeof others / sizeof *others; i++)
    ck_assert_msg(load_environment(others[i], NULL) == 0, "%s: %s", others[i], error);
  ck_assert_int_eq(load_environment("ISOQ_REDIS_PORT=6379", NULL), -EINVAL);
}
END_TEST

START_TEST(settings_that_contradict_each_other_are_named) {
  static const struct {
    const char *name, *value, *says;
  } cases[] = {
      {"max_timeout_ms", "1000", "timeout_ms (30000) is above max_timeout_ms (1000)"},
      {"max_memory_mb", "128", "memory_mb (256) is above max_memory_mb (128)"},
      {"max_max_output_bytes", "10", "max_output_bytes"},
      {"max_reply_ttl_s", "60", "reply_ttl_s (3600)"},
      {"max_payload_bytes", "2048", "max_payload_bytes (2048)"},
      {"lease_renew_ms", "15000", "lease_renew_ms (15000) must be below half of lease_ms (30000)"},
      {"prefix", "a{b}", "prefix"},
      {"prefix", "a b", "prefix"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    config_free(&config);
    ck_assert_int_eq(config_init(&config), 0);
    ck_assert_int_eq(config_set(&config, cases[i].name, cases[i].value, error, sizeof error), 0);
    ck_assert_int_eq(config_check(&config, error, sizeof error), -EINVAL);
    ck_assert_msg(strstr(error, cases[i].says) != NULL, "\"%s\" does not say \"%s\"", error, cases[i].says);
  }
}
END_TEST

START_TEST(flags_are_names_with_dashes) {
  bool is_bool = true;
  ck_assert_str_eq(config_flag_name("--lease-ms", &is_bool), "lease_ms");
  ck_assert(!is_bool);
  ck_assert_str_eq(config_flag_name("--unlocked", &is_bool), "unlocked");
  ck_assert(is_bool);
  ck_assert_ptr_null(config_flag_name("--lease_ms", &is_bool));
  ck_assert_ptr_null(config_flag_name("lease-ms", &is_bool));
  ck_assert_ptr_null(config_flag_name("--", &is_bool));
}
END_TEST

START_TEST(nearest_words) {
  static const char *const names[] = {"run", "worker", "submit", "result", "status", "config", "help"};
  static const char *const cases[][2] = {
      {"statsu", "status"}, {"submti", "submit"}, {"runn", "run"}, {"resutls", "result"},
      {"cancel", NULL},     {"dead", NULL},       {"", NULL},      {"x", NULL}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct nearest nearest = nearest_start(cases[i][0]);
    for (size_t j = 0; j < sizeof names / sizeof *names; j++)
      nearest_try(&nearest, names[j]);
    if (cases[i][1])
      ck_assert_str_eq(nearest.best, cases[i][1]);
    else
      ck_assert_msg(!nearest.best, "%s: %s", cases[i][0], nearest.best);
  }
}
END_TEST

static char *print_to_text(void (*print)(FILE *)) {
  char *text = NULL;
  size_t len = 0;
  FILE *memory = open_memstream(&text, &len);
  print(memory);
  fclose(memory);
  return text;
}

START_TEST(the_example_with_its_comments_removed_loads_and_says_the_defaults) {
  char *example = print_to_text(config_print_example);
  for (char *line = example; *line; line = strchr(line, '\n') + 1)
    if (line[0] == '#' && line[1] != ' ' && line[1] != '\n') line[0] = ' ';
  ck_assert_msg(load(example) == 0, "%s", error);
  ck_assert_int_eq(config.timeout_ms, 30000);
  for (size_t i = 0; i < CONFIG_SETTING_COUNT; i++)
    ck_assert_msg(config.source[i] == CONFIG_FILE, "%s is not in the example", config_name(i));
  free(example);
}
END_TEST

START_TEST(what_is_in_force_can_be_loaded_again) {
  char *text = NULL;
  size_t len = 0;
  FILE *memory = open_memstream(&text, &len);
  ck_assert_int_eq(config_set(&config, "queue", "a,b", error, sizeof error), 0);
  ck_assert_int_eq(config_set(&config, "unlocked", "on", error, sizeof error), 0);
  config_print(&config, "redis://h:1/0", memory);
  fclose(memory);

  config_free(&config);
  ck_assert_int_eq(config_init(&config), 0);
  ck_assert_msg(load(text) == 0, "%s", error);
  ck_assert_uint_eq(config.queue.count, 2);
  ck_assert(config.unlocked);
  ck_assert_str_eq(config.redis_url, "redis://h:1/0");
  ck_assert_str_eq(config.executor_path, "");
  free(text);
}
END_TEST

static void same_as_committed(const char *name, void (*print)(FILE *)) {
  char file_name[512], *generated = print_to_text(print), *committed = NULL;
  const char *source_dir = getenv("ISOQ_TEST_SOURCE_DIR");
  size_t len = 0;

  snprintf(file_name, sizeof file_name, "%s/%s", source_dir ? source_dir : ".", name);
  FILE *file = fopen(file_name, "r");
  ck_assert_msg(file != NULL, "cannot open %s", file_name);
  ck_assert_int_gt(getdelim(&committed, &len, 0, file), 0);
  fclose(file);
  ck_assert_msg(strcmp(generated, committed) == 0, "%s is not what isoq config prints: make it anew",
                file_name);
  free(generated);
  free(committed);
}

START_TEST(the_committed_example_is_the_generated_one) {
  same_as_committed("config/isoq.conf.example", config_print_example);
}
END_TEST

START_TEST(the_committed_page_is_the_generated_one) {
  same_as_committed("docs/configuration.md", config_print_markdown);
}
END_TEST

int main(void) {
  const TTest *const tests[] = {
      defaults_are_valid_and_go_together,
      an_integer_is_a_whole_number_within_its_range,
      a_switch_takes_eight_words,
      a_list_keeps_its_order_and_refuses_what_is_no_name,
      a_list_that_may_be_empty_is_so_by_the_word_none,
      a_word_is_one_of_its_choices,
      a_refused_address_does_not_show_its_password,
      an_unknown_setting_names_the_nearest,
      control_characters_of_a_bad_value_are_made_visible,
      a_file_sets_what_it_names,
      a_file_may_start_with_a_byte_order_mark,
      an_empty_file_changes_nothing,
      errors_of_a_file_name_its_line,
      a_section_is_an_error_even_when_empty,
      a_setting_twice_names_both_lines,
      a_long_line_is_an_error_and_not_cut,
      a_nul_byte_is_an_error,
      the_first_error_is_the_one_reported,
      a_file_that_cannot_be_read_is_named,
      the_environment_goes_over_the_file,
      isoq_redis_url_goes_over_redis_url_in_either_order,
      an_empty_variable_counts_as_unset,
      an_unknown_variable_names_the_nearest,
      variables_of_others_are_left_alone,
      settings_that_contradict_each_other_are_named,
      flags_are_names_with_dashes,
      nearest_words,
      the_example_with_its_comments_removed_loads_and_says_the_defaults,
      what_is_in_force_can_be_loaded_again,
      the_committed_example_is_the_generated_one,
      the_committed_page_is_the_generated_one,
  };
  Suite *suite = suite_create("config");
  TCase *tcase = tcase_create("config");
  tcase_add_checked_fixture(tcase, set_up, tear_down);
  for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)
    tcase_add_test(tcase, tests[i]);
  suite_add_tcase(suite, tcase);

  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
