/* The past read from a Legendre memory: signals that are known, tokens that are known, and a model's own states against the
 * recurrence. */
#include "infer/engine_testing.h"

#include <math.h>

#include "infer/memory_view.h"
#include "kernel/legendre_system.h"

enum { ORDER_LIMIT = 16, STEPS = 600, DELAY_LIMIT = 128 };

typedef double Signal(double t);

static double constant(double t)
{
    (void)t;
    return 0.7;
}

static double ramp(double t)
{
    return 0.01 * t - 3;
}

/* Slower than the window: two thirds of a period, and less, are seen at a time. */
static double waves(double t)
{
    return sin(0.06 * t) + 0.5 * cos(0.11 * t + 1);
}

/* The state behind STEPS steps of a signal, by the recurrence. */
static void remember(int64_t order, double theta, bool scaled, Signal *signal, float *m)
{
    double abar[ORDER_LIMIT * ORDER_LIMIT], bbar[ORDER_LIMIT], state[ORDER_LIMIT] = {0}, next[ORDER_LIMIT];
    assert_done(legendre_discretise(order, theta, scaled, abar, bbar));
    for (int64_t t = 0; t < STEPS; t++) {
        for (int64_t i = 0; i < order; i++) {
            next[i] = bbar[i] * signal((double)t);
            for (int64_t j = 0; j < order; j++)
                next[i] += abar[i * order + j] * state[j];
        }
        memcpy(state, next, sizeof state);
    }
    for (int64_t i = 0; i < order; i++)
        m[i] = (float)state[i];
}

/* The largest difference of what is rebuilt from the true past; `backwards`, from the past in reverse. */
static double worst_error(int64_t order, double theta, bool scaled, Signal *signal, bool backwards)
{
    float m[ORDER_LIMIT], out[DELAY_LIMIT];
    double c[DELAY_LIMIT * ORDER_LIMIT], worst = 0;
    int64_t delay[DELAY_LIMIT];
    for (int64_t d = 0; d < DELAY_LIMIT; d++)
        delay[d] = d;
    int64_t reach = recollection_reach(theta, delay, DELAY_LIMIT);
    assert_int_equal(reach, (int64_t)(theta + 0.5));
    remember(order, theta, scaled, signal, m);
    recollection_readout(order, theta, scaled, delay, reach, c);
    recollect(order, 1, 0, m, c, reach, out);
    for (int64_t d = 0; d < reach; d++) {
        double there = signal((double)(STEPS - 1 - (backwards ? reach - 1 - d : d)));
        worst = fmax(worst, fabs(out[d] - there));
    }
    return worst;
}

/* At half a step's distance the errors of ramp and waves would be 0.005 and 0.06. */
static void test_slow_signals_come_back(void **state)
{
    (void)state;
    for (int scaled = 0; scaled < 2; scaled++)
        for (int64_t order = 6; order <= 12; order += 2) {
            assert_true(worst_error(order, 32, scaled, constant, false) < 1e-4);
            assert_true(worst_error(order, 32, scaled, ramp, false) < 2e-3);
            assert_true(worst_error(order, 32, scaled, waves, false) < 0.005);
            assert_true(order < 8 || worst_error(order, 63.5, scaled, waves, false) < 0.01);
        }
}

/* A readout in the wrong order or with wrong signs would not: the past is no palindrome. */
static void test_the_past_has_a_direction(void **state)
{
    (void)state;
    assert_true(worst_error(8, 32, false, ramp, true) > 0.25);
    assert_true(worst_error(8, 32, false, waves, true) > 0.5);
}

static void test_reach(void **state)
{
    (void)state;
    const int64_t delay[] = {0, 3, 6, 9};
    assert_int_equal(recollection_reach(0.4, delay, 4), 0);
    assert_int_equal(recollection_reach(0.5, delay, 4), 1);
    assert_int_equal(recollection_reach(9.4, delay, 4), 3);
    assert_int_equal(recollection_reach(9.5, delay, 4), 4);
    assert_int_equal(recollection_reach(1000, delay, 4), 4);
}

static void test_nearest_tokens(void **state)
{
    (void)state;
    RecalledToken found;
    recalled_token_find((const float[]){0.25F, 0.75F, -1, 0.75F, 0.5F}, 5, 4, &found);
    assert_int_equal(found.id, 4);
    assert_int_equal(found.rank, 3);
    assert_true(found.similarity == 0.5);
    assert_int_equal(found.nearest[0], 1);
    assert_int_equal(found.nearest[1], 3);
    assert_int_equal(found.nearest[2], 4);
    assert_true(found.nearness[1] == 0.75 && found.nearness[2] == 0.5);
    recalled_token_find((const float[]){0.5F, 0.75F}, 2, 1, &found);
    assert_int_equal(found.rank, 1);
    assert_int_equal(found.nearest[0], 1);
    assert_int_equal(found.nearest[1], 0);
    assert_int_equal(found.nearest[2], -1);
}

