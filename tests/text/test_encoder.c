/* Encoding: what it remembers changes nothing, and long pre-tokens, merged in windows, get the ids that merging them whole
 * gives. */
#include "text/testing.h"

#include "base/random.h"
#include "text/bpe_train.h"
#include "text/vocabulary.h"

/* The definition: again and again the pair whose merge comes first, the leftmost of equals. */
static size_t merge_plainly(const Tokenizer *tokenizer, const char *text, size_t size, uint32_t *id)
{
    for (size_t i = 0; i < size; i++)
        id[i] = tokenizer->byte_id[(unsigned char)text[i]];
    for (;;) {
        const MergeSlot *best = NULL;
        size_t at = 0;
        for (size_t i = 0; i + 1 < size; i++) {
            const MergeSlot *merge = tokenizer_merge(tokenizer, id[i], id[i + 1]);
            if (merge && (!best || merge->rank < best->rank)) {
                best = merge;
                at = i;
            }
        }
        if (!best)
            return size;
        id[at] = best->result;
        memmove(id + at + 1, id + at + 2, (--size - at - 1) * sizeof *id);
    }
}

/* A vocabulary learnt from random words over the first `letters` letters: its tokens overlap in every way. */
static Tokenizer *letters_train(int letters, int64_t vocabulary)
{
    PretokenCounts counts = {0};
    Tokenizer *tokenizer;
    uint64_t key = random_key(5, "words", (uint64_t)letters, 0), draw = 0;
    for (int word = 0; word < 300; word++) {
        char text[200];
        size_t length = 1 + random_below(key, draw++, sizeof text);
        for (size_t i = 0; i < length; i++)
            text[i] = (char)('a' + random_below(key, draw++, (uint64_t)letters));
        assert_done(pretoken_counts_add(&counts, text, length, 2));
    }
    assert_done(bpe_train(&counts, vocabulary, NULL, &tokenizer));
    pretoken_counts_free(&counts);
    return tokenizer;
}

static void check(const Tokenizer *tokenizer, const char *text, size_t size)
{
    IdList list = {0};
    uint32_t *expected = malloc(size * sizeof *expected);
    size_t count = merge_plainly(tokenizer, text, size, expected);
    assert_done(tokenizer_encode(tokenizer, text, size, false, &list));
    assert_int_equal(list.count, count);
    assert_memory_equal(list.id, expected, count * sizeof *expected);
    free(list.id);
    free(expected);
}

static void test_long_pretokens(void **state)
{
    (void)state;
    static const size_t sizes[] = {96, 97, 2047, 2048, 2049, 3840, 3841, 7000};
    char text[7000];
    for (int letters = 1; letters <= 3; letters++) {
        Tokenizer *tokenizer = letters_train(letters, 800);
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            uint64_t key = random_key(6, "text", (uint64_t)letters, i);
            for (size_t k = 0; k < sizes[i]; k++)
                text[k] = (char)('a' + random_below(key, k, (uint64_t)letters));
            check(tokenizer, text, sizes[i]);
            size_t period = 1 + random_below(key, sizes[i], 300);
            for (size_t k = period; k < sizes[i]; k++)
                text[k] = text[k - period];
            check(tokenizer, text, sizes[i]);
        }
        tokenizer_close(tokenizer);
    }
}

/* The 256 bytes, and room for `more` tokens. */
static Token *tokens_new(size_t more)
{
    static char bytes[256];
    Token *token = calloc(256 + more, sizeof *token);
    for (int i = 0; i < 256; i++) {
        bytes[i] = (char)i;
        token[i] = (Token){&bytes[i], 1, false};
    }
    return token;
}

/* Tokens x, xx, xxxx, ... of up to 8192: longer than a window. */
static void test_token_longer_than_a_window(void **state)
{
    (void)state;
    static const size_t sizes[] = {2048, 4096, 8192, 8193, 16384, 19999};
    static char text[20000];
    memset(text, 'x', sizeof text);
    Token *token = tokens_new(13);
    Merge merge[13];
    Tokenizer *tokenizer;
    for (uint32_t i = 0; i < 13; i++) {
        uint32_t half = i == 0 ? 'x' : 255 + i;
        token[256 + i] = (Token){text, (size_t)2 << i, false};
        merge[i] = (Merge){half, half};
    }
    assert_done(tokenizer_build("test", token, 256 + 13, merge, 13, &tokenizer));
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        check(tokenizer, text, sizes[i]);
    tokenizer_close(tokenizer);
    free(token);
}

/* Merges ac, a+ac, a+aac, ... before aa: the last letter decides about all before it, so the first window is wrong. */
static void test_windows_that_disagree(void **state)
{
    (void)state;
    enum { CHAIN = 2600 };
    static char text[CHAIN + 1], pair[2] = "aa";
    memset(text, 'a', CHAIN);
    text[CHAIN] = 'c';
    Token *token = tokens_new(CHAIN + 1);
    Merge *merge = calloc(CHAIN + 1, sizeof *merge);
    Tokenizer *tokenizer;
    for (uint32_t i = 0; i < CHAIN; i++) {
        token[256 + i] = (Token){text + CHAIN - 1 - i, i + 2, false};
        merge[i] = (Merge){'a', i == 0 ? 'c' : 255 + i};
    }
    token[256 + CHAIN] = (Token){pair, 2, false};
    merge[CHAIN] = (Merge){'a', 'a'};
    assert_done(tokenizer_build("test", token, 256 + CHAIN + 1, merge, CHAIN + 1, &tokenizer));
    check(tokenizer, text, CHAIN + 1);
    check(tokenizer, text, CHAIN);
    check(tokenizer, text + 300, CHAIN + 1 - 300);
    tokenizer_close(tokenizer);
    free(merge);
    free(token);
}

/* One encoder for many texts gives the ids that a new one gives for each, at every length up to beyond what it remembers, and
 * where the text ends right behind the pre-token. */
static void test_memory_of_pretokens(void **state)
{
    (void)state;
    Tokenizer *tokenizer = letters_train(3, 600);
    Encoder *encoder;
    assert_done(encoder_open(tokenizer, &encoder));
    uint64_t key = random_key(7, "pretokens", 0, 0);
    for (size_t trial = 0; trial < 20000; trial++) {
        size_t size = 1 + random_below(key, 3 * trial, 30);
        char *text = malloc(size); /* of this size, for the sanitizer to see a read behind it */
        uint32_t expected[32];
        IdList list = {0};
        for (size_t i = 0; i < size; i++)
            text[i] = (char)('a' + random_bits(key, 3 * trial + 1) % (1 + i % 3) + random_bits(key, 3 * trial + 2) % 2);
        size_t count = merge_plainly(tokenizer, text, size, expected);
        assert_done(encoder_encode(encoder, text, size, false, &list));
        assert_int_equal(list.count, count);
        assert_memory_equal(list.id, expected, count * sizeof *expected);
        free(list.id);
        free(text);
    }
    encoder_close(encoder);
    tokenizer_close(tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_long_pretokens),
        cmocka_unit_test(test_token_longer_than_a_window),
        cmocka_unit_test(test_windows_that_disagree),
        cmocka_unit_test(test_memory_of_pretokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
