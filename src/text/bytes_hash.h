/* A fast hash of a few bytes, for tables that live only in memory. */
#ifndef LMU_TEXT_BYTES_HASH_H
#define LMU_TEXT_BYTES_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t hash_mix(uint64_t value)
{
    value ^= value >> 32;
    value *= UINT64_C(0xE9846AF9B1A615D);
    value ^= value >> 32;
    value *= UINT64_C(0xE9846AF9B1A615D);
    return value ^ value >> 28;
}

static inline uint64_t bytes_hash(const char *bytes, size_t size)
{
    uint64_t hash = size;
    for (; size >= 8; bytes += 8, size -= 8) {
        uint64_t word;
        memcpy(&word, bytes, 8);
        hash = hash_mix(hash ^ word);
    }
    uint64_t rest = 0;
    memcpy(&rest, bytes, size);
    return hash_mix(hash ^ rest);
}

#endif
