/* Files: read, map, list, and replace atomically. Every message names the path. */
#ifndef LMU_BASE_FILE_H
#define LMU_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"

/* The whole file into *data (malloc; a NUL follows the last byte) and *size. More than `limit` bytes is LMU_FORMAT. */
lmu_status file_read(const char *path, size_t limit, char **data, size_t *size);

/* A read-only mapping of a whole regular file; an empty file gives size 0 and data "". */
typedef struct FileMap {
    const uint8_t *data;
    size_t size;
} FileMap;
lmu_status file_map(const char *path, FileMap *map);
void file_unmap(FileMap *map); /* accepts a zeroed map; zeroes it */

/* A file that appears whole or not at all: written beside its place, synced, then renamed.
 *
 *     FileWriter *w;
 *     TRY(file_writer_open(path, &w));
 *     ... fwrite to file_writer_stream(w), or file_writer_put ...
 *     TRY(file_writer_commit(w));               or file_writer_abort(w): nothing is left behind           */
typedef struct FileWriter FileWriter;
lmu_status file_writer_open(const char *path, FileWriter **out);
FILE *file_writer_stream(FileWriter *writer);
lmu_status file_writer_put(FileWriter *writer, const void *data, size_t size);
lmu_status file_writer_put_at(FileWriter *writer, uint64_t offset, const void *data, size_t size); /* for headers */
lmu_status file_writer_commit(FileWriter *writer); /* closes the writer, failed or not */
void file_writer_abort(FileWriter *writer);        /* accepts NULL */

/* Whether file_writer_open() would succeed, with its message if not: for a command that works long before it writes. */
lmu_status file_writer_check(const char *path);

/* data as the new content of path, atomically. */
lmu_status file_write(const char *path, const void *data, size_t size);

bool file_exists(const char *path);
bool file_is_directory(const char *path);
bool directory_holds(const char *directory, const char *name); /* whether there is a directory/name */
lmu_status directory_make(const char *path);                   /* with its parents; fine if it is there */

/* Entry names (no "." and "..", sorted by byte) as a NULL-terminated array; free with directory_list_free. */
lmu_status directory_list(const char *path, char ***names, size_t *count);
void directory_list_free(char **names);

/* Puts directory `fresh` in the place of directory `path` so that a reader sees the old or the new one, whole (rename;
 * exchange and removal where `path` exists), and syncs the parent. */
lmu_status directory_replace(const char *fresh, const char *path);
lmu_status directory_remove(const char *path); /* with all it holds; fine if it is not there */

/* "a/b" in malloc'ed memory; LMU_MEMORY, and *path is NULL, where there is none. */
lmu_status path_join(const char *directory, const char *name, char **path);

#endif
