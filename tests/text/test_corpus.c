/* Corpus readers: every kind of input, and every kind of bad one with its message. */
#include "text/testing.h"

#include <unistd.h>
#include <zstd.h>

#include "text/corpus.h"

static char *write_zstd(const char *name, const char *text, size_t size, size_t cut)
{
    size_t room = ZSTD_compressBound(size);
    char *packed = malloc(room);
    size_t length = ZSTD_compress(packed, room, text, size, 1);
    assert_false(ZSTD_isError(length));
    char *path = scratch_write(name, packed, length - cut);
    free(packed);
    return path;
}

/* Reads all documents and joins them with "|". */
static void read_all(char *const *inputs, size_t count, char *out, size_t room)
{
    Corpus *corpus;
    Document document;
    out[0] = '\0';
    assert_done(corpus_open(inputs, count, &corpus));
    for (;;) {
        assert_done(corpus_next(corpus, &document));
        if (!document.text)
            break;
        assert_int_equal(strlen(document.text), document.size);
        assert_true(strlen(out) + document.size + 2 < room);
        strcat(strcat(out, document.text), document.continues ? "" : "|");
        free(document.text);
    }
    assert_int_equal(corpus_position(corpus), corpus_size(corpus));
    assert_done(corpus_next(corpus, &document)); /* the end stays the end */
    assert_null(document.text);
    corpus_close(corpus);
}

static void check(char *input, const char *expected)
{
    static char got[1 << 16];
    read_all(&input, 1, got, sizeof got);
    assert_string_equal(got, expected);
}

/* Opening or reading the input fails. */
static void check_refused(char *input, lmu_status expected, const char *message)
{
    Corpus *corpus = NULL;
    Document document = {0};
    lmu_status status = corpus_open(&input, 1, &corpus);
    while (status == LMU_OK && (status = corpus_next(corpus, &document)) == LMU_OK && document.text)
        free(document.text);
    assert_refused(status, expected, message);
    assert_non_null(strstr(lmu_error_message(), input));
    corpus_close(corpus);
}

static void test_text(void **state)
{
    (void)state;
    check(scratch_text("a.txt", "one\ntwo\n\n"), "one\ntwo\n\n|");
    check(scratch_text("a.txt", "no line break"), "no line break|");
    check(scratch_text("a.txt", "not \377\376 UTF-8"), "not \377\376 UTF-8|");
}

static void test_lines(void **state)
{
    (void)state;
    check(scratch_text("a.jsonl", "{\"text\": \"one\"}\n{\"id\": 5, \"text\": \"two\\nlines \\u00e9\"}\n"),
          "one|two\nlines \303\251|");
    check(scratch_text("a.jsonl", "\n  \n{\"text\": \"last\"}"), "last|");
    check(scratch_text("a.jsonl", "{\"text\": \"\"}\r\n\r\n{\"text\": \"dos\"}\r\n"), "|dos|");
}

static void test_zstd(void **state)
{
    (void)state;
    check(write_zstd("a.txt.zst", "packed", 6, 0), "packed|");
    check(write_zstd("a.jsonl.zst", "{\"text\": \"a\"}\n{\"text\": \"b\"}", 27, 0), "a|b|");

    char two[256]; /* frames one after the other are one stream */
    size_t first = ZSTD_compress(two, sizeof two, "{\"text\": \"a", 11, 1);
    size_t second = ZSTD_compress(two + first, sizeof two - first, "b\"}\n", 4, 1);
    check(scratch_write("a.jsonl.zst", two, first + second), "ab|");
}

/* Documents far larger than what is read at a time, and a line break at every place in a block. */
static void test_large(void **state)
{
    (void)state;
    size_t size = 5 << 20;
    char *text = malloc(size + 64), *path;
    memset(text, 'x', size);
    memcpy(text, "{\"text\": \"", 10);
    strcpy(text + size, "\"}\n{\"text\": \"next\"}\n");
    for (int packed = 0; packed < 2; packed++) {
        path = packed ? write_zstd("large.jsonl.zst", text, strlen(text), 0) : scratch_text("large.jsonl", text);
        Corpus *corpus;
        Document document;
        assert_done(corpus_open(&path, 1, &corpus));
        assert_done(corpus_next(corpus, &document));
        assert_int_equal(document.size, size - 10);
        free(document.text);
        assert_done(corpus_next(corpus, &document));
        assert_string_equal(document.text, "next");
        free(document.text);
        corpus_close(corpus);
    }
    free(text);
}

