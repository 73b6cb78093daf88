/*
 * HTTP and WebSocket are libwebsockets'; the listening socket is ours, so that a port which is taken has its own error,
 * and the loopback address cannot be got wrong by an option.
 *
 * libwebsockets runs on an event loop of its own kind, and Debian builds it for several, but not for libevent. So it
 * has a libuv loop, which can be nested in another one: its descriptor is readable when it has something to do, and it
 * tells its next timer. turn() turns it once, without waiting.
 */
#include "worker/inspect.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <json-c/json.h>
#include <libwebsockets.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include <sys/random.h>
#include <unistd.h>
#include <uv.h>

#include "worker/clock.h"

#define GOODBYE_MS 1000
#define CLOSE_S 2 /* a client that does not answer is gone then */
#define BODY_MAX 4096u
#define HEADER_MAX 512u
#define READ_BYTES 65536u
#define DESCRIPTORS_MAX 32u     /* connections at a time, more or less */
#define UNREAD_MAX (128u << 20) /* what waits for a client that does not read */
#define UUID_SIZE 37

struct message {
  STAILQ_ENTRY(message) entry;
  size_t len;
  unsigned char data[]; /* LWS_PRE bytes of libwebsockets' own, then the text */
};

struct inspect_server {
  struct event_base *base;
  struct inspect_callbacks callbacks;
  struct evconnlistener *listener;
  struct event *readable, *timer;
  uv_loop_t loop;
  bool has_loop;
  void *loops[1];
  struct lws_context *context;
  struct lws_vhost *vhost;
  char title[160], uuid[UUID_SIZE], address[32], url[INSPECT_URL_SIZE];

  struct lws *client;
  bool ending; /* no callback any more */
  STAILQ_HEAD(, message) outgoing;
  size_t outgoing_bytes;
  enum lws_close_status close_status; /* 0, or the client shall go once it has what is in `outgoing` */
  const char *close_why;
  bool close_due;
  char *incoming;
  size_t incoming_len, incoming_capacity;
};

/* An HTTP request that is being answered. */
struct request {
  unsigned status;
  size_t len;
  unsigned char data[LWS_PRE + HEADER_MAX + BODY_MAX];
};

/* ---- who may ---- */

/* The part of a host before its port is one of this machine's own names. */
static bool is_own_host(const char *host) {
  static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};

  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
    size_t len = strlen(names[i]);
    const char *rest = host + len;

    if (strncasecmp(host, names[i], len) != 0) continue;
    if (*rest == '\0' || (*rest == ':' && strspn(rest + 1, "0123456789") == strlen(rest + 1))) return true;
  }
  return false;
}

static bool is_allowed_origin(const char *origin) {
  static const char *const pages[] = {"devtools://", "chrome-devtools://"};

  for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++)
    if (strncmp(origin, pages[i], strlen(pages[i])) == 0) return true;
  return strncmp(origin, "http://", 7) == 0 && is_own_host(origin + 7);
}

/* Copies a header. False: it is longer than anything that would be allowed. */
static bool header_of(struct lws *wsi, enum lws_token_indexes token, char *out, int size) {
  out[0] = '\0';
  return lws_hdr_total_length(wsi, token) == 0 || lws_hdr_copy(wsi, out, size, token) >= 0;
}

/* NULL, or why the request is refused. */
static const char *refusal(struct lws *wsi) {
  char value[256];

  if (!header_of(wsi, WSI_TOKEN_HOST, value, sizeof(value)) || !is_own_host(value))
    return "The Host of a request must be localhost, 127.0.0.1 or [::1].\n";
  if (!header_of(wsi, WSI_TOKEN_ORIGIN, value, sizeof(value)) ||
      (value[0] != '\0' && !is_allowed_origin(value)))
    return "The Origin of a request must be a DevTools page, http://localhost or http://127.0.0.1.\n";
  return NULL;
}

/* ---- answers ---- */

static void add(struct json_object *object, const char *name, const char *value) {
  json_object_object_add(object, name, json_object_new_string(value));
}

static struct json_object *describe(const struct inspect_server *server) {
  struct json_object *list = json_object_new_array(), *target = json_object_new_object();
  char text[256];

