/* Sessions of every architecture: what they compute rests neither on the pieces of the text nor on the sessions beside, and a
 * state that is saved, loaded, copied or branched goes on as if nothing had happened. */
#include "infer/engine_testing.h"

#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/random.h"
#include "infer/session.h"
#include "model/safetensors.h"

#define VOCABULARY 272
#define TEXT 560 /* ids: two blocks and a part */
#define DIVISIONS 6
#define MOST 33 /* sessions side by side */
#define TURNS 5

static Backend *backend;
static char directory[] = "/tmp/lmu-streams-XXXXXX";

/* As it comes; with everything that has a state of its own; with its matrices in bytes. */
enum { BARE, FULL, INT8, KINDS };

/* A small model of this kind, of random numbers of a size at which logits differ. */
static void make_engine(const char *arch, int kind, Engine *engine)
{
    ModelConfig config;
    Model *model, *int8;
    assert_done(model_config_init(&config, arch));
    config.vocabulary = VOCABULARY;
    config.dim = 24;
    config.layers = 2;
    config.order = 6;
    config.context = 1024;
    config.heads = 3;
    if (kind == FULL) {
        config.recall = 2;
        config.ngram_slots = 500;
        config.window = strcmp(arch, "transformer") == 0 ? 0 : 100;
    }
    config.init = INIT_STYLE_GPT2;
    assert_done(model_create(backend, &config, 7, &model));
    for (size_t i = 0; i < model->params->learnt_count; i++) {
        Param *param = model->params->list[i];
        float *value = calloc((size_t)param->size, sizeof *value);
        assert_non_null(value);
        for (int64_t j = 0; j < param->size; j++)
            value[j] = (float)((param->role == PARAM_VECTOR ? 1 : 0) +
                               0.3 * random_normal(random_key(1, param->name, 0, 0), (uint64_t)j));
        params_write_begin(model->params);
        KERNEL(backend, put_f32, param->size, value, real_at(backend, model->params->values, param->offset));
        params_write_end(model->params);
        free(value);
    }
    if (kind == INT8) {
        assert_done(model_quantize(model, &int8));
        model_close(model);
        model = int8;
    }
    assert_done(model_save(model, directory));
    model_close(model);
    model_config_free(&config);
    assert_done(engine_open(backend, directory, engine));
}

static int open_all(void **state)
{
    (void)state;
    char *data;
    size_t size;
    assert_done(backend_open(BACKEND_CPU, 2, false, &backend));
    assert_non_null(mkdtemp(directory));
    char *path;
    assert_done(path_join(directory, "tokenizer.json", &path));
    assert_done(file_read(GOLDEN "/tokenizer.json", 1 << 24, &data, &size));
    assert_done(file_write(path, data, size));
    free(data);
    free(path);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    assert_done(directory_remove(directory));
    backend_close(backend);
    return 0;
}

static void for_every_model(void (*test)(Engine *engine))
{
    for (int i = 0; architectures[i]; i++)
        for (int kind = 0; kind < KINDS; kind++) {
            Engine engine;
            make_engine(architectures[i]->name, kind, &engine);
            test(&engine);
            engine_close(&engine);
        }
}

/* Texts differ by their key. */
static void draw_ids(uint64_t key, uint32_t *id, size_t count)
{
    for (size_t i = 0; i < count; i++) /* of few ids, so that n-grams come again */
        id[i] = (uint32_t)random_below(key, i, i % 3 ? 5 : VOCABULARY);
}

static Session *fresh(Engine *engine)
{
    Session *session;
    assert_done(session_open(engine, &session));
    return session;
}

static void get_logits(Session *session, float *logits)
{
    const float *found;
    assert_done(session_logits(session, &found));
    memcpy(logits, found, VOCABULARY * sizeof *logits);
}

static double difference(const float *a, const float *b)
{
    double worst = 0, largest = 0;
    for (int i = 0; i < VOCABULARY; i++) {
        worst = fmax(worst, fabs((double)a[i] - (double)b[i]));
        largest = fmax(largest, fabs((double)b[i]));
    }
    return worst / largest;
}

