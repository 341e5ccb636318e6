/* Bodies of POST /v1/completions: what each key becomes, and every way to be refused, with the key that is named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "serve/request.h"

#define TOKENIZER "tests/golden/checkpoint/tokenizer.json"
#define VOCABULARY 300

static const RequestLimits limits = {.prompt_tokens = 1000, .max_tokens = 100};

static CompletionRequest parse(const char *body)
{
    CompletionRequest request;
    ApiError error = {0};
    if (request_parse(body, strlen(body), &limits, VOCABULARY, &request, &error) != LMU_OK)
        fail_msg("%s: %u %s", body, error.status, error.message);
    assert_int_equal(error.status, 0);
    return request;
}

static void refuse_bytes(const char *body, size_t size, unsigned status, const char *param, const char *part)
{
    CompletionRequest request;
    ApiError error = {0};
    lmu_status got = request_parse(body, size, &limits, VOCABULARY, &request, &error);
    if (got == LMU_OK || error.status != status || strcmp(error.param, param) != 0 || !strstr(error.message, part))
        fail_msg("%s: status %d, %u, param '%s', '%s'", body, (int)got, error.status, error.param, error.message);
    assert_null(request.json);
    assert_null(request.prompt);
}

static void refuse(const char *body, const char *param, const char *part)
{
    refuse_bytes(body, strlen(body), 400, param, part);
}

static void test_defaults(void **state)
{
    (void)state;
    CompletionRequest r = parse("{}");
    assert_int_equal(r.prompt_count, 1);
    assert_int_equal(r.prompt[0].size, 0);
    assert_int_equal(r.settings.max_tokens, 16);
    assert_int_equal(r.n, 1);
    assert_int_equal(r.logprobs, -1);
    assert_true(r.settings.sample.temperature == 1 && r.settings.sample.top_p == 1);
    assert_true(r.settings.sample.repetition_penalty == 1 && r.settings.sample.min_p == 0);
    assert_false(r.echo || r.stream || r.include_usage || r.has_seed || r.state_return || r.state_keep);
    assert_int_equal(r.start, START_FRESH);
    request_free(&r);
    request_free(&r); /* of one that is freed: nothing */
}

/* null is what clients send for what they do not set. */
static void test_null(void **state)
{
    (void)state;
    CompletionRequest r =
        parse("{\"prompt\": null, \"suffix\": null, \"best_of\": null, \"logprobs\": null, \"n\": null,"
              "\"stop\": null, \"tools\": null, \"state\": null, \"stream_options\": null}");
    assert_int_equal(r.prompt_count, 1);
    assert_int_equal(r.settings.stop_count, 0);
    request_free(&r);
}

static void test_all_keys(void **state)
{
    (void)state;
    CompletionRequest r = parse(
        "{\"model\": \"m\", \"prompt\": [\"a\", \"b\\u0000c\", [1, 2, 299]], \"stream\": true,"
        "\"stream_options\": {\"include_usage\": true}, \"echo\": true, \"n\": 3, \"best_of\": 3, \"max_tokens\": 100,"
        "\"logprobs\": 20, \"stop\": [\"x\", \"yy\"], \"seed\": -1, \"temperature\": 0, \"top_p\": 0, \"top_k\": 5,"
        "\"min_p\": 0.5, \"repetition_penalty\": 2, \"presence_penalty\": -2, \"frequency_penalty\": 2,"
        "\"logit_bias\": {\"7\": -100, \"8\": 1.5}, \"specials\": true, \"user\": \"u\"}");
    assert_string_equal(r.model, "m");
    assert_int_equal(r.prompt_count, 3);
    assert_int_equal(r.prompt[1].size, 3);
    assert_null(r.prompt[2].text);
    assert_int_equal(r.prompt[2].ids.count, 3);
    assert_int_equal(r.prompt[2].ids.id[2], 299);
    assert_true(r.stream && r.include_usage && r.echo && r.has_seed && r.settings.specials && r.settings.logprobs);
    assert_int_equal(r.n, 3);
    assert_int_equal(r.settings.max_tokens, 100);
    assert_int_equal(r.settings.alternatives, 20);
    assert_int_equal(r.settings.stop_count, 2);
    assert_string_equal(r.stop[1], "yy");
    assert_true(r.settings.sample.seed == UINT64_MAX);
    assert_true(r.settings.sample.temperature == 0 && r.settings.sample.top_p > 0 && r.settings.sample.top_p < 1e-6);
    assert_int_equal(r.settings.sample.top_k, 5);
    assert_true(r.settings.sample.min_p == 0.5 && r.settings.sample.repetition_penalty == 2);
    assert_true(r.settings.sample.presence_penalty == -2 && r.settings.sample.frequency_penalty == 2);
    assert_int_equal(r.settings.sample.bias_count, 2);
    assert_int_equal(r.settings.sample.bias[1].token, 8);
    request_free(&r);
}

