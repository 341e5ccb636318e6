/* A set of n-grams of one order with a count each: open addressing over entries that keep the order of their coming.
 *
 * An n-gram is (context, token), where context is the id, in the set one order below, of all tokens but the last; so a key is one
 * word of 64 bits at every order, and ids are dense: 0 .. count-1. For text/ngram.c and text/followers.c. */
#ifndef LMU_TEXT_NGRAM_TABLE_H
#define LMU_TEXT_NGRAM_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define NGRAM_NONE UINT32_MAX

typedef struct NgramTable {
    size_t count, capacity; /* entries */
    uint64_t *key;
    uint32_t *number; /* the count of each entry */
    size_t slots;     /* a power of two; at most 5/8 are taken */
    uint32_t *slot;   /* id + 1; 0: free */
} NgramTable;

void ngram_table_close(NgramTable *table); /* accepts a zeroed one */

/* The entry of (context, token), made with count 0 if there was none; *fresh says so. LMU_MEMORY: it would have to grow beyond
 * the memory of the machine. */
lmu_status ngram_table_insert(NgramTable *table, uint32_t context, uint32_t token, uint32_t *id, bool *fresh);

/* The entry of (context, token), or NGRAM_NONE. A context of NGRAM_NONE has none. */
uint32_t ngram_table_find(const NgramTable *table, uint32_t context, uint32_t token);

static inline uint64_t ngram_key(uint32_t context, uint32_t token)
{
    return (uint64_t)context << 32 | token;
}

static inline uint32_t ngram_key_context(uint64_t key)
{
    return (uint32_t)(key >> 32);
}

/* The finaliser of SplitMix64 (Steele, Lea and Flood 2014): every bit of the key moves every bit of the place. */
static inline uint64_t ngram_hash(uint64_t key)
{
    key = (key ^ (key >> 30)) * 0xbf58476d1ce4e5b9u;
    key = (key ^ (key >> 27)) * 0x94d049bb133111ebu;
    return key ^ (key >> 31);
}

/* Asks for the slot of (context, token) ahead of its use: a look-up costs little but the wait for memory. */
static inline void ngram_table_prefetch(const NgramTable *table, uint32_t context, uint32_t token)
{
    if (table->slots > 0)
        __builtin_prefetch(&table->slot[ngram_hash(ngram_key(context, token)) & (table->slots - 1)]);
}

#endif
