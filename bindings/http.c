/*
 * libcurl says which sockets to watch and when to come back; libevent does both; curl_multi_socket_action()
 * does the rest. Answers are given when that call has returned, so a caller may send and cancel as it likes
 * from within one.
 *
 * What keeps the loop from blocking:
 * - Names are looked up in libcurl's threads (CURL_VERSION_ASYNCHDNS is required). A cancelled transfer would
 *   wait for its thread; CURLOPT_QUICK_EXIT, from 7.87, leaves it behind to clean up after itself.
 * - The trusted certificates are parsed once and kept (from 7.87), which libcurl does only without a CApath;
 *   and before the loop runs, if http_warm_up() is called. Others are seen after a restart.
 *
 * CURLOPT_AWS_SIGV4 and the versions of libcurl: up to 7.86 it signed Host without its port, and of the
 * headers only Content-Type, Host and X-Amz-Date. From 7.87 (curl pull request 7966) every header of
 * CURLOPT_HTTPHEADER is signed, the token among them; tried with 7.88.1. Later ones differ in queries, paths
 * to encode, repeated headers and blanks within values, none of which occurs here: every request is a POST to
 * a plain path without a query. A header without a value ("Expect:", to switch it off) is signed but not sent
 * by 7.88, and X-Amz-Date of our own is sent twice, so neither is used.
 *
 * Keys and tokens pass through libcurl's memory. libcurl takes its allocator from us, and what it frees is
 * overwritten.
 */
#include "bindings/http.h"
#include "bindings/wipe.h"

#include <assert.h>
#include <curl/curl.h>
#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEADER_TEXT_MAX 256
#define HEADER_BYTES_MAX (256u << 10) /* all headers of an answer */
#define BUFFER_FIRST 4096u
#define WARM_UP_TURNS 200u
#define WARM_UP_TURN_MS 5
#define CONNECTION_AGE_MAX_S 60L /* AWS closes idle ones itself, after different times */

#if LIBCURL_VERSION_NUM < 0x075700
#error "libcurl 7.87.0 or later is needed: signed headers, CURLOPT_QUICK_EXIT, the cache of certificates"
#endif

struct http_transfer {
  struct http *http;
  TAILQ_ENTRY(http_transfer) link;
  CURL *easy;
  struct curl_slist *headers;
  http_answer_fn answer;
  void *ctx;
  uint64_t max_answer_bytes, bytes_read;
  size_t header_bytes;
  bool waiting, counted; /* in the queue; has a place */
  bool too_large, too_many_headers, no_memory;
  char *body;
  size_t body_len, body_size;
  char request_id[HEADER_TEXT_MAX], error_type[HEADER_TEXT_MAX], retry_after[HEADER_TEXT_MAX],
      amz_retry_after[HEADER_TEXT_MAX], date[HEADER_TEXT_MAX];
  char error[CURL_ERROR_SIZE];
};

TAILQ_HEAD(transfer_list, http_transfer);

struct http {
  struct event_base *base;
  CURLM *multi;
  struct event *timer;   /* libcurl's */
  struct event *starter; /* a place is free, and somebody waits */
  struct transfer_list under_way, waiting;
  uint32_t max_transfers, places_taken;
  uint32_t stalled_s;
  char *ca_bundle;
};

/* ---- libcurl's memory ---- */

/* Once for the process, and never undone: it would be no use before the end. */
static int start_curl(char *error, size_t error_size) {
  static bool started;
  const curl_version_info_data *info;

  if (!started &&
      curl_global_init_mem(CURL_GLOBAL_DEFAULT, malloc, wipe_free, wipe_realloc, strdup, calloc) != 0) {
    snprintf(error, error_size, "libcurl could not start");
    return -ENOTSUP;
  }
  started = true;
  info = curl_version_info(CURLVERSION_NOW);
  if (info->version_num < 0x075700) {
    snprintf(error, error_size, "libcurl %s is too old: 7.87.0 or later signs requests as AWS wants them",
             info->version);
    return -ENOTSUP;
  }
  if ((info->features & CURL_VERSION_ASYNCHDNS) == 0) {
    snprintf(error, error_size,
             "libcurl %s looks names up while everything else waits; one built with a threaded resolver or "
             "c-ares is "
             "needed",
             info->version);
    return -ENOTSUP;
  }
  if ((info->features & CURL_VERSION_SSL) == 0) {
    snprintf(error, error_size, "libcurl %s is built without TLS", info->version);
    return -ENOTSUP;
  }
  return 0;
}

/* ---- an answer ---- */

