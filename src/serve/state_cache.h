/* States of streams, packed (session_pack), under one limit of bytes: what was not used for longest goes first. Keys are hashes
 * or hold random bits, so no one makes them collide. One thread at a time. */
#ifndef LMU_SERVE_STATE_CACHE_H
#define LMU_SERVE_STATE_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define STATE_KEY 32 /* bytes */

typedef struct StateKey {
    uint8_t byte[STATE_KEY];
} StateKey;

typedef struct StateCacheFigures {
    size_t limit, bytes; /* bytes: of states and of what keeping them takes */
    size_t entries;
    uint64_t evictions;
} StateCacheFigures;

typedef struct StateCache StateCache;

lmu_status state_cache_open(size_t limit, StateCache **out);
void state_cache_close(StateCache *cache); /* accepts NULL */

/* Takes over `data` (malloc'ed), in the place of what the key had. *kept: false where it is larger than the limit or memory is
 * short; it is freed then. */
void state_cache_put(StateCache *cache, const StateKey *key, char *data, size_t size, bool *kept);
/* The state, which counts as used now; borrowed until the next put. NULL: it is not there. */
const char *state_cache_get(StateCache *cache, const StateKey *key, size_t *size);
/* Whether it is there, which is no use of it. */
bool state_cache_has(const StateCache *cache, const StateKey *key);
StateCacheFigures state_cache_figures(const StateCache *cache);

#endif
