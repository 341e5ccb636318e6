/* How often each pre-token occurs: what BPE is trained from. */
#ifndef LMU_TEXT_PRETOKEN_COUNTS_H
#define LMU_TEXT_PRETOKEN_COUNTS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

typedef struct PretokenCount {
    uint64_t hash;
    size_t offset, length; /* of its bytes in `bytes`; length 0: a free slot */
    int64_t count;
} PretokenCount;

/* An open-addressing table, a power of two of slots, at most half full. Start from a zeroed struct. */
typedef struct PretokenCounts {
    PretokenCount *slot;
    size_t slots, used;
    char *bytes;
    size_t byte_count, byte_capacity;
} PretokenCounts;

void pretoken_counts_free(PretokenCounts *counts);

lmu_status pretoken_counts_add(PretokenCounts *counts, const char *text, size_t length, int64_t times);
/* Counts every pre-token of a text. One longer than PRETOKEN_COUNTED bytes (a genome, a page of base64, a line of dashes) is
 * counted in parts of that length: merging rests on pre-tokens being short, and the few pairs at the cuts weigh nothing. */
#define PRETOKEN_COUNTED 1024
lmu_status pretoken_counts_text(PretokenCounts *counts, const char *text, size_t size);
/* Adds everything that `from` counted. */
lmu_status pretoken_counts_merge(PretokenCounts *counts, const PretokenCounts *from);

#endif
