/* Sessions: however a text is fed, the same comes out; sessions are apart; memory does not grow with the text. */
#include "infer/engine_testing.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>

#include "base/file.h"
#include "base/machine.h"
#include "base/memory.h"
#include "base/random.h"
#include "infer/generate.h"
#include "infer/prompt.h"

#define VOCABULARY 272
#define PROMPT 1000 /* ids: three blocks and a part */

static Opened opened;

static int open_golden(void **state)
{
    (void)state;
    opened_open(&opened, BACKEND_CPU, false);
    return 0;
}

static int open_golden_bf16(void **state)
{
    (void)state;
    opened_open_bf16(&opened, false);
    return 0;
}

static int close_golden(void **state)
{
    (void)state;
    opened_close(&opened);
    return 0;
}

static void draw_ids(uint64_t key, uint32_t *id, size_t count)
{
    for (size_t i = 0; i < count; i++)
        id[i] = (uint32_t)random_below(key, i, VOCABULARY);
}

static Session *fresh_session(void)
{
    Session *session;
    assert_done(session_open(&opened.engine, &session));
    return session;
}

/* ---- what is written, collected ---- */

typedef struct Written {
    char text[1 << 14];
    size_t size;
    int pieces;
    int most; /* pieces before it fails; 0: never */
} Written;

static lmu_status collect(void *context, const GenerationEvent *event)
{
    Written *written = context;
    assert_true(written->size + event->size <= sizeof written->text);
    memcpy(written->text + written->size, event->text, event->size);
    written->size += event->size;
    written->pieces += event->size > 0;
    return written->most > 0 && written->pieces >= written->most ? error_set(LMU_IO, "the paper is full") : LMU_OK;
}

static const GenerateSettings lively = {.sample = {.temperature = 1, .top_p = 1, .seed = 5}, .max_tokens = 300};

/* Goes on with a new generation; `begun` may be NULL. What it came to, into *tokens and *finish. */
static lmu_status go_on(Session *session, const GenerateSettings *settings, const Utf8Stream *begun, Written *written,
                        const Progress *progress, int64_t *tokens, FinishReason *finish)
{
    Generation *generation;
    TRY(generation_open(session_engine(session)->tokenizer, settings, &generation));
    if (begun)
        generation_begin(generation, begun);
    lmu_status status = generate_run(session, generation, collect, written, progress);
    *tokens = generation_tokens(generation);
    *finish = generation_finish(generation);
    generation_close(generation);
    return status;
}

static Written write_on(Session *session, const GenerateSettings *settings)
{
    Written written = {0};
    int64_t tokens;
    FinishReason finish;
    assert_done(go_on(session, settings, NULL, &written, NULL, &tokens, &finish));
    return written;
}

/* ---- any split ---- */

/* The logits behind the prompt when it comes in pieces of `piece` ids (0: of every size up to 400), and the text that follows. */
static Written feed_in_pieces(const uint32_t *id, size_t piece, float *logits)
{
    Session *session = fresh_session();
    for (size_t done = 0, part; done < PROMPT; done += part) {
        part = piece > 0 ? piece : 1 + random_below(11, done, 400);
        part = part < PROMPT - done ? part : PROMPT - done;
        assert_done(session_feed(session, id + done, part));
    }
    const float *found;
    assert_int_equal(session_position(session), PROMPT);
    assert_done(session_logits(session, &found));
    memcpy(logits, found, VOCABULARY * sizeof *logits);
    assert_done(session_logits(session, &found)); /* asking twice changes nothing */
    assert_memory_equal(logits, found, VOCABULARY * sizeof *logits);
    Written written = write_on(session, &lively);
    session_close(session);
    return written;
}

static void test_any_split(void **state)
{
    (void)state;
    static const size_t pieces[] = {1, 2, 3, 16, 17, 255, 256, 257, 999, 0};
    uint32_t id[PROMPT];
    float whole[VOCABULARY], split[VOCABULARY];
    draw_ids(3, id, PROMPT);
    Written first = feed_in_pieces(id, PROMPT, whole);
    assert_true(first.size > 100);
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        Written other = feed_in_pieces(id, pieces[i], split);
        assert_memory_equal(whole, split, sizeof whole);
        assert_int_equal(first.size, other.size);
        assert_memory_equal(first.text, other.text, first.size);
    }
}

