/* Byte-level BPE: any bytes come back, special tokens stay text unless asked, training depends on the text alone. */
#include "text/testing.h"

#include "base/random.h"
#include "text/bpe_train.h"
#include "text/pretokenize.h"
#include "text/tokenizer.h"
#include "text/vocabulary.h"

static const char sea[] =
    "The sea, the sea! And the ships in the sea, the sand, the end of the land; they've said it's the end of the sea.\n"
    "N\303\244chte am Meer, N\303\244chte im Meer, und die N\303\244chte enden. 1234 1234 123 "
    "--------------------------\n"
    "\344\270\255\346\226\207\344\270\255\346\226\207\344\270\255 \360\237\230\200\360\237\230\200\360\237\230\200\n";

static Tokenizer *train(const char *text, size_t size, int64_t vocabulary)
{
    PretokenCounts counts = {0};
    Tokenizer *tokenizer;
    assert_done(pretoken_counts_text(&counts, text, size));
    assert_done(bpe_train(&counts, vocabulary, NULL, &tokenizer));
    pretoken_counts_free(&counts);
    return tokenizer;
}

/* Encodes, checks that the bytes come back, and returns the number of ids; the ids lie in `last` till the next call. */
static IdList last;

static size_t round_trip(const Tokenizer *tokenizer, const char *text, size_t size)
{
    last.count = 0;
    assert_done(tokenizer_encode(tokenizer, text, size, false, &last));
    size_t at = 0;
    for (size_t i = 0; i < last.count; i++) {
        size_t length = 0;
        const char *bytes = tokenizer_bytes(tokenizer, last.id[i], &length);
        assert_non_null(bytes);
        assert_false(tokenizer_is_special(tokenizer, last.id[i]));
        assert_int_equal(length, tokenizer_lengths(tokenizer)[last.id[i]]);
        assert_true(length <= size - at);
        assert_memory_equal(bytes, text + at, length);
        at += length;
    }
    assert_int_equal(at, size);
    return last.count;
}

static void test_any_bytes(void **state)
{
    (void)state;
    Tokenizer *tokenizer = train(sea, sizeof sea - 1, 290);
    assert_int_equal(tokenizer_size(tokenizer), 290);
    assert_int_equal(round_trip(tokenizer, "", 0), 0);
    assert_true(round_trip(tokenizer, sea, sizeof sea - 1) < (sizeof sea - 1) / 2);
    char all[256];
    for (int i = 0; i < 256; i++) {
        all[i] = (char)i;
        assert_int_equal(round_trip(tokenizer, all + i, 1), 1);
    }
    round_trip(tokenizer, all, sizeof all);
    uint64_t key = random_key(3, "any bytes", 0, 0), draw = 0;
    for (int round = 0; round < 3000; round++) {
        char text[300];
        size_t size = random_below(key, draw++, sizeof text);
        for (size_t i = 0; i < size; i++)
            text[i] = round % 2 ? (char)random_below(key, draw++, 256) : sea[random_below(key, draw++, sizeof sea - 1)];
        round_trip(tokenizer, text, size);
    }
    tokenizer_close(tokenizer);
}

/* The definition, in the plainest form: of all pairs the one of least rank, of these the leftmost. */
static size_t encode_by_definition(const Tokenizer *tokenizer, const char *text, size_t size, uint32_t *id)
{
    for (size_t i = 0; i < size; i++)
        id[i] = tokenizer->byte_id[(unsigned char)text[i]];
    for (size_t count = size;; count--) {
        const MergeSlot *best = NULL;
        size_t at = 0;
        for (size_t i = 0; i + 1 < count; i++) {
            const MergeSlot *merge = tokenizer_merge(tokenizer, id[i], id[i + 1]);
            if (merge && (!best || merge->rank < best->rank)) {
                best = merge;
                at = i;
            }
        }
        if (!best)
            return count;
        id[at] = best->result;
        memmove(id + at + 1, id + at + 2, (count - at - 2) * sizeof *id);
    }
}

/* Long pre-tokens take another way than short ones; both must do what the definition says. */
static void test_long_words(void **state)
{
    (void)state;
    static char learnt[4000], text[400];
    static uint32_t expected[400];
    uint64_t key = random_key(4, "long words", 0, 0), draw = 0;
    for (size_t i = 0; i < sizeof learnt; i++)
        learnt[i] = random_below(key, draw++, 9) ? "abcd"[random_below(key, draw++, 4)] : ' ';
    Tokenizer *tokenizer = train(learnt, sizeof learnt, 500);
    for (int round = 0; round < 600; round++) {
        size_t size = random_below(key, draw++, round < 300 ? 110 : sizeof text) + 1;
        uint64_t letters = random_below(key, draw++, 4) + 1;
        for (size_t i = 0; i < size; i++)
            text[i] = "abcd"[random_below(key, draw++, letters)];
        size_t count = encode_by_definition(tokenizer, text, size, expected);
        assert_int_equal(round_trip(tokenizer, text, size), count);
        assert_memory_equal(last.id, expected, count * sizeof *expected);
    }
    tokenizer_close(tokenizer);
}