  add(target, "description", "isoq job");
  snprintf(text, sizeof(text),
           "devtools://devtools/bundled/js_app.html?experiments=true&v8only=true&ws=%s/%s", server->address,
           server->uuid);
  add(target, "devtoolsFrontendUrl", text);
  add(target, "id", server->uuid);
  add(target, "title", server->title);
  add(target, "type", "node"); /* what Chrome knows how to open */
  snprintf(text, sizeof(text), "isoq://%s", server->title);
  add(target, "url", text);
  add(target, "webSocketDebuggerUrl", server->url);
  json_object_array_add(list, target);
  return list;
}

static struct json_object *describe_version(void) {
  struct json_object *version = json_object_new_object();

  add(version, "Browser", "isoq/" ISOQ_VERSION);
  add(version, "Protocol-Version", "1.3");
  return version;
}

/* Writes the headers, and leaves the body for when the socket takes it. */
static int answer(struct lws *wsi, struct request *request, unsigned status, const char *type,
                  const char *body) {
  unsigned char headers[LWS_PRE + HEADER_MAX], *start = headers + LWS_PRE, *at = start;
  unsigned char *end = headers + sizeof(headers) - 1;
  size_t len = strlen(body);

  if (len > BODY_MAX) return -1;
  if (lws_add_http_common_headers(wsi, status, type, (lws_filepos_t)len, &at, end) != 0 ||
      lws_add_http_header_by_token(wsi, WSI_TOKEN_HTTP_CACHE_CONTROL, (const unsigned char *)"no-cache", 8,
                                   &at, end) != 0 ||
      lws_finalize_write_http_header(wsi, start, &at, end) != 0)
    return -1;
  request->status = status;
  request->len = len;
  memcpy(request->data + LWS_PRE, body, len);
  lws_callback_on_writable(wsi);
  return 0;
}

static int answer_body(struct lws *wsi, struct request *request) {
  if (request->status == 0) return 0;
  request->status = 0;
  if (lws_write(wsi, request->data + LWS_PRE, request->len, LWS_WRITE_HTTP_FINAL) < 0) return -1;
  return lws_http_transaction_completed(wsi) != 0 ? -1 : 0;
}

