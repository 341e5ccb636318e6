#include "text/spool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"

#define NARROW_IDS 8192

struct Spool {
    const char *directory;
    FILE *ids, *records;
    size_t width; /* bytes an id */
};

/* A file that is nowhere in the directory; made with a name that is removed at once, as every file system can. */
static lmu_status unnamed_open(const char *directory, FILE **out)
{
    char *path;
    TRY(path_join(directory, "spool", &path));
    *out = fopen(path, "w+be");
    lmu_status status =
        *out ? LMU_OK : error_set(LMU_IO, "%s: cannot make a temporary file: %s", path, strerror(errno));
    if (*out)
        unlink(path);
    free(path);
    return status;
}

lmu_status spool_open(const char *directory, int64_t vocabulary, Spool **out)
{
    lmu_status status;
    Spool *spool = NULL;
    TRY(memory_new(&spool, 1, sizeof *spool, "a spool"));
    spool->directory = directory;
    spool->width = vocabulary <= 1 << 16 ? 2 : 4;
    ATTEMPT(unnamed_open(directory, &spool->ids));
    ATTEMPT(unnamed_open(directory, &spool->records));
    *out = spool;
    return LMU_OK;
done:
    spool_close(spool);
    return status;
}

void spool_close(Spool *spool)
{
    if (!spool)
        return;
    if (spool->ids)
        fclose(spool->ids);
    if (spool->records)
        fclose(spool->records);
    free(spool);
}

static lmu_status bytes_put(const Spool *spool, FILE *file, const void *data, size_t size)
{
    if (size > 0 && fwrite(data, 1, size, file) != size)
        return error_set(LMU_IO, "%s: cannot write a temporary file: %s", spool->directory, strerror(errno));
    return LMU_OK;
}

static lmu_status bytes_get(const Spool *spool, FILE *file, void *data, size_t size)
{
    if (size > 0 && fread(data, 1, size, file) != size)
        return error_set(LMU_IO, "%s: cannot read a temporary file: %s", spool->directory,
                         ferror(file) ? strerror(errno) : "it has been cut");
    return LMU_OK;
}

lmu_status spool_put(Spool *spool, const uint32_t *id, size_t count)
{
    if (spool->width == 4)
        return bytes_put(spool, spool->ids, id, count * sizeof *id);
    while (count > 0) {
        uint16_t narrow[NARROW_IDS];
        size_t part = count < NARROW_IDS ? count : NARROW_IDS;
        for (size_t i = 0; i < part; i++)
            narrow[i] = (uint16_t)id[i];
        TRY(bytes_put(spool, spool->ids, narrow, part * sizeof *narrow));
        id += part;
        count -= part;
    }
    return LMU_OK;
}

lmu_status spool_end(Spool *spool, const SpoolRecord *record)
{
    return bytes_put(spool, spool->records, record, sizeof *record);
}

lmu_status spool_rewind(Spool *spool)
{
    if (fflush(spool->ids) != 0 || fflush(spool->records) != 0 || fseeko(spool->ids, 0, SEEK_SET) != 0 ||
        fseeko(spool->records, 0, SEEK_SET) != 0)
        return error_set(LMU_IO, "%s: cannot write a temporary file: %s", spool->directory, strerror(errno));
    return LMU_OK;
}

lmu_status spool_next(Spool *spool, SpoolRecord *record, bool *found)
{
    int c = getc(spool->records);
    *found = c != EOF;
    if (!*found && ferror(spool->records))
        return error_set(LMU_IO, "%s: cannot read a temporary file: %s", spool->directory, strerror(errno));
    if (!*found)
        return LMU_OK;
    ungetc(c, spool->records);
    return bytes_get(spool, spool->records, record, sizeof *record);
}

lmu_status spool_read(Spool *spool, uint32_t *id, size_t count)
{
    if (spool->width == 4)
        return bytes_get(spool, spool->ids, id, count * sizeof *id);
    while (count > 0) {
        uint16_t narrow[NARROW_IDS];
        size_t part = count < NARROW_IDS ? count : NARROW_IDS;
        TRY(bytes_get(spool, spool->ids, narrow, part * sizeof *narrow));
        for (size_t i = 0; i < part; i++)
            id[i] = narrow[i];
        id += part;
        count -= part;
    }
    return LMU_OK;
}

lmu_status spool_pass(Spool *spool, int64_t count)
{
    if (count > 0 && fseeko(spool->ids, count * (int64_t)spool->width, SEEK_CUR) != 0)
        return error_set(LMU_IO, "%s: cannot read a temporary file: %s", spool->directory, strerror(errno));
    return LMU_OK;
}
