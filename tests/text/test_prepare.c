/* Prepare: what is held out, that threads do not matter, and that a failure leaves what was there. */
#include "text/testing.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "text/bpe_train.h"
#include "text/pieces.h"
#include "text/prepare.h"
#include "text/shard.h"
#include "text/vocabulary.h"

static Tokenizer *tokenizer;

static int prepare_open(void **state)
{
    return tokenizer_open("tests/golden/text_tokenizer.json", &tokenizer) == LMU_OK ? scratch_open(state) : -1;
}

static int prepare_close(void **state)
{
    tokenizer_close(tokenizer);
    return scratch_close(state);
}

static lmu_status prepare(char *input, char *valid, const char *out, PrepareOptions options, PrepareResult *result)
{
    options.inputs = &input;
    options.input_count = 1;
    options.valid_inputs = &valid;
    options.valid_count = valid ? 1 : 0;
    options.out = out;
    return prepare_run(&options, tokenizer, NULL, result);
}

/* The text of a shard, and checks of its header; free with free(). */
static char *shard_text(const char *directory, const char *name, const PrepareSide *side)
{
    char path[512];
    Shard shard;
    snprintf(path, sizeof path, "%s/%s", directory, name);
    assert_done(shard_open_with(path, tokenizer_hash(tokenizer), &shard));
    assert_int_equal(shard.count, side->tokens);
    assert_int_equal(shard.documents, side->documents);
    assert_int_equal(shard.bytes, side->bytes);
    char *text = malloc((size_t)side->bytes + (size_t)side->documents * 13 + 1), *end = text;
    for (int64_t i = 0; i < shard.count; i++) {
        int32_t id;
        size_t length;
        shard_read(&shard, i, 1, &id);
        const char *bytes = tokenizer_bytes(tokenizer, (uint32_t)id, &length);
        memcpy(end, bytes, length);
        end += length;
    }
    *end = '\0';
    assert_int_equal(end - text, side->bytes + 13 * side->documents);
    shard_close(&shard);
    return text;
}

static void assert_names(const char *directory, const char *expected)
{
    char **names, joined[512] = "";
    size_t count;
    assert_done(directory_list(directory, &names, &count));
    for (size_t i = 0; i < count; i++)
        strcat(strcat(joined, names[i]), " ");
    assert_string_equal(joined, expected);
    directory_list_free(names);
}

static char *numbered_documents(const char *name, int count)
{
    char *path = scratch_path(name);
    FILE *file = fopen(path, "w");
    for (int i = 0; i < count; i++)
        fprintf(file, "{\"text\": \"document %d of the sea\\n\"}\n", i);
    fclose(file);
    return path;
}

static void test_documents(void **state)
{
    (void)state;
    PrepareResult result;
    char *input = numbered_documents("many.jsonl", 100), *out = scratch_path("many");
    char *first_valid = NULL;
    for (uint64_t seed = 0; seed < 2; seed++) {
        assert_done(prepare(input, NULL, out, (PrepareOptions){.valid_fraction = 0.1, .seed = seed}, &result));
        assert_names(out, "tokenizer.json train.bin valid.bin ");
        assert_int_equal(result.train.documents, 90);
        assert_int_equal(result.valid.documents, 10);
        char *train = shard_text(out, PREPARE_TRAIN, &result.train),
             *valid = shard_text(out, PREPARE_VALID, &result.valid);
        for (int i = 0; i < 100; i++) { /* each document once, on one side */
            char document[64];
            snprintf(document, sizeof document, "document %d of the sea\n<|endoftext|>", i);
            assert_int_equal((strstr(train, document) != NULL) + (strstr(valid, document) != NULL), 1);
        }
        if (first_valid)
            assert_string_not_equal(first_valid, valid); /* the seed chooses */
        free(first_valid);
        free(train);
        first_valid = valid;
    }
    free(first_valid);

    Tokenizer *copy;
    char path[512];
    snprintf(path, sizeof path, "%s/%s", out, PREPARE_TOKENIZER);
    assert_done(tokenizer_open(path, &copy));
    assert_true(tokenizer_hash(copy) == tokenizer_hash(tokenizer));
    tokenizer_close(copy);
}