/* Logits asked for behind every token make the model run one token at a time. */
static void test_token_by_token(void **state)
{
    (void)state;
    uint32_t id[PROMPT];
    float whole[VOCABULARY];
    draw_ids(4, id, PROMPT);
    Written text = feed_in_pieces(id, PROMPT, whole);
    Session *session = fresh_session();
    const float *logits = NULL;
    for (size_t i = 0; i < PROMPT; i++) {
        assert_done(session_feed(session, id + i, 1));
        assert_done(session_logits(session, &logits));
    }
    double worst = 0, largest = 0;
    for (int i = 0; i < VOCABULARY; i++) {
        worst = fmax(worst, fabs((double)(logits[i] - whole[i])));
        largest = fmax(largest, fabs((double)whole[i]));
    }
    print_message("token by token: difference %.2e of %.2f\n", worst, largest);
    bool bf16 = opened.backend->compute == COMPUTE_BF16; /* which of two a number rounds to may hang on its last bit */
    assert_true(largest > 1 && worst <= (bf16 ? 0x1p-6 : 1e-4) * largest);
    Written other = write_on(session, &lively);
    if (!bf16) {
        assert_int_equal(text.size, other.size);
        assert_memory_equal(text.text, other.text, text.size);
    }
    session_close(session);
}

static void test_order_matters(void **state)
{
    (void)state;
    uint32_t id[PROMPT];
    float whole[VOCABULARY], swapped[VOCABULARY];
    draw_ids(3, id, PROMPT);
    feed_in_pieces(id, PROMPT, whole);
    uint32_t first = id[PROMPT - 2];
    id[PROMPT - 2] = id[PROMPT - 3];
    id[PROMPT - 3] = first;
    feed_in_pieces(id, PROMPT, swapped);
    assert_memory_not_equal(whole, swapped, sizeof whole);
}

/* ---- apart ---- */

static void test_isolation(void **state)
{
    (void)state;
    uint32_t id[PROMPT], other[PROMPT];
    float alone[VOCABULARY];
    draw_ids(3, id, PROMPT);
    draw_ids(8, other, PROMPT);
    Written text = feed_in_pieces(id, PROMPT, alone);
    Session *a = fresh_session(), *b = fresh_session();
    const float *logits;
    for (size_t i = 0; i < PROMPT; i += 50) {
        assert_done(session_feed(a, id + i, 50));
        assert_done(session_feed(b, other + i, 50));
    }
    assert_done(session_logits(b, &logits));
    assert_memory_not_equal(alone, logits, sizeof alone);
    assert_done(session_logits(a, &logits));
    assert_memory_equal(alone, logits, sizeof alone);
    session_close(b);
    session_reset(a);
    assert_int_equal(session_position(a), 0);
    assert_done(session_feed(a, id, PROMPT));
    assert_done(session_logits(a, &logits));
    assert_memory_equal(alone, logits, sizeof alone);
    Written again = write_on(a, &lively);
    assert_int_equal(text.size, again.size);
    assert_memory_equal(text.text, again.text, text.size);
    session_close(a);
}

static void test_memory_is_flat(void **state)
{
    (void)state;
    uint32_t id[500];
    Session *session = fresh_session();
    draw_ids(6, id, 500);
    assert_done(session_feed(session, id, 500));
    assert_int_equal(write_on(session, &lively).size > 0, true);
    size_t allocated = opened.backend->allocated;
    int64_t resident = machine_peak_resident();
    for (int i = 0; i < 20; i++)
        assert_done(session_feed(session, id, 500));
    assert_true(write_on(session, &lively).size > 0);
    assert_true(session_position(session) >= 10000);
    assert_int_equal(opened.backend->allocated, allocated);
#ifndef __SANITIZE_ADDRESS__ /* which keeps what is freed for a while */
    assert_true(machine_peak_resident() - resident < 1 << 20);
#else
    (void)resident;
#endif
    session_close(session);
}

/* ---- refused ---- */

static void test_ids_outside(void **state)
{
    (void)state;
    uint32_t id[3] = {5, 271, 272};
    Session *session = fresh_session();
    const float *logits;
    assert_refused(session_logits(session, &logits), LMU_USAGE, "feed it a token first");
    assert_refused(session_feed(session, id, 3), LMU_USAGE,
                   "token id 272, number 2 of those given, is outside the vocabulary: ids go from 0 to 271");
    assert_int_equal(session_position(session), 0); /* none was taken */
    id[0] = UINT32_MAX;
    assert_refused(session_feed(session, id, 1), LMU_USAGE, "token id 4294967295, number 0");
    assert_done(session_feed(session, id, 0));
    assert_done(session_feed(session, id + 1, 1));
    assert_done(session_logits(session, &logits));
    session_close(session);
}

