/* Generations: what a text being written tells its caller, whatever company it is in. Logits are made here, so that each token
 * is known; the last tests go on from a model's. */
#include "infer/engine_testing.h"

#include <math.h>
#include <stdio.h>

#include "base/random.h"
#include "infer/generate.h"
#include "infer/prompt.h"

enum { V = 272, ROOM = 1 << 12 };

static Opened opened;
static Tokenizer *tokenizer;
static Sampler *sampler; /* one for all texts */
static uint32_t byte_id[256];

static int open_all(void **state)
{
    (void)state;
    opened_open(&opened, BACKEND_CPU, false);
    tokenizer = opened.engine.tokenizer;
    assert_int_equal(tokenizer_size(tokenizer), V);
    assert_done(sampler_open(V, &sampler));
    for (uint32_t id = 0; id < V; id++) {
        size_t size;
        const char *bytes = tokenizer_bytes(tokenizer, id, &size);
        if (size == 1)
            byte_id[(uint8_t)*bytes] = id;
    }
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    sampler_close(sampler);
    opened_close(&opened);
    return 0;
}

static Generation *open_generation(const GenerateSettings *settings)
{
    Generation *generation;
    assert_done(generation_open(tokenizer, settings, &generation));
    return generation;
}

/* The next token is this one. */
static GenerationEvent force(Generation *generation, uint32_t token, int64_t position)
{
    float logits[V] = {0};
    GenerationEvent event;
    logits[token] = 50;
    assert_done(generation_next(generation, sampler, logits, position, &event));
    assert_int_equal(event.token, token);
    return event;
}

/* ---- known texts ---- */

/* A text written a byte at a time, NUL its end of text, and what each byte brings: the pieces divided by |. */
typedef struct Known {
    const char *bytes;
    const char *stop[3];
    int64_t max_tokens;
    bool specials;
    const char *pieces;
    FinishReason finish;
    int64_t offset; /* of the last token's text */
} Known;

static const Known known[] = {
    {"abc", {NULL}, 3, false, "a|b|c", FINISH_LENGTH, 2},
    {"aaab", {"aab"}, 9, false, "||a|", FINISH_STOP, 3},
    {"STOP", {"STOP"}, 9, false, "|||", FINISH_STOP, 3}, /* at the very start */
    {"x\n\n", {"\n\n"}, 9, false, "x||", FINISH_STOP, 2},
    {"ab", {"abc"}, 2, false, "|ab", FINISH_LENGTH, 1},  /* what is held comes out at the end */
    {"abc", {"abc"}, 3, false, "||", FINISH_STOP, 2},    /* the stop string goes before the limit */
    {"abd", {"abc"}, 9, false, "||abd", FINISH_NONE, 2}, /* and when it cannot come any more */
    {"xbc", {"abc", "bc"}, 9, false, "x||", FINISH_STOP, 2},
    {"\xc3\xa9z", {NULL}, 9, false, "|\xc3\xa9|z", FINISH_NONE, 2},
    {"\xe2\x82\xac", {"\xe2\x82\xac"}, 9, false, "||", FINISH_STOP, 0},
    {"z\xe2\x82\xac!", {"\xe2\x82\xac?"}, 9, false, "z||||\xe2\x82\xac!", FINISH_NONE, 4},
    {"\xe2\x82", {NULL}, 2, false, "|\xef\xbf\xbd", FINISH_LENGTH, 0}, /* it will never be whole */
    {"\xe2z", {NULL}, 9, false, "|\xef\xbf\xbdz", FINISH_NONE, 0},
    {"\xe2", {"\xef\xbf\xbd"}, 1, false, "", FINISH_STOP, 0}, /* a stop string that the end itself completes */
    {"a\xff", {"\xef\xbf\xbd"}, 9, false, "a|", FINISH_STOP, 1},
    {"ab", {"abc"}, 9, false, "||ab", FINISH_END_OF_TEXT, 2},
    {"a\xe2", {NULL}, 9, false, "a||\xef\xbf\xbd", FINISH_END_OF_TEXT, 1},
    {"a", {NULL}, 9, true, "a|<|endoftext|>", FINISH_END_OF_TEXT, 1},
    {"a", {"<|end"}, 9, true, "a|", FINISH_STOP, 1},
};

