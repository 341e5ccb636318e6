/* What a Tokenizer is made of; for the files that read, train and run one. */
#ifndef LMU_TEXT_VOCABULARY_H
#define LMU_TEXT_VOCABULARY_H

#include "text/pretokenize.h"
#include "text/tokenizer.h"

#define TOKENIZER_MOST_IDS (INT64_C(1) << 24)

typedef struct Token {
    const char *bytes; /* what it stands for; an added token: its name */
    size_t length;
    bool special;
} Token;

/* Token left followed by token right becomes one token; an earlier merge goes first. */
typedef struct Merge {
    uint32_t left, right;
} Merge;

/* A token that is looked for in text before it is divided into pre-tokens, and the flags that tokenizer files give it. */
typedef struct AddedToken {
    uint32_t id;
    bool special;        /* looked for only where special tokens are asked for */
    bool normalized;     /* looked for only in what the others left */
    bool single_word;    /* not where a character of a word comes before or behind it */
    bool lstrip, rstrip; /* takes the white space before it, behind it */
    bool plain;          /* merges may make it too; else text becomes it only where its name is found */
    bool beside;         /* the vocabulary of its file does not have it */
} AddedToken;

/* The added tokens that are looked for together. */
typedef struct AddedSet {
    AddedToken *token; /* longest name first */
    size_t count;
    bool first[256]; /* whether a name starts with this byte */
    bool lstrip;     /* whether one takes the white space before it */
} AddedSet;

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

/* What a tokenizer is made from. */
typedef struct TokenizerParts {
    const Token *token; /* by id */
    const Merge *merge; /* by rank */
    const AddedToken *added;
    size_t count, merge_count, added_count;
    PretokenRule rule;
    bool prefix_space;  /* text that does not start with a space is given one */
    bool ignore_merges; /* a pre-token that is a token becomes it, whether merges make it or not */
} TokenizerParts;

struct Tokenizer {
    size_t count, merge_count;
    Token *token; /* by id; the bytes lie in `bytes` */
    char *bytes;
    bool *plain;       /* by id: made by merges, if by anything */
    Merge *merge;      /* by rank */
    uint32_t *length;  /* by id: see tokenizer_lengths */
    AddedSet added[2]; /* looked for first, and in what is left */
    bool text_only;    /* all added tokens are special: without them text is divided into pre-tokens at once */
    PretokenRule rule;
    bool prefix_space, ignore_merges;
    MergeSlot *slot;
    size_t slot_mask;
    uint32_t *name; /* ids of the plain tokens by the hash of their bytes, NO_ID: free; NULL unless ignore_merges */
    size_t name_mask;
    uint32_t byte_id[256]; /* the token of each single byte */
    uint64_t hash;
    int64_t end_of_text;
};

/* Builds a tokenizer from copies of its parts. LMU_FORMAT, named after `origin`: a byte without a token, two tokens of the
 * same bytes, a merge whose result is no token or that comes twice, an added token that merges can spell, an empty token. */
lmu_status tokenizer_build_parts(const char *origin, const TokenizerParts *parts, Tokenizer **out);
/* The same with GPT-2's rule and the special tokens that `token` has. */
lmu_status tokenizer_build(const char *origin, const Token *token, size_t count, const Merge *merge, size_t merge_count,
                           Tokenizer **out);

/* The merge of a pair; NULL: they do not merge. */
const MergeSlot *tokenizer_merge(const Tokenizer *tokenizer, uint32_t left, uint32_t right);

/* The plain token of these bytes, or NO_ID; for a tokenizer that ignores merges. */
uint32_t tokenizer_find(const Tokenizer *tokenizer, const char *bytes, size_t size);

/* Whether nothing but GPT-2's rule and special tokens without flags decides ids: what every tokenizer of ours is. */
bool tokenizer_is_simple(const Tokenizer *tokenizer);

#endif
