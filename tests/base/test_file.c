#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"

/* Faults: these stand in for the C library's functions in this program. */
static bool fail_exchange, fail_sync;
static int renames_until_failure = -1;

int renameat2(int old_fd, const char *old_path, int new_fd, const char *new_path, unsigned flags)
{
    if (fail_exchange) {
        errno = EINVAL;
        return -1;
    }
    return (int)syscall(SYS_renameat2, old_fd, old_path, new_fd, new_path, flags);
}

int rename(const char *old_path, const char *new_path)
{
    if (renames_until_failure == 0) {
        errno = EACCES;
        return -1;
    }
    renames_until_failure -= renames_until_failure > 0;
    return (int)syscall(SYS_renameat2, -100 /* AT_FDCWD */, old_path, -100, new_path, 0);
}

int fsync(int fd)
{
    if (fail_sync) {
        errno = ENOSPC;
        return -1;
    }
    return (int)syscall(SYS_fsync, fd);
}

static char folder[64];

static int enter_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/lmu-file-XXXXXX");
    fail_exchange = fail_sync = false;
    renames_until_failure = -1;
    return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int leave_folder(void **state)
{
    (void)state;
    renames_until_failure = -1;
    return chdir("/") == 0 && directory_remove(folder) == LMU_OK && !file_exists(folder) ? 0 : -1;
}

static size_t entry_count(const char *path)
{
    char **names;
    size_t count;
    assert_int_equal(directory_list(path, &names, &count), LMU_OK);
    directory_list_free(names);
    return count;
}

static void assert_content(const char *path, const char *expected)
{
    char *data;
    size_t size;
    assert_int_equal(file_read(path, 1 << 20, &data, &size), LMU_OK);
    assert_int_equal(size, strlen(expected));
    assert_string_equal(data, expected);
    free(data);
}

static void assert_message(lmu_status status, lmu_status expected, const char *part)
{
    assert_int_equal(status, expected);
    if (!strstr(lmu_error_message(), part))
        fail_msg("'%s' is not in '%s'", part, lmu_error_message());
}

static void test_read(void **state)
{
    (void)state;
    char *data;
    size_t size;
    assert_int_equal(file_write("a", "x\0y", 3), LMU_OK);
    assert_int_equal(file_read("a", 3, &data, &size), LMU_OK);
    assert_int_equal(size, 3);
    assert_memory_equal(data, "x\0y\0", 4);
    free(data);
    assert_message(file_read("a", 2, &data, &size), LMU_FORMAT, "a: is larger than the 2 bytes");
    assert_null(data);
    assert_message(file_read("missing", 9, &data, &size), LMU_IO, "missing: cannot open: No such file");
    assert_message(file_read(".", 9, &data, &size), LMU_IO, ".: is a directory");
    assert_int_equal(file_write("empty", "", 0), LMU_OK);
    assert_content("empty", "");
    /* No regular file: its size says nothing. */
    assert_int_equal(file_read("/proc/self/status", 1 << 20, &data, &size), LMU_OK);
    assert_true(size > 100);
    free(data);
}

/* A pipe that nothing writes to is refused at once, whoever might come later; one with a writer is read to its end. */
static void test_pipes(void **state)
{
    (void)state;
    char *data;
    size_t size;
    FileMap map;
    assert_int_equal(mkfifo("pipe", 0600), 0);
    alarm(60); /* a test that waits is killed */
    assert_message(file_read("pipe", 99, &data, &size), LMU_IO, "pipe: is a pipe that nothing writes to");
    assert_null(data);
    assert_message(file_map("pipe", &map), LMU_IO, "pipe: is no regular file");
    pid_t writer = fork();
    if (writer == 0) {
        int fd = open("pipe", O_WRONLY); /* waits for the reader */
        usleep(200000);
        _exit(fd < 0 || write(fd, "late", 4) != 4);
    }
    lmu_status status = LMU_IO;
    for (int i = 0; i < 200 && status != LMU_OK; i++) {
        status = file_read("pipe", 99, &data, &size);
        usleep(20000);
    }
    assert_int_equal(status, LMU_OK);
    assert_int_equal(size, 4);
    assert_memory_equal(data, "late", 5);
    free(data);
    assert_int_equal(waitpid(writer, NULL, 0), writer);
    alarm(0);
}

static void test_map(void **state)
{
    (void)state;
    FileMap map;
    assert_int_equal(file_write("a", "mapped", 6), LMU_OK);
    assert_int_equal(file_map("a", &map), LMU_OK);
    assert_int_equal(map.size, 6);
    assert_memory_equal(map.data, "mapped", 6);
    file_unmap(&map);
    file_unmap(&map);
    assert_int_equal(file_write("empty", "", 0), LMU_OK);
    assert_int_equal(file_map("empty", &map), LMU_OK);
    assert_int_equal(map.size, 0);
    assert_non_null(map.data);
    file_unmap(&map);
    assert_message(file_map("/dev/null", &map), LMU_IO, "/dev/null: is no regular file");
    assert_message(file_map("none", &map), LMU_IO, "none: cannot open");
}