/* -- a model's memory --------------------------------------------------------------------------------------------------- */

static MemoryPicture look(MemoryView *view, int64_t layer, const uint32_t *id, int64_t count)
{
    MemoryPicture picture;
    bool done = false;
    assert_done(memory_view_begin(view, layer, id, count));
    while (!done)
        assert_done(memory_view_work(view, &done));
    memory_view_take(view, &picture);
    return picture;
}

static void fill_ids(uint32_t *id, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        id[i] = (uint32_t)(40 + i * i % 77);
}

/* Over the channels whose window reaches that far. */
static double cosine_at(const MemoryPicture *p, int64_t d)
{
    float given[64], rebuilt[64];
    assert_true(p->channels <= 64);
    for (int64_t channel = 0; channel < p->channels; channel++) {
        bool reaches = d < p->reach[channel * p->groups / p->channels];
        given[channel] = reaches ? p->given[channel * p->delays + d] : 0;
        rebuilt[channel] = p->rebuilt[channel * p->delays + d];
    }
    return recollection_cosine(given, rebuilt, p->channels);
}

/* What is rebuilt is the readout of the recurrence's state on what was given; a text of two blocks. */
static void assert_recurrence(MemoryView *view, int64_t layer, const uint32_t *id, int64_t count)
{
    enum { CHANNEL = 5 };
    float input[300], m[ORDER_LIMIT], out[DELAY_LIMIT];
    double abar[ORDER_LIMIT * ORDER_LIMIT], bbar[ORDER_LIMIT], s[ORDER_LIMIT] = {0}, next[ORDER_LIMIT];
    double c[DELAY_LIMIT * ORDER_LIMIT];
    MemoryPicture p = {0};
    for (int64_t t = 0; t < count; t++) {
        memory_picture_free(&p);
        p = look(view, layer, id, t + 1);
        input[t] = p.given[CHANNEL * p.delays];
        for (int64_t d = 0; d < p.delays; d++) {
            float before = t >= d ? input[t - d] : 0;
            assert_true(fabsf(p.given[CHANNEL * p.delays + d] - before) < 1e-5F);
        }
    }
    assert_done(legendre_discretise(p.order, p.theta[0], false, abar, bbar));
    for (int64_t t = 0; t < count; t++) {
        for (int64_t i = 0; i < p.order; i++) {
            next[i] = bbar[i] * (double)input[t];
            for (int64_t j = 0; j < p.order; j++)
                next[i] += abar[i * p.order + j] * s[j];
        }
        memcpy(s, next, sizeof s);
    }
    for (int64_t i = 0; i < p.order; i++)
        m[i] = (float)s[i];
    recollection_readout(p.order, p.theta[0], false, p.delay, p.reach[0], c);
    recollect(p.order, 1, 0, m, c, p.reach[0], out);
    for (int64_t d = 0; d < p.reach[0]; d++)
        assert_true(fabsf(out[d] - p.rebuilt[CHANNEL * p.delays + d]) < 1e-4F);
    memory_picture_free(&p);
}

static void test_view_of_a_model(void **state)
{
    (void)state;
    enum { COUNT = 270 };
    uint32_t id[COUNT];
    Opened opened;
    MemoryView *view;
    fill_ids(id, COUNT);
    opened_open(&opened, BACKEND_REFERENCE, true);
    assert_done(memory_view_open(opened.engine.model, &view));
    MemoryPicture p = look(view, 1, id, COUNT);
    assert_int_equal(p.delays, 10); /* theta 9.5 */
    assert_int_equal(p.reach[0], 10);
    assert_int_equal(p.recalled_count, 0);
    memory_picture_free(&p);
    p = look(view, 0, id, 3); /* theta 4, of which one step lies before the text */
    assert_int_equal(p.delays, 4);
    assert_int_equal(p.recalled_count, 3);
    for (int64_t d = 0; d < 3; d++) {
        assert_int_equal(p.recalled[d].id, id[2 - d]);
        /* the first layer is given the norm of an embedding: the table's row of the token that stood there */
        assert_true(fabs(p.recalled[d].similarity - cosine_at(&p, d)) < 1e-5);
    }
    assert_int_equal(p.recalled[0].rank, 1);
    assert_int_equal(p.recalled[0].nearest[0], id[2]);
    memory_picture_free(&p);
    assert_recurrence(view, 0, id, 20);
    assert_recurrence(view, 1, id, COUNT);
    assert_refused(memory_view_begin(view, 2, id, 3), LMU_USAGE, "layers 0 to 1");
    assert_refused(memory_view_begin(view, 0, id, 0), LMU_USAGE, "nothing to show");
    memory_view_close(view);
    opened_close(&opened);
}