static void check_known(const Known *k)
{
    size_t count = 0, size = strlen(k->bytes), used = 0;
    char pieces[256] = "";
    while (count < 3 && k->stop[count])
        count++;
    GenerateSettings settings = {.sample = {.top_p = 1},
                                 .max_tokens = k->max_tokens,
                                 .specials = k->specials,
                                 .stop = k->stop,
                                 .stop_count = count};
    Generation *generation = open_generation(&settings);
    bool ended = k->finish == FINISH_END_OF_TEXT || strcmp(k->stop[0] ? k->stop[0] : "", "<|end") == 0;
    GenerationEvent event = {0};
    for (size_t i = 0; i < size + ended; i++) {
        assert_int_equal(generation_finish(generation), FINISH_NONE);
        uint32_t id = i < size ? byte_id[(uint8_t)k->bytes[i]] : (uint32_t)tokenizer_end_of_text(tokenizer);
        event = force(generation, id, (int64_t)i);
        used += (size_t)snprintf(pieces + used, sizeof pieces - used, "%s%.*s", i > 0 ? "|" : "", (int)event.size,
                                 event.text);
        assert_int_equal(event.finish, generation_finish(generation));
    }
    if (strcmp(pieces, k->pieces) != 0 || event.finish != k->finish || event.text_offset != k->offset)
        fail_msg("'%s': pieces '%s' (expected '%s'), finish %d, offset %d", k->bytes, pieces, k->pieces,
                 (int)event.finish, (int)event.text_offset);
    assert_int_equal(generation_tokens(generation), size + ended);
    generation_close(generation);
}

static void known_texts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        check_known(&known[i]);
}

/* A token that is no byte: a stop string may end in its middle, and what lies behind is no text any more. */
static void a_token_of_several_bytes(void **state)
{
    (void)state;
    for (uint32_t id = 0; id < V; id++) {
        size_t size;
        const char *bytes = tokenizer_bytes(tokenizer, id, &size);
        if (size < 2 || tokenizer_is_special(tokenizer, id))
            continue;
        for (size_t cut = 0; cut < size; cut++) {
            char stop[8] = {bytes[cut]};
            if ((uint8_t)stop[0] >= 0x80 || memchr(bytes, stop[0], size) != bytes + cut)
                continue;
            Generation *generation = open_generation(&(GenerateSettings){
                .sample = {.top_p = 1}, .max_tokens = 9, .stop = (const char *const[]){stop}, .stop_count = 1});
            GenerationEvent event = force(generation, id, 0);
            assert_int_equal(event.finish, FINISH_STOP);
            assert_int_equal(event.size, cut);
            assert_memory_equal(event.text, bytes, cut);
            generation_close(generation);
        }
    }
}

/* ---- ends ---- */

static void nothing_follows_an_end(void **state)
{
    (void)state;
    const char *stop[] = {"abc"};
    const float logits[V] = {0};
    GenerationEvent event;
    Generation *generation = open_generation(&(GenerateSettings){.sample = {.top_p = 1}});
    assert_int_equal(generation_finish(generation), FINISH_LENGTH); /* no tokens are no error */
    assert_refused(generation_next(generation, sampler, logits, 0, &event), LMU_USAGE, "has ended (length)");
    generation_close(generation);

    GenerateSettings settings = {.sample = {.top_p = 1}, .max_tokens = 9, .stop = stop, .stop_count = 1};
    generation = open_generation(&settings);
    force(generation, byte_id['a'], 0);
    force(generation, byte_id['b'], 1);
    generation_end(generation, &event);
    assert_int_equal(event.finish, FINISH_INTERRUPTED);
    assert_int_equal(event.token, -1);
    assert_int_equal(event.size, 2);
    assert_memory_equal(event.text, "ab", 2);
    generation_end(generation, &event); /* a second end brings nothing */
    assert_int_equal(event.size, 0);
    assert_refused(generation_next(generation, sampler, logits, 2, &event), LMU_USAGE, "has ended (interrupted)");
    generation_close(generation);

    generation = open_generation(&settings);
    generation_begin(generation, &(Utf8Stream){.held = {0xe2, 0x82}, .count = 2});
    event = force(generation, byte_id[0xac], 0);
    assert_int_equal(event.size, 3);
    assert_memory_equal(event.text, "\xe2\x82\xac", 3);
    generation_close(generation);
    generation_close(NULL);
}