static void test_refusals(void **state)
{
    (void)state;
    refuse("", "", "empty");
    refuse("{", "", "not valid JSON at line 1");
    refuse("[]", "", "no object");
    refuse("3", "", "not valid JSON");
    refuse("{\"n\": 1, \"n\": 2}", "", "duplicate");
    refuse("{} x", "", "not valid JSON");
    refuse("{\"prompt\": \"\xff\"}", "", "not valid JSON");
    refuse("{\"prompt\": \"\xed\xa0\x80\"}", "", "not valid JSON"); /* a surrogate */
    refuse("{\"prompt\": \"\\ud800\"}", "", "not valid JSON");
    refuse("{\"tempurature\": 1}", "tempurature", "did you mean 'temperature'?");
    refuse("{\"a\\u0000b\": 1}", "", "not valid JSON");
    refuse("{\"suffix\": \"x\"}", "suffix", "not supported");
    refuse("{\"functions\": []}", "functions", "not supported");
    refuse("{\"messages\": []}", "messages", "not supported");
    refuse("{\"n\": 0}", "n", "it goes from 1 to 128");
    refuse("{\"n\": 129}", "n", "it goes from 1 to 128");
    refuse("{\"n\": 1.0}", "n", "a real number; an integer is expected");
    refuse("{\"n\": 99999999999999999999}", "", "not valid JSON");
    refuse("{\"best_of\": 2}", "best_of", "not supported");
    refuse("{\"max_tokens\": -1}", "max_tokens", "it goes from 0 to 100");
    refuse("{\"max_tokens\": 101}", "max_tokens", "it goes from 0 to 100");
    refuse("{\"max_tokens\": \"5\"}", "max_tokens", "a string; an integer is expected");
    refuse("{\"logprobs\": 21}", "logprobs", "it goes from 0 to 20");
    refuse("{\"logprobs\": true}", "logprobs", "true; an integer is expected");
    refuse("{\"temperature\": 2.1}", "temperature", "it goes from 0 to 2");
    refuse("{\"temperature\": -0.1}", "temperature", "it goes from 0 to 2");
    refuse("{\"temperature\": \"hot\"}", "temperature", "a number is expected");
    refuse("{\"top_p\": 1.1}", "top_p", "it goes from 0 to 1");
    refuse("{\"min_p\": -1}", "min_p", "it goes from 0 to 1");
    refuse("{\"top_k\": -1}", "top_k", "it goes from 0");
    refuse("{\"repetition_penalty\": 0}", "repetition_penalty", "it goes from 0.01");
    refuse("{\"presence_penalty\": 2.5}", "presence_penalty", "it goes from -2 to 2");
    refuse("{\"frequency_penalty\": -2.5}", "frequency_penalty", "it goes from -2 to 2");
    refuse("{\"seed\": 1.5}", "seed", "an integer is expected");
    refuse("{\"echo\": 1}", "echo", "true or false");
    refuse("{\"stream\": \"yes\"}", "stream", "true or false");
    refuse("{\"model\": 3}", "model", "a string is expected");
    refuse("{\"model\": \"a\\u0000\"}", "model", "NUL");
    refuse("{\"user\": []}", "user", "a string is expected");
    refuse("{\"stop\": 3}", "stop", "a string or an array");
    refuse("{\"stop\": [3]}", "stop", "a string is expected");
    refuse("{\"stop\": \"\"}", "stop", "1 to 1024 bytes, not 0");
    refuse("{\"stop\": \"a\\u0000b\"}", "stop", "NUL");
    refuse("{\"stop\": [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]}", "stop", "17 strings; there can be 16");
    refuse("{\"logit_bias\": []}", "logit_bias", "an object is expected");
    refuse("{\"logit_bias\": {\"300\": 1}}", "logit_bias", "is no token id");
    refuse("{\"logit_bias\": {\"-1\": 1}}", "logit_bias", "is no token id");
    refuse("{\"logit_bias\": {\"x\": 1}}", "logit_bias", "'x' is no token id");
    refuse("{\"logit_bias\": {\"1 \": 1}}", "logit_bias", "is no token id");
    refuse("{\"logit_bias\": {\"\": 1}}", "logit_bias", "is no token id");
    refuse("{\"logit_bias\": {\"1\": 101}}", "logit_bias", "no number from -100 to 100");
    refuse("{\"logit_bias\": {\"1\": null}}", "logit_bias", "no number from -100 to 100");
    refuse("{\"stream_options\": {\"include_usage\": true}}", "stream_options", "'stream': true");
    refuse("{\"stream\": true, \"stream_options\": {\"x\": 1}}", "stream_options", "no key 'x'");
    refuse("{\"stream\": true, \"stream_options\": {\"include_usage\": 1}}", "stream_options.include_usage", "true or");
}

