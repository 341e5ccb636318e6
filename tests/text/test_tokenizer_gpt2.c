/* GPT-2's form of a tokenizer: a vocabulary and a text of merges, beside each other. */
#include "text/testing.h"

#include <jansson.h>
#include <sys/stat.h>

#include "text/tokenizer.h"

static json_t *valid; /* the golden tokenizer.json */
static char *merges;  /* its merges as a text */

static int valid_open(void **state)
{
    size_t index, size = 0;
    json_t *merge;
    valid = json_load_file("tests/golden/text_tokenizer.json", 0, NULL);
    merges = calloc(1, 1 << 16);
    if (!valid || !merges)
        return -1;
    size += (size_t)sprintf(merges, "#version: 0.2\n");
    json_array_foreach(json_object_get(json_object_get(valid, "model"), "merges"), index, merge) {
        size += (size_t)sprintf(merges + size, "%s\n", json_string_value(merge));
    }
    return scratch_open(state);
}

static int valid_close(void **state)
{
    json_decref(valid);
    free(merges);
    return scratch_close(state);
}

/* A fresh folder with a copy of the vocabulary in which `name` has the id `value` (NULL: as it is), and these merges. */
static char *write_files(const char *folder, const char *vocabulary, const char *file, const char *text,
                         const char *name, const char *value)
{
    static char path[320];
    char *directory = scratch_path(folder);
    json_t *vocab = json_deep_copy(json_object_get(json_object_get(valid, "model"), "vocab"));
    if (name && value)
        json_object_set_new(vocab, name, json_loads(value, JSON_DECODE_ANY, NULL));
    else if (name)
        json_object_del(vocab, name);
    assert_done(directory_remove(directory));
    assert_done(directory_make(directory));
    snprintf(path, sizeof path, "%s/%s", directory, file);
    if (text)
        assert_done(file_write(path, text, strlen(text)));
    snprintf(path, sizeof path, "%s/%s", directory, vocabulary);
    assert_int_equal(json_dump_file(vocab, path, 0), 0);
    json_decref(vocab);
    return path;
}

static void test_same_ids(void **state)
{
    (void)state;
    static const char *const names[][2] = {{"vocab.json", "merges.txt"}, {"encoder.json", "vocab.bpe"}};
    Tokenizer *expected, *tokenizer;
    assert_done(tokenizer_open("tests/golden/text_tokenizer.json", &expected));
    for (size_t i = 0; i < 2; i++) {
        char *file = write_files("gpt2", names[i][0], names[i][1], merges, NULL, NULL);
        assert_done(tokenizer_open(file, &tokenizer));
        assert_true(tokenizer_hash(tokenizer) == tokenizer_hash(expected));
        assert_int_equal(tokenizer_end_of_text(tokenizer), 0);
        tokenizer_close(tokenizer);
        assert_done(tokenizer_open(scratch_path("gpt2"), &tokenizer)); /* the folder */
        assert_true(tokenizer_hash(tokenizer) == tokenizer_hash(expected));
        assert_done(tokenizer_save(tokenizer, scratch_path("saved.json")));
        tokenizer_close(tokenizer);
        assert_done(tokenizer_open(scratch_path("saved.json"), &tokenizer));
        assert_true(tokenizer_hash(tokenizer) == tokenizer_hash(expected));
        tokenizer_close(tokenizer);
    }
    tokenizer_close(expected);
}

/* A folder with a tokenizer.json is read by that. */
static void test_folder(void **state)
{
    (void)state;
    Tokenizer *tokenizer;
    char *folder = scratch_path("folder"), path[320];
    write_files("folder", "vocab.json", "merges.txt", "broken", NULL, NULL);
    assert_refused(tokenizer_open(folder, &tokenizer), LMU_FORMAT, "merges.txt: line 1 is no merge");
    snprintf(path, sizeof path, "%s/tokenizer.json", folder);
    assert_int_equal(json_dump_file(valid, path, 0), 0);
    assert_done(tokenizer_open(folder, &tokenizer));
    tokenizer_close(tokenizer);
    assert_done(directory_make(scratch_path("empty")));
    assert_refused(tokenizer_open(scratch_path("empty"), &tokenizer), LMU_IO, "the directory holds no tokenizer");
}

