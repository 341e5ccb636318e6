#include "text/pretoken_counts.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "text/bytes_hash.h"
#include "text/pretokenize.h"

void pretoken_counts_free(PretokenCounts *counts)
{
    free(counts->slot);
    free(counts->bytes);
    *counts = (PretokenCounts){0};
}

/* The slot of a pre-token, or the free one where it belongs. */
static PretokenCount *slot_find(const PretokenCounts *counts, uint64_t hash, const char *text, size_t length)
{
    for (size_t at = hash & (counts->slots - 1);; at = (at + 1) & (counts->slots - 1)) {
        PretokenCount *slot = &counts->slot[at];
        if (slot->length == 0 ||
            (slot->hash == hash && slot->length == length && memcmp(counts->bytes + slot->offset, text, length) == 0))
            return slot;
    }
}

static lmu_status slots_grow(PretokenCounts *counts)
{
    PretokenCounts larger = *counts;
    larger.slots = counts->slots ? 2 * counts->slots : 1024;
    TRY(memory_new(&larger.slot, larger.slots, sizeof *larger.slot, "the counts of pre-tokens"));
    for (size_t i = 0; i < counts->slots; i++) {
        const PretokenCount *old = &counts->slot[i];
        if (old->length > 0)
            *slot_find(&larger, old->hash, counts->bytes + old->offset, old->length) = *old;
    }
    free(counts->slot);
    *counts = larger;
    return LMU_OK;
}

lmu_status pretoken_counts_add(PretokenCounts *counts, const char *text, size_t length, int64_t times)
{
    if (2 * (counts->used + 1) > counts->slots)
        TRY(slots_grow(counts));
    uint64_t hash = bytes_hash(text, length);
    PretokenCount *slot = slot_find(counts, hash, text, length);
    if (slot->length == 0) {
        TRY(memory_grow(&counts->bytes, &counts->byte_capacity, counts->byte_count + length, 1,
                        "the counts of pre-tokens"));
        memcpy(counts->bytes + counts->byte_count, text, length);
        *slot = (PretokenCount){hash, counts->byte_count, length, 0};
        counts->byte_count += length;
        counts->used++;
    }
    slot->count += times;
    return LMU_OK;
}

lmu_status pretoken_counts_text(PretokenCounts *counts, const char *text, size_t size)
{
    while (size > 0) {
        size_t length = pretoken_length(text, size);
        for (size_t at = 0; at < length; at += PRETOKEN_COUNTED) {
            size_t part = length - at < PRETOKEN_COUNTED ? length - at : PRETOKEN_COUNTED;
            TRY(pretoken_counts_add(counts, text + at, part, 1));
        }
        text += length;
        size -= length;
    }
    return LMU_OK;
}

lmu_status pretoken_counts_merge(PretokenCounts *counts, const PretokenCounts *from)
{
    for (size_t i = 0; i < from->slots; i++) {
        const PretokenCount *slot = &from->slot[i];
        if (slot->length > 0)
            TRY(pretoken_counts_add(counts, from->bytes + slot->offset, slot->length, slot->count));
    }
    return LMU_OK;
}
