#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "infer/utf8.h"

#define R "\xef\xbf\xbd"

/* Input and what Python's bytes.decode("utf-8", "replace") makes of it. */
static const struct {
    const char *input, *output;
} cases[] = {
    {"", ""},
    {"plain", "plain"},
    {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x99\x82", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x99\x82"},
    {"\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf"},
    {"\xef\xbf\xbd", R},
    {"a\x80z", "a" R "z"},
    {"\xff\xfe", R R},
    {"\xc0\xaf", R R},             /* overlong */
    {"\xe0\x80\xaf", R R R},       /* overlong */
    {"\xf0\x80\x80\xaf", R R R R}, /* overlong */
    {"\xed\xa0\x80", R R R},       /* a surrogate */
    {"\xf4\x90\x80\x80", R R R R}, /* behind U+10FFFF */
    {"\xf5\x80", R R},
    {"\xe2\x82", R},
    {"\xe2\x82z", R "z"},
    {"\xe2\x82\xe2\x82\xac", R "\xe2\x82\xac"},
    {"\xf0\x9f\x99", R},
    {"\xf0\x9f\x99\xc3\xa9", R "\xc3\xa9"},
    {"\xf0\x9f", R},
    {"\xc3\xc3\xa9", R "\xc3\xa9"},
    {"\xc3", R},
};

static void bytes_become_characters_however_they_are_cut(void **state)
{
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        size_t size = strlen(cases[c].input);
        for (unsigned cuts = 0; cuts < 1u << size; cuts++) { /* bit i: a cut before byte i */
            Utf8Stream stream = {0};
            char out[128];
            size_t used = 0, start = 0;
            for (size_t i = 1; i <= size; i++)
                if (i == size || cuts >> i & 1) {
                    size_t wrote = utf8_push(&stream, cases[c].input + start, i - start, out + used);
                    assert_true(wrote <= UTF8_ROOM(i - start));
                    used += wrote;
                    start = i;
                }
            used += utf8_end(&stream, out + used);
            assert_int_equal(used, strlen(cases[c].output));
            assert_memory_equal(out, cases[c].output, used);
            assert_int_equal(utf8_end(&stream, out), 0);
        }
    }
}

static void a_character_is_held_until_it_is_whole(void **state)
{
    (void)state;
    Utf8Stream stream = {0};
    char out[UTF8_ROOM(4)];
    assert_int_equal(utf8_push(&stream, "a\xf0", 2, out), 1);
    assert_int_equal(out[0], 'a');
    assert_int_equal(utf8_push(&stream, "\x9f\x99", 2, out), 0);
    assert_int_equal(utf8_push(&stream, "\x82z", 2, out), 5);
    assert_memory_equal(out, "\xf0\x9f\x99\x82z", 5);
}

/* Random bytes of the kinds that matter: the output is valid, which a second pass through it shows by changing nothing. */
static void output_is_always_valid(void **state)
{
    (void)state;
    static const uint8_t kinds[] = {'a',  0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2,
                                    0xdf, 0xe0, 0xe1, 0xed, 0xef, 0xf0, 0xf1, 0xf4, 0xf5, 0xff};
    for (uint64_t trial = 0; trial < 20000; trial++) {
        uint8_t input[12];
        for (uint64_t i = 0; i < sizeof input; i++)
            input[i] = kinds[random_below(1, trial * 16 + i, sizeof kinds)];
        char once[UTF8_ROOM(12) + 3], twice[UTF8_ROOM(sizeof once) + 3];
        Utf8Stream stream = {0};
        size_t used = utf8_push(&stream, input, sizeof input, once);
        used += utf8_end(&stream, once + used);
        size_t again = utf8_push(&stream, once, used, twice);
        again += utf8_end(&stream, twice + again);
        assert_int_equal(again, used);
        assert_memory_equal(once, twice, used);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_become_characters_however_they_are_cut),
        cmocka_unit_test(a_character_is_held_until_it_is_whole),
        cmocka_unit_test(output_is_always_valid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