static bool body_reserve(struct http_transfer *transfer, size_t more) {
  size_t size = transfer->body_size > 0 ? transfer->body_size : BUFFER_FIRST;
  char *fresh;

  while (size < transfer->body_len + more + 1)
    size *= 2;
  if (size == transfer->body_size) return true;
  fresh = malloc(size);
  if (fresh == NULL) return false;
  if (transfer->body != NULL) {
    memcpy(fresh, transfer->body, transfer->body_len);
    explicit_bzero(transfer->body, transfer->body_len);
    free(transfer->body);
  }
  transfer->body = fresh;
  transfer->body_size = size;
  return true;
}

static size_t on_body(char *data, size_t one, size_t len, void *ctx) {
  struct http_transfer *transfer = ctx;

  (void)one;
  transfer->bytes_read += len;
  if (len > transfer->max_answer_bytes - transfer->body_len) {
    transfer->too_large = true;
    return CURL_WRITEFUNC_ERROR;
  }
  if (!body_reserve(transfer, len)) {
    transfer->no_memory = true;
    return CURL_WRITEFUNC_ERROR;
  }
  memcpy(transfer->body + transfer->body_len, data, len);
  transfer->body_len += len;
  return len;
}

static bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Printable ASCII of the value: these go into errors. */
static void keep_value(char out[HEADER_TEXT_MAX], const char *value, size_t len) {
  size_t kept = 0;

  while (len > 0 && is_blank(value[0]))
    value++, len--;
  while (len > 0 && is_blank(value[len - 1]))
    len--;
  for (; kept < len && kept < HEADER_TEXT_MAX - 1; kept++)
    out[kept] = value[kept] >= ' ' && value[kept] <= '~' ? value[kept] : '?';
  out[kept] = '\0';
}

static size_t on_header(char *data, size_t one, size_t len, void *ctx) {
  struct http_transfer *transfer = ctx;
  const struct {
    const char *name;
    char *out;
  } wanted[] = {{"x-amzn-requestid", transfer->request_id},       {"x-amz-request-id", transfer->request_id},
                {"x-amzn-errortype", transfer->error_type},       {"retry-after", transfer->retry_after},
                {"x-amz-retry-after", transfer->amz_retry_after}, {"date", transfer->date}};
  const char *colon = memchr(data, ':', len);

  (void)one;
  transfer->bytes_read += len;
  transfer->header_bytes += len;
  if (transfer->header_bytes > HEADER_BYTES_MAX) {
    transfer->too_many_headers = true;
    return 0;
  }
  if (colon == NULL) return len;
  for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
    const size_t name_len = strlen(wanted[i].name);

    if ((size_t)(colon - data) == name_len && strncasecmp(data, wanted[i].name, name_len) == 0)
      keep_value(wanted[i].out, colon + 1, len - name_len - 1);
  }
  return len;
}

static enum http_end end_of(const struct http_transfer *transfer, CURLcode code) {
  if (transfer->too_large) return HTTP_TOO_LARGE;
  if (transfer->no_memory) return HTTP_NO_MEMORY;
  switch (code) {
  case CURLE_OK: return HTTP_ANSWERED;
  case CURLE_OPERATION_TIMEDOUT: return HTTP_TIMED_OUT;
  case CURLE_FILESIZE_EXCEEDED: return HTTP_TOO_LARGE;
  case CURLE_OUT_OF_MEMORY: return HTTP_NO_MEMORY;
  case CURLE_PEER_FAILED_VERIFICATION:
  case CURLE_SSL_CONNECT_ERROR:
  case CURLE_SSL_CACERT_BADFILE:
  case CURLE_SSL_ISSUER_ERROR:
  case CURLE_SSL_CIPHER: return HTTP_INSECURE;
  case CURLE_URL_MALFORMAT:
  case CURLE_UNSUPPORTED_PROTOCOL:
  case CURLE_WEIRD_SERVER_REPLY:
  case CURLE_HTTP2:
  case CURLE_BAD_FUNCTION_ARGUMENT:
  case CURLE_BAD_CONTENT_ENCODING:
  case CURLE_WRITE_ERROR: return HTTP_GARBLED;
  default: return HTTP_LOST;
  }
}

static void transfer_free(struct http_transfer *transfer) {
  if (transfer->easy != NULL) curl_easy_cleanup(transfer->easy);
  curl_slist_free_all(transfer->headers);
  if (transfer->body != NULL) explicit_bzero(transfer->body, transfer->body_size);
  free(transfer->body);
  free(transfer);
}

