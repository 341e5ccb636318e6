/* Token shards: written and read back, the golden file, and every way in which one is broken. */
#include "text/testing.h"

#include "text/shard.h"
#include "text/tokenizer.h"

static void write_shard(const char *path, int64_t vocabulary, const uint32_t *id, size_t count)
{
    ShardWriter *writer;
    assert_done(shard_writer_open(path, vocabulary, 0x1122334455667788, &writer));
    assert_done(shard_writer_put(writer, id, count / 2));
    assert_done(shard_writer_put(writer, id + count / 2, count - count / 2));
    assert_int_equal(shard_writer_count(writer), count);
    assert_done(shard_writer_commit(writer, 7, 12345));
}

static void check_round_trip(int64_t vocabulary, int width)
{
    enum { COUNT = 10001 };
    static uint32_t id[COUNT];
    static int32_t read[COUNT];
    for (int i = 0; i < COUNT; i++)
        id[i] = (uint32_t)((uint64_t)i * 2654435761u % (uint64_t)vocabulary);
    id[0] = (uint32_t)vocabulary - 1;
    char *path = scratch_path("round.bin");
    write_shard(path, vocabulary, id, COUNT);
    Shard shard;
    assert_done(shard_open(path, &shard));
    assert_int_equal(shard.count, COUNT);
    assert_int_equal(shard.vocabulary, vocabulary);
    assert_int_equal(shard.width, width);
    assert_int_equal(shard.documents, 7);
    assert_int_equal(shard.bytes, 12345);
    shard_read(&shard, 0, COUNT, read);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal((uint32_t)read[i], id[i]);
    shard_read(&shard, COUNT - 1, 1, read);
    assert_int_equal((uint32_t)read[0], id[COUNT - 1]);
    shard_read(&shard, COUNT, 0, read);
    shard_close(&shard);
    assert_null(shard.map.data);
    assert_done(shard_open_with(path, 0x1122334455667788, &shard));
    shard_close(&shard);
    assert_refused(shard_open_with(path, 5, &shard), LMU_MISMATCH,
                   "was made with another tokenizer (hash 1122334455667788, not 0000000000000005)");
    assert_null(shard.map.data);
}

static void test_round_trip(void **state)
{
    (void)state;
    check_round_trip(257, 2);
    check_round_trip(1 << 16, 2);
    check_round_trip((1 << 16) + 1, 4);
    check_round_trip(INT64_C(1) << 31, 4);
}

static void test_empty(void **state)
{
    (void)state;
    Shard shard;
    char *path = scratch_path("empty.bin");
    write_shard(path, 300, NULL, 0);
    assert_done(shard_open(path, &shard));
    assert_int_equal(shard.count, 0);
    shard_close(&shard);
}

static void test_abort_leaves_nothing(void **state)
{
    (void)state;
    ShardWriter *writer;
    char *path = scratch_path("aborted/x.bin");
    assert_int_equal(shard_writer_open(path, 300, 0, &writer), LMU_IO);
    assert_done(directory_make(scratch_path("aborted")));
    assert_done(shard_writer_open(path, 300, 0, &writer));
    assert_done(shard_writer_put(writer, &(uint32_t){5}, 1));
    shard_writer_abort(writer);
    shard_writer_abort(NULL);
    char **names;
    size_t count;
    assert_done(directory_list(scratch_path("aborted"), &names, &count));
    assert_int_equal(count, 0);
    directory_list_free(names);
    assert_refused(shard_writer_open(path, 0, 0, &writer), LMU_USAGE, "fits no shard");
}

/* One thing that is wrong: `size` bytes of value at an offset, or the file cut or grown to `length`. */
typedef struct Damage {
    const char *name;
    size_t offset, size;
    uint64_t value;
    size_t length; /* 0: as it is */
    const char *message;
} Damage;

enum { IDS = 100, WHOLE = SHARD_HEADER_SIZE + 2 * IDS };