/* ---- pieces ---- */

typedef struct Each {
    float *logits; /* [TEXT x V] */
    int64_t visits;
} Each;

static lmu_status keep_each(void *context, int64_t position, const float *logits)
{
    Each *each = context;
    assert_int_equal(position, ++each->visits);
    memcpy(each->logits + (position - 1) * VOCABULARY, logits, VOCABULARY * sizeof *logits);
    return LMU_OK;
}

/* The whole, random divisions, and one by one; logits are asked for at each cut, and of every token by session_feed_each. */
static void pieces(Engine *engine)
{
    uint32_t id[TEXT];
    Each each = {calloc(TEXT * VOCABULARY, sizeof(float)), 0};
    float whole[VOCABULARY], part[VOCABULARY];
    double worst = 0;
    draw_ids(3, id, TEXT);
    Session *session = fresh(engine);
    assert_non_null(each.logits);
    assert_done(session_feed_each(session, id, TEXT, keep_each, &each));
    assert_int_equal(each.visits, TEXT);
    assert_int_equal(session_position(session), TEXT);
    get_logits(session, part);
    assert_memory_equal(part, each.logits + (TEXT - 1) * VOCABULARY, sizeof part);
    session_reset(session);
    assert_done(session_feed(session, id, TEXT));
    get_logits(session, whole);
    assert_memory_equal(whole, part, sizeof part);
    for (uint64_t round = 0; round <= DIVISIONS; round++) {
        session_reset(session);
        for (size_t done = 0, count, cut = 0; done < TEXT; done += count, cut++) {
            uint64_t most = (uint64_t)1 << random_below(random_key(round, "most", 0, 0), cut, 9);
            count = round == DIVISIONS ? 1 : 1 + (size_t)random_below(random_key(round, "cut", 0, 0), cut, most);
            count = count < TEXT - done ? count : TEXT - done;
            assert_done(session_feed(session, id + done, count));
            get_logits(session, part);
            worst = fmax(worst, difference(part, each.logits + (done + count - 1) * VOCABULARY));
        }
    }
    print_message("%-20s largest difference of any division %.1e\n", engine->model->config.arch, worst);
    /* Where products are of bytes, a rounding can make a whole byte's difference. */
    assert_true(worst < (model_is_int8(engine->model) ? 0.05 : 1e-4));
    session_close(session);
    free(each.logits);
}

static void test_pieces(void **state)
{
    (void)state;
    for_every_model(pieces);
}

/* ---- together ---- */

/* The logits of one text after every turn, alone and among others: each turn it reads 1 to 40 ids, or 300, at once. */
static void side_by_side(Engine *engine, size_t count, float *logits)
{
    Session *session[MOST];
    static uint32_t id[MOST][TEXT];
    size_t done[MOST] = {0};
    for (size_t i = 0; i < count; i++) {
        session[i] = fresh(engine);
        draw_ids(100 + i, id[i], TEXT);
    }
    for (uint64_t turn = 0; turn < TURNS; turn++) {
        size_t want[MOST], left = 0;
        for (size_t i = 0; i < count; i++) {
            uint64_t key = random_key(i, "turn", 0, 0);
            want[i] = done[i] + (random_below(key, turn, 4) == 0 ? 100 : (size_t)random_below(key, turn + 50, 40));
            want[i] = want[i] < TEXT ? want[i] : TEXT;
            left += want[i] - done[i];
        }
        for (left = 1; left > 0;) {
            left = 0;
            for (size_t i = 0; i < count; i++) {
                size_t taken;
                assert_done(session_take(session[i], id[i] + done[i], want[i] - done[i], &taken));
                done[i] += taken;
                left += want[i] - done[i];
            }
            assert_done(sessions_run(session, count));
        }
        memset(logits + turn * VOCABULARY, 0, VOCABULARY * sizeof *logits);
        if (done[0] > 0)
            get_logits(session[0], logits + turn * VOCABULARY);
    }
    for (size_t i = 0; i < count; i++)
        session_close(session[i]);
}