static void test_directory(void **state)
{
    (void)state;
    assert_done(directory_make(scratch_path("books/b/deep")));
    assert_done(directory_make(scratch_path("books/.hidden")));
    scratch_text("books/z.txt", "z");
    scratch_text("books/a.jsonl", "{\"text\": \"a1\"}\n{\"text\": \"a2\"}\n");
    scratch_text("books/b/deep/c.txt", "c");
    scratch_text("books/b/README.md", "not read");
    scratch_text("books/.hidden/h.txt", "not read");
    scratch_text("books/.h.txt", "not read");
    write_zstd("books/b/a.txt.zst", "packed", 6, 0);
    assert_int_equal(symlink("/nowhere/at/all", scratch_path("books/gone.txt")), 0);
    check(scratch_path("books"), "a1|a2|packed|c|z|");

    static char got[256];
    char *inputs[] = {scratch_path("books/z.txt"), scratch_path("books/b"), scratch_path("books/z.txt")};
    read_all(inputs, 3, got, sizeof got);
    assert_string_equal(got, "z|packed|c|z|");

    assert_done(directory_make(scratch_path("loop")));
    assert_int_equal(symlink(".", scratch_path("loop/again")), 0);
    check_refused(scratch_path("loop"), LMU_USAGE, "no .txt or .jsonl file");
}

static void test_bad_inputs(void **state)
{
    (void)state;
    Corpus *corpus;
    assert_refused(corpus_open(NULL, 0, &corpus), LMU_USAGE, "no input");
    check_refused(scratch_path("missing.txt"), LMU_IO, "missing.txt: no such file or directory");
    check_refused(scratch_text("a.pdf", "x"), LMU_USAGE, "a.pdf: not a kind of text that is known");
    check_refused(scratch_text("a.zst", "x"), LMU_USAGE, "not a kind of text that is known");
    assert_done(directory_make(scratch_path("hollow")));
    check_refused(scratch_path("hollow"), LMU_USAGE, "hollow: no .txt or .jsonl file");
    check_refused(scratch_text("a.txt", ""), LMU_FORMAT, "a.txt: is empty");
    check_refused(scratch_write("a.txt", "ab\0c", 4), LMU_FORMAT, "a.txt: byte 2 is NUL, so this is no text");
    check_refused(scratch_text("a.jsonl", ""), LMU_FORMAT, "a.jsonl: is empty");
    check_refused(scratch_text("a.jsonl", "\n \n"), LMU_FORMAT, "a.jsonl: is empty");
}

static void test_bad_lines(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"{\"text\": \"a\"}\n\n{\"text\": \"b\"\n", "a.jsonl:3: column"},
        {"plain text\n", "a.jsonl:1: column 5: not valid JSON"},
        {"{\"text\": \"a\"}\n{\"txt\": \"b\"}\n", "a.jsonl:2: the field \"text\" is missing"},
        {"{\"text\": 5}\n", "a.jsonl:1: the field \"text\" is not a string"},
        {"{\"text\": null}\n", "a.jsonl:1: the field \"text\" is not a string"},
        {"[\"text\"]\n", "a.jsonl:1: not an object"},
        {"\"text\"\n", "a.jsonl:1: not an object"},
        {"{\"text\": \"a\"} {\"text\": \"b\"}\n", "a.jsonl:1: column"},
        {"{\"text\": \"a\", \"text\": \"b\"}\n", "a.jsonl:1: column 20: not valid JSON: duplicate"},
        {"{\"text\": \"a\\u0000b\"}\n", "a.jsonl:1: column"},
        {"{\"text\": \"\\ud800\"}\n", "a.jsonl:1: column"},
        {"{\"text\": \"\377\"}\n", "a.jsonl:1: column"},
        {"{\"text\": \"a\ttab\"}\n", "a.jsonl:1: column"},
        {"{\"text\": \"a", "a.jsonl:1: column"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_refused(scratch_text("a.jsonl", cases[i][0]), LMU_FORMAT, cases[i][1]);
    check_refused(scratch_write("a.jsonl", "\177ELF\1\0\0\n", 8), LMU_FORMAT, "a.jsonl:1: column");
    check_refused(scratch_write("a.jsonl", "{\"text\": \"a\"}\0\n", 15), LMU_FORMAT, "a.jsonl:1: column");
}

