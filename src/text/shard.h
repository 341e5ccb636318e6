/* Token shards: NAME.bin, a 1 KiB little-endian header (magic, version, dtype, count, vocabulary size, hash of the
 * tokenizer, documents, bytes of text) and uint16 or uint32 ids, memory-mapped. docs/formats.md has the layout. */
#ifndef LMU_TEXT_SHARD_H
#define LMU_TEXT_SHARD_H

#include <stdint.h>

#include "base/error.h"
#include "base/file.h"

#define SHARD_HEADER_SIZE 1024
#define SHARD_VERSION 1

typedef struct Shard {
    FileMap map;
    int64_t count;      /* tokens */
    int64_t vocabulary; /* ids are below this; checked on opening */
    uint64_t tokenizer; /* tokenizer_hash of the tokenizer that made it */
    int64_t documents;
    int64_t bytes; /* of text, before tokenisation */
    int width;     /* bytes an id: 2 or 4 */
    const void *ids;
} Shard;

/* Opens and checks header and length, and that every id is inside the vocabulary. */
lmu_status shard_open(const char *path, Shard *out);
void shard_close(Shard *shard);
/* The same; LMU_MISMATCH, naming both, unless the shard was made with the tokenizer of this hash. */
lmu_status shard_open_with(const char *path, uint64_t hash, Shard *out);

/* Ids [first, first + count) as int32 into out; the range must lie inside the shard. */
void shard_read(const Shard *shard, int64_t first, int64_t count, int32_t *out);

/* Writing: the file appears whole on commit, or not at all. Ids are two bytes wide where the vocabulary (1 .. 2^31 ids)
 * allows. */
typedef struct ShardWriter ShardWriter;
lmu_status shard_writer_open(const char *path, int64_t vocabulary, uint64_t tokenizer, ShardWriter **out);
lmu_status shard_writer_put(ShardWriter *writer, const uint32_t *id, size_t count); /* every id inside the vocabulary */
int64_t shard_writer_count(const ShardWriter *writer);                              /* ids put so far */
lmu_status shard_writer_commit(ShardWriter *writer, int64_t documents, int64_t bytes); /* closes it, failed or not */
void shard_writer_abort(ShardWriter *writer);                                          /* accepts NULL */

#endif