/* Out of every list, and of libcurl's hands. */
static void take_out(struct http_transfer *transfer) {
  struct http *http = transfer->http;

  if (transfer->waiting) {
    TAILQ_REMOVE(&http->waiting, transfer, link);
    return;
  }
  TAILQ_REMOVE(&http->under_way, transfer, link);
  curl_multi_remove_handle(http->multi, transfer->easy);
  if (!transfer->counted) return;
  http->places_taken--;
  if (!TAILQ_EMPTY(&http->waiting)) event_active(http->starter, EV_TIMEOUT, 0);
}

static void finish(struct http_transfer *transfer, CURLcode code) {
  struct http_answer answer = {.end = end_of(transfer, code),
                               .body = transfer->body != NULL ? transfer->body : "",
                               .body_len = transfer->body_len,
                               .bytes_read = transfer->bytes_read,
                               .request_id = transfer->request_id,
                               .error_type = transfer->error_type,
                               .retry_after = transfer->retry_after,
                               .amz_retry_after = transfer->amz_retry_after,
                               .date = transfer->date,
                               .error = transfer->error};
  long status = 0;

  curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
  answer.status = (int)status;
  if (transfer->body != NULL) transfer->body[transfer->body_len] = '\0';
  if (transfer->too_many_headers)
    snprintf(transfer->error, sizeof(transfer->error), "more than %u bytes of headers", HEADER_BYTES_MAX);
  if (answer.end == HTTP_ANSWERED)
    transfer->error[0] = '\0';
  else if (transfer->error[0] == '\0')
    snprintf(transfer->error, sizeof(transfer->error), "%s", curl_easy_strerror(code));
  for (char *c = transfer->error; *c != '\0'; c++)
    if (*c < ' ' || *c > '~') *c = '?';
  take_out(transfer);
  transfer->answer(transfer->ctx, &answer);
  transfer_free(transfer);
}

static void give_answers(struct http *http) {
  CURLMsg *message;
  int left;

  while ((message = curl_multi_info_read(http->multi, &left)) != NULL) {
    const CURLcode code = message->data.result;
    struct http_transfer *transfer = NULL;

    if (message->msg != CURLMSG_DONE) continue;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&transfer);
    finish(transfer, code); /* `message` is gone after this */
  }
}

/* ---- libcurl and libevent ---- */

static void on_timer(evutil_socket_t fd, short events, void *ctx) {
  struct http *http = ctx;
  int running;

  (void)fd;
  (void)events;
  curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running);
  give_answers(http);
}

static int on_timer_wanted(CURLM *multi, long timeout_ms, void *ctx) {
  struct http *http = ctx;
  const struct timeval in = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};

  (void)multi;
  return timeout_ms < 0 ? event_del(http->timer) : event_add(http->timer, &in);
}

static void on_socket(evutil_socket_t fd, short events, void *ctx) {
  struct http *http = ctx;
  const int seen =
      ((events & EV_READ) != 0 ? CURL_CSELECT_IN : 0) | ((events & EV_WRITE) != 0 ? CURL_CSELECT_OUT : 0);
  int running;

  curl_multi_socket_action(http->multi, fd, seen, &running);
  give_answers(http);
}

static int on_socket_wanted(CURL *easy, curl_socket_t fd, int what, void *ctx, void *watched) {
  struct http *http = ctx;
  struct event *event = watched;
  const short events = (short)(EV_PERSIST | ((what & CURL_POLL_IN) != 0 ? EV_READ : 0) |
                               ((what & CURL_POLL_OUT) != 0 ? EV_WRITE : 0));

  (void)easy;
  if (event != NULL) event_free(event);
  event = NULL;
  if (what != CURL_POLL_REMOVE) {
    event = event_new(http->base, fd, events, on_socket, http);
    if (event != NULL && event_add(event, NULL) < 0) {
      event_free(event);
      event = NULL;
    }
  }
  curl_multi_assign(http->multi, fd, event);
  return what == CURL_POLL_REMOVE || event != NULL ? 0 : -1;
}

/* ---- sending ---- */

static bool add_header(struct http_transfer *transfer, const char *text) {
  struct curl_slist *list = curl_slist_append(transfer->headers, text);

  if (list == NULL) return false;
  transfer->headers = list;
  return true;
}