static void together(Engine *engine)
{
    static const size_t counts[] = {2, 5, MOST};
    static float alone[TURNS * VOCABULARY], among[TURNS * VOCABULARY];
    side_by_side(engine, 1, alone);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        side_by_side(engine, counts[i], among);
        assert_memory_equal(alone, among, sizeof alone);
    }
}

static void test_together(void **state)
{
    (void)state;
    for_every_model(together);
}

/* ---- states ---- */

/* Goes on with both and expects the same bits. */
static void assert_same(Session *a, Session *b)
{
    uint32_t id[150];
    float of_a[VOCABULARY], of_b[VOCABULARY];
    assert_int_equal(session_position(a), session_position(b));
    if (session_position(a) > 0) {
        get_logits(a, of_a);
        get_logits(b, of_b);
        assert_memory_equal(of_a, of_b, sizeof of_a);
    }
    draw_ids(9, id, 150);
    for (size_t done = 0; done < 150; done += 75) {
        assert_done(session_feed(a, id + done, 75));
        assert_done(session_feed(b, id + done, 75));
        get_logits(a, of_a);
        get_logits(b, of_b);
        assert_memory_equal(of_a, of_b, sizeof of_a);
    }
}

static void states(Engine *engine)
{
    static const size_t places[] = {0, 1, 255, 256, 300};
    uint32_t id[512];
    char *path, *data;
    size_t size;
    float logits[VOCABULARY];
    Incremental *text, *again;
    IdList ids = {0};
    draw_ids(4, id, 512);
    assert_done(path_join(directory, "state.safetensors", &path));
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        for (int asked = 0; asked < 2; asked++) {
            Session *session = fresh(engine), *other = fresh(engine), *branch;
            assert_done(session_feed(other, id + 100, 77)); /* what must be gone */
            assert_done(session_feed(session, id, places[i]));
            if (asked && places[i] > 0)
                get_logits(session, logits);
            assert_done(incremental_open(engine->tokenizer, false, &text));
            assert_done(incremental_open(engine->tokenizer, false, &again));
            assert_done(incremental_push(text, "the tail", 8, &ids));
            assert_done(session_save(session, text, path));
            assert_done(session_pack(session, NULL, &data, &size));
            assert_done(session_branch(session, &branch));
            assert_same(session, branch);
            assert_refused(session_load(other, NULL, path), LMU_MISMATCH, "was saved with a text");
            assert_refused(session_unpack(other, again, data, size, "a state"), LMU_MISMATCH, "without a text");
            assert_int_equal(session_position(other), 77);
            assert_done(session_load(other, again, path));
            assert_int_equal(incremental_pending(again), incremental_pending(text));
            incremental_close(text);
            incremental_close(again);
            assert_done(session_unpack(branch, NULL, data, size, "a state"));
            session_copy(session, other);
            assert_same(session, branch);
            free(data);
            session_close(session);
            session_close(other);
            session_close(branch);
        }
    free(ids.id);
    free(path);
}

static void test_states(void **state)
{
    (void)state;
    for_every_model(states);
}

/* A state that another process has saved: here, one of an engine opened anew. */
static void test_other_process(void **state)
{
    (void)state;
    Engine engine;
    char *path;
    assert_done(path_join(directory, "state.safetensors", &path));
    uint32_t id[300];
    float before[VOCABULARY], after[VOCABULARY];
    draw_ids(4, id, 300);
    make_engine("lmu", FULL, &engine);
    Session *session = fresh(&engine);
    assert_done(session_feed(session, id, 300));
    assert_done(session_save(session, NULL, path));
    get_logits(session, before);
    session_close(session);
    engine_close(&engine);
    assert_done(engine_open(backend, directory, &engine));
    session = fresh(&engine);
    assert_done(session_load(session, NULL, path));
    get_logits(session, after);
    assert_memory_equal(before, after, sizeof before);
    session_close(session);
    engine_close(&engine);
    make_engine("lmu", BARE, &engine); /* another model */
    session = fresh(&engine);
    assert_refused(session_load(session, NULL, path), LMU_MISMATCH, "is the state of another model");
    session_close(session);
    engine_close(&engine);
    free(path);
}

