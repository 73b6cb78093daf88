/*
 * Accounts by name, over Organizations: AWS Organizations API Reference, "ListAccounts", as in
 * list_accounts.c.
 *
 * A number is what AWS wants, and a name is what people, and those who write scripts for them, know. Three
 * answers are possible. The organization has one account of that name: its number is used. It has none, or
 * two: the call is refused, since another account's resources would be a wrong answer that looks like a right
 * one. Or nobody can say: there is no organization, the permission is missing, nothing that speaks
 * Organizations is there. Then, without a role for other accounts, the own account is the only one that could
 * be meant, and it is used; with a role, the call is refused.
 *
 * What Organizations says otherwise (it throttles, the keys have expired) says nothing about names: the calls
 * that wait fail with it, and the next one asks again.
 */
#include "bindings/account_names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bindings/aws_error.h"
#include "bindings/json_answer.h"
#include "bindings/session.h"
#include "worker/clock.h"

#define ACCOUNTS_MAX 100000u
#define PAGES_MAX 10000u
#define PAGE_BYTES_MAX (UINT64_C(256) << 10) /* of 20 accounts */
#define KEPT_NS (300000 * CLOCK_NS_PER_MS)
#define KEPT_WITHOUT_NETWORK_NS (30000 * CLOCK_NS_PER_MS)
/* For a page, with its retries: whoever has no organization, and no way to ask, is not to wait for long. */
#define PATIENCE_NS (5000 * CLOCK_NS_PER_MS)

enum known {
  NAMES_UNKNOWN,
  NAMES_LISTED,
  NAMES_UNAVAILABLE /* nobody can say; `problem` has the reason */
};

struct account {
  char number[BINDING_ACCOUNT_DIGITS + 1];
  char *name;
};

struct account_names {
  struct bindings *bindings;
  bool has_role;
  struct call_list waiting; /* by their entry `naming`, the first come first */
  struct aws_call *transfer;
  char *token; /* of the page that is asked for; NULL: the first */
  uint32_t pages;
  struct account *accounts;
  size_t count, size;
  enum known known;
  int64_t known_until_ns;
  char problem_name[128], problem[512];
};

bool account_is_number(const char *text) {
  return strspn(text, "0123456789") == BINDING_ACCOUNT_DIGITS && text[BINDING_ACCOUNT_DIGITS] == '\0';
}

/* ---- the list ---- */

static void forget(struct account_names *names) {
  for (size_t i = 0; i < names->count; i++)
    free(names->accounts[i].name);
  free(names->accounts);
  free(names->token);
  names->accounts = NULL;
  names->token = NULL;
  names->count = names->size = 0;
  names->pages = 0;
  names->known = NAMES_UNKNOWN;
}

static const char *member(struct json_object *item, const char *name) {
  struct json_object *value = json_object_object_get(item, name);
  return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : NULL;
}

/* 0, -ENOMEM, or -EBADMSG: that is no account. */
static int add(struct account_names *names, struct json_object *item) {
  const char *number = member(item, "Id"), *name = member(item, "Name");

  if (!number || !account_is_number(number) || names->count >= ACCOUNTS_MAX) return -EBADMSG;
  if (!name) return 0; /* nobody can ask for it */
  if (names->count == names->size) {
    const size_t size = names->size ? names->size * 2 : 64;
    struct account *grown = realloc(names->accounts, size * sizeof *grown);
    if (!grown) return -ENOMEM;
    names->accounts = grown;
    names->size = size;
  }
  struct account *account = &names->accounts[names->count];
  account->name = strdup(name);
  if (!account->name) return -ENOMEM;
  memcpy(account->number, number, sizeof account->number);
  names->count++;
  return 0;
}

/* ---- telling those who wait ---- */

static void stop_waiting(struct account_names *names, struct binding_call *call) {
  TAILQ_REMOVE(&names->waiting, call, naming);
  call->is_naming = false;
}

