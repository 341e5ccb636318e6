/* The engine's thread without HTTP: many jobs at a time are each what they are alone, with a cache and without; jobs that are
 * cancelled, that wait too long for their readers or that cannot be leave nothing behind. */
#include <unistd.h>

#include "infer/engine_testing.h"
#include "serve/base64.h"
#include "serve/batch.h"

typedef struct Served {
    Opened opened;
    Metrics metrics;
    Batch *batch;
    TextPool *texts;
} Served;

static void served_open(Served *served, int64_t streams, int64_t queue, size_t cache)
{
    memset(served, 0, sizeof *served);
    opened_open(&served->opened, BACKEND_CPU, false);
    assert_done(text_pool_open(served->opened.engine.tokenizer, &served->texts));
    BatchLimits limits = {.streams = streams, .queue = queue, .cache_bytes = cache};
    assert_done(batch_open(&served->opened.engine, &limits, &served->metrics, &served->batch));
}

static void served_close(Served *served)
{
    batch_close(served->batch);
    text_pool_close(served->texts);
    opened_close(&served->opened);
}

static Job *job_of(Served *served, const char *body)
{
    const Tokenizer *tokenizer = served->opened.engine.tokenizer;
    static const RequestLimits limits = {.prompt_tokens = 100000, .max_tokens = 100000};
    CompletionRequest request;
    ApiError error = {0};
    Job *job;
    if (request_parse(body, strlen(body), &limits, tokenizer_size(tokenizer), &request, &error) != LMU_OK ||
        request_tokenize(&request, served->texts, &limits, &error) != LMU_OK)
        fail_msg("%s: %s", body, error.message);
    assert_done(job_open(&request, "model", &job));
    return job;
}

static Job *submit(Served *served, const char *body)
{
    ApiError error = {0};
    Job *job = job_of(served, body);
    if (batch_submit(served->batch, job, &error) != LMU_OK)
        fail_msg("%s: %s", body, error.message);
    return job;
}

static JobStage stage_of(Job *job)
{
    pthread_mutex_lock(&job->lock);
    JobStage stage = job->stage;
    pthread_mutex_unlock(&job->lock);
    return stage;
}

static void wait_for(Job *job)
{
    for (int i = 0; stage_of(job) != JOB_OVER; i++) {
        assert_true(i < 600000);
        usleep(1000);
    }
}

