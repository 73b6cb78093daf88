/*
 * 48 bits of milliseconds and 74 of the kernel's random: nothing to coordinate, and ids of one queue sort by
 * age in logs. Random bits never come from anything weaker, because whoever guesses an id can read its reply
 * key.
 */
#include "cli/id.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "worker/clock.h"

void id_make(char id[static ID_SIZE]) {
  unsigned char bytes[16];
  char *out = id;
  uint64_t now_ms = (uint64_t)clock_real_ms();

  if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes) { /* 256 bytes and less never come short */
    perror("isoq: getrandom");
    abort();
  }
  for (int i = 0; i < 6; i++)
    bytes[i] = (unsigned char)(now_ms >> (40 - 8 * i));
  bytes[6] = (unsigned char)((bytes[6] & 0x0f) | 0x70);
  bytes[8] = (unsigned char)((bytes[8] & 0x3f) | 0x80);
  for (int i = 0; i < 16; i++)
    out += sprintf(out, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", bytes[i]);
}