static void test_writer_replaces_whole(void **state)
{
    (void)state;
    FileWriter *writer;
    assert_int_equal(file_write("a", "old", 3), LMU_OK);
    assert_int_equal(file_writer_open("a", &writer), LMU_OK);
    assert_int_equal(file_writer_put(writer, "HEADbody", 8), LMU_OK);
    assert_int_equal(file_writer_put_at(writer, 0, "head", 4), LMU_OK);
    assert_int_equal(file_writer_put(writer, "!", 1), LMU_OK);
    assert_content("a", "old");
    assert_int_equal(file_writer_commit(writer), LMU_OK);
    assert_content("a", "headbody!");
    assert_int_equal(entry_count("."), 1);
}

static void test_abort_leaves_nothing(void **state)
{
    (void)state;
    FileWriter *writer;
    assert_int_equal(file_writer_open("a", &writer), LMU_OK);
    fputs("half", file_writer_stream(writer));
    file_writer_abort(writer);
    file_writer_abort(NULL);
    assert_int_equal(entry_count("."), 0);
}

static void test_failed_commit_leaves_the_old(void **state)
{
    (void)state;
    assert_int_equal(file_write("a", "old", 3), LMU_OK);
    renames_until_failure = 0;
    assert_message(file_write("a", "new", 3), LMU_IO, "a: cannot write: Permission denied");
    renames_until_failure = -1;
    fail_sync = true;
    assert_message(file_write("a", "new", 3), LMU_IO, "a: cannot write: No space left");
    fail_sync = false;
    assert_content("a", "old");
    assert_int_equal(entry_count("."), 1);
}

static void test_writer_refuses_places(void **state)
{
    (void)state;
    FileWriter *writer;
    assert_message(file_writer_open(".", &writer), LMU_IO, ".: is a directory");
    assert_message(file_writer_open("/dev/null", &writer), LMU_IO, "/dev/null: is no regular file");
    assert_message(file_writer_open("none/a", &writer), LMU_IO, "none/a: cannot write: No such file");
    assert_message(file_writer_open("", &writer), LMU_USAGE, "empty file name");
    assert_null(writer);
    assert_int_equal(file_write("real", "1", 1), LMU_OK);
    assert_int_equal(symlink("real", "link"), 0);
    assert_int_equal(file_write("link", "2", 1), LMU_OK);
    assert_content("real", "2");
    struct stat about;
    assert_true(lstat("link", &about) == 0 && S_ISLNK(about.st_mode));
}

static void test_directories(void **state)
{
    (void)state;
    char **names;
    size_t count;
    assert_int_equal(directory_make("a/b/c/"), LMU_OK);
    assert_int_equal(directory_make("a/b/c"), LMU_OK);
    assert_int_equal(directory_make("/tmp"), LMU_OK);
    assert_true(directory_holds("a", "b") && directory_holds("a/b/", "c") && !directory_holds("a", "d"));
    assert_false(directory_holds("missing", "b") || directory_holds("", "a"));
    assert_true(file_is_directory("a/b/c"));
    assert_int_equal(file_write("a/file", "", 0), LMU_OK);
    assert_message(directory_make("a/file"), LMU_IO, "a/file: cannot make the directory");
    assert_message(directory_make("a/file/x"), LMU_IO, "cannot make the directory");
    assert_int_equal(file_write("a/Zoo", "", 0), LMU_OK);
    assert_int_equal(directory_list("a", &names, &count), LMU_OK);
    assert_int_equal(count, 3);
    assert_string_equal(names[0], "Zoo");
    assert_string_equal(names[1], "b");
    assert_string_equal(names[2], "file");
    assert_null(names[3]);
    directory_list_free(names);
    assert_message(directory_list("none", &names, &count), LMU_IO, "none: cannot list");
    /* Removal does not follow links out of the tree. */
    assert_int_equal(directory_make("kept"), LMU_OK);
    assert_int_equal(symlink("../kept", "a/link"), 0);
    assert_int_equal(directory_remove("a"), LMU_OK);
    assert_false(file_exists("a"));
    assert_true(file_is_directory("kept"));
    assert_int_equal(directory_remove("a"), LMU_OK);
    char *path;
    assert_int_equal(path_join("x/", "y", &path), LMU_OK);
    assert_string_equal(path, "x/y");
    free(path);
    assert_int_equal(path_join("x", "y", &path), LMU_OK);
    assert_string_equal(path, "x/y");
    free(path);
}

