/* Stop strings: however the text is cut, it ends where a search of the whole text says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "infer/stop.h"

enum { ROOM = 1 << 12 };

static StopMatcher *open_matcher(const char *const *strings, size_t count)
{
    StopMatcher *matcher;
    assert_int_equal(stop_open(strings, count, &matcher), LMU_OK);
    return matcher;
}

/* Bytes before the stop string that is first complete, of those the longest; the whole size if none is. */
static size_t text_end(const char *text, size_t size, const char *const *strings, size_t count, bool *found)
{
    for (size_t end = 1; end <= size; end++) {
        size_t longest = 0;
        for (size_t i = 0; i < count; i++) {
            size_t length = strlen(strings[i]);
            if (length <= end && length > longest && memcmp(text + end - length, strings[i], length) == 0)
                longest = length;
        }
        *found = longest > 0;
        if (*found)
            return end - longest;
    }
    *found = false;
    return size;
}

/* The longest end of the text that is a beginning of a string and not the whole. */
static size_t should_hold(const char *text, size_t size, const char *const *strings, size_t count)
{
    size_t most = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t n = 1; n < strlen(strings[i]) && n <= size; n++)
            if (n > most && memcmp(text + size - n, strings[i], n) == 0)
                most = n;
    return most;
}

/* The text in pieces: bit i of `cuts` (beyond 63: of a random number) is a cut before byte i. */
static void check_pieces(const char *text, const char *const *strings, size_t count, uint64_t cuts)
{
    StopMatcher *matcher = open_matcher(strings, count);
    char out[ROOM];
    size_t size = strlen(text), used = 0, start = 0;
    bool found;
    size_t expected = text_end(text, size, strings, count, &found);
    for (size_t i = 1; i <= size; i++) {
        if (i < size && !(i < 64 ? cuts >> i & 1 : random_bits(cuts, i) & 1))
            continue;
        size_t held = stop_held(matcher), wrote = stop_push(matcher, text + start, i - start, out + used);
        assert_true(wrote <= held + i - start);
        used += wrote;
        start = i;
        if (!stop_found(matcher)) {
            assert_int_equal(stop_held(matcher), should_hold(text, i, strings, count));
            assert_int_equal(used + stop_held(matcher), i);
        }
    }
    assert_int_equal(stop_found(matcher), found);
    used += stop_end(matcher, out + used);
    if (used != expected || memcmp(out, text, used) != 0)
        fail_msg("'%s' became '%.*s'", text, (int)used, out);
    assert_int_equal(stop_end(matcher, out), 0);
    stop_close(matcher);
}

static void known_texts_at_every_cut(void **state)
{
    (void)state;
    static const struct {
        const char *text, *strings[4], *output;
    } cases[] = {
        {"aaab", {"aab"}, "a"},
        {"hello\n\nworld", {"\n\n"}, "hello"},
        {"hello\nworld\n", {"\n\n"}, "hello\nworld\n"}, /* what was held comes out at the end */
        {"STOP it", {"STOP"}, ""},
        {"abababac!", {"ababac"}, "ab"},
        {"abcabcabd", {"abcabd", "zzz"}, "abc"},
        {"xabcdx", {"abcd", "bc"}, "xa"},    /* bc is complete first */
        {"xabcdx", {"cd", "abcd"}, "x"},     /* at the same byte the longest */
        {"xabcdx", {"abcd", "abcd"}, "x"},   /* twice the same */
        {"xabcdx", {"abcdy", "cdx"}, "xab"}, /* the longer is held until it cannot be */
        {"aaaa", {"a"}, ""},
        {"aaaa", {"aaaaa"}, "aaaa"},
        {"\xe2\x82\xac\xe2\x82\xad", {"\xe2\x82\xad"}, "\xe2\x82\xac"},
        {"\xc3\xa9t\xc3\xa9", {"t\xc3\xa9"}, "\xc3\xa9"},
        {"", {"a"}, ""},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        size_t count = 0, size = strlen(cases[c].text);
        bool found;
        while (count < 4 && cases[c].strings[count])
            count++;
        assert_int_equal(text_end(cases[c].text, size, cases[c].strings, count, &found), strlen(cases[c].output));
        for (uint64_t cuts = 0; cuts < (uint64_t)1 << size; cuts += 2)
            check_pieces(cases[c].text, cases[c].strings, count, cuts);
    }
}

