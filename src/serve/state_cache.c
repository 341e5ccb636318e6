#include "serve/state_cache.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

typedef struct Entry Entry;
struct Entry {
    StateKey key;
    char *data;
    size_t size;
    Entry *chain;         /* of the same bucket */
    Entry *newer, *older; /* by last use */
};

struct StateCache {
    StateCacheFigures figures;
    Entry **bucket;
    size_t buckets; /* a power of 2 */
    Entry *newest, *oldest;
};

#define FIRST_BUCKETS 64

lmu_status state_cache_open(size_t limit, StateCache **out)
{
    StateCache *cache;
    *out = NULL;
    TRY(memory_new(&cache, 1, sizeof *cache, "a cache"));
    cache->figures.limit = limit;
    cache->buckets = FIRST_BUCKETS;
    lmu_status status = memory_new(&cache->bucket, cache->buckets, sizeof(Entry *), "a cache");
    if (status != LMU_OK)
        free(cache);
    else
        *out = cache;
    return status;
}

static Entry **bucket_of(const StateCache *cache, const StateKey *key)
{
    uint64_t bits;
    memcpy(&bits, key->byte, sizeof bits);
    return &cache->bucket[bits & (cache->buckets - 1)];
}

static size_t entry_bytes(const Entry *entry)
{
    return entry->size + sizeof *entry;
}

static Entry *find(const StateCache *cache, const StateKey *key)
{
    Entry *entry = *bucket_of(cache, key);
    while (entry && memcmp(&entry->key, key, sizeof *key) != 0)
        entry = entry->chain;
    return entry;
}

static void unlink_use(StateCache *cache, Entry *entry)
{
    *(entry->newer ? &entry->newer->older : &cache->newest) = entry->older;
    *(entry->older ? &entry->older->newer : &cache->oldest) = entry->newer;
}

static void link_use(StateCache *cache, Entry *entry)
{
    entry->newer = NULL;
    entry->older = cache->newest;
    *(cache->newest ? &cache->newest->newer : &cache->oldest) = entry;
    cache->newest = entry;
}

static void drop(StateCache *cache, Entry *entry)
{
    Entry **place = bucket_of(cache, &entry->key);
    while (*place != entry)
        place = &(*place)->chain;
    *place = entry->chain;
    unlink_use(cache, entry);
    cache->figures.bytes -= entry_bytes(entry);
    cache->figures.entries--;
    free(entry->data);
    free(entry);
}

void state_cache_close(StateCache *cache)
{
    if (!cache)
        return;
    while (cache->oldest)
        drop(cache, cache->oldest);
    free(cache->bucket);
    free(cache);
}

/* As many buckets as entries, if memory allows; else chains grow. */
static void grow(StateCache *cache)
{
    Entry **old = cache->bucket, **more;
    size_t count = cache->buckets;
    if (cache->figures.entries < count || memory_new(&more, 2 * count, sizeof *more, "a cache") != LMU_OK)
        return;
    cache->bucket = more;
    cache->buckets = 2 * count;
    for (size_t i = 0; i < count; i++)
        for (Entry *entry = old[i], *next; entry; entry = next) {
            Entry **place = bucket_of(cache, &entry->key);
            next = entry->chain;
            entry->chain = *place;
            *place = entry;
        }
    free(old);
}

void state_cache_put(StateCache *cache, const StateKey *key, char *data, size_t size, bool *kept)
{
    Entry *entry = find(cache, key);
    if (entry)
        drop(cache, entry);
    *kept = false;
    if (size + sizeof *entry > cache->figures.limit || memory_new(&entry, 1, sizeof *entry, "a state") != LMU_OK) {
        free(data);
        return;
    }
    *entry = (Entry){.key = *key, .data = data, .size = size};
    while (cache->oldest && cache->figures.bytes + entry_bytes(entry) > cache->figures.limit) {
        drop(cache, cache->oldest);
        cache->figures.evictions++;
    }
    grow(cache);
    Entry **place = bucket_of(cache, key);
    entry->chain = *place;
    *place = entry;
    link_use(cache, entry);
    cache->figures.bytes += entry_bytes(entry);
    cache->figures.entries++;
    *kept = true;
}

const char *state_cache_get(StateCache *cache, const StateKey *key, size_t *size)
{
    Entry *entry = find(cache, key);
    if (!entry)
        return NULL;
    unlink_use(cache, entry);
    link_use(cache, entry);
    *size = entry->size;
    return entry->data;
}

bool state_cache_has(const StateCache *cache, const StateKey *key)
{
    return find(cache, key) != NULL;
}

StateCacheFigures state_cache_figures(const StateCache *cache)
{
    return cache->figures;
}
