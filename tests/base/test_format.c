#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <math.h>

#include "base/format.h"

static void test_counts(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t value;
    } good[] = {
        {"0", 0},
        {"8000", 8000},
        {"20M", 20000000},
        {"1.5k", 1500},
        {"1.5K", 1500},
        {"2G", 2000000000},
        {"2.05M", 2050000},
        {"0.1k", 100},
        {"-3", -3},
        {"+7", 7},
        {"2e6", 2000000},
        {"5.0", 5},
        {"1.2345M", 1234500},
        {"9223372036854775807", INT64_MAX},
        {"1.0000k", 1000},
        {"100.0k", 100000},
        {"3.0e2", 300},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        int64_t value;
        if (!parse_count(good[i].text, &value) || value != good[i].value)
            fail_msg("%s", good[i].text);
    }
    static const char *const bad[] = {
        "1.50", "",     " 1",       "1 ",    "k",     "1.5", "1kk", "1.0005k", "9223372036854775808",
        "10e",  "1e99", "99999T9",  "0x10",  "1Ki",   "nan", "inf", "--1",     ".",
        "-",    "1e 3", "9300000T", "1.2.3", "1,000", "e3"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t value;
        if (parse_count(bad[i], &value))
            fail_msg("'%s' was taken for %lld", bad[i], (long long)value);
    }
}

static void test_bytes(void **state)
{
    (void)state;
    int64_t value;
    assert_true(parse_bytes("4Gi", &value) && value == (int64_t)4 << 30);
    assert_true(parse_bytes("1.5Ki", &value) && value == 1536);
    assert_true(parse_bytes("64MiB", &value) && value == 64 << 20);
    assert_true(parse_bytes("2k", &value) && value == 2000);
    assert_true(parse_bytes("10B", &value) && value == 10);
    assert_true(parse_bytes("4096", &value) && value == 4096);
    assert_false(parse_bytes("1.3Ki", &value));
    assert_false(parse_bytes("4Xi", &value));
    assert_false(parse_bytes("i", &value));
    assert_false(parse_bytes("4i", &value));
    assert_false(parse_bytes("99999999999Gi", &value));
    assert_false(parse_bytes("4GiBB", &value));
}

static void test_durations_and_reals(void **state)
{
    (void)state;
    double value;
    assert_true(parse_duration("90", &value) && value == 90);
    assert_true(parse_duration("90s", &value) && value == 90);
    assert_true(parse_duration("10m", &value) && value == 600);
    assert_true(parse_duration("1.5h", &value) && value == 5400);
    assert_true(parse_duration("2d", &value) && value == 172800);
    assert_false(parse_duration("2w", &value));
    assert_false(parse_duration("", &value));
    assert_false(parse_duration("h", &value));
    assert_false(parse_duration("1h30m", &value));
    assert_false(parse_duration("1e308d", &value));
    assert_true(parse_real("2e-3", &value) && value == 2e-3);
    assert_true(parse_real("-.5", &value) && value == -.5);
    assert_false(parse_real("1e999", &value));
    assert_false(parse_real("nan", &value));
    assert_false(parse_real("inf", &value));
    assert_false(parse_real("0x1p3", &value));
    assert_false(parse_real(" 1", &value));
    assert_false(parse_real("1 ", &value));
    assert_false(parse_real("1.5x", &value));
}

static void test_figures(void **state)
{
    (void)state;
    char out[32];
    assert_string_equal(format_count(0, out, sizeof out), "0");
    assert_string_equal(format_count(999, out, sizeof out), "999");
    assert_string_equal(format_count(1234567, out, sizeof out), "1.23 M");
    assert_string_equal(format_count(999999, out, sizeof out), "1.00 M");
    assert_string_equal(format_count(12.345, out, sizeof out), "12.3");
    assert_string_equal(format_count(25300, out, sizeof out), "25.3 k");
    assert_string_equal(format_count(-4096, out, sizeof out), "-4.10 k");
    assert_string_equal(format_count(NAN, out, sizeof out), "?");
    assert_string_equal(format_bytes(5e9, out, sizeof out), "4.66 GiB");
    assert_string_equal(format_bytes(1023, out, sizeof out), "1023 B");
    assert_string_equal(format_duration(3725, out, sizeof out), "1:02:05");
    assert_string_equal(format_duration(59.6, out, sizeof out), "1:00");
    assert_string_equal(format_duration(7, out, sizeof out), "0:07");
    assert_string_equal(format_duration(-90, out, sizeof out), "-1:30");
    assert_string_equal(format_duration(INFINITY, out, sizeof out), "?");
}

static void test_escapes(void **state)
{
    (void)state;
    static const char *const good[][2] = {
        {"", ""},         {"plain", "plain"},
        {"\\n", "\n"},    {"a\\r\\n\\tb", "a\r\n\tb"},
        {"\\\\n", "\\n"}, {"\xc3\xa9\\\\", "\xc3\xa9\\"},
    };
    static const char *const bad[] = {"\\", "a\\", "\\x", "\\N", "\\\\\\", "\\n\\q"};
    char text[16];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(parse_escapes(good[i][0], text));
        assert_string_equal(text, good[i][1]);
        strcpy(text, good[i][0]);
        assert_true(parse_escapes(text, text)); /* in place */
        assert_string_equal(text, good[i][1]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(parse_escapes(bad[i], text));
}

static void test_nearest(void **state)
{
    (void)state;
    static const char *const names[] = {"train", "eval", "generate", "weight_decay", "order"};
#define NEAREST(text) name_nearest(text, names, 5)
    assert_string_equal(NEAREST("trian"), "train");
    assert_string_equal(NEAREST("gen"), "generate");
    assert_string_equal(NEAREST("weight-decya"), "weight_decay");
    assert_string_equal(NEAREST("ordr"), "order");
    assert_string_equal(NEAREST("Evla"), "eval");
    assert_null(NEAREST("zebra"));
    assert_null(NEAREST(""));
    assert_null(
        NEAREST("a name far too long to be compared with anything, longer than the limit of sixty-four letters"));
    char text[SUGGESTION_SIZE];
    assert_string_equal(name_suggestion("trian", names, 5, text), "; did you mean 'train'?");
    assert_string_equal(name_suggestion("zebra", names, 5, text), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts),  cmocka_unit_test(test_bytes),   cmocka_unit_test(test_durations_and_reals),
        cmocka_unit_test(test_figures), cmocka_unit_test(test_escapes), cmocka_unit_test(test_nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