static const Damage damages[] = {
    {"nothing in it", 0, 0, 0, 1, "1 bytes, too short for the 1024-byte header"},
    {"cut in the header", 0, 0, 0, 1023, "1023 bytes, too short for the 1024-byte header"},
    {"cut after the header", 0, 0, 0, 1024, "the header promises 100 ids of 2 bytes, the file has 0 bytes after it"},
    {"cut in an id", 0, 0, 0, WHOLE - 1, "the file has 199 bytes after it; it is truncated"},
    {"an id too many", 0, 0, 0, WHOLE + 2, "the file has 202 bytes after it"},
    {"magic", 0, 1, 'x', 0, "no token shard"},
    {"version 2", 8, 4, 2, 0, "shard version 2, this program reads version 1"},
    {"version of 32 bits", 8, 4, 0xFFFFFFFF, 0, "shard version 4294967295"},
    {"width 0", 12, 4, 0, 0, "ids of 0 bytes (offset 12); 2 or 4 expected"},
    {"width 3", 12, 4, 3, 0, "ids of 3 bytes"},
    {"width 4", 12, 4, 4, 0, "the header promises 100 ids of 4 bytes"},
    {"count too small", 16, 8, 99, 0, "the header promises 99 ids"},
    {"count huge", 16, 8, UINT64_MAX, 0, "the header promises 18446744073709551615 ids"},
    {"count that wraps", 16, 8, (UINT64_C(1) << 63) + IDS, 0, "the header promises 9223372036854775908 ids"},
    {"no vocabulary", 24, 8, 0, 0, "a vocabulary of 0 ids (offset 24); 1 to 65536 expected"},
    {"vocabulary too large", 24, 8, 65537, 0, "a vocabulary of 65537 ids"},
    {"vocabulary huge", 24, 8, UINT64_MAX, 0, "a vocabulary of 18446744073709551615 ids"},
    {"vocabulary too small", 24, 8, 50, 0, "token 50 has id 50, outside the vocabulary of 50"},
    {"documents negative", 40, 8, UINT64_MAX, 0, "impossible number of documents or bytes"},
    {"bytes negative", 48, 8, UINT64_C(1) << 63, 0, "impossible number of documents or bytes"},
    {"unused byte", 56, 1, 1, 0, "the unused part of the header is not zero (offset 56)"},
    {"last unused byte", 1023, 1, 255, 0, "is not zero (offset 1023)"},
    {"an id outside", SHARD_HEADER_SIZE + 20, 2, 300, 0, "token 10 has id 300, outside the vocabulary of 300"},
};

static void test_damage(void **state)
{
    (void)state;
    uint32_t id[IDS];
    for (uint32_t i = 0; i < IDS; i++)
        id[i] = i;
    char *path = scratch_path("whole.bin"), *whole;
    size_t size;
    write_shard(path, 300, id, IDS);
    assert_done(file_read(path, 1 << 20, &whole, &size));
    assert_int_equal(size, WHOLE);
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        const Damage *damage = &damages[i];
        char copy[WHOLE + 2] = {0};
        memcpy(copy, whole, WHOLE);
        memcpy(copy + damage->offset, &damage->value, damage->size);
        char *broken = scratch_write("broken.bin", copy, damage->length ? damage->length : WHOLE);
        Shard shard;
        assert_refused(shard_open(broken, &shard), LMU_FORMAT, damage->message);
        assert_non_null(strstr(lmu_error_message(), "broken.bin"));
    }
    free(whole);
    Shard shard;
    assert_refused(shard_open(scratch_text("empty.bin", ""), &shard), LMU_FORMAT, "0 bytes, too short");
    assert_refused(shard_open(scratch_path("missing.bin"), &shard), LMU_IO, "missing.bin");
    assert_int_equal(shard_open(scratch, &shard), LMU_IO);
}

/* tests/golden/text_shard.bin was written by the first version of this format, for text_tokenizer.json. */
static void test_golden(void **state)
{
    (void)state;
    Shard shard;
    Tokenizer *tokenizer;
    assert_done(tokenizer_open("tests/golden/text_tokenizer.json", &tokenizer));
    assert_done(shard_open_with("tests/golden/text_shard.bin", tokenizer_hash(tokenizer), &shard));
    assert_int_equal(shard.documents, 2);
    char text[256] = "";
    for (int64_t i = 0; i < shard.count; i++) {
        int32_t id;
        size_t length;
        shard_read(&shard, i, 1, &id);
        const char *bytes = tokenizer_bytes(tokenizer, (uint32_t)id, &length);
        strncat(text, bytes, length);
    }
    assert_string_equal(text,
                        "The sea, the sea!\n<|endoftext|>N\303\244chte am Meer \342\200\224 the end.\n<|endoftext|>");
    assert_int_equal(shard.bytes, strlen(text) - 2 * strlen(TOKENIZER_END_OF_TEXT));
    assert_true(shard.count < shard.bytes);
    shard_close(&shard);
    tokenizer_close(tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_empty),  cmocka_unit_test(test_abort_leaves_nothing),
        cmocka_unit_test(test_damage),     cmocka_unit_test(test_golden),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
