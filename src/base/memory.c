#include "base/memory.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/format.h"
#include "base/machine.h"

#define SMALL_BYTES 16777216.0

static lmu_status memory_refuse(size_t count, size_t size, const char *what)
{
    return error_set(LMU_MEMORY, "no memory for %s (%zu of %zu bytes each)", what, count, size);
}

lmu_status memory_check(double bytes, const char *what, const char *advice)
{
    char needed[32], have[32];
    double there = bytes < SMALL_BYTES ? SMALL_BYTES : (double)machine_memory();
    if (bytes <= there)
        return LMU_OK;
    return error_set(LMU_MEMORY, "%s need %s more of memory, and %s are free: %s", what,
                     format_bytes(bytes, needed, sizeof needed), format_bytes(there, have, sizeof have), advice);
}

lmu_status memory_new(void *out, size_t count, size_t size, const char *what)
{
    size_t bytes;
    void *block = NULL;
    if (!__builtin_mul_overflow(count, size, &bytes) && bytes <= PTRDIFF_MAX)
        block = calloc(bytes ? bytes : 1, 1);
    memcpy(out, &block, sizeof block); /* out is a pointer to a pointer of the caller's type */
    return block ? LMU_OK : memory_refuse(count, size, what);
}

lmu_status memory_grow(void *array, size_t *capacity, size_t need, size_t size, const char *what)
{
    if (need <= *capacity)
        return LMU_OK;
    size_t count = need;
    if (*capacity <= SIZE_MAX / 2 && count < 2 * *capacity)
        count = 2 * *capacity;
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > PTRDIFF_MAX)
        return memory_refuse(count, size, what);
    void *old;
    memcpy(&old, array, sizeof old);
    char *block = realloc(old, bytes ? bytes : 1);
    if (!block)
        return memory_refuse(count, size, what);
    memset(block + *capacity * size, 0, bytes - *capacity * size);
    memcpy(array, &block, sizeof block);
    *capacity = count;
    return LMU_OK;
}

/* Chunks double up to 1 MiB; what is larger than a chunk gets a chunk of its own size. */
enum { ARENA_ALIGN = 16, ARENA_FIRST = 4096, ARENA_LARGEST = 1 << 20 };

typedef struct ArenaChunk ArenaChunk;
struct ArenaChunk {
    ArenaChunk *next;
    size_t used, size; /* of data */
    _Alignas(ARENA_ALIGN) char data[];
};

struct Arena {
    ArenaChunk *chunks; /* the newest first */
    size_t next_size;
};

Arena *arena_open(void)
{
    Arena *arena = calloc(1, sizeof *arena);
    if (arena)
        arena->next_size = ARENA_FIRST;
    else
        error_set(LMU_MEMORY, "no memory for an arena");
    return arena;
}

void arena_close(Arena *arena)
{
    if (!arena)
        return;
    for (ArenaChunk *chunk = arena->chunks, *next; chunk; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
    free(arena);
}

static ArenaChunk *arena_extend(Arena *arena, size_t need)
{
    size_t size = need > arena->next_size ? need : arena->next_size;
    ArenaChunk *chunk = calloc(1, sizeof *chunk + size);
    if (!chunk)
        return NULL;
    chunk->size = size;
    chunk->next = arena->chunks;
    arena->chunks = chunk;
    if (arena->next_size < ARENA_LARGEST)
        arena->next_size *= 2;
    return chunk;
}

void *arena_alloc(Arena *arena, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > PTRDIFF_MAX / 2) {
        memory_refuse(count, size, "an arena's object");
        return NULL;
    }
    bytes = bytes ? (bytes + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN : ARENA_ALIGN;
    ArenaChunk *chunk = arena->chunks;
    if (!chunk || chunk->size - chunk->used < bytes)
        chunk = arena_extend(arena, bytes);
    if (!chunk) {
        memory_refuse(count, size, "an arena's object");
        return NULL;
    }
    void *object = chunk->data + chunk->used;
    chunk->used += bytes;
    return object;
}

char *arena_string(Arena *arena, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = arena_alloc(arena, size, 1);
    return copy ? memcpy(copy, text, size) : NULL;
}

char *arena_printf(Arena *arena, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *text = length < 0 ? NULL : arena_alloc(arena, (size_t)length + 1, 1);
    if (!text)
        return NULL;
    va_start(arguments, format);
    vsnprintf(text, (size_t)length + 1, format, arguments);
    va_end(arguments);
    return text;
}
