/* What a Tokenizer is made of; for the files that read, train and run one. */
#ifndef LMU_TEXT_VOCABULARY_H
#define LMU_TEXT_VOCABULARY_H

#include "text/tokenizer.h"

#define TOKENIZER_MOST_IDS (INT64_C(1) << 24)

typedef struct Token {
    const char *bytes; /* what it stands for; a special token: its name */
    size_t length;
    bool special;
} Token;

/* Token left followed by token right becomes one token; an earlier merge goes first. */
typedef struct Merge {
    uint32_t left, right;
} Merge;

/* A merge by its pair: an open-addressing table, of a power of two of slots, at most half full. */
typedef struct MergeSlot {
    uint64_t pair; /* pair_key(); NO_PAIR: free */
    uint32_t rank, result;
} MergeSlot;

#define NO_PAIR UINT64_MAX
#define NO_ID UINT32_MAX

static inline uint64_t pair_key(uint32_t left, uint32_t right)
{
    return (uint64_t)left << 32 | right;
}

struct Tokenizer {
    size_t count, merge_count;
    Token *token; /* by id; the bytes lie in `bytes` */
    char *bytes;
    Merge *merge;      /* by rank */
    uint32_t *length;  /* by id: see tokenizer_lengths */
    uint32_t *special; /* ids of the special tokens, longest name first */
    size_t special_count;
    bool special_first[256]; /* whether a special token's name starts with this byte */
    MergeSlot *slot;
    size_t slot_mask;
    uint32_t byte_id[256]; /* the token of each single byte */
    uint64_t hash;
    int64_t end_of_text;
};

/* Builds a tokenizer from copies of its parts. LMU_FORMAT, named after `origin`: a byte without a token, two tokens of the
 * same bytes, a merge whose result is no token or that comes twice, a special token that merges can spell, an empty token. */
lmu_status tokenizer_build(const char *origin, const Token *token, size_t count, const Merge *merge, size_t merge_count,
                           Tokenizer **out);

/* The merge of a pair; NULL: they do not merge. */
const MergeSlot *tokenizer_merge(const Tokenizer *tokenizer, uint32_t left, uint32_t right);

/* The special token that text starts with (the longest), or NO_ID. */
uint32_t tokenizer_special_at(const Tokenizer *tokenizer, const char *text, size_t size);

#endif