static void refuse(struct binding_call *call, const char *name, size_t count, const char *first,
                   const char *second) {
  char excerpt[BINDING_EXCERPT_SIZE];
  binding_excerpt(name, strlen(name), excerpt);
  if (count == 0)
    binding_call_fail(
        call, "TypeError",
        "%s: no account is named \"%s\" in the organization; give its 12 digits, its name, or 'self'",
        binding_call_name(call), excerpt);
  else
    binding_call_fail(
        call, "TypeError",
        "%s: %zu accounts are named \"%s\" in the organization, such as %s and %s; give the 12 digits",
        binding_call_name(call), count, excerpt, first, second);
}

static void tell_unavailable(const struct account_names *names, struct binding_call *call, const char *name) {
  char excerpt[BINDING_EXCERPT_SIZE];
  if (!names->has_role) {
    binding_call_begin(call);
    return;
  }
  binding_call_fail(
      call, names->problem_name,
      "%s: the account \"%s\" could not be looked up by its name: Organizations ListAccounts: %s: %s; "
      "give its 12 digits, or 'self'",
      binding_call_name(call), binding_excerpt(name, strlen(name), excerpt), names->problem_name,
      names->problem);
}

static void tell(const struct account_names *names, struct binding_call *call) {
  const char *name = binding_call_asked(call, BINDING_ACCOUNT);
  const struct account *found[2] = {NULL, NULL};
  size_t count = 0;

  if (names->known == NAMES_UNAVAILABLE) {
    tell_unavailable(names, call, name);
    return;
  }
  for (size_t i = 0; i < names->count; i++)
    if (strcmp(names->accounts[i].name, name) == 0) {
      if (count < 2) found[count] = &names->accounts[i];
      count++;
    }
  if (count == 1) {
    memcpy(call->account_number, found[0]->number, sizeof call->account_number);
    binding_call_begin(call);
  } else {
    refuse(call, name, count, count ? found[0]->number : "", count ? found[1]->number : "");
  }
}

/* Nobody comes while they are told: a host function starts nothing but requests. */
static void tell_all(struct account_names *names) {
  struct binding_call *call;
  while ((call = TAILQ_FIRST(&names->waiting))) {
    stop_waiting(names, call);
    tell(names, call);
  }
}

static void fail_all(struct account_names *names, const struct aws_answer *answer) {
  struct binding_call *call;
  forget(names);
  while ((call = TAILQ_FIRST(&names->waiting))) {
    stop_waiting(names, call);
    if (answer)
      binding_call_fail_as(call, answer);
    else
      binding_call_no_memory(call);
  }
}

static void unavailable(struct account_names *names, const char *error_name, const char *problem,
                        int64_t kept_ns) {
  forget(names);
  names->known = NAMES_UNAVAILABLE;
  names->known_until_ns = clock_monotonic_ns() + kept_ns;
  aws_text_copy(names->problem_name, sizeof names->problem_name, error_name);
  aws_text_copy(names->problem, sizeof names->problem, problem);
  tell_all(names);
}

/* ---- asking ---- */

static void ask(struct account_names *names);

/* Not about the one request, but about whether there is anybody to ask. How long that holds; 0: something
 * else. */
static int64_t unavailable_for_ns(const struct aws_answer *answer) {
  static const char *const refusals[] = {"AccessDeniedException",
                                         "AccessDenied",
                                         "AWSOrganizationsNotInUseException",
                                         "UnknownOperationException",
                                         "UnknownOperation",
                                         "InvalidAction",
                                         "AnswerError",
                                         "AnswerTooLargeError"};
  for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++)
    if (strcmp(answer->error_name, refusals[i]) == 0) return KEPT_NS;
  if (strcmp(answer->error_name, "NetworkError") == 0 || strcmp(answer->error_name, "TimeoutError") == 0)
    return KEPT_WITHOUT_NETWORK_NS;
  return answer->status == 404 || answer->status == 405 || answer->status == 501 ? KEPT_NS : 0;
}

static void go_on(struct account_names *names, struct json_object *token) {
  const char *text = token ? json_object_get_string(token) : NULL;
  if (!text && names->count == 0) { /* each has one: the account that made it */
    unavailable(names, "AnswerError", "the answer has no accounts", KEPT_NS);
  } else if (!text) {
    names->known = NAMES_LISTED;
    names->known_until_ns = clock_monotonic_ns() + KEPT_NS;
    free(names->token);
    names->token = NULL;
    tell_all(names);
  } else if ((names->token && strcmp(text, names->token) == 0) || ++names->pages >= PAGES_MAX) {
    unavailable(names, "AnswerError", "the pages of accounts have no end", KEPT_NS);
  } else {
    free(names->token);
    names->token = strdup(text);
    ask(names);
  }
}

