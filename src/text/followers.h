/* What has followed the contexts of one and two tokens in the text so far, counted as the text comes.
 *
 * Each context has a list of the tokens that followed it, in the order of their coming, with a count each. Lists lie whole in one
 * array, so that to go through one of hundreds of tokens, as a training step does for every token, waits for memory once. */
#ifndef LMU_TEXT_FOLLOWERS_H
#define LMU_TEXT_FOLLOWERS_H

#include <stdint.h>

#include "base/error.h"

#define FOLLOWERS_ORDERS 2 /* contexts of 1 .. so many tokens */

typedef struct Followers Followers;

typedef struct FollowerList {
    const int32_t *pairs;  /* [length x 2] token, count */
    int64_t length, total; /* the sum of the counts; both 0 of a context never seen */
} FollowerList;

lmu_status followers_open(int64_t vocabulary, Followers **out);
void followers_close(Followers *f); /* accepts NULL */

/* Counts every token of a text but the first, behind each context before it. Ids lie in 0 .. vocabulary-1. LMU_MEMORY: the counts
 * would grow beyond the memory of the machine; nothing but followers_close may follow then. */
lmu_status followers_count(Followers *f, const int32_t *text, int64_t count);

/* The lists of the contexts that text[count-1] ends: out[k] of its last k+1 tokens, empty where it has fewer. They stand until more
 * is counted. */
void followers_find(const Followers *f, const int32_t *text, int64_t count, FollowerList out[FOLLOWERS_ORDERS]);

#endif