static void test_at_least_one_a_side(void **state)
{
    (void)state;
    PrepareResult result;
    char *input = numbered_documents("two.jsonl", 2), *out = scratch_path("two");
    for (int large = 0; large < 2; large++) {
        PrepareOptions options = {.valid_fraction = large ? 0.999 : 0.001};
        assert_done(prepare(input, NULL, out, options, &result));
        assert_int_equal(result.train.documents, 1);
        assert_int_equal(result.valid.documents, 1);
    }
}

static void test_valid_input(void **state)
{
    (void)state;
    PrepareResult result;
    char *out = scratch_path("own");
    assert_done(prepare(scratch_text("t.txt", "the sea"), scratch_text("v.txt", "the land"), out, (PrepareOptions){0},
                        &result));
    char *train = shard_text(out, PREPARE_TRAIN, &result.train), *valid = shard_text(out, PREPARE_VALID, &result.valid);
    assert_string_equal(train, "the sea<|endoftext|>");
    assert_string_equal(valid, "the land<|endoftext|>");
    free(train);
    free(valid);
}

/* A special token's name in a document stays text: the number of end-of-text ids is that of documents. */
static void test_names_of_specials(void **state)
{
    (void)state;
    PrepareResult result;
    char *out = scratch_path("specials"), path[512];
    assert_done(prepare(scratch_text("t.txt", "a<|endoftext|>b"), scratch_text("v.txt", "v"), out, (PrepareOptions){0},
                        &result));
    snprintf(path, sizeof path, "%s/%s", out, PREPARE_TRAIN);
    Shard shard;
    int32_t id[64];
    int ends = 0;
    assert_done(shard_open(path, &shard));
    assert_in_range(shard.count, 3, 64);
    shard_read(&shard, 0, shard.count, id);
    for (int64_t i = 0; i < shard.count; i++)
        ends += id[i] == tokenizer_end_of_text(tokenizer);
    assert_int_equal(ends, 1);
    assert_int_equal(id[shard.count - 1], tokenizer_end_of_text(tokenizer));
    shard_close(&shard);
}

/* A single document is cut near the fraction: at a line break, at a space, between characters. */
static void test_single_document(void **state)
{
    (void)state;
    static const struct {
        const char *text, *train, *valid;
    } cases[] = {
        {"1234\n1234\n1234\n1234\n", "1234\n1234\n", "1234\n1234\n"},
        {"one two three four five six", "one two three", " four five six"},
        {"\344\270\255\344\270\255\344\270\255\344\270\255\344\270\255", "\344\270\255\344\270\255",
         "\344\270\255\344\270\255\344\270\255"},
        {"ab", "a", "b"},
    };
    char *out = scratch_path("single");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        PrepareResult result;
        char expected[128];
        PrepareOptions options = {.valid_fraction = 0.5};
        assert_done(prepare(scratch_text("single.txt", cases[i].text), NULL, out, options, &result));
        char *train = shard_text(out, PREPARE_TRAIN, &result.train),
             *valid = shard_text(out, PREPARE_VALID, &result.valid);
        snprintf(expected, sizeof expected, "%s<|endoftext|>", cases[i].train);
        assert_string_equal(train, expected);
        snprintf(expected, sizeof expected, "%s<|endoftext|>", cases[i].valid);
        assert_string_equal(valid, expected);
        free(train);
        free(valid);
    }
    PrepareResult result;
    assert_refused(prepare(scratch_text("tiny.txt", "x"), NULL, out, (PrepareOptions){0}, &result), LMU_USAGE,
                   "the only document has 1 bytes: too short to hold out a part of it");
}

/* A single document among duplicates and bad ones is cut too, and the bytes of both sides add up. */
static void test_single_of_many(void **state)
{
    (void)state;
    PrepareResult result;
    char *out = scratch_path("single");
    PrepareOptions options = {.valid_fraction = 0.5, .deduplicate = true, .skip_bad = true};
    assert_done(
        prepare(scratch_text("single.jsonl", "{bad\n{\"text\": \"1234\\n1234\\n\"}\n{\"text\": \"1234\\n1234\\n\"}\n"),
                NULL, out, options, &result));
    char *train = shard_text(out, PREPARE_TRAIN, &result.train), *valid = shard_text(out, PREPARE_VALID, &result.valid);
    assert_string_equal(train, "1234\n<|endoftext|>");
    assert_string_equal(valid, "1234\n<|endoftext|>");
    assert_int_equal(result.duplicates, 1);
    assert_int_equal(result.skipped[CORPUS_NO_JSON].count, 1);
    free(train);
    free(valid);
}