static void settings_are_checked_and_copied(void **state)
{
    (void)state;
    Generation *generation;
    GenerateSettings bad[5];
    const char *const parts[] = {"0 tokens or more", "0 to 20 alternatives", "top-p", "is empty", "vocabulary"};
    LogitBias bias = {V, 1};
    char stop[] = "stop";
    for (int i = 0; i < 5; i++)
        bad[i] = (GenerateSettings){.sample = {.top_p = i != 2}, .max_tokens = i == 0 ? -1 : 5};
    bad[1].alternatives = LOGPROB_LIMIT + 1;
    bad[3].stop = (const char *const[]){""};
    bad[3].stop_count = 1;
    bad[4].sample.bias = &bias;
    bad[4].sample.bias_count = 1;
    for (int i = 0; i < 5; i++)
        assert_refused(generation_open(tokenizer, &bad[i], &generation), LMU_USAGE, parts[i]);

    bias = (LogitBias){7, 100};
    generation = open_generation(&(GenerateSettings){.sample = {.top_p = 1, .bias = &bias, .bias_count = 1},
                                                     .max_tokens = 5,
                                                     .stop = (const char *const[]){stop},
                                                     .stop_count = 1});
    bias.token = 8;
    stop[0] = 'x';
    float logits[V] = {0};
    GenerationEvent event;
    assert_done(generation_next(generation, sampler, logits, 0, &event));
    assert_int_equal(event.token, 7);
    generation_close(generation);
}

/* A failure changes nothing: the text goes on as if it had not been. */
static void failures_leave_it_as_it_was(void **state)
{
    (void)state;
    GenerateSettings settings = {.sample = {.top_p = 1, .temperature = 1, .frequency_penalty = 2}, .max_tokens = 9};
    Generation *generation = open_generation(&settings);
    float logits[V] = {0};
    GenerationEvent event;
    logits[3] = NAN;
    force(generation, byte_id['a'], 0);
    assert_refused(generation_next(generation, sampler, logits, 1, &event), LMU_NUMERIC, "token 3");
    assert_int_equal(generation_tokens(generation), 1);
    assert_int_equal(force(generation, byte_id['b'], 1).text_offset, 1);
    const uint32_t outside[] = {5, V};
    assert_refused(generation_read(generation, outside, 2), LMU_USAGE, "token id 272");
    generation_close(generation);
}

/* ---- log-probabilities ---- */

static void logprobs_are_the_models_own(void **state)
{
    (void)state;
    GenerateSettings settings = {.sample = {.temperature = 0.5, .top_k = 3, .top_p = 0.9, .repetition_penalty = 3},
                                 .max_tokens = 50,
                                 .logprobs = true,
                                 .alternatives = 4};
    Generation *generation = open_generation(&settings);
    float logits[V];
    for (uint64_t step = 0; step < 50 && generation_finish(generation) == FINISH_NONE; step++) {
        GenerationEvent event;
        Logprobs expected;
        for (uint64_t i = 0; i < V; i++)
            logits[i] = (float)random_normal(step, i);
        assert_done(generation_next(generation, sampler, logits, (int64_t)step, &event));
        assert_done(logprobs_find(logits, V, event.token, 4, &expected));
        assert_int_equal(event.logprobs.count, 4);
        assert_memory_equal(&event.logprobs, &expected, sizeof expected);
    }
    generation_close(generation);
}