static void test_prompts(void **state)
{
    (void)state;
    char *body = malloc(20000);
    assert_non_null(body);
    refuse("{\"prompt\": 3}", "prompt", "an integer; a string");
    refuse("{\"prompt\": {}}", "prompt", "an object; a string");
    refuse("{\"prompt\": [true]}", "prompt", "true; a string");
    refuse("{\"prompt\": [1, \"a\"]}", "prompt", "element 1 is a string");
    refuse("{\"prompt\": [1, 1.5]}", "prompt", "element 1 is a real number");
    refuse("{\"prompt\": [300]}", "prompt", "300 is no token id: ids go from 0 to 299");
    refuse("{\"prompt\": [-1]}", "prompt", "-1 is no token id");
    refuse("{\"prompt\": [[1], [2, null]]}", "prompt", "element 1 is null");
    refuse("{\"prompt\": [[[1]]]}", "prompt", "element 0 is an array");
    strcpy(body, "{\"prompt\": [1");
    for (int i = 0; i < 1000; i++)
        strcat(body, ",1");
    strcat(body, "]}");
    refuse(body, "prompt", "1001 tokens; this server reads 1000");
    strcpy(body, "{\"prompt\": [\"\"");
    for (int i = 0; i < REQUEST_CHOICES; i++)
        strcat(body, ",\"\"");
    strcat(body, "]}");
    refuse(body, "prompt", "1025 prompts are more than 1024");
    refuse("{\"prompt\": [[1],[1],[1],[1],[1],[1],[1],[1],[1]], \"n\": 128}", "n", "are more than 1024 texts");
    strcpy(body, "{\"prompt\": ");
    for (int i = 0; i < 5000; i++)
        strcat(body, "[");
    refuse(body, "", "more than 16 levels");
    CompletionRequest r = parse("{\"prompt\": \"[[[[[[[[[[[[[[[[[[[[{{{{\\\"[[[[[[[\"}"); /* brackets in a string */
    request_free(&r);
    r = parse("{\"prompt\": []}");
    assert_int_equal(r.prompt_count, 1);
    assert_int_equal(r.prompt[0].ids.count, 0);
    request_free(&r);
    free(body);
}

static void test_states(void **state)
{
    (void)state;
    CompletionRequest r = parse("{\"state\": \"return\"}");
    assert_true(r.state_return && !r.state_keep && r.start == START_FRESH);
    request_free(&r);
    r = parse("{\"state\": \"Zm9v\"}"); /* who sends one gets the next */
    assert_true(r.state_return && r.start == START_DATA && r.state_size == 3 && memcmp(r.state, "foo", 3) == 0);
    request_free(&r);
    r = parse("{\"state\": {\"data\": \"Zm9v\", \"keep\": true}}");
    assert_true(!r.state_return && r.state_keep && r.start == START_DATA);
    request_free(&r);
    r = parse("{\"state\": {\"id\": \"0123456789abcdef0123456789abcdef\", \"return\": true}}");
    assert_true(r.state_return && !r.state_keep && r.start == START_ID);
    request_free(&r);
    r = parse("{\"state\": {}}");
    assert_true(!r.state_return && !r.state_keep && r.start == START_FRESH);
    request_free(&r);
    refuse("{\"state\": 3}", "state", "an integer");
    refuse("{\"state\": \"Zm9\"}", "state", "not base64");
    refuse("{\"state\": \"Zm9v\\u0000\"}", "state", "not base64");
    refuse("{\"state\": {\"data\": 3}}", "state.data", "a string is expected");
    refuse("{\"state\": {\"id\": 3}}", "state.id", "a string is expected");
    refuse("{\"state\": {\"id\": \"abc\"}}", "state", "32 hexadecimal digits");
    refuse("{\"state\": {\"id\": \"0123456789ABCDEF0123456789abcdef\"}}", "state", "32 hexadecimal digits");
    refuse("{\"state\": {\"keep\": 1}}", "state.keep", "true or false");
    refuse("{\"state\": {\"x\": 1}}", "state", "no key 'x'");
    refuse("{\"state\": {\"data\": \"Zm9v\", \"id\": \"0123456789abcdef0123456789abcdef\"}}", "state", "from one");
    refuse("{\"state\": {\"data\": \"Zm9v\", \"data\": \"Zm9v\"}}", "", "duplicate");
    refuse("{\"state\": \"Zm9v\", \"prompt\": [\"a\", \"b\"]}", "prompt", "2 prompts cannot go on behind one");
}