/* Documents that come in many parts and pieces, small ones between, and one without a place to cut. */
static char *large_corpus(void)
{
    char *path = scratch_path("long.jsonl");
    FILE *file = fopen(path, "w");
    for (int i = 0; i < 6; i++) {
        fprintf(file, "{\"text\": \"");
        for (int k = 0; k < 30000 * (i + 1); k++)
            fprintf(file, "the  sea %d %s", k * 7919 % 1000, k % 5 ? "and" : "\\n\\n  'tis ");
        fprintf(file, "\"}\n{\"text\": \"short %d\"}\n", i);
    }
    fprintf(file, "{\"text\": \"");
    for (int i = 0; i < 1500000; i++)
        fputc("these"[i * 7 % 5], file);
    fprintf(file, "\"}\n");
    fclose(file);
    return path;
}

/* Shards are the same to the byte on any number of threads, and equal to encoding each document whole. */
static void test_any_number_of_threads(void **state)
{
    (void)state;
    char *input = large_corpus();
    char *reference[2] = {NULL, NULL};
    size_t reference_size[2];
    for (int threads = 1; threads <= 4; threads++) {
        PrepareResult result;
        char *out = scratch_path("long"), path[512], *data;
        size_t size;
        PrepareOptions options = {.threads = threads, .valid_fraction = 0.3, .deduplicate = threads % 2};
        assert_done(prepare(input, NULL, out, options, &result));
        assert_int_equal(result.duplicates, 0);
        for (int side = 0; side < 2; side++) {
            snprintf(path, sizeof path, "%s/%s", out, side ? PREPARE_VALID : PREPARE_TRAIN);
            assert_done(file_read(path, SIZE_MAX, &data, &size));
            if (threads == 1) {
                reference[side] = data;
                reference_size[side] = size;
                free(shard_text(out, side ? PREPARE_VALID : PREPARE_TRAIN, side ? &result.valid : &result.train));
                continue;
            }
            assert_int_equal(size, reference_size[side]);
            assert_memory_equal(data, reference[side], size);
            free(data);
        }
    }
    free(reference[0]);
    free(reference[1]);
}

/* A document's ids are those of the document encoded whole, however it was cut for reading and for the threads. */
static void test_pieces_change_no_id(void **state)
{
    (void)state;
    size_t size = (size_t)3 << 20, got = 0;
    char *text = malloc(size), *out = scratch_path("pieces"), path[512];
    for (size_t i = 0; got + 40 < size; i++)
        got += (size_t)sprintf(text + got, "the sea %zu%s", i * i % 1009, i % 7 ? " and " : "  \n\n'tis! ");
    PrepareResult result;
    assert_done(
        prepare(scratch_write("t.txt", text, got), scratch_text("v.txt", "v"), out, (PrepareOptions){0}, &result));
    snprintf(path, sizeof path, "%s/%s", out, PREPARE_TRAIN);
    Shard shard;
    IdList list = {0};
    assert_done(shard_open(path, &shard));
    assert_done(tokenizer_encode(tokenizer, text, got, false, &list));
    assert_int_equal(shard.count, list.count + 1);
    for (size_t i = 0; i < list.count; i++) {
        int32_t id;
        shard_read(&shard, (int64_t)i, 1, &id);
        assert_int_equal(id, list.id[i]);
    }
    shard_close(&shard);
    free(list.id);
    free(text);
}

/* ---- options ---- */

static void check_sides(const char *out, const PrepareResult *result, const char *train, const char *valid)
{
    char *text = shard_text(out, PREPARE_TRAIN, &result->train);
    assert_string_equal(text, train);
    free(text);
    text = shard_text(out, PREPARE_VALID, &result->valid);
    assert_string_equal(text, valid);
    free(text);
}