/* ---- company ---- */

enum { COMPANY = 32, STEPS = 120 };

typedef struct Told {
    uint64_t hash;
    char text[ROOM];
    size_t size;
    int64_t tokens;
    FinishReason finish;
} Told;

/* A text of its own: other settings for each. */
static GenerateSettings member_settings(uint64_t member)
{
    static const char *const stops[] = {"ab", "aab", "q", "\xc3\xa9", "zz"};
    static const LogitBias bias[] = {{65, 2}, {66, -3}};
    return (GenerateSettings){.sample = {.temperature = member % 7 == 0 ? 0 : 0.5 + 0.1 * (double)member,
                                         .top_k = (int64_t)(member % 3) * 40,
                                         .top_p = member % 2 ? 1 : 0.9,
                                         .min_p = member % 4 == 3 ? 0.05 : 0,
                                         .repetition_penalty = member % 5 == 1 ? 1.3 : 0,
                                         .presence_penalty = member % 6 == 2 ? 1.5 : 0,
                                         .frequency_penalty = member % 6 == 4 ? -0.5 : 0,
                                         .bias = bias,
                                         .bias_count = member % 3,
                                         .seed = member / 2},
                              .max_tokens = STEPS - (int64_t)member,
                              .specials = member % 2,
                              .stop = stops,
                              .stop_count = member % 6,
                              .logprobs = member % 3 == 0,
                              .alternatives = (int64_t)(member % 9)};
}

/* One step, with logits that follow from the member, the step and the token before. */
static void member_step(Generation *generation, uint64_t member, Told *told, int32_t *last)
{
    float logits[V];
    GenerationEvent event;
    uint64_t key = random_key(member, "logits", (uint64_t)told->tokens, (uint64_t)*last);
    for (uint64_t i = 0; i < V; i++)
        logits[i] = (float)(3 * random_normal(key, i));
    assert_done(generation_next(generation, sampler, logits, told->tokens, &event));
    memcpy(told->text + told->size, event.text, event.size);
    told->size += event.size;
    told->finish = event.finish;
    told->tokens++;
    *last = event.token;
    uint64_t bits;
    for (int i = -1; i < event.logprobs.count; i++) {
        memcpy(&bits, i < 0 ? &event.logprobs.chosen : &event.logprobs.likeliest[i].value, sizeof bits);
        told->hash = random_key(told->hash ^ bits, "told", (uint64_t)event.token, (uint64_t)event.text_offset);
    }
}

static void side_by_side_as_alone(void **state)
{
    (void)state;
    static Told alone[COMPANY], together[COMPANY];
    Generation *generation[COMPANY];
    int32_t last[COMPANY] = {0};
    uint32_t prompt[] = {70, 71, 72};
    int running = COMPANY, stopped = 0;
    for (uint64_t m = 0; m < COMPANY; m++) {
        GenerateSettings settings = member_settings(m);
        Generation *one = open_generation(&settings);
        int32_t before = 0;
        assert_done(generation_read(one, prompt, 1 + m % 3));
        while (generation_finish(one) == FINISH_NONE)
            member_step(one, m, &alone[m], &before);
        generation_close(one);
        generation[m] = open_generation(&settings);
        assert_done(generation_read(generation[m], prompt, 1 + m % 3));
        stopped += alone[m].finish == FINISH_STOP;
    }
    for (uint64_t round = 0; running > 0; round++)
        for (uint64_t i = 0; i < COMPANY; i++) {
            uint64_t m = random_permute(round, COMPANY, i);
            if (generation_finish(generation[m]) != FINISH_NONE || random_below(round, m, 4) == 0)
                continue;
            member_step(generation[m], m, &together[m], &last[m]);
            running -= generation_finish(generation[m]) != FINISH_NONE;
        }
    assert_true(stopped >= 2 && stopped < COMPANY);
    for (int m = 0; m < COMPANY; m++) {
        generation_close(generation[m]);
        assert_true(alone[m].hash == together[m].hash && alone[m].finish == together[m].finish);
        assert_int_equal(alone[m].tokens, together[m].tokens);
        assert_int_equal(alone[m].size, together[m].size);
        assert_memory_equal(alone[m].text, together[m].text, alone[m].size);
    }
}

