/*
 * Accounts by their names in the organization: what scripts say where they mean an account's number.
 *
 * Owns the list of names, which all jobs share: it is asked for when the first call needs it, and kept for
 * five minutes. Organizations is asked by one look-up at a time, and only while some call waits for it.
 */
#ifndef ISOQ_BINDINGS_ACCOUNT_NAMES_H
#define ISOQ_BINDINGS_ACCOUNT_NAMES_H

#include <stdbool.h>

struct account_names;
struct binding_call;
struct bindings;

/* `has_role`: other accounts than the own one can be reached. 0 or -ENOMEM. */
int account_names_new(struct bindings *bindings, bool has_role, struct account_names **out);
/* No call may wait. */
void account_names_free(struct account_names *names);

/* Twelve digits. */
bool account_is_number(const char *text);

/* Ends in binding_call_begin(), from within or from the loop, with `account_number` filled in, or in the end
 * of the call. The first of those that wait pays for the bytes that are read, out of its job's budget. */
void account_names_look_up(struct account_names *names, struct binding_call *call);
/* Of a call that waits: it does not any more. */
void account_names_leave(struct account_names *names, struct binding_call *call);

#endif