static void test_deduplicate(void **state)
{
    (void)state;
    PrepareResult result;
    char *out = scratch_path("once");
    char *input =
        scratch_text("t.jsonl", "{\"text\": \"a\"}\n{\"text\": \"b\"}\n{\"text\": \"\\u0061\"}\n{\"text\": \"a \"}\n"
                                "{\"text\": \"\"}\n{\"text\": \"\"}\n");
    char *valid = scratch_text("v.jsonl", "{\"text\": \"b\"}\n{\"text\": \"c\"}\n{\"text\": \"c\"}\n");
    assert_done(prepare(input, valid, out, (PrepareOptions){.deduplicate = true}, &result));
    check_sides(out, &result, "a<|endoftext|>b<|endoftext|>a <|endoftext|><|endoftext|>", "c<|endoftext|>");
    assert_int_equal(result.duplicates, 4);
    assert_done(prepare(input, valid, out, (PrepareOptions){0}, &result));
    assert_int_equal(result.duplicates, 0);
    assert_int_equal(result.train.documents, 6);
    assert_refused(prepare(input, scratch_text("w.jsonl", "{\"text\": \"b\"}\n"), out,
                           (PrepareOptions){.deduplicate = true}, &result),
                   LMU_FORMAT, "no held-out document is left");
}

/* Long documents that differ in one byte at any place are no duplicates; the same text as a file and as a line is one. */
static void test_deduplicate_long(void **state)
{
    (void)state;
    PrepareResult result;
    size_t size = ((size_t)2 << 20) + 5;
    char *text = malloc(size + 32);
    assert_done(directory_make(scratch_path("alike")));
    for (size_t i = 0; i < size; i++)
        text[i] = i % 6 == 5 ? ' ' : 'a';
    scratch_write("alike/a.txt", text, size);
    scratch_write("alike/b.txt", text, size);
    scratch_write("alike/c.txt", text, size - 1);
    static const size_t places[] = {0, 7, 8, 1234567, ((size_t)2 << 20) + 4};
    for (size_t i = 0; i < 5; i++) {
        char name[32];
        snprintf(name, sizeof name, "alike/d%zu.txt", i);
        text[places[i]] ^= 1;
        scratch_write(name, text, size);
        text[places[i]] ^= 1;
    }
    char *line = malloc(size + 32);
    sprintf(line, "{\"text\": \"%.*s\"}", (int)size, text);
    scratch_text("alike/e.jsonl", line);
    assert_done(prepare(scratch_path("alike"), scratch_text("v.txt", "v"), scratch_path("once"),
                        (PrepareOptions){.deduplicate = true}, &result));
    assert_int_equal(result.train.documents, 7);
    assert_int_equal(result.duplicates, 2);
    free(line);
    free(text);
}

static void test_skip_bad(void **state)
{
    (void)state;
    PrepareResult result;
    char *out = scratch_path("skipped");
    size_t size = (size_t)2 << 20;
    char *text = malloc(size);
    for (size_t i = 0; i < size; i++)
        text[i] = i % 6 == 5 ? ' ' : 'a';
    text[size - 1] = '\0';
    assert_done(directory_make(scratch_path("bad")));
    scratch_text("bad/a.jsonl", "{\"text\": \"a\"}\n{bad\n{\"text\": \"b\"}\n{\"txt\": \"c\"}\n");
    scratch_write("bad/b.txt", text, size); /* what came of it before the NUL is dropped */
    scratch_text("bad/c.txt", "c");
    free(text);
    PrepareOptions options = {.skip_bad = true};
    assert_done(
        prepare(scratch_path("bad"), scratch_text("v.jsonl", "{bad\n{\"text\": \"v\"}\n"), out, options, &result));
    check_sides(out, &result, "a<|endoftext|>b<|endoftext|>c<|endoftext|>", "v<|endoftext|>");
    assert_int_equal(result.skipped[CORPUS_NO_JSON].count, 2);
    assert_non_null(strstr(result.skipped[CORPUS_NO_JSON].first, "a.jsonl:2"));
    assert_int_equal(result.skipped[CORPUS_NO_FIELD].count, 1);
    assert_int_equal(result.skipped[CORPUS_BINARY].count, 1);
    assert_int_equal(result.skipped[CORPUS_EMPTY].count, 0);
    assert_string_equal(result.skipped[CORPUS_EMPTY].first, "");
    assert_refused(prepare(scratch_text("all.jsonl", "{bad\n{worse\n"), NULL, out, options, &result), LMU_FORMAT,
                   "no document of the inputs can be read; the first: ");
    assert_refused(prepare(scratch_path("bad"), NULL, out, (PrepareOptions){0}, &result), LMU_FORMAT, "a.jsonl:2");
}