static void test_a_million_of_one(void **state)
{
    (void)state;
    size_t size = 1000000;
    char *text = malloc(size);
    memset(text, '-', size);
    Tokenizer *tokenizer = train(text, size, 300);
    assert_true(tokenizer_size(tokenizer) < 300); /* no token is longer than TOKEN_MOST_BYTES */
    assert_int_equal(round_trip(tokenizer, text, size), (size + TOKEN_MOST_BYTES - 1) / TOKEN_MOST_BYTES);
    memset(text, ' ', size);
    assert_int_equal(round_trip(tokenizer, text, size), size);
    memset(text, 0x80, size);
    assert_int_equal(round_trip(tokenizer, text, size), size);
    tokenizer_close(tokenizer);
    free(text);
}

static void test_specials(void **state)
{
    (void)state;
    Tokenizer *tokenizer = train(sea, sizeof sea - 1, 300);
    static const char text[] = "the sea<|endoftext|><|endoftext|> the<|endoftext";
    int64_t end = tokenizer_end_of_text(tokenizer);
    size_t length;
    assert_int_equal(end, 0);
    assert_true(tokenizer_is_special(tokenizer, 0));
    assert_int_equal(tokenizer_lengths(tokenizer)[0], 0);
    assert_memory_equal(tokenizer_bytes(tokenizer, 0, &length), TOKENIZER_END_OF_TEXT, 13);
    assert_int_equal(length, 13);
    round_trip(tokenizer, text, sizeof text - 1); /* asserts that none is special */

    IdList asked = {0};
    assert_done(tokenizer_encode(tokenizer, text, sizeof text - 1, true, &asked));
    size_t ends = 0;
    for (size_t i = 0; i < asked.count; i++)
        ends += asked.id[i] == end;
    assert_int_equal(ends, 2);
    size_t before = asked.count;
    assert_done(tokenizer_encode(tokenizer, TOKENIZER_END_OF_TEXT, 13, true, &asked)); /* appends */
    assert_int_equal(asked.count, before + 1);
    assert_done(tokenizer_encode(tokenizer, "", 0, true, &asked));
    assert_int_equal(asked.count, before + 1);
    free(asked.id);
    assert_null(tokenizer_bytes(tokenizer, 300, &length));
    assert_null(tokenizer_bytes(tokenizer, UINT32_MAX, &length));
    assert_false(tokenizer_is_special(tokenizer, UINT32_MAX));
    tokenizer_close(tokenizer);
    tokenizer_close(NULL);
}

/* By hand: "ab" occurs 5 times, then "abc" 3 times, then "xy" and "yz" 2 times each: the smaller ids first. */
static void test_training_by_hand(void **state)
{
    (void)state;
    static const char text[] = "ab,abc,abc,abc,ab;xy.yz?xy!yz";
    static const char *const expected[] = {"ab", "abc", "xy", "yz"};
    Tokenizer *tokenizer = train(text, sizeof text - 1, 1000);
    assert_int_equal(tokenizer_size(tokenizer), 257 + 4);
    for (uint32_t i = 0; i < 4; i++) {
        size_t length;
        const char *bytes = tokenizer_bytes(tokenizer, 257 + i, &length);
        assert_int_equal(length, strlen(expected[i]));
        assert_memory_equal(bytes, expected[i], length);
    }
    tokenizer_close(tokenizer);
    tokenizer = train("", 0, 257);
    assert_int_equal(tokenizer_size(tokenizer), 257);
    tokenizer_close(tokenizer);
}

