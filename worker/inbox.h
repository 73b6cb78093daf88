/*
 * What has arrived from one executor: a buffer that holds whole frames in place, so that a result is copied
 * once, and that never grows faster than bytes come in, whatever length a header announces.
 */
#ifndef ISOQ_WORKER_INBOX_H
#define ISOQ_WORKER_INBOX_H

#include <stddef.h>
#include <stdint.h>

#include "worker/wire.h"

struct inbox {
  uint8_t *data;
  size_t start, end, capacity; /* what is unread is data[start..end) */
  size_t need;                 /* length of the frame that inbox_payload() asked for and is not whole yet */
};

void inbox_free(struct inbox *inbox);

/* One read(2). Bytes read; 0 at the end of the stream; -EAGAIN, -ENOMEM or what read() said. */
int inbox_fill(struct inbox *inbox, int fd);

/* 1: `*out` is the header of the next frame. 0: more must come first. -EBADMSG or -EMSGSIZE as the codec
 * says. */
int inbox_header(const struct inbox *inbox, struct wire_header *out);

/* The payload of that frame once all of it is there (until the next inbox_ call), else NULL. */
const uint8_t *inbox_payload(struct inbox *inbox, const struct wire_header *header);

/* Passes that frame. */
void inbox_next(struct inbox *inbox, const struct wire_header *header);

/* Unread bytes. */
size_t inbox_left(const struct inbox *inbox);

/* Gives back memory that a large frame needed, when nothing is unread. */
void inbox_rest(struct inbox *inbox);

#endif