static void test_field_and_specials(void **state)
{
    (void)state;
    PrepareResult result;
    Shard shard;
    char *out = scratch_path("field"), path[512];
    PrepareOptions options = {.field = "body", .specials = true};
    assert_done(prepare(scratch_text("t.jsonl", "{\"text\": 1, \"body\": \"a<|endoftext|>b\"}\n"),
                        scratch_text("v.jsonl", "{\"body\": \"v\"}\n"), out, options, &result));
    snprintf(path, sizeof path, "%s/%s", out, PREPARE_TRAIN);
    assert_done(shard_open(path, &shard));
    assert_int_equal(shard.count, 4);
    shard_close(&shard);
    check_sides(out, &result, "a<|endoftext|>b<|endoftext|>", "v<|endoftext|>");
}

/* A special token with a space in its name is found wherever it lies, also where documents are cut for the threads. */
static void test_specials_with_spaces(void **state)
{
    (void)state;
    Token token[260];
    char bytes[256], *text = malloc((size_t)3 << 20), *end = text, path[512], *out = scratch_path("spaced");
    int names = 0;
    for (int i = 0; i < 256; i++) {
        bytes[i] = (char)i;
        token[i] = (Token){&bytes[i], 1, false};
    }
    token[256] = (Token){TOKENIZER_END_OF_TEXT, strlen(TOKENIZER_END_OF_TEXT), true};
    token[257] = (Token){"<a b>", 5, true};
    for (; end < text + ((size_t)5 << 19); names++)
        end += sprintf(end, "<a b>%.*s", names % 7, "xxxxxxx");
    Tokenizer *spaced;
    PrepareResult result;
    assert_done(tokenizer_build("test", token, 258, NULL, 0, &spaced));
    assert_true(pieces_change_ids(spaced, true));
    assert_false(pieces_change_ids(spaced, false));
    char *input = scratch_write("t.txt", text, (size_t)(end - text)), *valid = scratch_text("v.txt", "v");
    PrepareOptions options = {
        .inputs = &input, .input_count = 1, .valid_inputs = &valid, .valid_count = 1, .out = out, .specials = true};
    assert_done(prepare_run(&options, spaced, NULL, &result));
    snprintf(path, sizeof path, "%s/%s", out, PREPARE_TRAIN);
    Shard shard;
    assert_done(shard_open(path, &shard));
    for (int64_t i = 0; i < shard.count; i++) {
        int32_t id;
        shard_read(&shard, i, 1, &id);
        names -= id == 257;
    }
    assert_int_equal(names, 0);
    shard_close(&shard);
    tokenizer_close(spaced);
    free(text);
}

/* What a killed process has left is removed by the next; what is not ours, or in use, stays. */
static void test_leftovers(void **state)
{
    (void)state;
    PrepareResult result;
    static const char *const names[] = {"data.1.new", "data.99999.new", "data.x.new",
                                        "data.5.old", "data2.5.new",    "data.5.new.txt"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char name[64];
        snprintf(name, sizeof name, "left/%s/inside", names[i]);
        assert_done(directory_make(scratch_path(name)));
    }
    int held = open(scratch_path("left/data.99999.new"), O_RDONLY | O_DIRECTORY);
    assert_int_equal(flock(held, LOCK_EX), 0);
    assert_done(prepare(scratch_text("t.txt", "the sea"), scratch_text("v.txt", "v"), scratch_path("left/data"),
                        (PrepareOptions){0}, &result));
    assert_names(scratch_path("left"), "data data.5.new.txt data.5.old data.99999.new data.x.new data2.5.new ");
    close(held);
}