typedef struct Fresh {
    Backend *backend;
    Model *model;
} Fresh;

static Fresh fresh_model(const char *arch, ModelConfig *config)
{
    Fresh fresh;
    config->vocabulary = 30;
    config->dim = 12;
    config->layers = 2;
    assert_done(backend_open(BACKEND_CPU, 1, false, &fresh.backend));
    assert_done(model_create(fresh.backend, config, 3, &fresh.model));
    assert_string_equal(fresh.model->arch->name, arch);
    model_config_free(config);
    return fresh;
}

static void fresh_close(Fresh *fresh)
{
    model_close(fresh->model);
    backend_close(fresh->backend);
}

/* Groups of channels forget at times of their own; a window may be longer than a picture has delays, and the basis scaled. */
static void test_groups_and_long_windows(void **state)
{
    (void)state;
    static const double theta[] = {3, 8, 1000};
    uint32_t id[40];
    MemoryView *view;
    ModelConfig config;
    assert_done(model_config_init(&config, "lmu"));
    for (int i = 0; i < 40; i++)
        id[i] = (uint32_t)(i * 7 % 30);
    config.scaled = true;
    memcpy(config.theta_groups.value, theta, sizeof theta);
    config.theta_groups.count = 3;
    Fresh fresh = fresh_model("lmu", &config);
    assert_done(memory_view_open(fresh.model, &view));
    MemoryPicture p = look(view, 0, id, 40);
    assert_int_equal(p.groups, 3);
    assert_int_equal(p.delays, MEMORY_VIEW_DELAYS);
    assert_int_equal(p.delay[1], 3); /* of 1000 steps every fourth or so */
    assert_int_equal(p.reach[0], 1);
    assert_int_equal(p.reach[1], 3);
    assert_int_equal(p.reach[2], MEMORY_VIEW_DELAYS);
    assert_int_equal(p.recalled_count, 11); /* delays 0, 3, .. 39 are in the text */
    assert_int_equal(p.recalled[0].id, id[39]);
    assert_int_equal(p.recalled[1].id, id[36]);
    memory_picture_free(&p);
    memory_view_close(view);
    fresh_close(&fresh);
}

/* Whatever stands between embedding and memory: what is rebuilt is compared with what the memory was given. */
static void test_kinds_of_layers(void **state)
{
    (void)state;
    static const char *const kinds[] = {"lmu", "lmu-paper", "lmu-attention"};
    uint32_t id[7] = {3, 1, 4, 1, 5, 9, 2};
    for (int i = 0; i < 9; i++) {
        ModelConfig config;
        MemoryView *view;
        assert_done(model_config_init(&config, kinds[i % 3]));
        config.norm = i / 3; /* layer, rms, none */
        Fresh fresh = fresh_model(kinds[i % 3], &config);
        assert_done(memory_view_open(fresh.model, &view));
        for (int64_t layer = 0; layer < 2; layer++) {
            MemoryPicture p = look(view, layer, id, 7);
            assert_int_equal(p.recalled_count, layer == 0 ? 7 : 0);
            for (int64_t d = 0; d < p.recalled_count; d++)
                assert_true(fabs(p.recalled[d].similarity - cosine_at(&p, d)) < 1e-5);
            memory_picture_free(&p);
        }
        memory_view_close(view);
        fresh_close(&fresh);
    }
}

static void test_models_without(void **state)
{
    (void)state;
    static const char *const kinds[] = {"lstm", "transformer", "transformer-modern"};
    for (int i = 0; i < 3; i++) {
        ModelConfig config;
        MemoryView *view;
        assert_done(model_config_init(&config, kinds[i]));
        Fresh fresh = fresh_model(kinds[i], &config);
        assert_refused(memory_view_open(fresh.model, &view), LMU_USAGE, "has no Legendre memory");
        assert_null(view);
        fresh_close(&fresh);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slow_signals_come_back),
        cmocka_unit_test(test_the_past_has_a_direction),
        cmocka_unit_test(test_reach),
        cmocka_unit_test(test_nearest_tokens),
        cmocka_unit_test(test_view_of_a_model),
        cmocka_unit_test(test_groups_and_long_windows),
        cmocka_unit_test(test_models_without),
        cmocka_unit_test(test_kinds_of_layers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