/* Strings and texts of two letters, which overlap in every way. */
static void random_texts(void **state)
{
    (void)state;
    for (uint64_t trial = 0; trial < 20000; trial++) {
        char text[41], string[5][9];
        const char *strings[5];
        size_t count = 1 + random_below(1, trial, 5), size = random_below(2, trial, sizeof text);
        for (uint64_t i = 0; i < size; i++)
            text[i] = (char)('a' + random_below(3, trial * 64 + i, 2));
        text[size] = '\0';
        for (size_t s = 0; s < count; s++) {
            size_t length = 1 + random_below(4, trial * 8 + s, 8);
            for (uint64_t i = 0; i < length; i++)
                string[s][i] = (char)('a' + random_below(5, (trial * 8 + s) * 16 + i, 2));
            string[s][length] = '\0';
            strings[s] = string[s];
        }
        check_pieces(text, strings, count, random_bits(6, trial));
        check_pieces(text, strings, count, 0);
    }
}

/* The worst that can be held, for long: every byte may be the last but one of a string that then does not come. */
static void longest_strings(void **state)
{
    (void)state;
    static char longest[STOP_SIZE_LIMIT + 1], other[STOP_SIZE_LIMIT + 1], out[1 << 17];
    const char *strings[STOP_LIMIT];
    memset(longest, 'a', STOP_SIZE_LIMIT - 1);
    longest[STOP_SIZE_LIMIT - 1] = 'b';
    memset(other, 'a', STOP_SIZE_LIMIT - 2);
    other[STOP_SIZE_LIMIT - 2] = 'c';
    for (size_t i = 0; i < STOP_LIMIT; i++)
        strings[i] = i % 2 ? longest : other;
    StopMatcher *matcher = open_matcher(strings, STOP_LIMIT);
    size_t used = 0;
    for (int i = 0; i < 100000; i++)
        used += stop_push(matcher, "a", 1, out + used);
    assert_int_equal(stop_held(matcher), STOP_SIZE_LIMIT - 1);
    assert_int_equal(used, 100000 - (STOP_SIZE_LIMIT - 1));
    used += stop_push(matcher, "b and more", 10, out + used);
    assert_true(stop_found(matcher));
    assert_int_equal(used, 100000 - (STOP_SIZE_LIMIT - 1));
    assert_int_equal(stop_push(matcher, "aaa", 3, out), 0); /* behind the end */
    assert_int_equal(stop_end(matcher, out), 0);
    stop_close(matcher);
}

static void expect_refused(const char *const *strings, size_t count, const char *message)
{
    StopMatcher *matcher;
    assert_int_equal(stop_open(strings, count, &matcher), LMU_USAGE);
    assert_null(matcher);
    assert_string_equal(lmu_error_message(), message);
}

static void bad_strings_are_refused(void **state)
{
    (void)state;
    static char long_one[STOP_SIZE_LIMIT + 2];
    const char *many[STOP_LIMIT + 1];
    memset(long_one, 'x', STOP_SIZE_LIMIT + 1);
    for (size_t i = 0; i <= STOP_LIMIT; i++)
        many[i] = "x";
    expect_refused((const char *const[]){"a", ""}, 2, "stop string 2 is empty: leave it out");
    expect_refused((const char *const[]){long_one}, 1, "stop string 1 has more than 1024 bytes");
    expect_refused(many, STOP_LIMIT + 1, "there may be 16 stop strings, not 17");
    for (int i = 0; i < 4; i++)
        expect_refused((const char *const[]){(const char *[]){"\xff", "a\xc3", "\xa9", "\xed\xa0\x80"}[i]}, 1,
                       "stop string 1 is not valid UTF-8, as the text always is: it would never be found");
    long_one[STOP_SIZE_LIMIT] = '\0';
    stop_close(open_matcher((const char *const[]){long_one}, 1));
    stop_close(open_matcher(many, STOP_LIMIT));
    StopMatcher *none = open_matcher(NULL, 0);
    char out[4];
    assert_int_equal(stop_push(none, "abc", 3, out), 3);
    stop_close(none);
    stop_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_texts_at_every_cut),
        cmocka_unit_test(random_texts),
        cmocka_unit_test(longest_strings),
        cmocka_unit_test(bad_strings_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