/* Checks that merge number k was the most frequent pair of the text merged by those before it, of equals the smaller. */
static void check_merges(const Tokenizer *tokenizer, const char *text, size_t size)
{
    static uint32_t id[4000], before[4000]; /* NO_ID between pre-tokens */
    enum { IDS = 300 };
    static int count[IDS][IDS];
    size_t length = 0;
    for (size_t i = 0, end = 0; i < size; i++) {
        if (i == end) {
            before[length++] = NO_ID;
            end += pretoken_length(text + i, size - i);
        }
        before[length++] = tokenizer->byte_id[(unsigned char)text[i]];
    }
    for (size_t k = 0; k < tokenizer->merge_count; k++) {
        Merge merge = tokenizer->merge[k];
        memset(count, 0, sizeof count);
        int most = 0;
        for (size_t i = 0; i + 1 < length; i++)
            if (before[i] != NO_ID && before[i + 1] != NO_ID && ++count[before[i]][before[i + 1]] > most)
                most = count[before[i]][before[i + 1]];
        size_t best = 0;
        while (count[best / IDS][best % IDS] < most)
            best++;
        assert_int_equal(merge.left, best / IDS);
        assert_int_equal(merge.right, best % IDS);
        size_t kept = 0;
        for (size_t i = 0; i < length; i++) {
            bool joins = i + 1 < length && before[i] == merge.left && before[i + 1] == merge.right;
            id[kept++] = joins ? 257 + (uint32_t)k : before[i];
            i += joins;
        }
        length = kept;
        memcpy(before, id, length * sizeof *id);
    }
}

/* Training against its definition: counts made anew before each merge give the same merges. */
static void test_training_by_definition(void **state)
{
    (void)state;
    uint64_t key = random_key(9, "training", 0, 0), draw = 0;
    for (int round = 0; round < 40; round++) {
        static char text[2000];
        for (size_t i = 0; i < sizeof text; i++)
            text[i] = random_below(key, draw++, 12) ? "aab"[random_below(key, draw++, 2 + (uint64_t)round % 2)] : ' ';
        Tokenizer *tokenizer = train(text, sizeof text, 300);
        check_merges(tokenizer, text, sizeof text);
        tokenizer_close(tokenizer);
    }
}

static void test_bad_sizes(void **state)
{
    (void)state;
    PretokenCounts counts = {0};
    Tokenizer *tokenizer;
    assert_refused(bpe_train(&counts, 256, NULL, &tokenizer), LMU_USAGE, "a vocabulary of 256: it goes from 257");
    assert_refused(bpe_train(&counts, -1, NULL, &tokenizer), LMU_USAGE, "a vocabulary of -1");
    assert_refused(bpe_train(&counts, INT64_MAX, NULL, &tokenizer), LMU_USAGE, "to 1000000");
}

static void test_any_number_of_threads(void **state)
{
    (void)state;
    char *text = scratch_path("many.txt"), *inputs[] = {text};
    FILE *file = fopen(text, "w");
    uint64_t key = random_key(2, "threads", 0, 0), hash = 0;
    for (uint64_t i = 0; i < 400000; i++)
        fprintf(file, "%c%s", "aeiou"[random_below(key, i, 5)], random_below(key, i + 1000000, 4) ? "n" : " t");
    fclose(file);
    for (int threads = 1; threads <= 5; threads++) {
        Tokenizer *tokenizer;
        assert_done(tokenizer_train(inputs, 1, 400, threads, NULL, &tokenizer));
        assert_true(hash == 0 || hash == tokenizer_hash(tokenizer));
        hash = tokenizer_hash(tokenizer);
        tokenizer_close(tokenizer);
    }
}

static void test_hash(void **state)
{
    (void)state;
    Tokenizer *a = train(sea, sizeof sea - 1, 280), *b = train(sea, sizeof sea - 1, 281), *c;
    char *path = scratch_path("saved.json");
    assert_true(tokenizer_hash(a) != tokenizer_hash(b));
    assert_done(tokenizer_save(a, path));
    assert_done(tokenizer_open(path, &c));
    assert_true(tokenizer_hash(a) == tokenizer_hash(c));
    assert_int_equal(tokenizer_size(c), 280);
    assert_int_equal(tokenizer_end_of_text(c), 0);
    tokenizer_close(c);
    assert_done(
        tokenizer_open("tests/golden/text_tokenizer.json", &c)); /* the hash is kept in files: it must not change */
    assert_true(tokenizer_hash(c) == UINT64_C(0xCE4D2F7B953BC738));
    assert_int_equal(tokenizer_size(c), 277);
    tokenizer_close(a);
    tokenizer_close(b);
    tokenizer_close(c);
    free(last.id);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_bytes),
        cmocka_unit_test(test_long_words),
        cmocka_unit_test(test_a_million_of_one),
        cmocka_unit_test(test_specials),
        cmocka_unit_test(test_training_by_hand),
        cmocka_unit_test(test_training_by_definition),
        cmocka_unit_test(test_bad_sizes),
        cmocka_unit_test(test_any_number_of_threads),
        cmocka_unit_test(test_hash),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