static void make_directory_with(const char *path, const char *text)
{
    assert_int_equal(directory_make(path), LMU_OK);
    char *file;
    assert_int_equal(path_join(path, "file", &file), LMU_OK);
    assert_int_equal(file_write(file, text, strlen(text)), LMU_OK);
    free(file);
}

static void test_directory_replace(void **state)
{
    (void)state;
    for (int fallback = 0; fallback < 2; fallback++) {
        fail_exchange = fallback;
        make_directory_with("fresh", "one");
        assert_int_equal(directory_replace("fresh", "run"), LMU_OK);
        assert_content("run/file", "one");
        make_directory_with("fresh", "two");
        assert_int_equal(file_write("run/more", "", 0), LMU_OK);
        assert_int_equal(directory_replace("fresh/", "run/"), LMU_OK);
        assert_content("run/file", "two");
        assert_int_equal(entry_count("run"), 1);
        assert_int_equal(entry_count("."), 1);
        assert_int_equal(directory_remove("run"), LMU_OK);
    }
}

static void test_directory_replace_fails_whole(void **state)
{
    (void)state;
    make_directory_with("run", "old");
    make_directory_with("fresh", "new");
    fail_exchange = true;
    renames_until_failure = 0; /* the old directory cannot step aside */
    assert_message(directory_replace("fresh", "run"), LMU_IO, "run: cannot replace: Permission denied");
    assert_content("run/file", "old");
    fail_exchange = false;
    renames_until_failure = -1;
    assert_message(directory_replace("none", "run"), LMU_IO, "run: cannot replace: No such file");
    assert_content("run/file", "old");
    fail_exchange = true; /* it steps aside, then the fresh one is missing: it comes back */
    assert_message(directory_replace("none", "run"), LMU_IO, "run: cannot replace: No such file");
    assert_content("run/file", "old");
    assert_int_equal(file_write("file", "", 0), LMU_OK);
    assert_message(directory_replace("fresh", "file"), LMU_IO, "file: is a file");
    assert_content("fresh/file", "new");
    assert_int_equal(entry_count("."), 3);
}

static void test_json_files(void **state)
{
    (void)state;
    json_t *value = json_pack("{s:f, s:i, s:[f,f]}", "rate", 0.1, "steps", 3, "theta", 0.002, 32.0);
    assert_int_equal(json_write_file("a.json", value), LMU_OK);
    assert_content("a.json", "{\n  \"rate\": 0.1,\n  \"steps\": 3,\n  \"theta\": [\n    0.002,\n    32.0\n  ]\n}\n");
    json_object_set_new(value, "third", json_real(1.0 / 3));
    assert_int_equal(json_write_file("a.json", value), LMU_OK);
    json_t *back;
    assert_int_equal(json_read_file("a.json", &back), LMU_OK);
    assert_true(json_equal(value, back));
    double real;
    int64_t whole;
    const char *text;
    json_t *object;
    assert_int_equal(json_get_real("a.json", back, "rate", &real), LMU_OK);
    assert_int_equal(json_get_integer("a.json", back, "steps", 0, 3, &whole), LMU_OK);
    assert_message(json_get_integer("a.json", back, "steps", 4, 9, &whole), LMU_FORMAT,
                   "a.json: key \"steps\" is 3; it goes from 4 to 9");
    assert_message(json_get_integer("a.json", back, "rate", 0, 3, &whole), LMU_FORMAT,
                   "a.json: key \"rate\" is a real number; an integer is expected");
    assert_message(json_get_string("a.json", back, "name", &text), LMU_FORMAT, "a.json: key \"name\" is missing");
    assert_message(json_get_object("a.json", back, "steps", &object), LMU_FORMAT, "an object is expected");
    assert_message(json_get_real("a.json", json_object_get(back, "theta"), "x", &real), LMU_FORMAT, "an object with");
    json_decref(value);
    json_decref(back);
    static const char *const bad[] = {
        "", "{", "{\"a\":1,\"a\":2}", "{} x", "{\"a\":\"\\u0000\"}", "nul", "{\"a\":1e999}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(file_write("b.json", bad[i], strlen(bad[i])), LMU_OK);
        assert_message(json_read_file("b.json", &back), LMU_FORMAT, "b.json: not valid JSON at line 1, column ");
        assert_null(back);
    }
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, enter_folder, leave_folder)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_read),
        IN_FOLDER(test_pipes),
        IN_FOLDER(test_map),
        IN_FOLDER(test_writer_replaces_whole),
        IN_FOLDER(test_abort_leaves_nothing),
        IN_FOLDER(test_failed_commit_leaves_the_old),
        IN_FOLDER(test_writer_refuses_places),
        IN_FOLDER(test_directories),
        IN_FOLDER(test_directory_replace),
        IN_FOLDER(test_directory_replace_fails_whole),
        IN_FOLDER(test_json_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