static bool add_signing(struct http_transfer *transfer, const struct http_signing *signing) {
  char scope[256];

  snprintf(scope, sizeof(scope), "aws:amz:%s:%s", signing->region, signing->service);
  if (signing->token != NULL) {
    char *header = NULL;
    const int len = asprintf(&header, "X-Amz-Security-Token: %s", signing->token);
    const bool added = len >= 0 && add_header(transfer, header);

    if (len >= 0) explicit_bzero(header, (size_t)len);
    if (len >= 0) free(header);
    if (!added) return false;
  }
  /* Not CURLOPT_USERPWD, which would split at the first colon. */
  return curl_easy_setopt(transfer->easy, CURLOPT_AWS_SIGV4, scope) == CURLE_OK &&
         curl_easy_setopt(transfer->easy, CURLOPT_USERNAME, signing->access_key_id) == CURLE_OK &&
         curl_easy_setopt(transfer->easy, CURLOPT_PASSWORD, signing->secret) == CURLE_OK;
}

/* Only those that need memory can fail. */
static bool set_method(CURL *easy, const struct http_request *request) {
  if (strcmp(request->method, "POST") == 0)
    return curl_easy_setopt(easy, CURLOPT_POST, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_len) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, request->body_len > 0 ? request->body : "") ==
               CURLE_OK;
  if (strcmp(request->method, "GET") == 0) return curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L) == CURLE_OK;
  return curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L) == CURLE_OK &&
         curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method) == CURLE_OK;
}

static void set_limits(CURL *easy, const struct http *http, const struct http_request *request) {
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
  /* Only TLS can lead to HTTP/2; without it, each would wait for the one before. */
  curl_easy_setopt(easy, CURLOPT_PIPEWAIT, strncasecmp(request->url, "https:", 6) == 0 ? 1L : 0L);
  curl_easy_setopt(easy, CURLOPT_HTTP09_ALLOWED, 0L);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, CONNECTION_AGE_MAX_S);
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
  curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
  curl_easy_setopt(
      easy, CURLOPT_MAXFILESIZE_LARGE,
      (curl_off_t)(request->max_answer_bytes < INT64_MAX ? request->max_answer_bytes : INT64_MAX));
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)request->connect_timeout_ms);
  curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)request->timeout_ms);
  curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (long)http->stalled_s);
}

/* Several roots at one place make libcurl parse them anew for each connection. */
static bool set_trust(CURL *easy, const struct http *http) {
  const char *file = http->ca_bundle;

  if (file == NULL) file = curl_version_info(CURLVERSION_NOW)->cainfo;
  if (file == NULL) return true;
  return curl_easy_setopt(easy, CURLOPT_CAPATH, NULL) == CURLE_OK &&
         curl_easy_setopt(easy, CURLOPT_CAINFO, file) == CURLE_OK;
}

static bool set_up(struct http_transfer *transfer, const struct http_request *request) {
  CURL *easy = transfer->easy;

  for (const char *const *header = request->headers; header != NULL && *header != NULL; header++)
    if (!add_header(transfer, *header)) return false;
  if (request->signing != NULL && !add_signing(transfer, request->signing)) return false;
  set_limits(easy, transfer->http, request);
  curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->error);
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->headers);
  if (request->metadata && curl_easy_setopt(easy, CURLOPT_NOPROXY, "*") != CURLE_OK) return false;
  return set_method(easy, request) && set_trust(easy, transfer->http) &&
         curl_easy_setopt(easy, CURLOPT_USERAGENT, "isoq/" ISOQ_VERSION) == CURLE_OK &&
         curl_easy_setopt(easy, CURLOPT_URL, request->url) == CURLE_OK;
}

static int start(struct http_transfer *transfer) {
  struct http *http = transfer->http;

  if (curl_multi_add_handle(http->multi, transfer->easy) != CURLM_OK) return -ENOMEM;
  TAILQ_INSERT_TAIL(&http->under_way, transfer, link);
  transfer->waiting = false;
  if (transfer->counted) http->places_taken++;
  return 0;
}

static void on_starter(evutil_socket_t fd, short events, void *ctx) {
  struct http *http = ctx;

  (void)fd;
  (void)events;
  while (!TAILQ_EMPTY(&http->waiting) && http->places_taken < http->max_transfers) {
    struct http_transfer *transfer = TAILQ_FIRST(&http->waiting);

    TAILQ_REMOVE(&http->waiting, transfer, link);
    if (start(transfer) == 0) continue;
    TAILQ_INSERT_HEAD(&http->waiting, transfer, link);
    finish(transfer, CURLE_OUT_OF_MEMORY);
  }
}

