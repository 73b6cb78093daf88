/*
 * tests/aws/fake_aws.py, started for one test program: what it serves, counts and breaks stands at its top.
 * It dies with the test. Everything here blocks; the loop of the client under test runs in between.
 */
#ifndef ISOQ_TESTS_FAKE_AWS_H
#define ISOQ_TESTS_FAKE_AWS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct json_object;

#define FAKE_AWS_KEY "AKIAOWNKEYEXAMPLE001"
#define FAKE_AWS_SECRET "own+secret/OWNSECRETOWNSECRETOWNSECRET01"

struct fake_aws {
  pid_t pid;
  int port, other_port, tls_port, wrong_name_port;
  char dir[64]; /* temporary, for the test's own files as well */
  char ca[96];  /* "" without TLS */
};

/* 0 or a negative errno, with a line on stderr. */
int fake_aws_start(struct fake_aws *fake);
void fake_aws_end(struct fake_aws *fake);

/* "POST", "faults", "[...]" or NULL. Aborts the test when it is refused. json_object_put() the answer. */
struct json_object *fake_aws_control(const struct fake_aws *fake, const char *method, const char *what,
                                     const char *json);
/* The same, without the answer. */
void fake_aws_tell(const struct fake_aws *fake, const char *method, const char *what, const char *json);

/* A counter, as "operations/sts.AssumeRole/requests"; 0 when there is none. */
int64_t fake_aws_count(const struct fake_aws *fake, const char *path);

#endif
