/* Which documents were seen before: a hash of 128 bits stands for each, so a set of a billion differs from the truth with a
 * probability below 1e-20. The hash does not withstand someone who looks for two texts with one hash. */
#ifndef LMU_TEXT_DOCUMENT_SET_H
#define LMU_TEXT_DOCUMENT_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* The hash of a text that comes in parts, wherever they are cut; start from a zeroed struct. */
typedef struct DocumentHash {
    uint64_t a, b;
    uint64_t size;    /* bytes so far */
    uint64_t pending; /* the last size % 8 of them */
} DocumentHash;

void document_hash_add(DocumentHash *hash, const char *text, size_t size);

/* An open-addressing table, at most half full. Start from a zeroed struct. */
typedef struct DocumentSet {
    uint64_t (*slot)[2]; /* both zero: free */
    size_t slots, used;
} DocumentSet;

void document_set_free(DocumentSet *set);
/* *added: whether the text was not in the set before. */
lmu_status document_set_add(DocumentSet *set, const DocumentHash *hash, bool *added);

#endif
