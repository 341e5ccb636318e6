#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"

static lmu_status file_refuse(const char *path, const char *doing)
{
    return error_set(LMU_IO, "%s: cannot %s: %s", path, doing, strerror(errno));
}

/* Opens a file for reading and refuses directories, which open() would let through. A pipe is opened without waiting for a
 * process that writes to it. */
static lmu_status file_open(const char *path, int *fd, struct stat *about)
{
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*fd < 0)
        return file_refuse(path, "open");
    lmu_status status = LMU_OK;
    if (fstat(*fd, about) != 0)
        status = file_refuse(path, "open");
    else if (S_ISDIR(about->st_mode))
        status = error_set(LMU_IO, "%s: is a directory; a file is expected", path);
    if (status != LMU_OK)
        close(*fd);
    return status;
}

/* Reads to the end of what may be a pipe, one that a process writes to (--config <(command)); a byte is kept free for the NUL. */
static lmu_status file_read_all(const char *path, int fd, size_t limit, size_t expected, char **data, size_t *size)
{
    size_t capacity = 0;
    TRY(memory_grow(data, &capacity, expected + 2, 1, path));
    for (*size = 0;;) {
        ssize_t got = read(fd, *data + *size, capacity - *size - 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EAGAIN && fcntl(fd, F_SETFL, 0) == 0) /* a writer that has nothing yet is waited for */
            continue;
        if (got < 0)
            return file_refuse(path, "read");
        if (got == 0)
            break;
        *size += (size_t)got;
        if (*size > limit)
            return error_set(LMU_FORMAT, "%s: is larger than the %zu bytes that such a file may have", path, limit);
        if (*size + 1 == capacity)
            TRY(memory_grow(data, &capacity, capacity + 1, 1, path));
    }
    (*data)[*size] = '\0';
    return LMU_OK;
}

lmu_status file_read(const char *path, size_t limit, char **data, size_t *size)
{
    int fd;
    struct stat about;
    *data = NULL;
    *size = 0;
    TRY(file_open(path, &fd, &about));
    size_t expected = S_ISREG(about.st_mode) && about.st_size > 0 ? (size_t)about.st_size : 0;
    if (expected > limit)
        expected = limit;
    lmu_status status = file_read_all(path, fd, limit, expected, data, size);
    close(fd);
    if (status == LMU_OK && *size == 0 && S_ISFIFO(about.st_mode))
        status = error_set(LMU_IO, "%s: is a pipe that nothing writes to; a file is expected", path);
    if (status != LMU_OK) {
        free(*data);
        *data = NULL;
        *size = 0;
    }
    return status;
}

lmu_status file_map(const char *path, FileMap *map)
{
    int fd;
    struct stat about;
    *map = (FileMap){0};
    TRY(file_open(path, &fd, &about));
    lmu_status status = LMU_OK;
    if (!S_ISREG(about.st_mode)) {
        status = error_set(LMU_IO, "%s: is no regular file; it has to be one to be mapped", path);
    } else if (about.st_size == 0) {
        map->data = (const uint8_t *)"";
    } else {
        void *data = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_SHARED, fd, 0);
        if (data == MAP_FAILED)
            status = file_refuse(path, "map");
        else
            *map = (FileMap){data, (size_t)about.st_size};
    }
    close(fd);
    return status;
}

void file_unmap(FileMap *map)
{
    if (map->size)
        munmap((void *)map->data, map->size);
    *map = (FileMap){0};
}

struct FileWriter {
    FILE *stream;
    char *path;   /* what the caller named, its links followed */
    char *beside; /* where the bytes are until the commit */
};

/* The place to write to: through a symbolic link the file it points at, so that the link stays. */
static lmu_status writer_target(const char *path, char **target)
{
    struct stat about;
    *target = NULL;
    if (!*path)
        return error_set(LMU_USAGE, "an empty file name");
    if (stat(path, &about) == 0) {
        if (S_ISDIR(about.st_mode))
            return error_set(LMU_IO, "%s: is a directory; a file is to be written there", path);
        if (!S_ISREG(about.st_mode))
            return error_set(LMU_IO, "%s: is no regular file; files are written whole or not at all", path);
        *target = realpath(path, NULL);
        return *target ? LMU_OK : file_refuse(path, "write");
    }
    *target = strdup(path);
    return *target ? LMU_OK : error_set(LMU_MEMORY, "no memory for a file name");
}

