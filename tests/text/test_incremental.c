/* Text in pieces: however it is divided, its ids are those of the whole. */
#include "text/testing.h"

#include <jansson.h>

#include "base/random.h"
#include "text/bpe_train.h"
#include "text/incremental.h"

#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define SPACES "\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+"
#define LLAMA                                                                                                          \
    CONTRACTIONS                                                                                                       \
    "|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}{1,3}| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|" SPACES
#define UPPER "[\\\\p{Lu}\\\\p{Lt}\\\\p{Lm}\\\\p{Lo}\\\\p{M}]"
#define LOWER "[\\\\p{Ll}\\\\p{Lm}\\\\p{Lo}\\\\p{M}]"
#define BEFORE "[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?"
#define O200K                                                                                                          \
    BEFORE UPPER "*" LOWER "+" CONTRACTIONS "?|" BEFORE UPPER "+" LOWER "*" CONTRACTIONS                               \
                 "?|\\\\p{N}{1,3}| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n/]*|" SPACES
#define DIVIDE(digits, pattern)                                                                                        \
    "{\"type\": \"Sequence\", \"pretokenizers\": [" digits "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"" pattern \
    "\"}, \"behavior\": \"Isolated\", \"invert\": false}, {\"type\": \"ByteLevel\", \"add_prefix_space\": false, "     \
    "\"trim_offsets\": true, \"use_regex\": false}]}"
#define GPT2(prefix) "{\"type\": \"ByteLevel\", \"add_prefix_space\": " prefix ", \"trim_offsets\": true}"
#define DIGITS "{\"type\": \"Digits\", \"individual_digits\": true},"

/* Added tokens, of which a comma follows each but the last. */
#define ADDED(id, content, flags) "{\"id\": " id ", \"content\": \"" content "\", " flags "}"
#define TEXT "\"special\": false"
#define SPECIAL "\"special\": true"
#define LATE ", \"normalized\": true"
#define WORD ", \"single_word\": true"
#define LEFT ", \"lstrip\": true"
#define RIGHT ", \"rstrip\": true"
#define END ADDED("0", "<|endoftext|>", SPECIAL)

/* Tokenizers of every kind: one vocabulary with another pre-tokenizer and other added tokens. */
#define FIRST_ADDED 2000
// clang-format off
static const char some_added[] =
    "[" END
    "," ADDED("2000", "7  ", TEXT LATE)
    "," ADDED("2001", "eqq", TEXT LATE)
    "," ADDED("2002", "<|q", TEXT WORD)
    "," ADDED("2003", "<q>", SPECIAL LEFT)
    "," ADDED("2004", "<qb>", SPECIAL RIGHT LATE) "]";
static const char other_added[] =
    "[" END
    "," ADDED("2000", "<q>", SPECIAL LEFT RIGHT)
    "," ADDED("2001", "qq", SPECIAL WORD)
    "," ADDED("2002", "the qq", TEXT LATE) "]";
