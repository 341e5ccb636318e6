/* json_line_text() against jansson: what it takes, jansson takes, with the same text; what it leaves is unchanged. */
#include "text/testing.h"

#include <jansson.h>

#include "base/random.h"
#include "text/json_line.h"

/* Whether json_line_text() took the line; the answer is compared with jansson's. */
static bool check(const char *line, size_t length)
{
    char *copy = malloc(length ? length : 1),
         *text = NULL; /* of this size, for the sanitizer to see a read behind it */
    size_t size = 0;
    memcpy(copy, line, length);
    bool taken = json_line_text(copy, length, "text", &text, &size);
    if (taken) {
        /* jansson refuses numbers that no double holds, which are fine where nobody reads them */
        json_t *root = json_loadb(line, length, 0, NULL);
        if (root) {
            const json_t *value = json_object_get(root, "text");
            assert_true(json_is_string(value));
            assert_int_equal(size, json_string_length(value));
            assert_memory_equal(text, json_string_value(value), size);
            json_decref(root);
        }
        assert_true(text >= copy && text + size <= copy + length);
    } else {
        assert_memory_equal(copy, line, length);
    }
    free(copy);
    return taken;
}

static void test_taken(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "{\"text\":\"\"}",
        "{\"text\": \"plain, and longer than eight bytes\"}",
        " \t{ \"text\" : \"spaces\" } \r",
        "{\"id\": 5, \"text\": \"a\", \"more\": [1, {\"text\": \"inner\"}, null, true, false, -0.5e-3, []], \"e\": {}}",
        "{\"text\": \"\\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u00e9 \\u4e2d \\uD83D\\uDE00 \\u0041\"}",
        "{\"text\": \"N\303\244chte \344\270\255 \360\237\230\200\"}",
        "{\"text\": \"\177\"}",
        "{\"a\": \"\\ud83d\\ude00\", \"text\": \"b\"}",
        "{\"a\": 0, \"b\": -10, \"c\": 1.50, \"d\": 1E+2, \"e\": 2e9, \"text\": \"numbers\"}",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (!check(lines[i], strlen(lines[i])))
            fail_msg("%s", lines[i]);
}

static void test_left(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "",
        " ",
        "null",
        "\"text\"",
        "[\"text\"]",
        "{}",
        "{",
        "{\"text\"",
        "{\"text\":",
        "{\"text\": \"a",
        "{\"text\": \"a\"",
        "{\"text\": \"a\"} x",
        "{\"text\": \"a\"},",
        "{\"text\": \"a\",}",
        "{\"text\" \"a\"}",
        "{text: \"a\"}",
        "{\"txt\": \"a\"}",
        "{\"text\": 5}",
        "{\"text\": null}",
        "{\"text\": \"a\", \"text\": \"b\"}",
        "{\"t\\u0065xt\": \"a\"}",
        "{\"text\": \"\\u0000\"}",
        "{\"text\": \"\\ud800\"}",
        "{\"text\": \"\\udc00\"}",
        "{\"text\": \"\\ud800\\u0041\"}",
        "{\"text\": \"\\ud800x\"}",
        "{\"text\": \"\\u12\"}",
        "{\"text\": \"\\u12g4\"}",
        "{\"text\": \"\\x41\"}",
        "{\"text\": \"\\\"}",
        "{\"text\": \"a\tb\"}",
        "{\"text\": \"\303\"}",
        "{\"text\": \"\300\200\"}",
        "{\"text\": \"\355\240\200\"}",
        "{\"text\": \"\364\220\200\200\"}",
        "{\"a\": 01, \"text\": \"\"}",
        "{\"a\": 1., \"text\": \"\"}",
        "{\"a\": .5, \"text\": \"\"}",
        "{\"a\": -, \"text\": \"\"}",
        "{\"a\": 1e, \"text\": \"\"}",
        "{\"a\": +1, \"text\": \"\"}",
        "{\"a\": nul, \"text\": \"\"}",
        "{\"a\": [1 2], \"text\": \"\"}",
        "{\"a\": [1,], \"text\": \"\"}",
        "{\"a\": {\"b\"}, \"text\": \"\"}",
        "{\"a\": {1: 2}, \"text\": \"\"}",
        "{\"a\": [}, \"text\": \"\"}",
        "{\"a\": \"\377\", \"text\": \"\"}",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (check(lines[i], strlen(lines[i])))
            fail_msg("%s", lines[i]);
    assert_false(check("{\"text\": \"a\0b\"}", 14));
    char deep[1000] = "{\"text\": \"a\", \"b\": ";
    memset(deep + strlen(deep), '[', 400);
    assert_false(check(deep, strlen(deep)));
}

/* Good lines with a few bytes changed, cut or doubled: every answer agrees with jansson's. */
static void test_damaged(void **state)
{
    (void)state;
    static const char good[] = "{\"id\": [1.5, {\"a\": null}], \"text\": \"N\303\244chte \\u4e2d\\ud83d\\ude00\\n "
                               "\360\237\230\200\", \"b\": -2e5}";
    static const char bytes[] = "\"\\{}[]:,u0dDe1 \tntx\303\244\200\377";
    uint64_t key = random_key(11, "damage", 0, 0);
    int taken = 0;
    for (uint64_t trial = 0, draw = 0; trial < 60000; trial++) {
        char line[sizeof good];
        size_t length = sizeof good - 1;
        memcpy(line, good, sizeof good);
        for (uint64_t change = random_below(key, draw++, 3); change > 0; change--) {
            size_t at = random_below(key, draw++, length);
            if (random_below(key, draw++, 3) == 0)
                memmove(line + at, line + at + 1, --length - at);
            else
                line[at] = bytes[random_below(key, draw++, sizeof bytes - 1)];
        }
        taken += check(line, length);
    }
    assert_in_range(taken, 20000, 55000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_taken),
        cmocka_unit_test(test_left),
        cmocka_unit_test(test_damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
