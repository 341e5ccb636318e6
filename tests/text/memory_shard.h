/* A shard over an array of ids, for tests that need no file. */
#ifndef TESTS_TEXT_MEMORY_SHARD_H
#define TESTS_TEXT_MEMORY_SHARD_H

#include "text/shard.h"

static inline Shard memory_shard(const uint16_t *ids, int64_t count, int64_t vocabulary)
{
    return (Shard){.count = count, .vocabulary = vocabulary, .documents = 1, .bytes = count, .width = 2, .ids = ids};
}

#endif
