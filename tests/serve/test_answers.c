/* What answers are made of: events, base64, tokens by name, errors, the page's policy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "serve/api_error.h"
#include "serve/api_keys.h"
#include "serve/base64.h"
#include "serve/byte_queue.h"
#include "serve/metrics.h"
#include "serve/page.h"
#include "serve/token_text.h"

#define TOKENIZER "tests/golden/checkpoint/tokenizer.json"

static void test_base64(void **state)
{
    (void)state;
    /* RFC 4648, section 10 */
    static const char *const known[][2] = {{"", ""},
                                           {"f", "Zg=="},
                                           {"fo", "Zm8="},
                                           {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="},
                                           {"fooba", "Zm9vYmE="},
                                           {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        char *text;
        uint8_t *data;
        size_t size;
        assert_int_equal(base64_from_bytes(known[i][0], strlen(known[i][0]), &text), LMU_OK);
        assert_string_equal(text, known[i][1]);
        assert_int_equal(base64_to_bytes(text, strlen(text), &data, &size), LMU_OK);
        assert_int_equal(size, strlen(known[i][0]));
        assert_memory_equal(data, known[i][0], size);
        free(text);
        free(data);
    }
}

static void test_base64_any_bytes(void **state)
{
    (void)state;
    uint8_t bytes[300], *back;
    char *text;
    size_t size;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)random_bits(7, i);
    for (size_t count = 0; count < sizeof bytes; count++) {
        assert_int_equal(base64_from_bytes(bytes, count, &text), LMU_OK);
        assert_int_equal(base64_to_bytes(text, strlen(text), &back, &size), LMU_OK);
        assert_int_equal(size, count);
        assert_memory_equal(back, bytes, count);
        free(text);
        free(back);
    }
}

static void test_base64_broken(void **state)
{
    (void)state;
    static const char *const broken[] = {
        "Z",      "Zg",        "Zg=",  "Zg===", "Z===",     "====",  "Zm 9",
        "Zm9v\n", "Zm9v\nZg=", "Zm9-", "Zm9_",  "Zg==Zg==", "Zm9v!", "\xc3\xa9\xc3\xa9",
        "Zm=v",   "=Zm9"};
    uint8_t *data;
    size_t size;
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        assert_int_equal(base64_to_bytes(broken[i], strlen(broken[i]), &data, &size), LMU_FORMAT);
        assert_null(data);
    }
    assert_int_equal(base64_to_bytes("Zm\0v", 4, &data, &size), LMU_FORMAT);
}

/* What was put comes out once, in order, whatever the pieces. */
static void test_queue(void **state)
{
    (void)state;
    ByteQueue queue = {0};
    char part[97], out[97];
    uint64_t put = 0, taken = 0;
    for (uint64_t step = 0; step < 5000; step++) {
        size_t size = (size_t)random_below(3, step, sizeof part);
        if (random_below(4, step, 2)) {
            for (size_t i = 0; i < size; i++)
                part[i] = (char)(put++ % 251);
            assert_int_equal(bytes_put(&queue, part, size), LMU_OK);
        } else {
            size_t got = bytes_take(&queue, out, size);
            assert_true(got <= size);
            for (size_t i = 0; i < got; i++)
                assert_int_equal((unsigned char)out[i], taken++ % 251);
        }
        assert_int_equal(bytes_size(&queue), put - taken);
    }
    assert_true(queue.capacity < 100000); /* room that was taken from is used again */
    bytes_free(&queue);
}

/* An event is one line of data and an empty one; JSON brings no line break into it. */
static void test_events(void **state)
{
    (void)state;
    ByteQueue queue = {0};
    json_t *value = json_pack("{s:s}", "text", "a\nb\r\n\n\xe2\x80\xa8 data: x");
    assert_int_equal(bytes_put_json(&queue, value), LMU_OK);
    assert_int_equal(bytes_put_event(&queue, EVENT_DONE), LMU_OK);
    static const char expected[] = "data: {\"text\":\"a\\nb\\r\\n\\n\xe2\x80\xa8 data: x\"}\n\ndata: [DONE]\n\n";
    assert_int_equal(bytes_size(&queue), sizeof expected - 1);
    assert_memory_equal(queue.data, expected, sizeof expected - 1);
    assert_int_equal(bytes_put_json(&queue, NULL), LMU_MEMORY);
    json_decref(value);
    bytes_free(&queue);
}