static const struct Case {
    const char *merges, *name, *value, *message;
} refused[] = {
    {NULL, NULL, NULL, "put its merges.txt (or vocab.bpe) beside it"},
    {"h e\n\nn d\n", NULL, NULL, "line 2 is no merge"},
    {"h e\nt\n", NULL, NULL, "line 2 is no merge"},
    {"t  h\n", NULL, NULL, "line 1 is no merge"},
    {" h\n", NULL, NULL, "line 1 is no merge"},
    {"t \n", NULL, NULL, "line 1 is no merge"},
    {"t h e\n", NULL, NULL, "line 1 is no merge"},
    {"#version: 0.2\r\nt h\r\n", NULL, NULL, "line 2 is no merge"},
    {"t zzz\n", NULL, NULL, "merge 0 uses \"zzz\", which is not in the vocabulary"},
    {"h e\nh e\n", NULL, NULL, "merge 1 repeats merge 0"},
    {"x q\n", NULL, NULL, "merge 0 makes a token that is not in the vocabulary"},
    {"t h\n", "a", NULL, "have the ids 0 to"},
    {"t h\n", "a", "5", "which another token has too"},
    {"t h\n", "a", "900", "token \"a\" has id 900"},
    {"t h\n", "a", "\"x\"", "the id of token \"a\" is no integer"},
    {"t h\n", "a b", "277", "outside of the byte alphabet"},
    {"<|endoftext|> t\n", NULL, NULL, "merge 0 uses a special token"},
};

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        Tokenizer *tokenizer;
        const struct Case *c = &refused[i];
        char *file = write_files("bad", "vocab.json", "merges.txt", c->merges, c->name, c->value);
        assert_refused(tokenizer_open(file, &tokenizer), c->merges ? LMU_FORMAT : LMU_IO, c->message);
    }
    Tokenizer *tokenizer;
    char *file = write_files("bad", "vocab.json", "merges.txt", merges, NULL, NULL),
         *path = scratch_path("bad/merges.txt");
    assert_done(file_write(path, "t h\0\n", 5));
    assert_refused(tokenizer_open(file, &tokenizer), LMU_FORMAT, "merges.txt: a NUL byte");
    assert_done(file_write(path, "", 0));
    assert_done(tokenizer_open(file, &tokenizer)); /* no merges: bytes */
    tokenizer_close(tokenizer);
}

/* Merges whose parts come from later merges, or from none: a circle that never gets going. */
static void test_merges_in_a_circle(void **state)
{
    (void)state;
    static const char text[] = "aaaa abab aab ba";
    json_t *root = json_deep_copy(valid), *model = json_object_get(root, "model"),
           *vocab = json_object_get(model, "vocab");
    json_int_t next = (json_int_t)json_object_size(vocab);
    static const char *const names[] = {"aab", "aabb", "abaab"};
    for (size_t i = 0; i < 3; i++)
        json_object_set_new(vocab, names[i], json_integer(next++));
    json_object_set_new(vocab, "ab", json_integer(next));
    json_object_set_new(model, "merges", json_loads("[\"aab b\", \"ab aab\", \"a ab\", \"a b\"]", 0, NULL));
    char *path = scratch_path("circle.json");
    assert_int_equal(json_dump_file(root, path, 0), 0);
    json_decref(root);
    Tokenizer *tokenizer;
    IdList list = {0};
    size_t bytes = 0, length;
    assert_done(tokenizer_open(path, &tokenizer));
    assert_done(tokenizer_encode(tokenizer, text, sizeof text - 1, false, &list));
    for (size_t i = 0; i < list.count; bytes += length, i++) {
        const char *part = tokenizer_bytes(tokenizer, list.id[i], &length);
        assert_memory_equal(part, text + bytes, length);
    }
    assert_int_equal(bytes, sizeof text - 1);
    assert_true(list.count < sizeof text - 4);
    free(list.id);
    tokenizer_close(tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_ids),
        cmocka_unit_test(test_folder),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_merges_in_a_circle),
    };
    return cmocka_run_group_tests(tests, valid_open, valid_close);
}