static int on_request(struct inspect_server *server, struct lws *wsi, struct request *request,
                      const char *path) {
  static const char json[] = "application/json; charset=UTF-8", plain[] = "text/plain; charset=UTF-8";
  const char *why = refusal(wsi);
  struct json_object *body = NULL;
  int r;

  if (why != NULL) return answer(wsi, request, 403, plain, why);
  if (strcmp(path, "/json") == 0 || strcmp(path, "/json/") == 0 || strcmp(path, "/json/list") == 0)
    body = describe(server);
  else if (strcmp(path, "/json/version") == 0)
    body = describe_version();
  if (body == NULL)
    return answer(wsi, request, 404, plain,
                  "There are /json/list, /json/version, and the WebSocket that /json/list tells.\n");
  r = answer(wsi, request, 200, json,
             json_object_to_json_string_ext(body, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
  json_object_put(body);
  return r;
}

/* 0: it becomes a WebSocket; else it was refused. */
static int on_upgrade(struct inspect_server *server, struct lws *wsi) {
  const char *why = refusal(wsi);
  unsigned status = 403;
  char path[64];

  if (why == NULL && (!header_of(wsi, WSI_TOKEN_GET_URI, path, sizeof(path)) || path[0] != '/' ||
                      strcmp(path + 1, server->uuid) != 0)) {
    status = 404;
    why = "There is no such job; /json/list tells the address.\n";
  } else if (why == NULL && server->client != NULL) {
    status = 409;
    why = "Another debugger is attached; one at a time.\n";
  }
  if (why == NULL) return 0;
  lws_return_http_status(wsi, status, why);
  return 1;
}

/* ---- the WebSocket ---- */

static void forget_messages(struct inspect_server *server) {
  struct message *message;

  while ((message = STAILQ_FIRST(&server->outgoing)) != NULL) {
    STAILQ_REMOVE_HEAD(&server->outgoing, entry);
    free(message);
  }
  server->outgoing_bytes = 0;
}

static void forget_incoming(struct inspect_server *server) {
  free(server->incoming);
  server->incoming = NULL;
  server->incoming_len = server->incoming_capacity = 0;
}

/*
 * The client is told why, answers, and is gone; or time runs out. Not by returning -1 from a callback: on a libuv
 * loop, some builds of libwebsockets then close the socket before the close frame is sent.
 */
static void close_client(struct inspect_server *server, enum lws_close_status status, const char *why) {
  if (server->close_status != 0) return;
  server->close_status = status;
  server->close_why = why;
  lws_set_timeout(server->client, PENDING_TIMEOUT_CLOSE_ACK, CLOSE_S);
  lws_callback_on_writable(server->client);
  event_active(server->timer, EV_TIMEOUT, 0);
}

static void turn_away(struct inspect_server *server, enum lws_close_status status, const char *why) {
  forget_messages(server);
  close_client(server, status, why);
}

/* From outside of its callbacks, once all that waited is sent. */
static void send_close(struct inspect_server *server) {
  lws_close_reason(server->client, server->close_status, (unsigned char *)(uintptr_t)server->close_why,
                   strlen(server->close_why));
  server->close_due = false;
  lws_set_timeout(server->client, PENDING_TIMEOUT_CLOSE_ACK, LWS_TO_KILL_SYNC);
}

static int on_established(struct inspect_server *server, struct lws *wsi) {
  if (server->ending || server->client != NULL) return -1; /* two that came at the same time */
  server->client = wsi;
  server->close_status = (enum lws_close_status)0;
  server->close_due = false;
  server->callbacks.attached(server->callbacks.ctx);
  return 0;
}

static void on_closed(struct inspect_server *server, struct lws *wsi) {
  if (server->client != wsi) return;
  server->client = NULL;
  server->close_due = false;
  forget_messages(server);
  forget_incoming(server);
  if (!server->ending) server->callbacks.detached(server->callbacks.ctx);
}

static bool keep_incoming(struct inspect_server *server, const void *data, size_t len) {
  if (server->incoming_len + len > server->incoming_capacity) {
    size_t capacity = (server->incoming_len + len) * 2;
    char *bigger = realloc(server->incoming, capacity);

    if (bigger == NULL) return false;
    server->incoming = bigger;
    server->incoming_capacity = capacity;
  }
  if (len > 0) memcpy(server->incoming + server->incoming_len, data, len);
  server->incoming_len += len;
  return true;
}

static int on_receive(struct inspect_server *server, struct lws *wsi, const void *data, size_t len) {
  size_t left = lws_remaining_packet_payload(wsi);

  if (server->client != wsi || server->close_status != 0) return 0;
  if (lws_frame_is_binary(wsi)) {
    turn_away(server, LWS_CLOSE_STATUS_UNACCEPTABLE_OPCODE, "text only");
    return 0;
  }
  if (len > INSPECT_MESSAGE_MAX || left > INSPECT_MESSAGE_MAX ||
      server->incoming_len + len + left > INSPECT_MESSAGE_MAX) {
    turn_away(server, LWS_CLOSE_STATUS_MESSAGE_TOO_LARGE, "a message may have 32 MiB");
    return 0;
  }
  if (!keep_incoming(server, data, len)) return -1;
  if (left > 0 || !lws_is_final_fragment(wsi)) return 0;
  if (server->incoming_len > 0)
    server->callbacks.message(server->callbacks.ctx, server->incoming, server->incoming_len);
  server->incoming_len = 0;
  if (server->incoming_capacity > READ_BYTES) forget_incoming(server);
  return 0;
}

static int on_writable(struct inspect_server *server, struct lws *wsi) {
  struct message *message = STAILQ_FIRST(&server->outgoing);
  int r;

  if (server->client != wsi) return 0;
  if (message == NULL) {
    server->close_due = server->close_status != 0;
    return 0;
  }
  STAILQ_REMOVE_HEAD(&server->outgoing, entry);
  server->outgoing_bytes -= message->len;
  r = lws_write(wsi, message->data + LWS_PRE, message->len, LWS_WRITE_TEXT);
  free(message);
  if (r < 0) return -1;
  if (server->close_status != 0 || !STAILQ_EMPTY(&server->outgoing)) lws_callback_on_writable(wsi);
  return 0;
}

static int on_lws(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len) {
  struct inspect_server *server = lws_context_user(lws_get_context(wsi));

  switch (reason) {
  case LWS_CALLBACK_HTTP: return on_request(server, wsi, user, in);
  case LWS_CALLBACK_HTTP_WRITEABLE: return answer_body(wsi, user);
  case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE: return on_upgrade(server, wsi);
  case LWS_CALLBACK_ESTABLISHED: return on_established(server, wsi);
  case LWS_CALLBACK_RECEIVE: return on_receive(server, wsi, in, len);
  case LWS_CALLBACK_SERVER_WRITEABLE: return on_writable(server, wsi);
  case LWS_CALLBACK_CLOSED: on_closed(server, wsi); return 0;
  default: return 0;
  }
}

/* ---- the loop in the loop ---- */

static void run_once(struct inspect_server *server) {
  uv_run(&server->loop, UV_RUN_NOWAIT);
  if (!server->close_due) return;
  send_close(server);
  uv_run(&server->loop, UV_RUN_NOWAIT);
}

static void turn(struct inspect_server *server) {
  int timeout_ms;

  run_once(server);
  timeout_ms = uv_backend_timeout(&server->loop);
  if (timeout_ms < 0) {
    event_del(server->timer);
  } else {
    struct timeval after = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};

    event_add(server->timer, &after);
  }
}

static void on_turn(evutil_socket_t fd, short what, void *ctx) {
  (void)fd, (void)what;
  turn(ctx);
}

/* Turns it, waiting, until `*until` is NULL or nothing is left to wait for; for `ms` at most. */
static void turn_until_gone(struct inspect_server *server, void *const volatile *until, int64_t ms) {
  int64_t deadline = clock_monotonic_ns() + ms * CLOCK_NS_PER_MS;

  while (run_once(server), *until != NULL) {
    struct pollfd fd = {.fd = uv_backend_fd(&server->loop), .events = POLLIN};
    int64_t left_ms = (deadline - clock_monotonic_ns()) / CLOCK_NS_PER_MS;
    int timeout_ms = uv_backend_timeout(&server->loop);

    if (left_ms <= 0 || !uv_loop_alive(&server->loop)) return;
    poll(&fd, 1, timeout_ms >= 0 && timeout_ms < left_ms ? timeout_ms : (int)left_ms);
  }
}

/* ---- making and freeing ---- */

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address, int len,
                      void *ctx) {
  struct inspect_server *server = ctx;

  (void)listener, (void)address, (void)len;
  lws_adopt_socket_vhost(server->vhost, fd); /* closes it when it fails */
  event_active(server->timer, EV_TIMEOUT, 0);
}