static void expect_error(const ApiError *error, const char *expected)
{
    char *text = api_error_text(error);
    assert_non_null(text);
    assert_string_equal(text, expected);
    free(text);
}

static void test_errors(void **state)
{
    (void)state;
    ApiError error = {0};
    assert_int_equal(api_error_set(&error, 400, NULL, "n", "'n' is \"%s\"", "x"), LMU_USAGE);
    expect_error(&error,
                 "{\"error\":{\"message\":\"'n' is \\\"x\\\"\",\"type\":\"invalid_request_error\",\"param\":\"n\","
                 "\"code\":null}}");
    api_error_set(&error, 429, "rate_limit_exceeded", NULL, "later");
    expect_error(&error, "{\"error\":{\"message\":\"later\",\"type\":\"rate_limit_error\",\"param\":null,"
                         "\"code\":\"rate_limit_exceeded\"}}");
    api_error_take(&error, LMU_MEMORY, false, NULL); /* the first one stays */
    assert_int_equal(error.status, 429);
    error = (ApiError){0};
    api_error_take(&error, error_set(LMU_NUMERIC, "not finite"), false, "state");
    assert_int_equal(error.status, 500);
    error = (ApiError){0};
    api_error_take(&error, error_set(LMU_NUMERIC, "not finite"), true, "state");
    assert_int_equal(error.status, 400);
    assert_string_equal(error.param, "state");
    /* A message that is cut is still UTF-8, wherever the cut falls. */
    for (int lead = 0; lead < 4; lead++) {
        char longest[2048] = "xxxx";
        longest[lead] = '\0';
        while (strlen(longest) < 1000)
            strcat(longest, "\xf0\x9f\x98\x80");
        api_error_set(&error, 400, NULL, longest, "%s", longest);
        char *text = api_error_text(&error);
        assert_non_null(text);
        free(text);
        assert_true(strlen(error.message) > 500 && strlen(error.param) > 58);
        api_error_set(&error, 400, NULL, "\xff", "quoted '%.9s' in the middle", longest);
        text = api_error_text(&error);
        assert_non_null(text);
        free(text);
    }
    api_error_set(&error, 400, NULL, "p",
                  "a\xff"
                  "b\xc3");
    assert_string_equal(error.message, "a\xef\xbf\xbd"
                                       "b\xef\xbf\xbd");
}

static void test_token_names(void **state)
{
    (void)state;
    Tokenizer *tokenizer;
    assert_int_equal(tokenizer_open(TOKENIZER, &tokenizer), LMU_OK);
    TextPlace place = {.characters = 0};
    ByteQueue text = {0};
    IdList ids = {0};
    static const char written[] = "a\xc3\xa9\xf0\x9f\x98\x80z";
    assert_int_equal(tokenizer_encode(tokenizer, written, sizeof written - 1, false, &ids), LMU_OK);
    for (size_t i = 0; i < ids.count; i++) {
        size_t size;
        const char *bytes = tokenizer_bytes(tokenizer, ids.id[i], &size);
        json_t *name = token_name(tokenizer, (int32_t)ids.id[i]);
        assert_non_null(name);
        if (size == 1 && (unsigned char)bytes[0] >= 0x80)
            assert_memory_equal(json_string_value(name), "bytes:\\x", 8);
        json_decref(name);
        assert_int_equal(text_place_pass(&place, tokenizer, (int32_t)ids.id[i], false), LMU_OK);
    }
    assert_int_equal(place.characters, 4);
    Utf8Stream stream = {.count = 0};
    assert_int_equal(ids_text(tokenizer, ids.id, ids.count, true, &stream, &text), LMU_OK);
    assert_int_equal(bytes_size(&text), sizeof written - 1);
    assert_memory_equal(text.data, written, sizeof written - 1);
    bytes_free(&text);
    free(ids.id);
    tokenizer_close(tokenizer);
}

