#include "text/document_set.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "text/bytes_hash.h"

static void word_add(DocumentHash *hash, uint64_t word)
{
    hash->a = hash_mix(hash->a ^ word);
    hash->b = ((hash->b << 23 | hash->b >> 41) ^ word) * UINT64_C(0x9E3779B97F4A7C15);
}

void document_hash_add(DocumentHash *hash, const char *text, size_t size)
{
    for (; size > 0 && (hash->size % 8 != 0 || size < 8); text++, size--) {
        hash->pending |= (uint64_t)(unsigned char)*text << (8 * (hash->size++ % 8));
        if (hash->size % 8 == 0) {
            word_add(hash, hash->pending);
            hash->pending = 0;
        }
    }
    for (; size >= 8; text += 8, size -= 8, hash->size += 8) {
        uint64_t word;
        memcpy(&word, text, 8);
        word_add(hash, word);
    }
    if (size > 0)
        document_hash_add(hash, text, size);
}

void document_set_free(DocumentSet *set)
{
    free(set->slot);
    *set = (DocumentSet){0};
}

static uint64_t *slot_find(const DocumentSet *set, uint64_t a, uint64_t b)
{
    size_t at = a & (set->slots - 1);
    while ((set->slot[at][0] != 0 || set->slot[at][1] != 0) && (set->slot[at][0] != a || set->slot[at][1] != b))
        at = (at + 1) & (set->slots - 1);
    return set->slot[at];
}

static lmu_status slots_grow(DocumentSet *set)
{
    DocumentSet larger = {.slots = set->slots ? 2 * set->slots : 1024, .used = set->used};
    TRY(memory_new(&larger.slot, larger.slots, sizeof *larger.slot, "the set of documents seen"));
    for (size_t i = 0; i < set->slots; i++)
        if (set->slot[i][0] != 0 || set->slot[i][1] != 0)
            memcpy(slot_find(&larger, set->slot[i][0], set->slot[i][1]), set->slot[i], sizeof *set->slot);
    free(set->slot);
    *set = larger;
    return LMU_OK;
}

lmu_status document_set_add(DocumentSet *set, const DocumentHash *hash, bool *added)
{
    if (2 * (set->used + 1) > set->slots)
        TRY(slots_grow(set));
    DocumentHash end = *hash;
    word_add(&end, end.pending);
    word_add(&end, end.size);
    uint64_t a = hash_mix(end.a), b = hash_mix(end.b) | 1; /* never both zero */
    uint64_t *slot = slot_find(set, a, b);
    *added = slot[1] == 0;
    set->used += *added;
    slot[0] = a;
    slot[1] = b;
    return LMU_OK;
}
