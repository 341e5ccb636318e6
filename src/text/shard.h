/* Token shards: NAME.bin, a 1 KiB little-endian header (magic, version, dtype, count, vocabulary size, hash of the
 * tokenizer, documents, bytes of text) and uint16 or uint32 ids, memory-mapped. docs/formats.md has the layout. */
#ifndef LMU_TEXT_SHARD_H
#define LMU_TEXT_SHARD_H

#include <stdint.h>

#include "base/error.h"
#include "base/file.h"

typedef struct Shard {
    FileMap map;
    int64_t count;      /* tokens */
    int64_t vocabulary; /* ids are below this; checked on opening */
    uint64_t tokenizer; /* tokenizer_hash of the tokenizer that made it */
    int64_t documents;
    int64_t bytes;      /* of text, before tokenisation */
    int width;          /* bytes an id: 2 or 4 */
    const void *ids;
} Shard;

/* Opens and checks header and length, and that every id is inside the vocabulary. */
lmu_status shard_open(const char *path, Shard *out);
void shard_close(Shard *shard);
/* LMU_MISMATCH, naming both, unless the shard was made with the tokenizer of this hash. */
lmu_status shard_require_tokenizer(const Shard *shard, const char *path, uint64_t hash);

/* Ids [first, first + count) as int32 into out; the range must lie inside the shard. */
void shard_read(const Shard *shard, int64_t first, int64_t count, int32_t *out);

#endif
