/* Stop strings: a text that comes in pieces ends before the first of them.
 *
 * First is what is first complete, and of several that are complete at the same byte the longest; so where the text ends does not
 * depend on how it is cut into pieces. What may still become a stop string is held back: the longest end of the text so far that
 * is a beginning of one, never longer than the longest of them. Text and strings are UTF-8, so whole characters in are whole
 * characters out. Each byte of the text costs at most two comparisons for each string on average (Knuth, Morris and Pratt 1977,
 * "Fast pattern matching in strings"), and memory is that of the strings. */
#ifndef LMU_INFER_STOP_H
#define LMU_INFER_STOP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

#define STOP_LIMIT 16        /* strings */
#define STOP_SIZE_LIMIT 1024 /* bytes of one */

typedef struct StopMatcher StopMatcher;

/* Copies the strings. LMU_USAGE: there are too many, or one is empty, too long or not UTF-8. */
lmu_status stop_open(const char *const *strings, size_t count, StopMatcher **out);
void stop_close(StopMatcher *matcher); /* accepts NULL */

/* Bytes of the text that are held back; room for these and `size` more is what stop_push may need. */
size_t stop_held(const StopMatcher *matcher);
/* Takes `size` bytes and writes to `out` those that are certain now to lie before any stop string; returns how many. Behind a
 * stop string nothing more comes out. */
size_t stop_push(StopMatcher *matcher, const char *text, size_t size, char *out);
bool stop_found(const StopMatcher *matcher);
/* The end of the text: what is held becomes no stop string any more. At most stop_held bytes. */
size_t stop_end(StopMatcher *matcher, char *out);

#endif