/* ---- hostile states ---- */

static Session *victim;

/* Writes a state with one thing changed, and expects the refusal. */
static void hostile(const SafetensorsTensor *tensors, size_t count, const SafetensorsText *metadata,
                    lmu_status expected, const char *part)
{
    char *data;
    size_t size;
    int64_t position = session_position(victim);
    SafetensorsContent content = {.tensors = tensors, .count = count, .metadata = metadata, .metadata_count = 4};
    assert_done(safetensors_write_bytes(&content, &data, &size));
    assert_refused(session_unpack(victim, NULL, data, size, "a state"), expected, part);
    assert_int_equal(session_position(victim), position);
    free(data);
}

static void test_hostile(void **state)
{
    (void)state;
    Engine engine;
    Safetensors *good;
    char *data;
    const char *digest;
    size_t size, count;
    uint32_t id[300];
    make_engine("transformer", FULL, &engine);
    victim = fresh(&engine);
    draw_ids(4, id, 300);
    assert_done(session_feed(victim, id, 300));
    assert_done(session_pack(victim, NULL, &data, &size));
    assert_done(engine_digest(&engine, &digest));
    for (size_t cut = 0; cut < size; cut += 1 + cut / 7) /* whatever is missing */
        assert_true(session_unpack(victim, NULL, data, cut, "a state") == LMU_FORMAT);
    assert_done(safetensors_open_bytes(data, size, "a state", &good));
    count = safetensors_count(good);
    SafetensorsTensor tensors[16];
    assert_true(count < 16);
    size_t waiting = count, slot = count;
    for (size_t i = 0; i < count; i++) {
        tensors[i] = *safetensors_at(good, i);
        if (strcmp(tensors[i].name, "waiting") == 0)
            waiting = i;
        else
            slot = i;
    }
    assert_true(waiting < count && slot < count);
    SafetensorsText metadata[4] = {{"format", "lmu-state"}, {"version", "1"}, {"model", digest}, {"position", "300"}};
    static const struct {
        int which;
        const char *value, *part;
        lmu_status status;
    } texts[] = {
        {0, "lmu", "its format is lmu, not lmu-state", LMU_FORMAT},
        {1, "2", "is of version 2; this program reads version 1", LMU_FORMAT},
        {2, "abc", "of abc..., and this one is", LMU_MISMATCH},
        {3, "-1", "the position -1 is no number", LMU_FORMAT},
        {3, "300x", "the position 300x is no number", LMU_FORMAT},
        {3, "99999999999999999999", "is no number", LMU_FORMAT},
        {3, "", "the position  is no number", LMU_FORMAT},
        {3, "299", "44 ids wait at position 299, where 1 to 43 can", LMU_FORMAT},
        {3, "2000", "this model has positions for 1024", LMU_USAGE},
        {3, "0", "44 ids wait at position 0", LMU_FORMAT},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        SafetensorsText changed[4];
        memcpy(changed, metadata, sizeof changed);
        changed[texts[i].which].value = texts[i].value;
        hostile(tensors, count, changed, texts[i].status, texts[i].part);
    }
    uint32_t outside[44] = {[43] = VOCABULARY};
    SafetensorsTensor kept = tensors[waiting];
    tensors[waiting].data = outside;
    hostile(tensors, count, metadata, LMU_FORMAT, "the waiting id 272 is outside the vocabulary of 272");
    tensors[waiting].shape[0] = 0;
    hostile(tensors, count, metadata, LMU_FORMAT, "0 ids wait");
    tensors[waiting].type = SAFETENSORS_F32;
    hostile(tensors, count, metadata, LMU_MISMATCH, "waiting");
    tensors[waiting] = kept;
    kept = tensors[slot];
    float *numbers = malloc(kept.size);
    assert_non_null(numbers);
    memcpy(numbers, kept.data, kept.size);
    numbers[5] = NAN;
    tensors[slot].data = numbers;
    hostile(tensors, count, metadata, LMU_NUMERIC, "number 5 of tensor state.");
    numbers[5] = -INFINITY;
    hostile(tensors, count, metadata, LMU_NUMERIC, "is not finite");
    tensors[slot].shape[0]--;
    hostile(tensors, count, metadata, LMU_MISMATCH, "state.");
    tensors[slot] = kept;
    tensors[count] = (SafetensorsTensor){.name = "more", .type = SAFETENSORS_U8, .rank = 1, .shape = {0}};
    hostile(tensors, count + 1, metadata, LMU_MISMATCH, "holds");
    hostile(tensors + 1, count - 1, metadata, LMU_MISMATCH, "");
    free(numbers);
    safetensors_close(good);
    assert_done(session_unpack(victim, NULL, data, size, "a state")); /* the whole is good */
    free(data);
    session_close(victim);
    engine_close(&engine);
}

