/* Plain and zstd files as streams. */
#include "text/source.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "base/file.h"
#include "base/memory.h"

#define SOURCE_BUFFER ((size_t)1 << 17)

struct Source {
    const char *path;
    FILE *file;
    int64_t position;
    ZSTD_DStream *zstd; /* NULL: the file is plain */
    ZSTD_inBuffer input;
    size_t expected; /* what zstd still wants of the frame; 0 between frames */
    char *buffer;    /* of compressed bytes */
};

static bool ends_with(const char *path, const char *ending)
{
    size_t length = strlen(path), tail = strlen(ending);
    return length >= tail && strcmp(path + length - tail, ending) == 0;
}

lmu_status source_open(const char *path, Source **out)
{
    lmu_status status;
    Source *source = NULL;
    if (file_is_directory(path))
        return error_set(LMU_IO, "%s: is a directory; a file is expected", path);
    TRY(memory_new(&source, 1, sizeof *source, path));
    source->path = path;
    source->file = fopen(path, "rbe");
    if (!source->file) {
        status = error_set(LMU_IO, "%s: cannot open: %s", path, strerror(errno));
        goto done;
    }
    if (ends_with(path, ".zst")) {
        source->zstd = ZSTD_createDStream();
        if (!source->zstd) {
            status = error_set(LMU_MEMORY, "%s: no memory to decompress it", path);
            goto done;
        }
        ATTEMPT(memory_new(&source->buffer, SOURCE_BUFFER, 1, path));
        source->input.src = source->buffer;
    }
    *out = source;
    return LMU_OK;
done:
    source_close(source);
    return status;
}

void source_close(Source *source)
{
    if (!source)
        return;
    if (source->file)
        fclose(source->file);
    ZSTD_freeDStream(source->zstd);
    free(source->buffer);
    free(source);
}

static lmu_status file_fill(Source *source, char *data, size_t size, size_t *got)
{
    *got = fread(data, 1, size, source->file);
    source->position += (int64_t)*got;
    if (*got == 0 && ferror(source->file))
        return error_set(LMU_IO, "%s: cannot read: %s", source->path, strerror(errno));
    return LMU_OK;
}

lmu_status source_read(Source *source, char *data, size_t size, size_t *got)
{
    if (!source->zstd)
        return file_fill(source, data, size, got);
    ZSTD_outBuffer output = {data, size, 0};
    while (output.pos == 0) {
        if (source->input.pos == source->input.size) {
            source->input.pos = 0;
            TRY(file_fill(source, source->buffer, SOURCE_BUFFER, &source->input.size));
        }
        if (source->input.size == 0 && source->expected == 0)
            break;
        size_t before = source->input.pos;
        source->expected = ZSTD_decompressStream(source->zstd, &output, &source->input);
        if (ZSTD_isError(source->expected))
            return error_set(LMU_FORMAT, "%s: not readable as zstd near byte %lld: %s", source->path,
                             (long long)source->position, ZSTD_getErrorName(source->expected));
        if (source->input.size == 0 && output.pos == 0 && before == source->input.pos)
            return error_set(LMU_FORMAT, "%s: truncated: the zstd data ends within a frame, at byte %lld", source->path,
                             (long long)source->position);
    }
    *got = output.pos;
    return LMU_OK;
}

int64_t source_position(const Source *source)
{
    return source->position;
}