/* Ids, whether they came as text or as ids; keys of whole blocks, each of all ids before. */
static void test_tokenize(void **state)
{
    (void)state;
    Tokenizer *tokenizer;
    TextPool *pool;
    ApiError error = {0};
    assert_int_equal(tokenizer_open(TOKENIZER, &tokenizer), LMU_OK);
    assert_int_equal(text_pool_open(tokenizer, &pool), LMU_OK);
    RequestLimits wide = {.prompt_tokens = 1000, .max_tokens = 1 << 20};
    CompletionRequest r, other;
    char body[4000] = "{\"prompt\": \"";
    for (int i = 0; i < 700; i++)
        strcat(body, i % 2 ? "a" : "7");
    strcat(body, "\"}");
    r = parse(body);
    assert_int_equal(request_tokenize(&r, pool, &wide, &error), LMU_OK);
    assert_int_equal(r.prompt[0].key_count, r.prompt[0].ids.count / SESSION_BLOCK);
    assert_true(r.prompt[0].key_count >= 1 && !r.prompt[0].begun);
    body[12 + (r.prompt[0].ids.count == 700 ? 300 : 650)] = 'z'; /* behind the first block */
    other = parse(body);
    assert_int_equal(request_tokenize(&other, pool, &wide, &error), LMU_OK);
    assert_memory_equal(&r.prompt[0].key[0], &other.prompt[0].key[0], sizeof(StateKey));
    if (r.prompt[0].key_count > 1)
        assert_memory_not_equal(&r.prompt[0].key[1], &other.prompt[0].key[1], sizeof(StateKey));
    request_free(&other);
    request_free(&r);
    r = parse("{}");
    assert_int_equal(request_tokenize(&r, pool, &wide, &error), LMU_OK);
    assert_true(r.prompt[0].begun && r.prompt[0].ids.count == 1 &&
                r.prompt[0].ids.id[0] == tokenizer_end_of_text(tokenizer));
    request_free(&r);
    r = parse("{\"state\": \"Zm9v\"}");
    assert_int_equal(request_tokenize(&r, pool, &wide, &error), LMU_OK);
    assert_int_equal(r.prompt[0].ids.count, 0);
    request_free(&r);
    RequestLimits narrow = {.prompt_tokens = 3, .max_tokens = 10};
    r = parse("{\"prompt\": \"7a7a7a7a\"}");
    assert_int_equal(request_tokenize(&r, pool, &narrow, &error), LMU_USAGE);
    assert_true(error.status == 400 && strcmp(error.code, "context_length_exceeded") == 0);
    request_free(&r);
    r = parse("{\"prompt\": [\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\"], \"n\": 128, \"logprobs\": 20}");
    r.settings.max_tokens = 100;
    assert_int_equal(request_tokenize(&r, pool, &wide, &error), LMU_USAGE);
    assert_string_equal(error.param, "logprobs");
    request_free(&r);
    text_pool_close(pool);
    text_pool_close(NULL);
    tokenizer_close(tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults), cmocka_unit_test(test_null),    cmocka_unit_test(test_all_keys),
        cmocka_unit_test(test_refusals), cmocka_unit_test(test_prompts), cmocka_unit_test(test_states),
        cmocka_unit_test(test_tokenize),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