static void test_policy(void **state)
{
    (void)state;
    static const char html[] = "<script>alert(1)</script><p><script>alert(1)</script><style></style>";
    char *policy;
    assert_int_equal(page_policy(html, sizeof html - 1, &policy), LMU_OK);
    /* printf 'alert(1)' | openssl dgst -sha256 -binary | base64; and of no text */
    assert_non_null(strstr(policy, "script-src 'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI=' "
                                   "'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI='; "));
    assert_non_null(strstr(policy, "style-src 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"));
    free(policy);
    assert_int_equal(page_policy("<p>", 3, &policy), LMU_OK);
    assert_non_null(strstr(policy, "script-src 'none'; style-src 'none'"));
    free(policy);
    assert_true(page_html_size > 0);
}

static void test_keys(void **state)
{
    (void)state;
    ApiKeys *keys;
    char path[] = "/tmp/lmu-keys-XXXXXX";
    int fd = mkstemp(path);
    static const char text[] = "# a comment\n\nsecret-1\r\n  \nsecret-2";
    assert_true(fd >= 0);
    FILE *file = fdopen(fd, "w");
    fputs(text, file);
    fclose(file);
    assert_int_equal(api_keys_open(path, &keys), LMU_OK);
    assert_true(api_keys_accept(keys, "Bearer secret-1"));
    assert_true(api_keys_accept(keys, "bearer secret-2"));
    static const char *const wrong[] = {NULL,
                                        "",
                                        "secret-1",
                                        "Basic secret-1",
                                        "Bearer ",
                                        "Bearer secret",
                                        "Bearer secret-12",
                                        "Bearer # a comment",
                                        "Bearer secret-1 "};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(api_keys_accept(keys, wrong[i]));
    api_keys_close(keys);
    file = fopen(path, "w");
    fputs("# none\n", file);
    fclose(file);
    assert_int_equal(api_keys_open(path, &keys), LMU_FORMAT);
    file = fopen(path, "w");
    fputs("two words\n", file);
    fclose(file);
    assert_int_equal(api_keys_open(path, &keys), LMU_FORMAT);
    remove(path);
    assert_int_equal(api_keys_open(path, &keys), LMU_IO);
}

static void test_metrics(void **state)
{
    (void)state;
    static Metrics metrics = {.route = {"/a", "/b"}};
    ByteQueue text = {0};
    metrics_request(&metrics, 1, 200);
    metrics_request(&metrics, 1, 200);
    metrics_request(&metrics, 0, 418); /* counted, as one of no known code */
    histogram_note(&metrics.first_token, 0.002);
    histogram_note(&metrics.first_token, 100);
    assert_int_equal(metrics_write(&metrics, &text), LMU_OK);
    assert_int_equal(bytes_put(&text, "", 1), LMU_OK);
    static const char *const lines[] = {"\nlmu_requests_total{route=\"/b\",code=\"200\"} 2\n",
                                        "\nlmu_requests_total{route=\"/a\",code=\"0\"} 1\n",
                                        "\nlmu_time_to_first_token_seconds_bucket{le=\"0.001\"} 0\n",
                                        "\nlmu_time_to_first_token_seconds_bucket{le=\"0.0025\"} 1\n",
                                        "\nlmu_time_to_first_token_seconds_bucket{le=\"60\"} 1\n",
                                        "\nlmu_time_to_first_token_seconds_bucket{le=\"+Inf\"} 2\n",
                                        "\nlmu_time_to_first_token_seconds_count 2\n",
                                        "\nlmu_time_to_first_token_seconds_sum 100.002000000\n"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (!strstr(text.data, lines[i]))
            fail_msg("%s is not in %s", lines[i], text.data);
    bytes_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base64),        cmocka_unit_test(test_base64_any_bytes),
        cmocka_unit_test(test_base64_broken), cmocka_unit_test(test_queue),
        cmocka_unit_test(test_events),        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_token_names),   cmocka_unit_test(test_policy),
        cmocka_unit_test(test_keys),          cmocka_unit_test(test_metrics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