/* ---- with a model ---- */

typedef struct Written {
    char text[ROOM];
    size_t size;
} Written;

static lmu_status collect(void *context, const GenerationEvent *event)
{
    Written *written = context;
    memcpy(written->text + written->size, event->text, event->size);
    written->size += event->size;
    return LMU_OK;
}

/* Goes on from a prompt of which the generation is told by the prompt (1), by its ids (2), or not (0). */
static Written write_from(const char *text, int told, const GenerateSettings *settings)
{
    Session *session;
    Written written = {0};
    Generation *generation = open_generation(settings);
    assert_done(session_open(&opened.engine, &session));
    if (told == 2) {
        IdList list = {0};
        assert_done(tokenizer_encode(tokenizer, text, strlen(text), false, &list));
        assert_done(session_feed(session, list.id, list.count));
        assert_done(generation_read(generation, list.id, list.count));
        free(list.id);
    } else {
        Prompt *prompt;
        assert_done(prompt_open(session, false, &prompt));
        if (told == 1)
            prompt_observe(prompt, generation);
        for (size_t i = 0; i < strlen(text); i++)
            assert_done(prompt_push(prompt, text + i, 1));
        assert_done(prompt_end(prompt));
        prompt_close(prompt);
    }
    assert_done(generate_run(session, generation, collect, &written, NULL));
    generation_close(generation);
    session_close(session);
    return written;
}

static void assert_same(Written a, Written b)
{
    assert_int_equal(a.size, b.size);
    assert_memory_equal(a.text, b.text, a.size);
}

static void penalties_know_the_prompt(void **state)
{
    (void)state;
    const char *text = "the state of the memory";
    GenerateSettings settings = {.sample = {.temperature = 1, .top_p = 1, .repetition_penalty = 5, .seed = 3},
                                 .max_tokens = 60};
    Written by_prompt = write_from(text, 1, &settings), by_ids = write_from(text, 2, &settings);
    Written untold = write_from(text, 0, &settings);
    assert_same(by_prompt, by_ids);
    assert_false(untold.size == by_ids.size && memcmp(untold.text, by_ids.text, untold.size) == 0);
    settings.sample.repetition_penalty = 1;
    assert_same(write_from(text, 1, &settings), write_from(text, 0, &settings));
}

/* A stop string that comes in what a model writes cuts exactly there, and changes nothing before. */
static void a_stop_string_cuts_the_same_text(void **state)
{
    (void)state;
    GenerateSettings settings = {.sample = {.temperature = 1, .top_p = 1, .seed = 4}, .max_tokens = 200};
    Written whole = write_from("a text", 1, &settings);
    char stop[4] = "";
    size_t at = 60;
    while (at + 3 < whole.size && ((whole.text[at] | whole.text[at + 1] | whole.text[at + 2]) & 0x80))
        at++;
    assert_true(at + 3 < whole.size);
    memcpy(stop, whole.text + at, 3);
    settings.stop = (const char *const[]){stop};
    settings.stop_count = 1;
    Written cut = write_from("a text", 1, &settings);
    assert_true(cut.size <= at);
    assert_memory_equal(cut.text, whole.text, cut.size);
    assert_memory_equal(whole.text + cut.size, stop, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_texts),
        cmocka_unit_test(a_token_of_several_bytes),
        cmocka_unit_test(nothing_follows_an_end),
        cmocka_unit_test(settings_are_checked_and_copied),
        cmocka_unit_test(failures_leave_it_as_it_was),
        cmocka_unit_test(logprobs_are_the_models_own),
        cmocka_unit_test(side_by_side_as_alone),
        cmocka_unit_test(penalties_know_the_prompt),
        cmocka_unit_test(a_stop_string_cuts_the_same_text),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
