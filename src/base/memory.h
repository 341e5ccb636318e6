/* Memory: checked allocation, and arenas for many small things with one owner. */
#ifndef LMU_BASE_MEMORY_H
#define LMU_BASE_MEMORY_H

#include <stddef.h>

#include "base/error.h"

/* Zeroed memory for count objects of `size` bytes into *out; LMU_MEMORY (with `what` in the message) on overflow or when
 * there is none. A count of 0 gives a valid pointer. Free with free(). */
lmu_status memory_new(void *out, size_t count, size_t size, const char *what);

/* Grows *array (of objects of `size` bytes, capacity *capacity objects) so that it holds `need`; at least doubles. New
 * objects are zero. On failure *array stands as it was. */
lmu_status memory_grow(void *array, size_t *capacity, size_t need, size_t size, const char *what);

/* LMU_MEMORY, with `what` (plural), the figures and `advice`, unless the machine has so many bytes left: one that overcommits would
 * grant more and end the process later. Small amounts, for which it is not worth a look at the machine, are granted. */
lmu_status memory_check(double bytes, const char *what, const char *advice);

/* An arena: memory handed out piece by piece and given back all at once. Not for several threads at a time. */
typedef struct Arena Arena;
Arena *arena_open(void);        /* NULL when there is no memory */
void arena_close(Arena *arena); /* accepts NULL */
/* Zeroed, aligned to 16 bytes; NULL (with the error slot set) when there is no memory. */
void *arena_alloc(Arena *arena, size_t count, size_t size);
/* A copy of a string; printf into the arena. NULL when there is no memory. */
char *arena_string(Arena *arena, const char *text);
char *arena_printf(Arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
