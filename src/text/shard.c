/* Token shards. The layout is docs/formats.md's; offsets here are its offsets. */
#include "text/shard.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "shards are mapped as they lie, and they are little-endian");

static const char magic[8] = {'L', 'M', 'U', 's', 'h', 'a', 'r', 'd'};

typedef struct ShardHeader {
    char magic[8];
    uint32_t version;
    uint32_t width; /* bytes an id */
    uint64_t count;
    uint64_t vocabulary;
    uint64_t tokenizer;
    uint64_t documents;
    uint64_t bytes;
    uint8_t zero[SHARD_HEADER_SIZE - 56];
} ShardHeader;
_Static_assert(sizeof(ShardHeader) == SHARD_HEADER_SIZE, "no padding");

static lmu_status header_check(const ShardHeader *header, const char *path, size_t size)
{
    if (memcmp(header->magic, magic, sizeof magic) != 0)
        return error_set(LMU_FORMAT, "%s: no token shard (offset 0 holds no \"LMUshard\"); make one with lmu prepare",
                         path);
    if (header->version != SHARD_VERSION)
        return error_set(LMU_FORMAT,
                         "%s: shard version %" PRIu32 ", this program reads version %d; run lmu prepare again", path,
                         header->version, SHARD_VERSION);
    if (header->width != 2 && header->width != 4)
        return error_set(LMU_FORMAT, "%s: ids of %" PRIu32 " bytes (offset 12); 2 or 4 expected", path, header->width);
    uint64_t most = header->width == 2 ? UINT64_C(1) << 16 : UINT64_C(1) << 31;
    if (header->vocabulary < 1 || header->vocabulary > most)
        return error_set(LMU_FORMAT, "%s: a vocabulary of %" PRIu64 " ids (offset 24); 1 to %" PRIu64 " expected", path,
                         header->vocabulary, most);
    uint64_t room = (size - SHARD_HEADER_SIZE) / header->width;
    if (header->count != room || (size - SHARD_HEADER_SIZE) % header->width != 0)
        return error_set(LMU_FORMAT,
                         "%s: the header promises %" PRIu64 " ids of %" PRIu32
                         " bytes, the file has %zu bytes after it; it is truncated or damaged, run lmu prepare again",
                         path, header->count, header->width, size - SHARD_HEADER_SIZE);
    if (header->documents > INT64_MAX || header->bytes > INT64_MAX)
        return error_set(LMU_FORMAT, "%s: impossible number of documents or bytes (offsets 40, 48)", path);
    for (size_t i = 0; i < sizeof header->zero; i++)
        if (header->zero[i] != 0)
            return error_set(LMU_FORMAT, "%s: the unused part of the header is not zero (offset %zu)", path, 56 + i);
    return LMU_OK;
}

static uint32_t shard_id(const Shard *shard, int64_t index)
{
    return shard->width == 2 ? ((const uint16_t *)shard->ids)[index] : ((const uint32_t *)shard->ids)[index];
}

static lmu_status ids_check(const Shard *shard, const char *path)
{
    if (shard->width == 2 && shard->vocabulary == 1 << 16)
        return LMU_OK;
    for (int64_t i = 0; i < shard->count; i++)
        if (shard_id(shard, i) >= shard->vocabulary)
            return error_set(LMU_FORMAT,
                             "%s: token %" PRId64 " has id %" PRIu32 ", outside the vocabulary of %" PRId64
                             "; the file is damaged, run lmu prepare again",
                             path, i, shard_id(shard, i), shard->vocabulary);
    return LMU_OK;
}

