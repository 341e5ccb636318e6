#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"

static lmu_status directory_refuse(const char *path, const char *doing)
{
    return error_set(LMU_IO, "%s: cannot %s: %s", path, doing, strerror(errno));
}

/* A copy of the path without the slashes at its end, so that what is beside it is not inside it. */
static lmu_status path_trim(const char *path, char **out)
{
    size_t length = strlen(path);
    if (!length)
        return error_set(LMU_USAGE, "an empty directory name");
    while (length > 1 && path[length - 1] == '/')
        length--;
    *out = strndup(path, length);
    return *out ? LMU_OK : error_set(LMU_MEMORY, "no memory for a file name");
}

bool directory_holds(const char *directory, const char *name)
{
    int place = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct stat about;
    bool there = place >= 0 && fstatat(place, name, &about, 0) == 0;
    if (place >= 0)
        close(place);
    return there;
}

lmu_status directory_make(const char *path)
{
    char *partial;
    TRY(path_trim(path, &partial));
    lmu_status status = LMU_OK;
    for (char *slash = partial; slash && status == LMU_OK;) {
        slash = strchr(slash + 1, '/');
        if (slash)
            *slash = '\0';
        if (mkdir(partial, 0777) != 0) {
            int problem = errno; /* EEXIST, but EROFS or EACCES too where an ancestor is not ours to write in */
            if (!file_is_directory(partial)) {
                errno = problem;
                status = directory_refuse(partial, "make the directory");
            }
        }
        if (slash)
            *slash = '/';
    }
    free(partial);
    return status;
}

static int name_compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void directory_list_free(char **names)
{
    for (char **name = names; names && *name; name++)
        free(*name);
    free(names);
}

static lmu_status directory_collect(const char *path, DIR *directory, char ***names, size_t *count)
{
    size_t capacity = 0;
    TRY(memory_grow(names, &capacity, 16, sizeof **names, path));
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(directory);
        if (!entry)
            return errno ? directory_refuse(path, "list") : LMU_OK;
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        TRY(memory_grow(names, &capacity, *count + 2, sizeof **names, path));
        (*names)[*count] = strdup(entry->d_name);
        if (!(*names)[*count])
            return error_set(LMU_MEMORY, "no memory to list %s", path);
        ++*count;
    }
}

lmu_status directory_list(const char *path, char ***names, size_t *count)
{
    *names = NULL;
    *count = 0;
    DIR *directory = opendir(path);
    if (!directory)
        return directory_refuse(path, "list");
    lmu_status status = directory_collect(path, directory, names, count);
    closedir(directory);
    if (status != LMU_OK) {
        directory_list_free(*names);
        *names = NULL;
        *count = 0;
        return status;
    }
    qsort(*names, *count, sizeof **names, name_compare);
    return LMU_OK;
}

static int entry_remove(const char *path, const struct stat *about, int type, struct FTW *where)
{
    (void)about, (void)type, (void)where;
    return remove(path) == 0 || errno == ENOENT ? 0 : -1;
}

lmu_status directory_remove(const char *path)
{
    if (nftw(path, entry_remove, 16, FTW_DEPTH | FTW_PHYS) == 0 || errno == ENOENT)
        return LMU_OK;
    return directory_refuse(path, "remove");
}

static void directory_sync(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
}

static void directory_sync_parent(const char *path)
{
    char *parent;
    if (path_join(path, "..", &parent) == LMU_OK)
        directory_sync(parent);
    free(parent);
}

/* Where the file system cannot exchange two names: the old directory steps aside, the fresh one takes its name. Between
 * the two renames a reader finds nothing; a failure of the second puts the old one back. */
static lmu_status directory_swap_aside(const char *fresh, const char *path)
{
    char *aside;
    if (asprintf(&aside, "%s.%ld.old", path, (long)getpid()) < 0)
        return error_set(LMU_MEMORY, "no memory for a file name");
    lmu_status status = LMU_OK;
    if (rename(path, aside) != 0) {
        status = directory_refuse(path, "replace");
    } else if (rename(fresh, path) != 0) {
        status = directory_refuse(path, "replace");
        if (rename(aside, path) != 0)
            error_prefix(status, "(what was there is now %s) ", aside);
    } else {
        status = directory_remove(aside);
    }
    free(aside);
    return status;
}

static lmu_status directory_swap(const char *fresh, const char *path)
{
    if (!file_exists(path))
        return rename(fresh, path) == 0 ? LMU_OK : directory_refuse(path, "put the directory in place");
    if (!file_is_directory(path))
        return error_set(LMU_IO, "%s: is a file; a directory is to be written there", path);
    if (renameat2(AT_FDCWD, fresh, AT_FDCWD, path, RENAME_EXCHANGE) == 0)
        return directory_remove(fresh);
    if (errno == EINVAL || errno == ENOSYS || errno == ENOTSUP)
        return directory_swap_aside(fresh, path);
    return directory_refuse(path, "replace");
}

lmu_status directory_replace(const char *fresh, const char *path)
{
    char *from = NULL, *to = NULL;
    lmu_status status;
    ATTEMPT(path_trim(fresh, &from));
    ATTEMPT(path_trim(path, &to));
    directory_sync(from);
    ATTEMPT(directory_swap(from, to));
    directory_sync_parent(to);
done:
    free(from);
    free(to);
    return status;
}