static void test_engine_refuses(void **state)
{
    (void)state;
    Engine engine;
    assert_refused(engine_open(opened.backend, "/nowhere", &engine), LMU_IO, "/nowhere/config.json");
    assert_null(engine.model);
    char directory[] = "/tmp/lmu-test-XXXXXX";
    assert_non_null(mkdtemp(directory));
    assert_done(model_save(opened.engine.model, directory));
    assert_refused(engine_open(opened.backend, directory, &engine), LMU_IO, "tokenizer.json");
    char *data, *path;
    size_t size;
    assert_done(path_join(directory, "tokenizer.json", &path));
    assert_done(file_read("tests/golden/text_tokenizer.json", 1 << 24, &data, &size));
    assert_done(file_write(path, data, size));
    assert_refused(engine_open(opened.backend, directory, &engine), LMU_MISMATCH, "the model beside it 272");
    assert_null(engine.tokenizer);
    free(data);
    free(path);
    assert_done(directory_remove(directory));
}

/* ---- prompts ---- */

/* The logits behind a text that is pushed in pieces of `piece` bytes. */
static void push_in_pieces(const char *text, size_t size, size_t piece, bool specials, float *logits, int64_t *position)
{
    Session *session = fresh_session();
    Prompt *prompt;
    const float *found;
    assert_done(prompt_open(session, specials, &prompt));
    for (size_t done = 0; done < size; done += piece)
        assert_done(prompt_push(prompt, text + done, piece < size - done ? piece : size - done));
    assert_done(prompt_end(prompt));
    assert_done(session_logits(session, &found));
    memcpy(logits, found, VOCABULARY * sizeof *logits);
    *position = session_position(session);
    prompt_close(prompt);
    session_close(session);
}

static void test_prompt_pieces(void **state)
{
    (void)state;
    static const size_t pieces[] = {4097, 1 << 20};
    enum { SIZE = 80 * 1000 };
    char *text, *design;
    size_t size;
    assert_done(file_read("docs/design.md", 1 << 24, &design, &size));
    assert_done(memory_new(&text, SIZE, 1, "a text"));
    for (size_t i = 0; i < SIZE; i++)
        text[i] = design[i % size];
    for (size_t at = 60000; at + 13 < SIZE; at += 31) /* every cut comes near a name with spaces about it */
        memcpy(text + at, " <|endoftext|> ", 15 < SIZE - at ? 15 : SIZE - at);
    for (int specials = 0; specials < 2; specials++) {
        IdList list = {0};
        const float *whole;
        float logits[VOCABULARY];
        int64_t position;
        Session *session = fresh_session();
        assert_done(tokenizer_encode(opened.engine.tokenizer, text, SIZE, specials, &list));
        assert_done(session_feed(session, list.id, list.count));
        assert_done(session_logits(session, &whole));
        push_in_pieces(text, SIZE, pieces[specials], specials, logits, &position);
        assert_int_equal(position, list.count);
        assert_memory_equal(whole, logits, sizeof logits);
        session_close(session);
        free(list.id);
    }
    free(text);
    free(design);
}

static void test_prompt_bytes(void **state)
{
    (void)state;
    float first[VOCABULARY], second[VOCABULARY];
    int64_t position;
    push_in_pieces("", 0, 1, false, first, &position);
    assert_int_equal(position, 1); /* the end-of-text token */
    push_in_pieces("<|endoftext|>", 13, 4, true, second, &position);
    assert_int_equal(position, 1);
    assert_memory_equal(first, second, sizeof first);
    push_in_pieces("<|endoftext|>", 13, 4, false, second, &position);
    assert_true(position > 5);
    push_in_pieces("a\0b\xff\xfe\x80", 6, 1, false, second, &position);
    assert_int_equal(position, 6);
}

/* ---- writing ---- */

static void test_seeds(void **state)
{
    (void)state;
    Written text[4];
    for (int i = 0; i < 4; i++) {
        GenerateSettings settings = lively;
        settings.sample.seed = i < 2 ? 1 : 2;
        settings.sample.temperature = i < 3 ? 1 : 0;
        Session *session = fresh_session();
        assert_done(session_feed(session, &(uint32_t){40}, 1));
        text[i] = write_on(session, &settings);
        assert_true(session_position(session) > 1);
        session_close(session);
    }
    assert_int_equal(text[0].size, text[1].size);
    assert_memory_equal(text[0].text, text[1].text, text[0].size);
    assert_false(text[2].size == text[0].size && memcmp(text[2].text, text[0].text, text[0].size) == 0);
    assert_false(text[3].size == text[2].size && memcmp(text[3].text, text[2].text, text[2].size) == 0);
}

/* At a temperature without mercy every byte is likely: what comes out is UTF-8 all the same. */
static void test_utf8(void **state)
{
    (void)state;
    GenerateSettings wild = {.sample = {.temperature = 1000, .top_p = 1, .seed = 9}, .max_tokens = 2000};
    char again[UTF8_ROOM(sizeof((Written *)0)->text)];
    for (uint64_t seed = 0; seed < 5; seed++) {
        wild.sample.seed = seed;
        Session *session = fresh_session();
        assert_done(session_feed(session, &(uint32_t){40}, 1));
        Written text = write_on(session, &wild);
        Utf8Stream stream = {.count = 0};
        size_t size = utf8_push(&stream, text.text, text.size, again);
        assert_int_equal(stream.count, 0);
        assert_int_equal(size, text.size);
        assert_memory_equal(again, text.text, size);
        session_close(session);
    }
}