static void writer_free(FileWriter *writer)
{
    free(writer->path);
    free(writer->beside);
    free(writer);
}

lmu_status file_writer_open(const char *path, FileWriter **out)
{
    static atomic_uint counter;
    *out = NULL;
    FileWriter *writer;
    TRY(memory_new(&writer, 1, sizeof *writer, "a file writer"));
    lmu_status status = writer_target(path, &writer->path);
    if (status != LMU_OK)
        goto failed;
    if (asprintf(&writer->beside, "%s.%ld-%u.partial", writer->path, (long)getpid(), atomic_fetch_add(&counter, 1)) <
        0) {
        writer->beside = NULL;
        status = error_set(LMU_MEMORY, "no memory for a file name");
        goto failed;
    }
    int fd = open(writer->beside, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);
    writer->stream = fd < 0 ? NULL : fdopen(fd, "w+");
    if (!writer->stream) {
        status = file_refuse(path, "write");
        if (fd >= 0) {
            close(fd);
            unlink(writer->beside);
        }
        goto failed;
    }
    *out = writer;
    return LMU_OK;
failed:
    writer_free(writer);
    return status;
}

lmu_status file_writer_check(const char *path)
{
    FileWriter *writer;
    TRY(file_writer_open(path, &writer));
    file_writer_abort(writer);
    return LMU_OK;
}

FILE *file_writer_stream(FileWriter *writer)
{
    return writer->stream;
}

lmu_status file_writer_put(FileWriter *writer, const void *data, size_t size)
{
    if (size && fwrite(data, 1, size, writer->stream) != size)
        return file_refuse(writer->path, "write");
    return LMU_OK;
}

lmu_status file_writer_put_at(FileWriter *writer, uint64_t offset, const void *data, size_t size)
{
    off_t end = ftello(writer->stream);
    if (end < 0 || offset > INT64_MAX || fseeko(writer->stream, (off_t)offset, SEEK_SET) != 0)
        return file_refuse(writer->path, "write");
    TRY(file_writer_put(writer, data, size));
    return fseeko(writer->stream, end, SEEK_SET) == 0 ? LMU_OK : file_refuse(writer->path, "write");
}

/* Makes a rename in this directory last. Some file systems cannot sync a directory, and there is nothing to do then. */
static void sync_parent(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *parent = !slash ? strdup(".") : slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
    int fd = parent ? open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    free(parent);
}

lmu_status file_writer_commit(FileWriter *writer)
{
    lmu_status status = LMU_OK;
    if (ferror(writer->stream)) {
        status = error_set(LMU_IO, "%s: cannot write; is the disk full?", writer->path);
    } else if (fflush(writer->stream) != 0 || fsync(fileno(writer->stream)) != 0) {
        status = file_refuse(writer->path, "write");
    }
    if (fclose(writer->stream) != 0 && status == LMU_OK)
        status = file_refuse(writer->path, "write");
    if (status == LMU_OK && rename(writer->beside, writer->path) != 0)
        status = file_refuse(writer->path, "write");
    if (status == LMU_OK)
        sync_parent(writer->path);
    else
        unlink(writer->beside);
    writer_free(writer);
    return status;
}

void file_writer_abort(FileWriter *writer)
{
    if (!writer)
        return;
    fclose(writer->stream);
    unlink(writer->beside);
    writer_free(writer);
}

lmu_status file_write(const char *path, const void *data, size_t size)
{
    FileWriter *writer;
    TRY(file_writer_open(path, &writer));
    lmu_status status = file_writer_put(writer, data, size);
    if (status != LMU_OK) {
        file_writer_abort(writer);
        return status;
    }
    return file_writer_commit(writer);
}

bool file_exists(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0;
}

bool file_is_directory(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

lmu_status path_join(const char *directory, const char *name, char **path)
{
    size_t length = strlen(directory);
    const char *slash = length && directory[length - 1] != '/' ? "/" : "";
    if (asprintf(path, "%s%s%s", directory, slash, name) >= 0)
        return LMU_OK;
    *path = NULL;
    return error_set(LMU_MEMORY, "no memory for a file name");
}
