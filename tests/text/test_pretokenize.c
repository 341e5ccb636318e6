/* The pre-tokeniser: by hand, against the regular expression run by PCRE2 where both know the same Unicode, and what is not
 * UTF-8. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "text/testing.h"

#include "base/random.h"
#include "text/pretokenize.h"

/* "a|b|c" must be the pre-tokens of a, b and c joined. */
static void check(const char *expected)
{
    char text[256] = "";
    size_t size = 0, starts[64], count = 0;
    starts[count++] = 0;
    for (const char *c = expected; *c; c++) {
        if (*c == '|')
            starts[count++] = size;
        else
            text[size++] = *c;
    }
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        if (at != starts[i])
            fail_msg("\"%s\": a pre-token ends at %zu, not at %zu", expected, at, starts[i]);
        at += pretoken_length(text + at, size - at);
    }
    if (at != size)
        fail_msg("\"%s\": the last pre-token ends at %zu", expected, at);
}

static void test_by_hand(void **state)
{
    (void)state;
    check("Hello| world|!");
    check("it|'s|  | we|'ll|,| they|'ve| don|'t|'m|'d|'re");
    check("'|S| '|s|''|s|'|x");
    check("a| 12|b|34|.|5");
    check("a| \n\n| b");
    check("a|  |\n|b");
    check("a|\n|b");
    check("a|\n\n|\n|b");
    check("a|   | b");
    check("a|\t|\t|b");
    check("a|   ");
    check("a| ");
    check(" ");
    check(" a");
    check(" |\n|a");
    check("\302\240|a|\302\240"); /* U+00A0 is white space, but joins no word */
    check("a|\302\205|b");        /* U+0085 too */
    check("\342\200\213|a");      /* U+200B is none */
    check("x| \341\240\216|y");   /* U+180E is none any more */
    check("\344\270\255\346\226\207|\343\200\202|\346\226\207");
    check("e|\314\201|e");           /* a combining accent is no letter */
    check("\302\262\342\205\247|a"); /* superscript two and Roman eight are numbers */
    check("a|\360\237\230\200\360\237\230\200| \360\237\230\200");
    check("\360\261\215\220|!"); /* U+31350: a letter since Unicode 15 */
}

/* Bytes that are no UTF-8 stand alone, as one run, and end the text before them. */
static void test_invalid(void **state)
{
    (void)state;
    check("abc|\377\376|def");
    check("a| |\377");
    check("a|  |\377| b"); /* white space before the run is at an end */
    check(" |\377");
    check("\344\270"); /* a character that is cut */
    check("\344\270|a");
    check("\300\200|a"); /* overlong */
    check("\340\200\200|a");
    check("\355\240\200|a");     /* a surrogate */
    check("\364\220\200\200|a"); /* above U+10FFFF */
    check("\200\201|'s");
    check("\344\270\255|\344\270|\344\270\255");
}

static void test_every_byte_pair_ends(void **state)
{
    (void)state;
    for (int a = 0; a < 256; a++)
        for (int b = 0; b < 256; b++) {
            char text[3] = {(char)a, (char)b, ' '};
            size_t at = 0;
            while (at < 3) {
                size_t length = pretoken_length(text + at, 3 - at);
                assert_in_range(length, 1, 3 - at);
                at += length;
            }
        }
}

static size_t put_character(uint32_t code, char *out)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t length = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = length - 1; i > 0; i--, code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3F));
    out[0] = (char)((0xF00 >> length & 0xF0) | code);
    return length;
}

static pcre2_code *compile(const char *pattern)
{
    int error;
    PCRE2_SIZE offset;
    pcre2_code *code =
        pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP, &error, &offset, NULL);
    assert_non_null(code);
    return code;
}

/* The length that the expression matches at the start of text, which is valid UTF-8; 0: none. */
static size_t match(const pcre2_code *code, pcre2_match_data *found, const char *text, size_t size)
{
    int got = pcre2_match(code, (PCRE2_SPTR)text, size, 0, PCRE2_ANCHORED | PCRE2_NO_UTF_CHECK, found, NULL);
    return got > 0 ? pcre2_get_ovector_pointer(found)[1] : 0;
}