static void test_bad_zstd(void **state)
{
    (void)state;
    static char text[300000];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)('a' + i * i % 23);
    check_refused(write_zstd("a.txt.zst", text, sizeof text, 1), LMU_FORMAT, "a.txt.zst: truncated");
    check_refused(write_zstd("a.txt.zst", text, sizeof text, 40), LMU_FORMAT, "a.txt.zst: truncated");
    check_refused(scratch_text("a.txt.zst", "this is not zstd"), LMU_FORMAT, "a.txt.zst: not readable as zstd");
    check_refused(scratch_text("a.txt.zst", ""), LMU_FORMAT, "a.txt.zst: is empty");
    check_refused(scratch_write("a.jsonl.zst", "\x28\xB5\x2F\xFD", 4), LMU_FORMAT, "a.jsonl.zst: truncated");
    check_refused(scratch_text("a.jsonl.zst", "\x28\xB5"), LMU_FORMAT, "a.jsonl.zst: truncated");
}

/* ---- parts ---- */

/* A long text comes in parts that join to it, cut where pre-tokens are not. */
static void check_parts(char *path, const char *expected, size_t size, bool whole)
{
    Corpus *corpus;
    Document document;
    size_t at = 0, parts = 0;
    assert_done(corpus_open(&path, 1, &corpus));
    if (whole)
        corpus_keep_whole(corpus);
    do {
        assert_done(corpus_next(corpus, &document));
        assert_non_null(document.text);
        assert_true(at + document.size <= size);
        assert_memory_equal(document.text, expected + at, document.size);
        at += document.size;
        parts++;
        if (document.continues) /* a space between two letters */
            assert_true(expected[at] == ' ' && expected[at - 1] > ' ' && expected[at + 1] > ' ');
        free(document.text);
    } while (document.continues);
    assert_int_equal(at, size);
    assert_true(whole ? parts == 1 : parts > 3);
    assert_done(corpus_next(corpus, &document));
    assert_null(document.text);
    corpus_close(corpus);
}

static void test_parts(void **state)
{
    (void)state;
    size_t size = ((size_t)5 << 20) + 77, from = (size_t)3 << 19, run = (size_t)3 << 20;
    char *text = malloc(size + 32);
    strcpy(text, "{\"text\": \"");
    char *body = text + strlen(text);
    for (size_t i = 0; i < size; i++)
        body[i] = i % 7 == 3 ? ' ' : (char)('a' + i % 23);
    memset(body + from - 1000, 'x', 2000);
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1) /* a run that is longer than a part */
            memset(body + from / 2, 'x', run - from);
        strcpy(body + size, "\"}");
        char *lines = scratch_text("parts.jsonl", text), *packed = write_zstd("parts.txt.zst", body, size, 0);
        char *plain = scratch_write("parts.txt", body, size);
        for (int whole = 0; whole < 2; whole++) {
            check_parts(lines, body, size, whole);
            check_parts(packed, body, size, whole);
            check_parts(plain, body, size, whole);
        }
    }
    free(text);
}

/* A NUL byte far behind parts that were given already is found, at its place. */
static void test_late_nul(void **state)
{
    (void)state;
    size_t size = (size_t)3 << 20;
    char *text = malloc(size);
    for (size_t i = 0; i < size; i++)
        text[i] = i % 5 == 4 ? ' ' : 'a';
    text[2500001] = '\0';
    check_refused(scratch_write("late.txt", text, size), LMU_FORMAT, "late.txt: byte 2500001 is NUL");
    free(text);
}

/* ---- options ---- */

static void test_field(void **state)
{
    (void)state;
    char *path =
        scratch_text("a.jsonl", "{\"text\": 5, \"body\": \"one\"}\n{\"body\": \"two\"}\n{\"text\": \"three\"}\n");
    Corpus *corpus;
    Document document;
    assert_done(corpus_open(&path, 1, &corpus));
    corpus_use_field(corpus, "body");
    for (int i = 0; i < 2; i++) {
        assert_done(corpus_next(corpus, &document));
        assert_string_equal(document.text, i == 0 ? "one" : "two");
        free(document.text);
    }
    assert_refused(corpus_next(corpus, &document), LMU_FORMAT, "a.jsonl:3: the field \"body\" is missing");
    corpus_close(corpus);
}