lmu_status shard_open(const char *path, Shard *out)
{
    lmu_status status = LMU_OK;
    Shard shard = {0};
    TRY(file_map(path, &shard.map));
    if (shard.map.size < SHARD_HEADER_SIZE) {
        status = error_set(LMU_FORMAT, "%s: %zu bytes, too short for the %d-byte header of a token shard", path,
                           shard.map.size, SHARD_HEADER_SIZE);
        goto done;
    }
    ShardHeader header;
    memcpy(&header, shard.map.data, sizeof header);
    ATTEMPT(header_check(&header, path, shard.map.size));
    shard.count = (int64_t)header.count;
    shard.vocabulary = (int64_t)header.vocabulary;
    shard.tokenizer = header.tokenizer;
    shard.documents = (int64_t)header.documents;
    shard.bytes = (int64_t)header.bytes;
    shard.width = (int)header.width;
    shard.ids = shard.map.data + SHARD_HEADER_SIZE;
    ATTEMPT(ids_check(&shard, path));
done:
    if (status != LMU_OK) {
        file_unmap(&shard.map);
        return status;
    }
    *out = shard;
    return LMU_OK;
}

void shard_close(Shard *shard)
{
    file_unmap(&shard->map);
    *shard = (Shard){0};
}

lmu_status shard_open_with(const char *path, uint64_t hash, Shard *shard)
{
    TRY(shard_open(path, shard));
    if (shard->tokenizer == hash)
        return LMU_OK;
    lmu_status status = error_set(LMU_MISMATCH,
                                  "%s was made with another tokenizer (hash %016" PRIx64 ", not %016" PRIx64
                                  "); run lmu prepare again with this one",
                                  path, shard->tokenizer, hash);
    shard_close(shard);
    return status;
}

void shard_read(const Shard *shard, int64_t first, int64_t count, int32_t *out)
{
    assert(first >= 0 && count >= 0 && first <= shard->count - count);
    if (shard->width == 2) {
        const uint16_t *id = (const uint16_t *)shard->ids + first;
        for (int64_t i = 0; i < count; i++)
            out[i] = id[i];
    } else if (count > 0) {
        memcpy(out, (const uint32_t *)shard->ids + first, (size_t)count * sizeof *out);
    }
}

struct ShardWriter {
    FileWriter *file;
    ShardHeader header;
};

lmu_status shard_writer_open(const char *path, int64_t vocabulary, uint64_t tokenizer, ShardWriter **out)
{
    if (vocabulary < 1 || vocabulary > INT64_C(1) << 31)
        return error_set(LMU_USAGE, "%s: a vocabulary of %" PRId64 " ids fits no shard", path, vocabulary);
    lmu_status status;
    ShardWriter *writer = NULL;
    TRY(memory_new(&writer, 1, sizeof *writer, "a shard writer"));
    memcpy(writer->header.magic, magic, sizeof magic);
    writer->header.version = SHARD_VERSION;
    writer->header.width = vocabulary <= 1 << 16 ? 2 : 4;
    writer->header.vocabulary = (uint64_t)vocabulary;
    writer->header.tokenizer = tokenizer;
    ATTEMPT(file_writer_open(path, &writer->file));
    ATTEMPT(file_writer_put(writer->file, &writer->header, sizeof writer->header));
    *out = writer;
    return LMU_OK;
done:
    shard_writer_abort(writer);
    return status;
}

lmu_status shard_writer_put(ShardWriter *writer, const uint32_t *id, size_t count)
{
    writer->header.count += count;
    if (writer->header.width == 4)
        return file_writer_put(writer->file, id, count * sizeof *id);
    while (count > 0) {
        uint16_t narrow[4096];
        size_t part = count < 4096 ? count : 4096;
        for (size_t i = 0; i < part; i++)
            narrow[i] = (uint16_t)id[i];
        TRY(file_writer_put(writer->file, narrow, part * sizeof *narrow));
        id += part;
        count -= part;
    }
    return LMU_OK;
}

int64_t shard_writer_count(const ShardWriter *writer)
{
    return (int64_t)writer->header.count;
}

lmu_status shard_writer_commit(ShardWriter *writer, int64_t documents, int64_t bytes)
{
    writer->header.documents = (uint64_t)documents;
    writer->header.bytes = (uint64_t)bytes;
    lmu_status status;
    ATTEMPT(file_writer_put_at(writer->file, 0, &writer->header, sizeof writer->header));
    status = file_writer_commit(writer->file);
    writer->file = NULL;
done:
    shard_writer_abort(writer);
    return status;
}

void shard_writer_abort(ShardWriter *writer)
{
    if (!writer)
        return;
    file_writer_abort(writer->file);
    free(writer);
}