static int start_lws(struct inspect_server *server) {
  static const struct lws_protocols protocols[] = {
      {.name = "isoq-inspect",
       .callback = on_lws,
       .per_session_data_size = sizeof(struct request),
       .rx_buffer_size = READ_BYTES},
      {0},
  };
  struct lws_context_creation_info info = {
      .port = CONTEXT_PORT_NO_LISTEN_SERVER,
      .protocols = protocols,
      .options = LWS_SERVER_OPTION_LIBUV,
      .foreign_loops = server->loops,
      .user = server,
      .uid = -1,
      .gid = -1,
      .fd_limit_per_thread = DESCRIPTORS_MAX,
      .pcontext = &server->context,
  };

  lws_set_log_level(0, NULL);
  if (uv_loop_init(&server->loop) != 0) return -ENOMEM;
  server->has_loop = true;
  server->loops[0] = &server->loop;
  server->context = lws_create_context(&info);
  if (server->context == NULL) return -ENOSYS;
  server->vhost = lws_get_vhost_by_name(server->context, "default");
  server->readable =
      event_new(server->base, uv_backend_fd(&server->loop), EV_READ | EV_PERSIST, on_turn, server);
  server->timer = event_new(server->base, -1, 0, on_turn, server);
  if (server->vhost == NULL || server->readable == NULL || server->timer == NULL) return -ENOMEM;
  return event_add(server->readable, NULL) < 0 ? -ENOMEM : 0;
}

