/*
 * The port is chosen by binding port 0 and letting go of it again; another process may grab it in between, so
 * a server that ends at once is started again on another port, a few times. Data lives in the temporary
 * directory, so that a test which asks for an append-only file can kill the server and find its lists again.
 */
#include "redis_server.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define START_TIMEOUT_MS 15000
#define START_TRIES 5
#define ARGS_MAX 48

static int64_t now_ms(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int free_port(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof address;
  int port = -1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  if (bind(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
      getsockname(fd, (struct sockaddr *)&address, &len) == 0)
    port = ntohs(address.sin_port);
  close(fd);
  return port;
}

_Noreturn static void exec_server(const struct redis_server *server, pid_t parent) {
  const char *argv[ARGS_MAX];
  char port[16], log[sizeof server->dir + 16], config[sizeof server->dir + 16];
  size_t n = 0;
  snprintf(port, sizeof port, "%d", server->port);
  snprintf(log, sizeof log, "%s/log", server->dir);
  snprintf(config, sizeof config, "%s/sentinel.conf", server->dir);
  const char *own[] = {"redis-server",
                       "--port",
                       port,
                       "--bind",
                       "127.0.0.1",
                       "--unixsocket",
                       server->socket_path,
                       "--dir",
                       server->dir,
                       "--save",
                       "",
                       "--daemonize",
                       "no",
                       "--logfile",
                       log};
  for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
    argv[n++] = own[i];
    if (i == 0 && server->is_sentinel) argv[n++] = config;
  }
  if (server->is_sentinel) argv[n++] = "--sentinel";
  for (size_t i = 0; server->args && server->args[i] && n < ARGS_MAX - 1; i++)
    argv[n++] = server->args[i];
  argv[n] = NULL;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);
  execvp(argv[0], (char *const *)(void *)argv);
  fprintf(stderr, "redis-server: %s (apt-get install redis-server)\n", strerror(errno));
  _exit(127);
}

/* 1: it answers; 0: not yet; negative: it ended. */
static int answers(struct redis_server *server) {
  int status;
  if (waitpid(server->pid, &status, WNOHANG) == server->pid) {
    server->pid = 0;
    return -ECHILD;
  }
  redisContext *c = redis_server_connect(server);
  if (!c) return 0;
  redisReply *reply = redisCommand(c, "PING");
  /* A password, asked for by the test's own options, is an answer too. */
  int ok = reply && (reply->type == REDIS_REPLY_STATUS || strncmp(reply->str, "NOAUTH", 6) == 0);
  if (reply) freeReplyObject(reply);
  redisFree(c);
  return ok;
}

static int launch(struct redis_server *server) {
  const pid_t parent = getpid();
  server->pid = fork();
  if (server->pid < 0) {
    server->pid = 0;
    return -errno;
  }
  if (server->pid == 0) exec_server(server, parent);
  const int64_t deadline = now_ms() + START_TIMEOUT_MS;
  for (;;) {
    int r = answers(server);
    if (r != 0) return r < 0 ? r : 0;
    if (now_ms() > deadline) {
      redis_server_kill(server);
      return -ETIMEDOUT;
    }
    nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL); /* between two tries to connect */
  }
}

static int make_dir(struct redis_server *server) {
  snprintf(server->dir, sizeof server->dir, "/tmp/isoq-redis-XXXXXX");
  if (!mkdtemp(server->dir)) return -errno;
  snprintf(server->socket_path, sizeof server->socket_path, "%s/redis.sock", server->dir);
  snprintf(server->unix_url, sizeof server->unix_url, "unix://%s", server->socket_path);
  return 0;
}

static int launch_somewhere(struct redis_server *server) {
  int r = -ECHILD;
  for (int i = 0; i < START_TRIES && r == -ECHILD; i++) {
    server->port = free_port();
    if (server->port < 0) continue;
    snprintf(server->tcp_url, sizeof server->tcp_url, "redis://127.0.0.1:%d/0", server->port);
    r = launch(server);
  }
  if (r < 0) {
    fprintf(stderr, "redis_server: did not start: %s (see %s/log)\n", strerror(-r), server->dir);
    server->dir[0] = '\0'; /* the log is worth keeping */
  }
  return r;
}

int redis_server_start(struct redis_server *server, const char *const *args) {
  memset(server, 0, sizeof *server);
  server->args = args;
  const int r = make_dir(server);
  return r < 0 ? r : launch_somewhere(server);
}

int redis_sentinel_start(struct redis_server *sentinel, const struct redis_server *primary, int quorum,
                         const char *config) {
  char path[sizeof sentinel->dir + 16];
  memset(sentinel, 0, sizeof *sentinel);
  sentinel->is_sentinel = true;
  const int r = make_dir(sentinel);
  if (r < 0) return r;
  snprintf(path, sizeof path, "%s/sentinel.conf", sentinel->dir);
  FILE *file = fopen(path, "we"); /* which the Sentinel writes to */
  if (!file) return -errno;
  fprintf(file,
          "sentinel monitor primary 127.0.0.1 %d %d\n"
          "sentinel down-after-milliseconds primary 500\n"
          "sentinel failover-timeout primary 3000\n%s",
          primary->port, quorum, config ? config : "");
  if (fclose(file) != 0) return -errno;
  return launch_somewhere(sentinel);
}

int redis_server_restart(struct redis_server *server) {
  return server->pid ? -EBUSY : launch(server);
}

void redis_server_kill(struct redis_server *server) {
  if (server->pid <= 0) return;
  kill(server->pid, SIGKILL);
  while (waitpid(server->pid, NULL, 0) < 0 && errno == EINTR)
    ;
  server->pid = 0;
}

void redis_server_freeze(struct redis_server *server) {
  if (server->pid > 0) kill(server->pid, SIGSTOP);
}

void redis_server_thaw(struct redis_server *server) {
  if (server->pid > 0) kill(server->pid, SIGCONT);
}

/* Redis makes one level of folders at most (appendonlydir). */
static void remove_dir(const char *path, int depth) {
  DIR *dir = opendir(path);
  if (!dir) return;
  for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
    char child[512];
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    snprintf(child, sizeof child, "%s/%s", path, entry->d_name);
    if (unlink(child) < 0 && errno == EISDIR && depth < 2) remove_dir(child, depth + 1);
  }
  closedir(dir);
  rmdir(path);
}

void redis_server_end(struct redis_server *server) {
  redis_server_kill(server);
  if (strncmp(server->dir, "/tmp/isoq-redis-", 16) == 0) remove_dir(server->dir, 0);
  memset(server, 0, sizeof *server);
}

struct redisContext *redis_server_connect(const struct redis_server *server) {
  redisContext *c = redisConnectUnixWithTimeout(server->socket_path, (struct timeval){.tv_sec = 5});
  if (c && c->err) {
    redisFree(c);
    c = NULL;
  }
  if (c) redisSetTimeout(c, (struct timeval){.tv_sec = 5});
  return c;
}