static void test_failure_leaves_the_old(void **state)
{
    (void)state;
    PrepareResult result, unused;
    char *out = scratch_path("kept/data");
    assert_done(
        prepare(scratch_text("t.txt", "the sea"), scratch_text("v.txt", "land"), out, (PrepareOptions){0}, &result));
    assert_refused(
        prepare(scratch_text("bad.jsonl", "{\"text\": \"fine\"}\n{broken\n"), NULL, out, (PrepareOptions){0}, &unused),
        LMU_FORMAT, "bad.jsonl:2");
    assert_refused(
        prepare(scratch_text("t.txt", "the sea"), scratch_path("none.txt"), out, (PrepareOptions){0}, &unused), LMU_IO,
        "none.txt");
    atomic_int stop = 1;
    Progress progress = {.interrupt = &stop};
    char *input = scratch_path("t.txt");
    PrepareOptions options = {.inputs = &input, .input_count = 1, .out = out};
    assert_refused(prepare_run(&options, tokenizer, &progress, &unused), LMU_INTERRUPTED, "nothing was written");
    assert_names(scratch_path("kept"), "data ");
    assert_names(out, "tokenizer.json train.bin valid.bin ");
    free(shard_text(out, PREPARE_TRAIN, &result.train));
}

static void test_bad_places(void **state)
{
    (void)state;
    PrepareResult result;
    char *input = scratch_text("t.txt", "the sea, the sea");
    const PrepareOptions none = {0};
    assert_refused(prepare(input, NULL, scratch_text("file", "x"), none, &result), LMU_USAGE,
                   "is a file; prepare writes a directory");
    assert_done(directory_make(scratch_path("theirs")));
    scratch_text("theirs/thesis.tex", "years of work");
    assert_refused(prepare(input, NULL, scratch_path("theirs"), none, &result), LMU_USAGE,
                   "holds \"thesis.tex\", which lmu prepare did not write");
    assert_names(scratch_path("theirs"), "thesis.tex ");
    assert_refused(prepare(input, NULL, "", none, &result), LMU_USAGE, "is no name for a new directory");
    assert_refused(prepare(input, NULL, "/", none, &result), LMU_USAGE, "is no name for a new directory");
    assert_refused(prepare(input, NULL, "..", none, &result), LMU_USAGE, "is no name for a new directory");
    assert_refused(prepare(input, NULL, "a/./", none, &result), LMU_USAGE, "is no name for a new directory");
    assert_refused(prepare(input, NULL, scratch_path("file/below"), none, &result), LMU_IO, "file");
    assert_refused(prepare(input, NULL, scratch_path("x"), (PrepareOptions){.valid_fraction = 1}, &result), LMU_USAGE,
                   "a held-out fraction of 1");
    assert_refused(prepare(input, NULL, scratch_path("x"), (PrepareOptions){.valid_fraction = -0.5}, &result),
                   LMU_USAGE, "a held-out fraction of -0.5");
    assert_false(file_exists(scratch_path("x")));
    assert_done(prepare(input, NULL, scratch_path("slash//"), none, &result));
    assert_names(scratch_path("slash"), "tokenizer.json train.bin valid.bin ");
    assert_done(directory_make(scratch_path("hollow")));
    assert_done(prepare(input, NULL, scratch_path("hollow"), none, &result));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_documents),
        cmocka_unit_test(test_at_least_one_a_side),
        cmocka_unit_test(test_valid_input),
        cmocka_unit_test(test_names_of_specials),
        cmocka_unit_test(test_single_document),
        cmocka_unit_test(test_single_of_many),
        cmocka_unit_test(test_any_number_of_threads),
        cmocka_unit_test(test_pieces_change_no_id),
        cmocka_unit_test(test_deduplicate),
        cmocka_unit_test(test_deduplicate_long),
        cmocka_unit_test(test_skip_bad),
        cmocka_unit_test(test_field_and_specials),
        cmocka_unit_test(test_specials_with_spaces),
        cmocka_unit_test(test_leftovers),
        cmocka_unit_test(test_failure_leaves_the_old),
        cmocka_unit_test(test_bad_places),
    };
    return cmocka_run_group_tests(tests, prepare_open, prepare_close);
}