static int start_listening(struct inspect_server *server, uint16_t port) {
  struct sockaddr_in address = {
      .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof(address);

  errno = 0;
  server->listener = evconnlistener_new_bind(
      server->base, on_accept, server, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE, 8,
      (struct sockaddr *)&address, sizeof(address));
  if (server->listener == NULL) return errno != 0 ? -errno : -ENOMEM;
  if (getsockname(evconnlistener_get_fd(server->listener), (struct sockaddr *)&address, &len) < 0)
    return -errno;
  snprintf(server->address, sizeof(server->address), "127.0.0.1:%u", ntohs(address.sin_port));
  snprintf(server->url, sizeof(server->url), "ws://%s/%s", server->address, server->uuid);
  return 0;
}

static int make_uuid(char out[UUID_SIZE]) {
  uint8_t b[16];

  if (getrandom(b, sizeof(b), 0) != (ssize_t)sizeof(b)) return -EIO;
  b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
  b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
  snprintf(out, UUID_SIZE, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
           b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
  return 0;
}

static void explain(int r, uint16_t port, char *error, size_t error_size) {
  if (r == -EADDRINUSE)
    snprintf(
        error, error_size,
        "--inspect: port %u of 127.0.0.1 is in use; end what uses it, or choose another: --inspect=%u, or "
        "--inspect=0 for any that is free",
        port, port < 65535 ? port + 1u : 9229u);
  else if (r == -ENOSYS)
    snprintf(error, error_size,
             "--inspect: libwebsockets does not start; it needs its event library for libuv (Debian: apt-get "
             "install "
             "libwebsockets-evlib-uv)");
  else
    snprintf(error, error_size, "--inspect: cannot listen on port %u of 127.0.0.1: %s", port, strerror(-r));
}

int inspect_server_new(struct event_base *base, uint16_t port, const char *title,
                       const struct inspect_callbacks *callbacks, struct inspect_server **out, char *error,
                       size_t error_size) {
  struct inspect_server *server = calloc(1, sizeof(*server));
  int r = -ENOMEM;

  if (server != NULL) {
    server->base = base;
    server->callbacks = *callbacks;
    STAILQ_INIT(&server->outgoing);
    snprintf(server->title, sizeof(server->title), "%s", title);
    r = make_uuid(server->uuid);
    if (r == 0) r = start_listening(server, port);
    if (r == 0) r = start_lws(server);
  }
  if (r < 0) {
    explain(r, port, error, error_size);
    inspect_server_free(server);
    return r;
  }
  turn(server);
  *out = server;
  return 0;
}

const char *inspect_server_url(const struct inspect_server *server) {
  return server->url;
}

int inspect_server_send(struct inspect_server *server, const char *text, size_t len) {
  struct message *message;

  if (server->client == NULL) return -ENOTCONN;
  if (server->close_status != 0) return 0;
  message = malloc(sizeof(*message) + LWS_PRE + len);
  if (message == NULL) return -ENOMEM;
  message->len = len;
  memcpy(message->data + LWS_PRE, text, len);
  STAILQ_INSERT_TAIL(&server->outgoing, message, entry);
  server->outgoing_bytes += len;
  if (server->outgoing_bytes > UNREAD_MAX)
    turn_away(server, LWS_CLOSE_STATUS_POLICY_VIOLATION, "too slow: it does not read");
  lws_callback_on_writable(server->client);
  event_active(server->timer, EV_TIMEOUT, 0);
  return 0;
}

static void close_handle(uv_handle_t *handle, void *ctx) {
  (void)ctx;
  if (!uv_is_closing(handle)) uv_close(handle, NULL);
}

/* In steps, as libwebsockets wants it on a loop that is not its own: its handles close, and then the rest goes. */
static void end_lws(struct inspect_server *server) {
  for (int step = 0; step < 2 && server->context != NULL; step++) {
    lws_context_destroy(server->context);
    turn_until_gone(server, (void *const volatile *)&server->context, GOODBYE_MS);
  }
  if (!server->has_loop) return;
  uv_walk(&server->loop, close_handle, NULL);
  uv_run(&server->loop, UV_RUN_NOWAIT);
  uv_loop_close(&server->loop);
}

void inspect_server_free(struct inspect_server *server) {
  if (server == NULL) return;
  server->ending = true;
  if (server->listener != NULL) evconnlistener_free(server->listener);
  if (server->client != NULL) {
    close_client(server, LWS_CLOSE_STATUS_GOINGAWAY, "the job is over");
    turn_until_gone(server, (void *const volatile *)&server->client, GOODBYE_MS);
  }
  if (server->readable != NULL) event_free(server->readable);
  if (server->timer != NULL) event_free(server->timer);
  end_lws(server);
  forget_messages(server);
  forget_incoming(server);
  free(server);
}