enum { CLASSES = CHARACTER_INVALID };
static const char *const class_patterns[CLASSES] = {[CHARACTER_OTHER] = "[^\\s\\p{L}\\p{M}\\p{N}]",
                                                    [CHARACTER_UPPER] = "[\\p{Lu}\\p{Lt}]",
                                                    [CHARACTER_LOWER] = "\\p{Ll}",
                                                    [CHARACTER_CASELESS] = "[\\p{Lm}\\p{Lo}]",
                                                    [CHARACTER_MARK] = "\\p{M}",
                                                    [CHARACTER_LATE_NUMBER] = "[^\\s\\p{L}\\p{M}\\p{N}]",
                                                    [CHARACTER_NUMBER] = "\\p{N}",
                                                    [CHARACTER_SPACE] = "\\s"};

/* Code points that PCRE2 and we put into the same class. They part only where this PCRE2 knows an older or newer Unicode,
 * which touches few, and at U+180E. */
static uint32_t *agreed_codes(size_t *count)
{
    uint32_t *agreed = malloc(0x110000 * sizeof *agreed), parted = 0;
    pcre2_code *code[CLASSES];
    pcre2_match_data *found = pcre2_match_data_create(1, NULL);
    for (int class = 0; class < CLASSES; class ++)
        code[class] = compile(class_patterns[class]);
    *count = 0;
    for (uint32_t c = 0; c < 0x110000; c++) {
        char text[4];
        size_t length, size = put_character(c, text);
        CharacterClass class = character_at(text, size, &length);
        if (c >= 0xD800 && c < 0xE000) {
            assert_int_equal(class, CHARACTER_INVALID);
            continue;
        }
        assert_int_equal(length, size);
        if (match(code[class], found, text, size))
            agreed[(*count)++] = c;
        else
            parted++;
    }
    assert_true(parted < 20000);
    for (int class = 0; class < CLASSES; class ++)
        pcre2_code_free(code[class]);
    pcre2_match_data_free(found);
    return agreed;
}

/* A random text of characters on which PCRE2 and we agree, rich in what the rules tell apart. */
static size_t random_text(const uint32_t *agreed, size_t count, uint64_t key, uint64_t *draw, char *text)
{
    static const char favourites[] = "  '  sdmtlvereSDMTLVE \n\t\rA1./";
    static const uint32_t wide[] = {0x301, 0x4E2D, 0xE9, 0xC9, 0x1C5, 0x2B0, 0x17F, 0x3000, 0x85, 0x660, 0x2028, 0x903};
    size_t size = 0, characters = random_below(key, (*draw)++, 24) + 1;
    for (size_t i = 0; i < characters; i++) {
        uint64_t kind = random_below(key, (*draw)++, 8);
        if (kind > 2)
            text[size++] = favourites[random_below(key, (*draw)++, sizeof favourites - 1)];
        else if (kind > 0)
            size += put_character(wide[random_below(key, (*draw)++, sizeof wide / sizeof *wide)], text + size);
        else
            size += put_character(agreed[random_below(key, (*draw)++, count)], text + size);
    }
    return size;
}

static const char *const expressions[] = {
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
    "'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| "
    "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|"
    "\\s+(?!\\S)|\\s+",
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| "
    "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]|"
    "\\s+(?!\\S)|\\s+",
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|"
    "\\s+(?!\\S)|\\s+",
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|"
    "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|"
    "'d)?|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'"
    "m|'ll|'d)?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|[^\\r\\n\\p{L}\\p{"
    "N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|"
    "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
};
enum { EXPRESSIONS = sizeof expressions / sizeof *expressions };

/* Every rule is the expression that it was found by, and what it is not open about stays as it is when text goes on. */
static void test_against_pcre2(void **state)
{
    (void)state;
    size_t count;
    uint32_t *agreed = agreed_codes(&count);
    pcre2_match_data *found = pcre2_match_data_create(1, NULL);
    for (size_t e = 0; e < EXPRESSIONS; e++) {
        PretokenRule rule;
        assert_true(pretoken_rule_find(expressions[e], &rule));
        pcre2_code *code = compile(expressions[e]);
        uint64_t key = random_key(1, "pre-tokens", e, 0), draw = 0;
        size_t certain = 0;
        for (int round = 0; round < 20000; round++) {
            char text[4 * 24];
            bool open;
            size_t size = random_text(agreed, count, key, &draw, text);
            for (size_t at = 0; at < size;) {
                size_t length = pretoken_next(&rule, text + at, size - at, &open);
                if (length != match(code, found, text + at, size - at))
                    fail_msg("rule %zu, \"%.*s\": %zu bytes, not %zu", e, (int)(size - at), text + at, length,
                             match(code, found, text + at, size - at));
                size_t part = 1 + random_below(key, draw++, size - at);
                size_t early = pretoken_next(&rule, text + at, part, &open);
                assert_true(open || early == length);
                certain += !open;
                at += length;
            }
        }
        assert_true(certain > 20000);
        pcre2_code_free(code);
    }
    pcre2_match_data_free(found);
    free(agreed);
}