/* A directory with one of every fault between good documents. */
static void mixed_files(void)
{
    static char text[2500000];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = i % 5 == 4 ? ' ' : (char)('a' + i * i % 7);
    assert_done(directory_make(scratch_path("mixed")));
    scratch_text("mixed/a.jsonl",
                 "{\"text\": \"a1\"}\n{broken\n{\"text\": \"\\ud800\"}\n{\"txt\": \"a\"}\n{\"text\": 5}\n"
                 "[]\n{\"text\": \"a2\"}\n{\"text\": \"\\u0000\"}\n{\"text\": \"cut");
    scratch_text("mixed/b.txt", "b");
    scratch_text("mixed/c.txt", "");
    scratch_text("mixed/d.jsonl", "\n");
    write_zstd("mixed/e.txt.zst", text, sizeof text, 3); /* parts of it come before its end is missed */
    write_zstd("mixed/f.jsonl.zst", "{\"text\": \"f\"}\n", 14, 2);
    scratch_text("mixed/g.txt.zst", "no zstd");
    text[sizeof text - 1] = '\0';
    scratch_write("mixed/h.txt", text, sizeof text);
    /* Opening works, reading fails, for root too. */
    assert_int_equal(symlink("/proc/self/mem", scratch_path("mixed/i.txt")), 0);
    scratch_text("mixed/j.txt", "j");
    scratch_text("mixed/k.jsonl", "not one good line\n");
}

static void test_skip_bad(void **state)
{
    (void)state;
    mixed_files();
    char *path = scratch_path("mixed"), good[64] = "";
    Corpus *corpus;
    Document document;
    int spoilt = 0;
    assert_done(corpus_open(&path, 1, &corpus));
    corpus_skip_bad(corpus);
    for (;;) {
        assert_done(corpus_next(corpus, &document));
        if (!document.text)
            break;
        if (document.size < 10 && !document.spoilt)
            strcat(strcat(good, document.text), "|");
        spoilt += document.spoilt;
        free(document.text);
    }
    assert_string_equal(good, "a1|a2|b|j|");
    assert_int_equal(spoilt, 2); /* e and h had given parts */
    static const struct {
        int64_t count;
        const char *first;
    } expected[CORPUS_FAULTS] = {
        [CORPUS_UNREADABLE] = {1, "mixed/i.txt: cannot read"},
        [CORPUS_DAMAGED] = {3, "mixed/e.txt.zst: truncated"},
        [CORPUS_BINARY] = {1, "mixed/h.txt: byte 2499999 is NUL"},
        [CORPUS_EMPTY] = {2, "mixed/c.txt: is empty"},
        [CORPUS_NO_JSON] = {5, "mixed/a.jsonl:2: column"},
        [CORPUS_NO_FIELD] = {3, "mixed/a.jsonl:4: the field \"text\" is missing"},
    };
    for (int fault = 0; fault < CORPUS_FAULTS; fault++) {
        const char *first;
        assert_int_equal(corpus_skipped(corpus, (CorpusFault)fault, &first), expected[fault].count);
        assert_non_null(strstr(first, expected[fault].first));
        assert_true(strlen(corpus_fault_name((CorpusFault)fault)) > 10);
    }
    assert_int_equal(corpus_position(corpus), corpus_size(corpus));
    corpus_close(corpus);
    check_refused(scratch_path("mixed"), LMU_FORMAT, "a.jsonl:2: column");
    check_refused(scratch_path("mixed/i.txt"), LMU_IO, "i.txt: cannot read");
}

static void test_interrupted(void **state)
{
    (void)state;
    atomic_int stop = 1;
    Progress progress = {.interrupt = &stop};
    char *path = scratch_text("a.txt", "text");
    Corpus *corpus;
    Document document;
    assert_done(corpus_open(&path, 1, &corpus));
    corpus_skip_bad(corpus);
    corpus_watch(corpus, &progress);
    assert_refused(corpus_next(corpus, &document), LMU_INTERRUPTED, "interrupted");
    corpus_close(corpus);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),        cmocka_unit_test(test_lines),     cmocka_unit_test(test_zstd),
        cmocka_unit_test(test_large),       cmocka_unit_test(test_directory), cmocka_unit_test(test_bad_inputs),
        cmocka_unit_test(test_bad_lines),   cmocka_unit_test(test_bad_zstd),  cmocka_unit_test(test_parts),
        cmocka_unit_test(test_late_nul),    cmocka_unit_test(test_field),     cmocka_unit_test(test_skip_bad),
        cmocka_unit_test(test_interrupted),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
