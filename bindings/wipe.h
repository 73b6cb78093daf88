/* free() and realloc() for memory that held secrets: nothing of it stays behind. Beside malloc(). */
#ifndef ISOQ_BINDINGS_WIPE_H
#define ISOQ_BINDINGS_WIPE_H

#include <stddef.h>

void wipe_free(void *memory); /* NULL is fine */

/* As realloc(), but for size 0; what the old block held is gone. */
void *wipe_realloc(void *memory, size_t size);

#endif