/* The answer's choices as text; the job is closed. */
static char *choices_of(Served *served, Job *job)
{
    char *text, *choices;
    size_t size;
    wait_for(job);
    if (job->error.status != 0)
        fail_msg("%u: %s", job->error.status, job->error.message);
    assert_done(job_answer(job, served->opened.engine.tokenizer, &text, &size));
    json_t *answer = json_loads(text, 0, NULL);
    assert_non_null(answer);
    choices = json_dumps(json_object_get(answer, "choices"), JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(answer);
    free(text);
    job_unref(job);
    return choices;
}

static void expect_failure(Job *job, unsigned status, const char *part)
{
    wait_for(job);
    if (job->error.status != status || !strstr(job->error.message, part))
        fail_msg("%u: %s", job->error.status, job->error.message);
    job_unref(job);
}

/* Bodies of many kinds; the prompt of some is longer than blocks. */
#define KINDS 8
static char *body_of(int kind)
{
    static const char *const more[KINDS] = {
        "\"max_tokens\": 20",
        "\"max_tokens\": 30, \"n\": 3, \"temperature\": 0.7",
        "\"max_tokens\": 5, \"echo\": true, \"logprobs\": 2, \"n\": 2",
        "\"max_tokens\": 0, \"echo\": true, \"logprobs\": 0",
        "\"max_tokens\": 40, \"stop\": [\"e\", \"a \"], \"logprobs\": 1",
        "\"max_tokens\": 25, \"presence_penalty\": 1, \"repetition_penalty\": 1.3, \"top_k\": 20",
        "\"max_tokens\": 1, \"temperature\": 0, \"state\": \"return\"",
        "\"max_tokens\": 12, \"logit_bias\": {\"40\": 100}, \"min_p\": 0.1, \"top_p\": 0.9",
    };
    char *body = calloc(1, 20000);
    assert_non_null(body);
    strcpy(body, "{\"seed\": 5, \"prompt\": \"");
    for (int i = 0; i < (kind % 2 ? 40 : 1); i++)
        strcat(body, "The state of a stream is of fixed size. ");
    strcat(body, "\", ");
    strcat(body, more[kind]);
    strcat(body, "}");
    return body;
}

static void compare_company(int64_t streams, size_t cache)
{
    Served served;
    char *alone[KINDS], *body[KINDS], *choices;
    Job *job[4 * KINDS];
    served_open(&served, 1, 0, 0);
    for (int i = 0; i < KINDS; i++) {
        body[i] = body_of(i);
        alone[i] = choices_of(&served, submit(&served, body[i]));
    }
    served_close(&served);
    served_open(&served, streams, 100, cache);
    for (int round = 0; round < 2; round++) { /* the second time, prompts are in the cache, if there is one */
        for (int i = 0; i < 4 * KINDS; i++)
            job[i] = submit(&served, body[i % KINDS]);
        for (int i = 0; i < 4 * KINDS; i++) {
            choices = choices_of(&served, job[i]);
            assert_string_equal(choices, alone[i % KINDS]);
            free(choices);
        }
    }
    assert_int_equal(batch_jobs(served.batch), 0);
    if (cache > 0)
        assert_true(served.metrics.tokens_cached > 0);
    served_close(&served);
    for (int i = 0; i < KINDS; i++) {
        free(alone[i]);
        free(body[i]);
    }
}

static void test_company(void **state)
{
    (void)state;
    compare_company(32, 0);
}

static void test_company_cache(void **state)
{
    (void)state;
    compare_company(5, (size_t)1 << 26); /* fewer streams than texts: choices of a prompt come one after the other */
    compare_company(7, 60000);           /* and a cache that keeps letting go */
}

/* Text, and the text of the same in two parts, the second from the state behind the first. */
static void continue_from(Served *served, const char *state_form)
{
    char body[200], *whole, *first, *second, *sent;
    json_t *object, *a, *b;
    whole = choices_of(served, submit(served, "{\"prompt\": \"The \", \"seed\": 3, \"max_tokens\": 40}"));
    snprintf(body, sizeof body, "{\"prompt\": \"The \", \"seed\": 3, \"max_tokens\": 17, \"state\": %s}", state_form);
    first = choices_of(served, submit(served, body));
    a = json_loads(first, 0, NULL);
    object = json_pack("{s:s, s:i, s:i, s:O}", "prompt", "", "seed", 3, "max_tokens", 23, "state",
                       json_object_get(json_array_get(a, 0), "state"));
    sent = json_dumps(object, 0);
    second = choices_of(served, submit(served, sent));
    b = json_loads(second, 0, NULL);
    json_t *c = json_loads(whole, 0, NULL);
    char *joined = calloc(1, 10000);
    assert_non_null(joined);
    strcat(joined, json_string_value(json_object_get(json_array_get(a, 0), "text")));
    strcat(joined, json_string_value(json_object_get(json_array_get(b, 0), "text")));
    assert_string_equal(joined, json_string_value(json_object_get(json_array_get(c, 0), "text")));
    json_decref(a);
    json_decref(b);
    json_decref(c);
    json_decref(object);
    free(joined);
    free(sent);
    free(whole);
    free(first);
    free(second);
}

static void test_states(void **state)
{
    (void)state;
    Served served;
    served_open(&served, 4, 4, (size_t)1 << 24);
    continue_from(&served, "\"return\"");
    continue_from(&served, "{\"keep\": true}");
    expect_failure(submit(&served, "{\"state\": {\"id\": \"00000000000000000000000000000000\"}}"), 400, "No state");
    expect_failure(submit(&served, "{\"state\": \"Zm9v\"}"), 400, "'state' is not accepted");
    expect_failure(submit(&served, "{\"state\": \"\"}"), 400, "'state' is not accepted");
    served_close(&served);
    served_open(&served, 4, 4, 100); /* nothing is kept here */
    ApiError error = {0};
    Job *job = job_of(&served, "{\"state\": {\"keep\": true}}");
    assert_int_equal(batch_submit(served.batch, job, &error), LMU_USAGE);
    assert_true(error.status == 400 && strcmp(error.code, "state_too_large") == 0);
    job_unref(job);
    served_close(&served);
}

/* A state behind which bytes stood that were no tokens yet: they come before the prompt, be it text or ids. */
static void test_pending_text(void **state)
{
    (void)state;
    Served served;
    Session *session;
    Incremental *begun;
    IdList read = {0};
    char *data, *text, *first;
    size_t size;
    opened_open(&served.opened, BACKEND_CPU, false);
    assert_done(session_open(&served.opened.engine, &session));
    assert_done(incremental_open(served.opened.engine.tokenizer, false, &begun));
    assert_done(incremental_push(begun, "A model reads. The st", 21, &read));
    size_t held = incremental_pending(begun);
    assert_true(held > 0 && read.count > 0);
    assert_done(session_feed(session, read.id, read.count));
    assert_done(session_pack(session, begun, &data, &size));
    incremental_close(begun);
    free(read.id);
    assert_done(base64_from_bytes(data, size, &text));
    free(data);
    assert_done(session_pack(session, NULL, &data, &size));
    session_close(session);
    static const char written[] = "A model reads. The state of";
    char *plain;
    assert_done(base64_from_bytes(data, size, &plain));
    free(data);
    opened_close(&served.opened);
    served_open(&served, 2, 4, 0);
    for (int as_ids = 0; as_ids < 2; as_ids++) {
        json_t *pending =
            json_pack("{s:s, s:o, s:s, s:i}", "state", text, "prompt",
                      as_ids ? json_pack("[i, i]", 80, 81) : json_string("ate of"), "stop", "zzzz", "seed", 1);
        IdList ids = {0};
        if (as_ids) {
            assert_done(tokenizer_encode(served.opened.engine.tokenizer, &written[21 - held], held, false, &ids));
        } else
            assert_done(tokenizer_encode(served.opened.engine.tokenizer, &written[21 - held], held + 6, false, &ids));
        json_t *list = json_array();
        for (size_t i = 0; i < ids.count; i++)
            json_array_append_new(list, json_integer(ids.id[i]));
        for (int i = 0; as_ids && i < 2; i++)
            json_array_append_new(list, json_integer(80 + i));
        json_t *whole = json_pack("{s:s, s:o, s:s, s:i}", "state", plain, "prompt", list, "stop", "zzzz", "seed", 1);
        char *a = json_dumps(pending, 0), *b = json_dumps(whole, 0);
        first = choices_of(&served, submit(&served, a));
        char *second = choices_of(&served, submit(&served, b));
        assert_string_equal(first, second);
        free(first);
        free(second);
        free(a);
        free(b);
        free(ids.id);
        json_decref(pending);
        json_decref(whole);
    }
    free(text);
    free(plain);
    served_close(&served);
}

/* A state with single bytes changed is refused, or is that of a stream: never a crash, and the server goes on. */
static void test_hostile_states(void **state)
{
    (void)state;
    Served served;
    served_open(&served, 4, 4, 0);
    char *first =
        choices_of(&served, submit(&served, "{\"prompt\": \"The \", \"max_tokens\": 3, \"state\": \"return\"}"));
    json_t *choices = json_loads(first, 0, NULL);
    char *text = strdup(json_string_value(json_object_get(json_array_get(choices, 0), "state")));
    size_t size = strlen(text);
    for (size_t i = 0; i < 300; i++) {
        size_t place = i < 200 ? i * 8 % size : i * 997 % size;
        char kept = text[place];
        text[place] = kept == 'f' ? 'A' : 'f';
        json_t *object = json_pack("{s:s, s:i}", "state", text, "max_tokens", 1);
        char *body = json_dumps(object, 0);
        Job *job = submit(&served, body);
        wait_for(job);
        if (job->error.status != 0)
            assert_true(job->error.status == 400 || job->error.status == 500);
        job_unref(job);
        text[place] = kept;
        json_decref(object);
        free(body);
    }
    json_decref(choices);
    free(text);
    free(first);
    free(choices_of(&served, submit(&served, "{}")));
    served_close(&served);
}

static void test_cancel(void **state)
{
    (void)state;
    Served served;
    served_open(&served, 2, 8, 0);
    Job *job[5];
    for (int i = 0; i < 5; i++) /* two run, three wait */
        job[i] = submit(&served, "{\"max_tokens\": 100000, \"prompt\": \"a\", \"logit_bias\": {\"0\": -100}}");
    job_cancel(job[0], CANCEL_LEFT);
    job_cancel(job[4], CANCEL_TIME);
    batch_wake(served.batch);
    expect_failure(job[0], 499, "left");
    expect_failure(job[4], 408, "took longer");
    batch_drain(served.batch);
    ApiError error = {0};
    Job *late = job_of(&served, "{}");
    assert_int_equal(batch_submit(served.batch, late, &error), LMU_USAGE);
    assert_int_equal(error.status, 503);
    job_unref(late);
    assert_true(batch_jobs(served.batch) >= 1);
    batch_cancel(served.batch);
    for (int i = 1; i < 4; i++)
        expect_failure(job[i], 503, "shutting down");
    assert_int_equal(batch_jobs(served.batch), 0);
    served_close(&served);
}

static void test_queue(void **state)
{
    (void)state;
    Served served;
    ApiError error = {0};
    served_open(&served, 1, 2, 0);
    Job *job[3], *late = job_of(&served, "{}");
    for (int i = 0; i < 3; i++)
        job[i] = submit(&served, "{\"max_tokens\": 100000, \"prompt\": \"a\", \"logit_bias\": {\"0\": -100}}");
    assert_int_equal(batch_submit(served.batch, late, &error), LMU_USAGE);
    assert_int_equal(error.status, 429);
    job_unref(late);
    for (int i = 0; i < 3; i++) {
        job_cancel(job[i], CANCEL_LEFT);
        job_unref(job[i]); /* who asked is gone; the batch has it still */
    }
    batch_wake(served.batch);
    served_close(&served);
}

static void no_resume(void *connection)
{
    (void)connection;
}

/* Nobody reads: the text pauses with a buffer that is little more than full, others go on, and it goes on when there is room. */
static void test_slow_reader(void **state)
{
    (void)state;
    Served served;
    char part[4096];
    served_open(&served, 2, 2, 0);
    Job *slow = job_of(&served, "{\"max_tokens\": 3000, \"prompt\": \"a\", \"stream\": true, \"logprobs\": 3,"
                                "\"logit_bias\": {\"0\": -100}}");
    ApiError error = {0};
    slow->resume = no_resume;
    assert_done(batch_submit(served.batch, slow, &error));
    for (int i = 0; !slow->full; i++) {
        assert_true(i < 600000);
        usleep(1000);
    }
    free(choices_of(&served, submit(&served, "{\"max_tokens\": 50}")));
    assert_int_equal(stage_of(slow), JOB_RUNS);
    size_t total = 0, got;
    do {
        pthread_mutex_lock(&slow->lock);
        assert_true(bytes_size(&slow->out) < JOB_ROOM + 4096);
        got = bytes_take(&slow->out, part, sizeof part);
        if (bytes_size(&slow->out) < JOB_ROOM / 2)
            slow->full = false;
        bool over = slow->stage == JOB_OVER;
        pthread_mutex_unlock(&slow->lock);
        batch_wake(served.batch);
        total += got;
        if (got == 0 && over)
            break;
    } while (true);
    assert_int_equal(slow->error.status, 0);
    assert_true(total > 4 * JOB_ROOM);
    job_unref(slow);
    served_close(&served);
}

/* Other work: three pieces, or one that fails. */
typedef struct Chore {
    Errand errand;
    int pieces;
    bool fails;
    ApiError error;
    atomic_int ended;
} Chore;

static lmu_status chore_work(Errand *errand, bool *done)
{
    Chore *chore = (Chore *)errand;
    *done = ++chore->pieces == 3;
    return chore->fails ? error_set(LMU_USAGE, "no such chore") : LMU_OK;
}

static void chore_end(Errand *errand, const ApiError *error)
{
    Chore *chore = (Chore *)errand;
    chore->error = *error;
    chore->ended++;
}

static void await_chore(Chore *chore)
{
    for (int i = 0; chore->ended == 0; i++) {
        assert_true(i < 60000);
        usleep(1000);
    }
}

/* Errands are done in pieces beside texts, which stay what they are; each ends once, and none after the batch is closed. */
static void test_errands(void **state)
{
    (void)state;
    static const char body[] = "{\"prompt\": \"The state\", \"max_tokens\": 30, \"seed\": 1}";
    Served served;
    ApiError error = {0};
    Chore chore[4] = {{.fails = false}, {.fails = true}, {.fails = false}, {.fails = false}};
    for (int i = 0; i < 4; i++)
        chore[i].errand = (Errand){.work = chore_work, .end = chore_end};
    served_open(&served, 2, 8, 0);
    char *alone = choices_of(&served, submit(&served, body));
    Job *job = submit(&served, body);
    for (int i = 0; i < 3; i++)
        assert_done(batch_send(served.batch, &chore[i].errand, &error));
    char *beside = choices_of(&served, job);
    assert_string_equal(alone, beside);
    for (int i = 0; i < 3; i++)
        await_chore(&chore[i]);
    assert_int_equal(chore[0].pieces, 3);
    assert_int_equal(chore[0].error.status, 0);
    assert_int_equal(chore[1].pieces, 1);
    assert_int_equal(chore[1].error.status, 400);
    assert_string_equal(chore[1].error.message, "no such chore");
    assert_int_equal(chore[2].pieces, 3);
    batch_drain(served.batch);
    assert_int_equal(batch_send(served.batch, &chore[3].errand, &error), LMU_USAGE);
    assert_int_equal(error.status, 503);
    served_close(&served);
    for (int i = 0; i < 4; i++)
        assert_int_equal(chore[i].ended, i < 3);
    free(alone);
    free(beside);
}

/* With pieces that never end, as a server that closes would find one. */
static lmu_status endless_work(Errand *errand, bool *done)
{
    (void)errand;
    *done = false;
    usleep(1000);
    return LMU_OK;
}

static void test_errands_are_cancelled(void **state)
{
    (void)state;
    Served served;
    ApiError error = {0};
    Chore chore[2] = {{.errand = {.work = endless_work, .end = chore_end}},
                      {.errand = {.work = chore_work, .end = chore_end}}};
    served_open(&served, 2, 0, 0);
    for (int i = 0; i < 2; i++)
        assert_done(batch_send(served.batch, &chore[i].errand, &error));
    Job *late = job_of(&served, "{}");
    assert_int_equal(batch_submit(served.batch, late, &error), LMU_USAGE); /* errands count */
    assert_int_equal(error.status, 429);
    job_unref(late);
    batch_cancel(served.batch);
    for (int i = 0; i < 2; i++) {
        await_chore(&chore[i]);
        assert_int_equal(chore[i].error.status, 503);
    }
    assert_int_equal(chore[1].pieces, 0);
    served_close(&served);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_company),        cmocka_unit_test(test_company_cache),
        cmocka_unit_test(test_states),         cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_hostile_states), cmocka_unit_test(test_queue),
        cmocka_unit_test(test_pending_text),   cmocka_unit_test(test_slow_reader),
        cmocka_unit_test(test_errands),        cmocka_unit_test(test_errands_are_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