static void test_rules(void **state)
{
    (void)state;
    PretokenRule rule;
    assert_false(pretoken_rule_find("", &rule));
    assert_false(pretoken_rule_find("\\p{L}+", &rule));
    for (size_t e = 0; e < EXPRESSIONS; e++) {
        PretokenRule again;
        assert_true(pretoken_rule_find(expressions[e], &rule));
        assert_true(pretoken_rule_find(pretoken_rule_expression(&rule), &again));
        assert_memory_equal(&rule, &again, sizeof rule);
    }
    rule = (PretokenRule){.kind = PRETOKEN_WHOLE};
    assert_null(pretoken_rule_expression(&rule));
}

static void test_digits_and_whole(void **state)
{
    (void)state;
    static const char text[] = "ab  12\377 c";
    static const struct {
        PretokenRule rule;
        size_t length[9];
    } cases[] = {
        {{.kind = PRETOKEN_GPT2}, {2, 1, 3, 1, 2}},
        {{.kind = PRETOKEN_GPT2, .digits = DIGITS_APART}, {2, 2, 2, 1, 2}},
        {{.kind = PRETOKEN_GPT2, .digits = DIGITS_SINGLE}, {2, 2, 1, 1, 1, 2}},
        {{.kind = PRETOKEN_WORDS, .numbers = 1, .digits = DIGITS_APART}, {2, 2, 1, 1, 1, 2}},
        {{.kind = PRETOKEN_WHOLE}, {6, 1, 2}},
        {{.kind = PRETOKEN_WHOLE, .digits = DIGITS_APART}, {4, 2, 1, 2}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool open = false;
        size_t at = 0;
        for (size_t k = 0; at < sizeof text - 1; k++) {
            assert_int_equal(pretoken_next(&cases[i].rule, text + at, sizeof text - 1 - at, &open), cases[i].length[k]);
            at += cases[i].length[k];
        }
        assert_int_equal(at, sizeof text - 1);
        assert_true(open);
    }
}

static void test_words(void **state)
{
    (void)state;
    assert_true(character_is_word("a", 1));
    assert_true(character_is_word("_", 1));
    assert_true(character_is_word("7", 1));
    assert_true(character_is_word("\314\201", 2)); /* a combining accent */
    assert_true(character_is_word("\344\270\255", 3));
    assert_false(character_is_word("-", 1));
    assert_false(character_is_word("\302\262", 2)); /* superscript two */
    assert_false(character_is_word("\344\270", 2));
    assert_int_equal(character_cut("abc", 3), 0);
    assert_int_equal(character_cut("a\344\270", 3), 2);
    assert_int_equal(character_cut("\344\270\255", 3), 0);
    assert_int_equal(character_cut("\360", 1), 1);
    assert_int_equal(character_cut("\355\240", 2), 0); /* a surrogate can be none */
    assert_int_equal(character_cut("\300", 1), 0);
}

/* A text cut at pretoken_cut() gives the pre-tokens of the whole, by every rule but that which divides nothing. */
static void test_cut(void **state)
{
    (void)state;
    static const char alphabet[] = "ab1.'  \n\t\377\303\251";
    uint64_t key = random_key(1, "cuts", 0, 0), draw = 0;
    int cuts = 0;
    bool open;
    for (int round = 0; round < 40000; round++) {
        PretokenRule rule;
        assert_true(pretoken_rule_find(expressions[round % EXPRESSIONS], &rule));
        rule.digits = (PretokenDigits)(round / EXPRESSIONS % 3);
        char text[40];
        size_t size = random_below(key, draw++, sizeof text) + 1;
        for (size_t i = 0; i < size; i++)
            text[i] = alphabet[random_below(key, draw++, sizeof alphabet - 1)];
        size_t cut = pretoken_cut(text, size, random_below(key, draw++, size));
        assert_in_range(cut, 1, size);
        cuts += cut < size;
        size_t whole = 0, parts = 0;
        while (whole < cut) {
            size_t length = pretoken_next(&rule, text + parts, cut - parts, &open);
            assert_int_equal(length, pretoken_next(&rule, text + whole, size - whole, &open));
            whole += length;
            parts += length;
        }
        assert_int_equal(whole, cut);
    }
    assert_true(cuts > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_hand),
        cmocka_unit_test(test_invalid),
        cmocka_unit_test(test_every_byte_pair_ends),
        cmocka_unit_test(test_against_pcre2),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_digits_and_whole),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