int http_send(struct http *http, const struct http_request *request, http_answer_fn answer, void *ctx,
              struct http_transfer **out) {
  struct http_transfer *transfer = calloc(1, sizeof(*transfer));

  if (transfer == NULL) return -ENOMEM;
  transfer->http = http;
  transfer->answer = answer;
  transfer->ctx = ctx;
  transfer->max_answer_bytes = request->max_answer_bytes;
  transfer->counted = !request->metadata && !request->urgent;
  transfer->easy = curl_easy_init();
  if (transfer->easy == NULL || !set_up(transfer, request)) goto no_memory;
  if (transfer->counted && (http->places_taken >= http->max_transfers || !TAILQ_EMPTY(&http->waiting))) {
    transfer->waiting = true;
    TAILQ_INSERT_TAIL(&http->waiting, transfer, link);
  } else if (start(transfer) < 0) {
    goto no_memory;
  }
  *out = transfer;
  return 0;

no_memory:
  transfer_free(transfer);
  return -ENOMEM;
}

void http_cancel(struct http_transfer *transfer) {
  take_out(transfer);
  transfer_free(transfer);
}

/* ---- warming up ---- */

static int listen_locally(char *url, size_t url_size) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof(address);
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

  if (fd < 0) return -errno;
  if (bind(fd, (const struct sockaddr *)&address, len) < 0 || listen(fd, 1) < 0 ||
      getsockname(fd, (struct sockaddr *)&address, &len) < 0) {
    const int r = -errno;

    close(fd);
    return r;
  }
  snprintf(url, url_size, "https://127.0.0.1:%u/", (unsigned)ntohs(address.sin_port));
  return fd;
}

/* Until the first bytes of the handshake arrive: by then libcurl has parsed the certificates. */
static int drive_to_handshake(struct http *http, int listener) {
  int peer = -1, running = 1, r = -ETIMEDOUT;
  char byte;

  for (unsigned i = 0; i < WARM_UP_TURNS && running > 0 && r < 0; i++) {
    if (curl_multi_perform(http->multi, &running) != CURLM_OK) break;
    if (peer < 0) peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (peer >= 0 && recv(peer, &byte, 1, MSG_PEEK) == 1) r = 0;
    if (r < 0) curl_multi_poll(http->multi, NULL, 0, WARM_UP_TURN_MS, NULL);
  }
  if (peer >= 0) close(peer);
  return r;
}

int http_warm_up(struct http *http) {
  char url[64];
  const struct http_request request = {
      .method = "GET", .url = url, .connect_timeout_ms = 1000, .metadata = true};
  struct http_transfer *transfer;
  const int listener = listen_locally(url, sizeof(url));
  int r;

  if (listener < 0) return listener;
  r = http_send(http, &request, NULL, NULL, &transfer);
  if (r == 0) {
    r = drive_to_handshake(http, listener);
    http_cancel(transfer);
  }
  close(listener);
  return r;
}

/* ---- life ---- */

int http_new(struct event_base *base, const struct http_options *options, struct http **out, char *error,
             size_t error_size) {
  struct http *http;
  int r = start_curl(error, error_size);

  if (r < 0) return r;
  http = calloc(1, sizeof(*http));
  if (http == NULL) return -ENOMEM;
  http->base = base;
  http->max_transfers = options->max_transfers > 0 ? options->max_transfers : 1;
  http->stalled_s = options->stalled_s;
  TAILQ_INIT(&http->under_way);
  TAILQ_INIT(&http->waiting);
  http->multi = curl_multi_init();
  http->timer = evtimer_new(base, on_timer, http);
  http->starter = evtimer_new(base, on_starter, http);
  if (options->ca_bundle != NULL) http->ca_bundle = strdup(options->ca_bundle);
  if (http->multi == NULL || http->timer == NULL || http->starter == NULL ||
      (options->ca_bundle != NULL && http->ca_bundle == NULL)) {
    http_free(http);
    return -ENOMEM;
  }
  curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, on_socket_wanted);
  curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
  curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, on_timer_wanted);
  curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
  curl_multi_setopt(http->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_MULTIPLEX);
  /* Kept when idle. As many as can be in use: a burst does not throw away what the next one needs. */
  curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, (long)http->max_transfers + 8);
  *out = http;
  return 0;
}

void http_free(struct http *http) {
  if (http == NULL) return;
  assert(TAILQ_EMPTY(&http->under_way) && TAILQ_EMPTY(&http->waiting));
  if (http->multi != NULL) curl_multi_cleanup(http->multi); /* takes its events back */
  if (http->timer != NULL) event_free(http->timer);
  if (http->starter != NULL) event_free(http->starter);
  free(http->ca_bundle);
  free(http);
}