/* What a state holds may be anything that is finite: the model goes on, and refuses or not, but never falls over. */
static void test_absurd_numbers(void **state)
{
    (void)state;
    for (int i = 0; architectures[i]; i++) {
        Engine engine;
        Safetensors *good;
        SafetensorsTensor tensors[16];
        char *data;
        const char *digest;
        size_t size;
        uint32_t id[300];
        make_engine(architectures[i]->name, FULL, &engine);
        Session *session = fresh(&engine);
        draw_ids(4, id, 300);
        assert_done(session_feed(session, id, 300));
        assert_done(session_pack(session, NULL, &data, &size));
        assert_done(engine_digest(&engine, &digest));
        assert_done(safetensors_open_bytes(data, size, "a state", &good));
        free(data);
        size_t count = safetensors_count(good);
        for (size_t j = 0; j < count; j++) {
            tensors[j] = *safetensors_at(good, j);
            if (tensors[j].type != SAFETENSORS_F32)
                continue;
            float *numbers = malloc(tensors[j].size);
            assert_non_null(numbers);
            for (size_t k = 0; k < tensors[j].size / sizeof *numbers; k++)
                numbers[k] = (float)ldexp(random_normal(3, k), (int)random_below(4, k, 250) - 125);
            tensors[j].data = numbers;
        }
        SafetensorsText metadata[4] = {
            {"format", "lmu-state"}, {"version", "1"}, {"model", digest}, {"position", "300"}};
        SafetensorsContent content = {.tensors = tensors, .count = count, .metadata = metadata, .metadata_count = 4};
        assert_done(safetensors_write_bytes(&content, &data, &size));
        assert_done(session_unpack(session, NULL, data, size, "a state"));
        assert_done(session_feed(session, id, 300));
        const float *logits;
        assert_done(session_logits(session, &logits));
        for (size_t j = 0; j < count; j++)
            if (tensors[j].type == SAFETENSORS_F32)
                free((void *)(uintptr_t)tensors[j].data);
        free(data);
        safetensors_close(good);
        session_close(session);
        engine_close(&engine);
    }
}

static void test_context(void **state)
{
    (void)state;
    Engine engine;
    uint32_t id[1025];
    const float *logits;
    make_engine("transformer", BARE, &engine);
    draw_ids(4, id, 1025);
    Session *session = fresh(&engine);
    assert_refused(session_feed(session, id, 1025), LMU_USAGE, "positions for 1024");
    assert_int_equal(session_position(session), 0); /* none was taken */
    assert_done(session_feed(session, id, 1024));
    assert_refused(session_feed(session, id, 1), LMU_USAGE, "positions for 1024");
    assert_done(session_logits(session, &logits));
    session_close(session);
    engine_close(&engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces),        cmocka_unit_test(test_together), cmocka_unit_test(test_states),
        cmocka_unit_test(test_other_process), cmocka_unit_test(test_hostile),  cmocka_unit_test(test_absurd_numbers),
        cmocka_unit_test(test_context),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