static void test_character_begun_by_the_prompt(void **state)
{
    (void)state;
    Session *session = fresh_session();
    Written written = {0};
    int64_t tokens;
    FinishReason finish;
    Utf8Stream stream = {.held = {0xe2, 0x82}, .count = 2};
    GenerateSettings settings = {.sample = {.temperature = 0, .top_p = 1}, .max_tokens = 1};
    assert_done(session_feed(session, &(uint32_t){40}, 1));
    assert_done(go_on(session, &settings, &stream, &written, NULL, &tokens, &finish));
    assert_int_equal(tokens, 1);
    assert_int_equal(finish, FINISH_LENGTH);
    assert_memory_equal(written.text, "\xef\xbf\xbd", 3); /* an ASCII letter does not finish it */
    session_close(session);
}

static void test_stops(void **state)
{
    (void)state;
    static atomic_int raised = 1;
    Progress progress = {.interrupt = &raised};
    Session *session = fresh_session();
    Written written = {.most = 3};
    int64_t tokens;
    FinishReason finish;
    assert_done(session_feed(session, &(uint32_t){40}, 1));
    assert_refused(go_on(session, &lively, NULL, &written, NULL, &tokens, &finish), LMU_IO, "full");
    assert_int_equal(written.pieces, 3);
    written.most = 0;
    assert_refused(go_on(session, &lively, NULL, &written, &progress, &tokens, &finish), LMU_INTERRUPTED,
                   "interrupted after 1 tokens");
    assert_int_equal(tokens, 1);
    assert_int_equal(finish, FINISH_INTERRUPTED);
    GenerateSettings senseless = lively;
    senseless.sample.top_p = 0;
    assert_refused(go_on(session, &senseless, NULL, &written, NULL, &tokens, &finish), LMU_USAGE, "top-p");
    session_close(session);
}

/* Exchanges a parameter's numbers [first, first + 8) with those given. */
static void exchange(const char *name, int64_t first, float numbers[8])
{
    Params *params = opened.engine.model->params;
    float before[8];
    Real *place = real_at(params->backend, params->values, params_find(params, name)->offset + first);
    KERNEL(params->backend, get_f32, 8, place, before);
    params_write_begin(params);
    KERNEL(params->backend, put_f32, 8, numbers, place);
    params_write_end(params);
    memcpy(numbers, before, sizeof before);
}

/* A model that would always end the text does so at once, and says so; its name is written only if asked for. */
static void test_end_of_text(void **state)
{
    (void)state;
    int64_t end = tokenizer_end_of_text(opened.engine.tokenizer);
    float bias[8] = {100}, row[8] = {100};
    exchange("norm.bias", 0, bias);
    exchange("embedding.weight", 8 * end, row);
    for (int specials = 0; specials < 2; specials++) {
        GenerateSettings greedy = {.sample = {.top_p = 1}, .max_tokens = 50, .specials = specials};
        Session *session = fresh_session();
        Written written = {0};
        int64_t tokens;
        FinishReason finish;
        assert_done(session_feed(session, &(uint32_t){40}, 1));
        assert_done(go_on(session, &greedy, NULL, &written, NULL, &tokens, &finish));
        assert_int_equal(finish, FINISH_END_OF_TEXT);
        assert_int_equal(tokens, 1);
        assert_int_equal(written.size, specials ? 13 : 0);
        session_close(session);
    }
    exchange("norm.bias", 0, bias);
    exchange("embedding.weight", 8 * end, row);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_split),      cmocka_unit_test(test_token_by_token),
        cmocka_unit_test(test_order_matters),  cmocka_unit_test(test_isolation),
        cmocka_unit_test(test_memory_is_flat), cmocka_unit_test(test_ids_outside),
        cmocka_unit_test(test_engine_refuses), cmocka_unit_test(test_prompt_pieces),
        cmocka_unit_test(test_prompt_bytes),   cmocka_unit_test(test_seeds),
        cmocka_unit_test(test_utf8),           cmocka_unit_test(test_character_begun_by_the_prompt),
        cmocka_unit_test(test_stops),          cmocka_unit_test(test_end_of_text),
    };
    return cmocka_run_group_tests_name("float", tests, open_golden, close_golden) +
           cmocka_run_group_tests_name("bfloat16", tests, open_golden_bf16, close_golden);
}
