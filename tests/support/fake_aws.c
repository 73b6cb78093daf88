#include "tests/support/fake_aws.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int number(struct json_object *object, const char *name) {
  struct json_object *value;

  return json_object_object_get_ex(object, name, &value) ? json_object_get_int(value) : 0;
}

static int read_ports(struct fake_aws *fake, int fd) {
  FILE *out = fdopen(fd, "r");
  char line[1024];
  struct json_object *object = NULL, *ca;

  if (out == NULL) return -errno;
  if (fgets(line, sizeof(line), out) != NULL) object = json_tokener_parse(line);
  fclose(out);
  if (object == NULL) return -EIO;
  fake->port = number(object, "port");
  fake->other_port = number(object, "other_port");
  fake->tls_port = number(object, "tls_port");
  fake->wrong_name_port = number(object, "wrong_name_port");
  if (json_object_object_get_ex(object, "ca", &ca) && ca != NULL)
    snprintf(fake->ca, sizeof(fake->ca), "%s", json_object_get_string(ca));
  json_object_put(object);
  return fake->port > 0 ? 0 : -EIO;
}

int fake_aws_start(struct fake_aws *fake) {
  const char *source = getenv("ISOQ_TEST_SOURCE_DIR");
  char script[512];
  char *words[] = {"python3", script, "--tls-dir", fake->dir, NULL};
  posix_spawn_file_actions_t actions;
  int pipes[2], r;

  *fake = (struct fake_aws){0};
  strcpy(fake->dir, "/tmp/isoq-fake-aws-XXXXXX");
  snprintf(script, sizeof(script), "%s/tests/aws/fake_aws.py", source != NULL ? source : ".");
  if (mkdtemp(fake->dir) == NULL || pipe2(pipes, O_CLOEXEC) < 0) return -errno;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, pipes[1], STDOUT_FILENO);
  r = -posix_spawnp(&fake->pid, words[0], &actions, NULL, words, environ);
  posix_spawn_file_actions_destroy(&actions);
  close(pipes[1]);
  if (r == 0) r = read_ports(fake, pipes[0]);
  if (r < 0) fprintf(stderr, "fake_aws.py does not start: %s\n", strerror(-r));
  return r;
}

void fake_aws_end(struct fake_aws *fake) {
  char command[128];

  if (fake->pid > 0) {
    kill(fake->pid, SIGKILL);
    waitpid(fake->pid, NULL, 0);
  }
  fake->pid = 0;
  if (fake->dir[0] == '\0') return;
  snprintf(command, sizeof(command), "rm -rf '%s'", fake->dir);
  if (system(command) != 0) fprintf(stderr, "cannot remove %s\n", fake->dir);
}

static char *ask(const struct fake_aws *fake, const char *method, const char *what, const char *json) {
  const struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_port = htons((uint16_t)fake->port),
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  size_t len = 0, size = 8u << 20;
  char *answer = malloc(size);
  ssize_t got;

  if (answer == NULL || fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
    abort();
  dprintf(fd, "%s /_control/%s HTTP/1.1\r\nContent-Length: %zu\r\n\r\n%s", method, what,
          json != NULL ? strlen(json) : 0, json != NULL ? json : "");
  shutdown(fd, SHUT_WR);
  while ((got = read(fd, answer + len, size - 1 - len)) > 0)
    len += (size_t)got;
  answer[len] = '\0';
  close(fd);
  return answer;
}

struct json_object *fake_aws_control(const struct fake_aws *fake, const char *method, const char *what,
                                     const char *json) {
  char *answer = ask(fake, method, what, json), *body = strstr(answer, "\r\n\r\n");
  struct json_object *object = body != NULL ? json_tokener_parse(body + 4) : NULL;

  if (strncmp(answer, "HTTP/1.1 200", 12) != 0) {
    fprintf(stderr, "%s %s %s: %s\n", method, what, json != NULL ? json : "", answer);
    abort();
  }
  free(answer);
  return object;
}

void fake_aws_tell(const struct fake_aws *fake, const char *method, const char *what, const char *json) {
  json_object_put(fake_aws_control(fake, method, what, json));
}

int64_t fake_aws_count(const struct fake_aws *fake, const char *path) {
  struct json_object *tree = fake_aws_control(fake, "GET", "counters", NULL), *node = tree;
  char copy[256], *rest = copy, *part;
  int64_t count = 0;

  snprintf(copy, sizeof(copy), "%s", path);
  while (node != NULL && (part = strsep(&rest, "/")) != NULL)
    if (!json_object_object_get_ex(node, part, &node)) node = NULL;
  if (node != NULL) count = json_object_get_int64(node);
  json_object_put(tree);
  return count;
}
