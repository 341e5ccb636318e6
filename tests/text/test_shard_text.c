/* Text as a shard: what prepare would write, and nothing left behind. */
#include "text/testing.h"

#include <signal.h>

#include "base/memory.h"
#include "text/shard_text.h"

static Tokenizer *tokenizer;

static int open_all(void **state)
{
    return scratch_open(state) || setenv("TMPDIR", scratch, 1) ||
           tokenizer_open("tests/golden/text_tokenizer.json", &tokenizer) != LMU_OK;
}

static int close_all(void **state)
{
    tokenizer_close(tokenizer);
    return scratch_close(state);
}

/* Names in the scratch folder that begin as our temporary ones do. */
static int left_behind(void)
{
    char **names;
    size_t count;
    int found = 0;
    assert_done(directory_list(scratch, &names, &count));
    for (size_t i = 0; i < count; i++)
        found += strncmp(names[i], "lmu-", 4) == 0;
    directory_list_free(names);
    return found;
}

/* The shard of an input holds just the documents, each encoded by itself and followed by the end of text. */
static void assert_holds(char *input, int threads, const char *const *document, size_t count)
{
    Shard shard;
    IdList list = {0};
    int64_t at = 0, bytes = 0;
    assert_done(shard_from_text(&input, 1, tokenizer, threads, NULL, &shard));
    assert_int_equal(left_behind(), 0);
    for (size_t i = 0; i < count; i++) {
        list.count = 0;
        assert_done(tokenizer_encode(tokenizer, document[i], strlen(document[i]), false, &list));
        bytes += (int64_t)strlen(document[i]);
        assert_true(at + (int64_t)list.count < shard.count);
        for (size_t k = 0; k <= list.count; k++) {
            int32_t id;
            shard_read(&shard, at++, 1, &id);
            assert_int_equal(id, k < list.count ? list.id[k] : (uint32_t)tokenizer_end_of_text(tokenizer));
        }
    }
    assert_int_equal(shard.count, at);
    assert_int_equal(shard.documents, count);
    assert_int_equal(shard.bytes, bytes);
    assert_int_equal(shard.vocabulary, tokenizer_size(tokenizer));
    assert_true(shard.tokenizer == tokenizer_hash(tokenizer));
    shard_close(&shard);
    free(list.id);
}

static void test_documents(void **state)
{
    (void)state;
    const char *const documents[] = {"One  more <|endoftext|> time.", "", "d\xc3\xa9j\xc3\xa0 vu\n", "x"};
    char *input = scratch_text("four.jsonl", "{\"text\": \"One  more <|endoftext|> time.\"}\n{\"text\": \"\"}\n\n"
                                             "{\"text\": \"d\\u00e9j\\u00e0 vu\\n\"}\n{\"text\": \"x\"}\n");
    assert_holds(input, 1, documents, 4);
    assert_holds(input, 3, documents, 4);
}

static void test_long_document(void **state)
{
    (void)state;
    enum { SIZE = 1200 * 1000 };
    static const char sentence[] = "It was the best of times, it was the worst of times; ";
    char *text;
    assert_done(memory_new(&text, SIZE + 1, 1, "a text"));
    for (size_t i = 0; i < SIZE; i++)
        text[i] = sentence[i % (sizeof sentence - 1)];
    assert_holds(scratch_write("long.txt", text, SIZE), 2, (const char *const[]){text}, 1);
    free(text);
}

static void test_refused(void **state)
{
    (void)state;
    static atomic_int raised = 1;
    Shard shard;
    char *input = scratch_path("none.txt");
    assert_refused(shard_from_text(&input, 1, tokenizer, 1, NULL, &shard), LMU_IO, "none.txt");
    input = scratch_text("broken.jsonl", "{\"text\": \"fine\"}\n{\"text\": 3}\n");
    assert_refused(shard_from_text(&input, 1, tokenizer, 1, NULL, &shard), LMU_FORMAT, "broken.jsonl");
    assert_null(shard.ids);
    input = scratch_text("fine.txt", "fine");
    assert_refused(shard_from_text(&input, 1, tokenizer, 1, &(Progress){.interrupt = &raised}, &shard), LMU_INTERRUPTED,
                   "interrupted");
    assert_int_equal(left_behind(), 0);
    setenv("TMPDIR", scratch_path("nowhere"), 1);
    assert_refused(shard_from_text(&input, 1, tokenizer, 1, NULL, &shard), LMU_IO, "set TMPDIR");
    setenv("TMPDIR", scratch, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_documents),
        cmocka_unit_test(test_long_document),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