/* All at once: there are twenty accounts in it. */
static void read_page(struct account_names *names, const struct aws_answer *answer) {
  struct json_page *page = json_page_new(answer->body, answer->body_len, "Accounts", "NextToken");
  enum json_step step = JSON_STEP_END;
  struct json_object *item;
  int rc = page ? 0 : -ENOMEM;

  while (rc == 0 && (step = json_page_next(page, &item)) == JSON_STEP_ITEM) {
    rc = add(names, item);
    json_object_put(item);
  }
  if (rc == -ENOMEM)
    fail_all(names, NULL);
  else if (rc == -EBADMSG)
    unavailable(names, "AnswerError", "an item of Accounts has no Id of 12 digits, or there are too many",
                KEPT_NS);
  else if (step == JSON_STEP_BROKEN)
    unavailable(names, "AnswerError", json_page_problem(page), KEPT_NS);
  else
    go_on(names, json_page_token(page));
  if (page) json_page_free(page);
}

static void answered(void *ctx, const struct aws_answer *answer) {
  struct account_names *names = ctx;
  struct binding_call *payer = TAILQ_FIRST(&names->waiting);
  int64_t for_ns;

  names->transfer = NULL;
  binding_call_pay(payer, answer->bytes_read);
  if (answer->ok) {
    if (TAILQ_EMPTY(&names->waiting))
      forget(names); /* that was more than its job had left */
    else
      read_page(names, answer);
  } else if ((for_ns = unavailable_for_ns(answer)) > 0) {
    unavailable(names, answer->error_name, answer->error_message ? answer->error_message : "", for_ns);
  } else {
    fail_all(names, answer);
  }
}

static void ask(struct account_names *names) {
  struct json_object *question = json_object_new_object();
  bool built = question && json_object_object_add(question, "MaxResults", json_object_new_int(20)) == 0;
  if (names->token && built)
    built = json_object_object_add(question, "NextToken", json_object_new_string(names->token)) == 0;
  const char *body = built ? json_object_to_json_string_ext(question, JSON_C_TO_STRING_PLAIN) : NULL;
  /* Of the configured region's partition: a script's must not decide for the others. */
  const struct aws_request request = {
      .service = AWS_ORGANIZATIONS,
      .path = "/",
      .content_type = "application/x-amz-json-1.1",
      .target = "AWSOrganizationsV20161128.ListAccounts",
      .body = body,
      .body_len = body ? strlen(body) : 0,
      .max_answer_bytes = PAGE_BYTES_MAX,
      .deadline_ns = clock_monotonic_ns() + PATIENCE_NS,
  };
  if (!body || aws_send(names->bindings->aws, &request, answered, names, &names->transfer) < 0) {
    names->transfer = NULL;
    fail_all(names, NULL);
  }
  json_object_put(question);
}

void account_names_look_up(struct account_names *names, struct binding_call *call) {
  if (names->known != NAMES_UNKNOWN && clock_monotonic_ns() < names->known_until_ns) {
    tell(names, call);
    return;
  }
  TAILQ_INSERT_TAIL(&names->waiting, call, naming);
  call->is_naming = true;
  if (names->transfer) return;
  forget(names);
  ask(names);
}

void account_names_leave(struct account_names *names, struct binding_call *call) {
  stop_waiting(names, call);
  if (!TAILQ_EMPTY(&names->waiting) || !names->transfer) return;
  aws_cancel(names->transfer);
  names->transfer = NULL;
  forget(names);
}

/* ---- life ---- */

int account_names_new(struct bindings *bindings, bool has_role, struct account_names **out) {
  struct account_names *names = calloc(1, sizeof *names);
  if (!names) return -ENOMEM;
  names->bindings = bindings;
  names->has_role = has_role;
  TAILQ_INIT(&names->waiting);
  *out = names;
  return 0;
}

void account_names_free(struct account_names *names) {
  if (!names) return;
  forget(names);
  free(names);
}
