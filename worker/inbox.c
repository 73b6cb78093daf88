/*
 * A flat buffer, not a ring: the codec decodes in place and wants a payload in one piece. Moving what is left
 * to the front costs little, because only the beginning of a frame is ever left behind.
 *
 * The announced length of a frame is an executor's word. It bounds the buffer from above; from below the
 * buffer only doubles when it is full, so an executor must send a byte for every byte that we hold for it.
 */
#include "worker/inbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INBOX_MIN_SIZE ((size_t)64 * 1024)
#define INBOX_READ_MAX ((size_t)1024 * 1024)

void inbox_free(struct inbox *inbox) {
  free(inbox->data);
  *inbox = (struct inbox){0};
}

static int inbox_make_room(struct inbox *inbox) {
  size_t capacity = inbox->capacity ? inbox->capacity * 2 : INBOX_MIN_SIZE;
  uint8_t *data;

  if (inbox->start > 0) {
    memmove(inbox->data, inbox->data + inbox->start, inbox->end - inbox->start);
    inbox->end -= inbox->start;
    inbox->start = 0;
  }
  if (inbox->end < inbox->capacity) return 0;
  /* Full, so a frame larger than the buffer has begun, and its header was found good (inbox->need). */
  if (capacity > inbox->need && inbox->need > inbox->capacity) capacity = inbox->need;
  data = realloc(inbox->data, capacity);
  if (data == NULL) return -ENOMEM;
  inbox->data = data;
  inbox->capacity = capacity;
  return 0;
}

int inbox_fill(struct inbox *inbox, int fd) {
  size_t room;
  ssize_t got;
  int r;

  if (inbox->end == inbox->capacity || inbox->capacity == 0) {
    r = inbox_make_room(inbox);
    if (r < 0) return r;
  }
  room = inbox->capacity - inbox->end;
  do
    got = read(fd, inbox->data + inbox->end, room < INBOX_READ_MAX ? room : INBOX_READ_MAX);
  while (got < 0 && errno == EINTR);
  if (got < 0) return -errno;
  inbox->end += (size_t)got;
  return (int)got;
}

int inbox_header(const struct inbox *inbox, struct wire_header *out) {
  if (inbox->end - inbox->start < WIRE_HEADER_SIZE) return 0;
  int r = wire_header_decode(inbox->data + inbox->start, out);

  return r < 0 ? r : 1;
}

const uint8_t *inbox_payload(struct inbox *inbox, const struct wire_header *header) {
  size_t whole = WIRE_HEADER_SIZE + (size_t)header->length;

  if (inbox->end - inbox->start < whole) {
    inbox->need = whole;
    return NULL;
  }
  return inbox->data + inbox->start + WIRE_HEADER_SIZE;
}

void inbox_next(struct inbox *inbox, const struct wire_header *header) {
  inbox->start += WIRE_HEADER_SIZE + (size_t)header->length;
  inbox->need = 0;
  if (inbox->start == inbox->end) inbox->start = inbox->end = 0;
}

size_t inbox_left(const struct inbox *inbox) {
  return inbox->end - inbox->start;
}

void inbox_rest(struct inbox *inbox) {
  if (inbox_left(inbox) == 0 && inbox->capacity > INBOX_MIN_SIZE) inbox_free(inbox);
}
