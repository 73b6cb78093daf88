/* Internal to bindings.c, session.c, pages.c, items.c and account_names.c: what they know of a call. */
#ifndef ISOQ_BINDINGS_SESSION_H
#define ISOQ_BINDINGS_SESSION_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <sys/queue.h>

#include "bindings/account_names.h"
#include "bindings/arguments.h"
#include "bindings/bindings.h"
#include "bindings/host.h"

/* One for each id, in the order of the ids. */
extern const struct binding_row binding_rows[BINDING_COUNT];

struct json_page;
struct binding_call;
TAILQ_HEAD(call_list, binding_call);

struct bindings {
  struct event_base *base;
  struct bindings_options options; /* environment and assume_role are not kept */
  struct aws *aws;
  struct account_names *names;
  uint32_t sessions;
  struct call_list reading; /* calls that have a page to read, the next one first */
  struct event read;        /* pending while there are any */
};

#define BINDING_NAME_SIZE 65

enum call_state {
  CALL_WAITING,  /* for one of the session's parallel calls to end */
  CALL_RUNNING,  /* its host function was called */
  CALL_FINISHED, /* its answer stands in `json`, and leaves at the loop's next turn */
};

struct binding_call {
  TAILQ_ENTRY(binding_call) entry; /* in the session's list of its state */
  struct bindings_session *session;
  struct bindings *bindings;
  const struct binding_row *row; /* NULL: there is no such function */
  struct binding_values values;
  uint32_t id;
  enum call_state state;

  int64_t deadline_ns; /* from RUNNING on */
  struct event timer;
  bool is_naming; /* it waits in account_names' list for the number of the account that the script named */
  TAILQ_ENTRY(binding_call) naming;
  char account_number[BINDING_ACCOUNT_DIGITS + 1]; /* that was found by name; "": none, or the own account */

  struct aws_call *transfer; /* NULL: none is under way */
  bool last_of_budget;       /* the transfer's size is limited by what is left for the job */
  binding_answer_fn on_answer;

  const struct binding_operation *operation;
  struct json_object *question;
  struct json_page *page; /* while it is being read, in the list `reading` */
  TAILQ_ENTRY(binding_call) reading;
  char account[BINDING_NAME_SIZE], region[BINDING_NAME_SIZE]; /* that gave the page; "" not known */
  uint32_t pages, items;

  bool ok;
  char *json; /* the answer so far; with FINISHED, NULL: memory was short */
  size_t json_len, json_size;
};

/* What the script gave for its first argument of this type, which is no BINDING_TIME; NULL: nothing. */
const char *binding_call_asked(const struct binding_call *call, enum binding_type type);

/* The account to ask: twelve digits, or NULL for the own one. */
const char *binding_call_account(const struct binding_call *call);
/* Its account is known: the host function's turn. */
void binding_call_begin(struct binding_call *call);
/* Takes the bytes from the job's budget; the call ends if there are not as many. */
void binding_call_pay(struct binding_call *call, uint64_t bytes);

/* Forgets a page that has not been read to its end. */
void binding_call_drop_page(struct binding_call *call);
/* The event `read`. */
void bindings_read_pages(evutil_socket_t fd, short what, void *bindings);

#endif