// clang-format on
static const struct Kind {
    const char *pre_tokenizer, *added;
} kinds[] = {
    {GPT2("false"), "[" END "]"},     {GPT2("true"), "[" END "]"},          {DIVIDE("", LLAMA), "[" END "]"},
    {DIVIDE("", O200K), "[" END "]"}, {DIVIDE(DIGITS, LLAMA), "[" END "]"}, {GPT2("false"), some_added},
    {DIVIDE("", O200K), other_added},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

/* Text of every sort of character and run, with the names of added tokens, whole and in part, and bytes that are no UTF-8. */
static size_t mixed_text(uint64_t key, size_t most, char *out)
{
    static const char pieces[] = /* with ~ between them */
        "the ~The word~ word~HTTPServer's~we'LL~'s~'\305\277~'~12345~ 7~\331\243~.~/~//\n~\n~\r\n~ ~  ~    ~\t~!\n\n "
        "~_~"
        "\343\200\200~\302\205~\342\200\211~\303\251~\303\211~\344\270\255\346\226\207~e\314\201~\314\201~"
        "\360\237\230\200~\307\205~\312\260~\377~\344\270~\360\237~\302~\001~int x[3] = {0};\n~"
        "<|endoftext|>~<|endof~<|q~<q>~<qb>~qq~the qq~<q~<~";
    const char *piece[sizeof pieces];
    size_t count = 0, size = 0;
    for (const char *at = pieces; *at; at = strchr(at, '~') + 1)
        piece[count++] = at;
    for (uint64_t draw = 0; size + 300 < most;) {
        const char *chosen = piece[random_below(key, draw++, count)];
        size_t length = (size_t)(strchr(chosen, '~') - chosen), times = 1;
        if (random_below(key, draw++, 30) == 0)
            times = 1 + random_below(key, draw++, 40);
        for (; times > 0 && size + 40 < most; times--, size += length)
            memcpy(out + size, chosen, length);
    }
    return size;
}

/* A vocabulary whose tokens run across every border between pre-tokens, so that a border that is missing shows in the ids: it is
 * learnt from pieces that were cut anywhere. */
static int vocabulary_open(void **state)
{
    static char text[200000];
    PretokenCounts counts = {0};
    Tokenizer *tokenizer;
    uint64_t key = random_key(6, "vocabulary", 0, 0);
    size_t size = mixed_text(key, sizeof text, text);
    if (scratch_open(state) != 0)
        return -1;
    for (size_t at = 0, part; at < size; at += part) {
        part = 4 + random_below(key, at, 8); /* too short for the name of the special token */
        part = part < size - at ? part : size - at;
        if (!memchr(text + at, 'q', part)) /* the names of added tokens are no tokens by merges */
            assert_done(pretoken_counts_add(&counts, text + at, part, 1));
    }
    assert_done(bpe_train(&counts, FIRST_ADDED, NULL, &tokenizer));
    assert_int_equal(tokenizer_size(tokenizer), FIRST_ADDED);
    assert_done(tokenizer_save(tokenizer, scratch_path("trained.json")));
    tokenizer_close(tokenizer);
    pretoken_counts_free(&counts);
    return 0;
}

static Tokenizer *kind_open(size_t kind)
{
    Tokenizer *tokenizer;
    json_t *root = json_load_file(scratch_path("trained.json"), 0, NULL);
    assert_non_null(root);
    json_object_set_new(root, "pre_tokenizer", json_loads(kinds[kind].pre_tokenizer, 0, NULL));
    json_object_set_new(root, "added_tokens", json_loads(kinds[kind].added, 0, NULL));
    char *path = scratch_path("kind.json");
    assert_int_equal(json_dump_file(root, path, 0), 0);
    json_decref(root);
    assert_done(tokenizer_open(path, &tokenizer));
    return tokenizer;
}

/* Pushes the text in random pieces; `sizes`: of the pieces, most of them less. */
static void push_divided(Incremental *incremental, const char *text, size_t size, size_t sizes, uint64_t key,
                         IdList *out)
{
    out->count = 0;
    for (size_t at = 0, part, i = 0; at < size; at += part, i++) {
        part = 1 + random_below(key, i, sizes);
        part = part < size - at ? part : size - at;
        assert_done(incremental_push(incremental, text + at, part, out));
    }
    assert_done(incremental_end(incremental, out));
    assert_int_equal(incremental_pending(incremental), 0);
}

static void assert_equal_ids(const IdList *got, const IdList *expected)
{
    for (size_t i = 0; i < got->count && i < expected->count; i++)
        if (got->id[i] != expected->id[i])
            fail_msg("id %zu is %u, not %u", i, got->id[i], expected->id[i]);
    assert_int_equal(got->count, expected->count);
}

/* 1,400 random divisions: 100 of a text for each kind of tokenizer, with special tokens and without. */
static void test_any_division(void **state)
{
    (void)state;
    static char text[6000];
    IdList expected = {0}, got = {0};
    for (size_t kind = 0; kind < KINDS; kind++)
        for (int specials = 0; specials < 2; specials++) {
            Tokenizer *tokenizer = kind_open(kind);
            Incremental *incremental;
            assert_done(incremental_open(tokenizer, specials, &incremental));
            for (uint64_t round = 0; round < 100; round++) {
                uint64_t key = random_key(6, "divisions", kind, round);
                static const size_t sizes[] = {1, 2, 5, 30, 400, 5000};
                size_t size = mixed_text(key, sizeof text, text);
                expected.count = 0;
                assert_done(tokenizer_encode(tokenizer, text, size, specials, &expected));
                push_divided(incremental, text, size, sizes[round % 6], key, &got);
                assert_equal_ids(&got, &expected);
            }
            incremental_close(incremental);
            tokenizer_close(tokenizer);
        }
    free(expected.id);
    free(got.id);
}

/* Pre-tokens up to the limit are whole; longer ones are cut, and the same for every division. */
static void test_long(void **state)
{
    (void)state;
    size_t size = 3 * INCREMENTAL_WINDOW;
    char *text = malloc(size);
    IdList whole = {0}, first = {0}, got = {0};
    for (size_t kind = 0; kind < KINDS; kind++) {
        Tokenizer *tokenizer = kind_open(kind);
        Incremental *incremental;
        assert_done(incremental_open(tokenizer, true, &incremental));
        for (int unit = 0; unit < 4; unit++) {
            static const char *const units[] = {" ", "-", "\344\270\255", "the"};
            for (size_t at = 0, length = strlen(units[unit]); at < size; at += length)
                memcpy(text + at, units[unit], length < size - at ? length : size - at);
            size_t limit = INCREMENTAL_PRETOKEN - 4;
            memcpy(text + limit, "a .b", 4); /* the first run is within the limit */
            whole.count = 0;
            assert_done(tokenizer_encode(tokenizer, text, limit + 4, true, &whole));
            push_divided(incremental, text, limit + 4, 20000, 1, &got);
            assert_equal_ids(&got, &whole);
            push_divided(incremental, text, size, size, 1, &first);
            push_divided(incremental, text, size, 30000, 2, &got);
            assert_equal_ids(&got, &first);
            push_divided(incremental, text, size, 700, 3, &got);
            assert_equal_ids(&got, &first);
        }
        incremental_close(incremental);
        tokenizer_close(tokenizer);
    }
    free(text);
    free(whole.id);
    free(first.id);
    free(got.id);
}

/* Ids come as soon as they are certain: a word is when a space behind it is followed by another. */
static void test_soon(void **state)
{
    (void)state;
    Tokenizer *tokenizer = kind_open(0);
    Incremental *incremental;
    IdList got = {0};
    assert_done(incremental_open(tokenizer, false, &incremental));
    assert_done(incremental_push(incremental, "Hello", 5, &got));
    assert_int_equal(got.count, 0);
    assert_int_equal(incremental_pending(incremental), 5);
    assert_done(incremental_push(incremental, " the", 4, &got));
    assert_true(got.count > 0);
    assert_int_equal(incremental_pending(incremental), 4);
    assert_done(incremental_end(incremental, &got));
    assert_done(incremental_end(incremental, &got)); /* an empty text */
    assert_done(incremental_push(incremental, "", 0, &got));
    incremental_close(incremental);
    incremental_close(NULL);
    free(got.id);
    tokenizer_close(tokenizer);
}

/* A text that moves from one to another at every cut, as if a process had ended and another gone on. */
static void test_packed(void **state)
{
    (void)state;
    static char text[3000];
    IdList expected = {0}, got = {0}, spare = {0};
    for (size_t kind = 0; kind < KINDS; kind++)
        for (int specials = 0; specials < 2; specials++) {
            Tokenizer *tokenizer = kind_open(kind);
            Incremental *one, *next;
            assert_done(incremental_open(tokenizer, specials, &one));
            for (uint64_t round = 0; round < 6; round++) {
                uint64_t key = random_key(6, "packed", kind, round);
                size_t size = mixed_text(key, 500 * (round + 1), text); /* round 0 packs after every byte */
                size_t packed_size;
                char *packed;
                expected.count = got.count = 0;
                assert_done(tokenizer_encode(tokenizer, text, size, specials, &expected));
                for (size_t at = 0, part, i = 0; at < size; at += part, i++) {
                    part = 1 + random_below(key, i, 1 + round * 15);
                    part = part < size - at ? part : size - at;
                    assert_done(incremental_push(one, text + at, part, &got));
                    assert_done(incremental_pack(one, &packed, &packed_size));
                    assert_int_equal(packed_size, INCREMENTAL_PACKED + incremental_pending(one));
                    incremental_close(one);
                    assert_done(incremental_open(tokenizer, specials, &next));
                    assert_done(incremental_push(next, "gone", 4, &spare));
                    assert_done(incremental_unpack(next, packed, packed_size));
                    free(packed);
                    one = next;
                }
                assert_done(incremental_end(one, &got));
                assert_equal_ids(&got, &expected);
            }
            incremental_close(one);
            tokenizer_close(tokenizer);
        }
    free(expected.id);
    free(got.id);
    free(spare.id);
}

static void test_packed_badly(void **state)
{
    (void)state;
    Tokenizer *tokenizer = kind_open(0);
    Incremental *incremental;
    IdList got = {0};
    uint8_t packed[INCREMENTAL_PACKED + 3] = {0};
    assert_done(incremental_open(tokenizer, false, &incremental));
    assert_done(incremental_push(incremental, "Hello", 5, &got));
    assert_refused(incremental_unpack(incremental, packed, INCREMENTAL_PACKED - 1), LMU_FORMAT,
                   "15 bytes that are not");
    packed[0] = 64;
    assert_refused(incremental_unpack(incremental, packed, sizeof packed), LMU_FORMAT, "not the state of a text");
    packed[0] = 1;
    assert_refused(incremental_unpack(incremental, packed, sizeof packed), LMU_MISMATCH, "special tokens were known");
    packed[0] = 0;
    packed[8] = 4;
    assert_refused(incremental_unpack(incremental, packed, sizeof packed), LMU_FORMAT, "of 3 bytes that counts 4");
    assert_int_equal(incremental_pending(incremental), 5);
    packed[8] = 3; /* whatever the flags and the bytes are, they make ids */
    for (int flags = 0; flags < 64; flags += 2) {
        packed[0] = (uint8_t)flags;
        packed[INCREMENTAL_PACKED] = (uint8_t)(flags * 5);
        assert_done(incremental_unpack(incremental, packed, sizeof packed));
        assert_int_equal(incremental_pending(incremental), 3);
        assert_done(incremental_push(incremental, "\342\202\254 more", 8, &got));
        assert_done(incremental_end(incremental, &got));
    }
    incremental_close(incremental);
    free(got.id);
    tokenizer_close(tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_division), cmocka_unit_test(test_long),         cmocka_unit_test(test_soon),
        cmocka_unit_test(test_packed),       cmocka_unit_test(test_packed_badly),
    };
    return cmocka_run_group_tests(tests, vocabulary_open, scratch_close);
}
