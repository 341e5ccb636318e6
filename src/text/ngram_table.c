#include "text/ngram_table.h"

#include <stdlib.h>

#include "base/memory.h"

#define FIRST_SLOTS ((size_t)1 << 12)

void ngram_table_close(NgramTable *table)
{
    free(table->key);
    free(table->number);
    free(table->slot);
    *table = (NgramTable){0};
}

/* Growing holds the old and the new memory at once. */
static lmu_status check_memory(size_t bytes)
{
    return memory_check((double)bytes, "counts of n-grams", "use fewer tokens or a lower order");
}

/* Doubles the slots, and puts every entry in its new place. */
static lmu_status grow_slots(NgramTable *table)
{
    size_t slots = table->slots > 0 ? table->slots * 2 : FIRST_SLOTS;
    TRY(check_memory(slots * sizeof *table->slot));
    uint32_t *slot;
    TRY(memory_new(&slot, slots, sizeof *slot, "the n-gram counts"));
    for (size_t i = 0; i < table->count; i++) {
        size_t place = ngram_hash(table->key[i]) & (slots - 1);
        while (slot[place] != 0)
            place = (place + 1) & (slots - 1);
        slot[place] = (uint32_t)i + 1;
    }
    free(table->slot);
    table->slot = slot;
    table->slots = slots;
    return LMU_OK;
}

/* Makes room for one entry more. */
static lmu_status grow_entries(NgramTable *table)
{
    size_t need = table->count + 1, capacity = table->capacity;
    if (need <= capacity)
        return LMU_OK;
    TRY(check_memory(2 * capacity * (sizeof *table->key + sizeof *table->number)));
    TRY(memory_grow(&table->key, &capacity, need, sizeof *table->key, "the n-gram counts"));
    size_t same = table->capacity;
    TRY(memory_grow(&table->number, &same, capacity, sizeof *table->number, "the n-gram counts"));
    table->capacity = capacity < same ? capacity : same;
    return LMU_OK;
}

lmu_status ngram_table_insert(NgramTable *table, uint32_t context, uint32_t token, uint32_t *id, bool *fresh)
{
    if (table->count * 8 >= table->slots * 5)
        TRY(grow_slots(table));
    uint64_t key = ngram_key(context, token);
    size_t place = ngram_hash(key) & (table->slots - 1);
    for (; table->slot[place] != 0; place = (place + 1) & (table->slots - 1))
        if (table->key[table->slot[place] - 1] == key) {
            *id = table->slot[place] - 1;
            *fresh = false;
            return LMU_OK;
        }
    if (table->count >= NGRAM_NONE - 1)
        return error_set(LMU_MEMORY, "more than %u different n-grams: use fewer tokens or a lower order",
                         NGRAM_NONE - 1);
    TRY(grow_entries(table));
    *id = (uint32_t)table->count++;
    *fresh = true;
    table->key[*id] = key;
    table->number[*id] = 0;
    table->slot[place] = *id + 1;
    return LMU_OK;
}

uint32_t ngram_table_find(const NgramTable *table, uint32_t context, uint32_t token)
{
    if (context == NGRAM_NONE || table->slots == 0)
        return NGRAM_NONE;
    uint64_t key = ngram_key(context, token);
    size_t place = ngram_hash(key) & (table->slots - 1);
    for (; table->slot[place] != 0; place = (place + 1) & (table->slots - 1))
        if (table->key[table->slot[place] - 1] == key)
            return table->slot[place] - 1;
    return NGRAM_NONE;
}
