/* AdamW against an implementation of its own in double, decay by the parameters' names, and the course of the learning rate. */
#include <math.h>

#include "base/random.h"
#include "train/optimiser.h"
#include "training.h"

/* Loshchilov & Hutter 2019, algorithm 2, as it stands there: for one number and its moments. */
typedef struct Reference {
    double w, m, v;
} Reference;

static void reference_step(Reference *r, const TrainConfig *c, double rate, double gradient, bool decays, int step)
{
    double decay = decays ? c->weight_decay : 0;
    r->m = c->beta1 * r->m + (1 - c->beta1) * gradient;
    r->v = c->beta2 * r->v + (1 - c->beta2) * gradient * gradient;
    double m = r->m / (1 - pow(c->beta1, step)), v = r->v / (1 - pow(c->beta2, step));
    r->w -= rate * (m / (sqrt(v) + c->epsilon) + decay * r->w);
}

/* Odd sizes, neighbours with and without decay, and one that is large enough for several threads. */
static Params *odd_parameters(Backend *backend)
{
    static const struct {
        const char *name;
        int rank;
        int64_t shape[2];
        ParamRole role;
    } list[] = {
        {"table", 2, {5, 3}, PARAM_TABLE},     {"norm", 1, {7}, PARAM_VECTOR},  {"bias", 1, {1}, PARAM_VECTOR},
        {"square", 2, {13, 13}, PARAM_MATRIX}, {"last", 1, {33}, PARAM_VECTOR}, {"large", 2, {301, 400}, PARAM_MATRIX},
        {"other", 2, {3, 1}, PARAM_MATRIX},    {"pool", 1, {5}, PARAM_MEMORY},  {"gain", 1, {4}, PARAM_VECTOR}};
    Params *params;
    Param *param;
    assert_done(params_open(backend, &params));
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        assert_done(params_get(params, list[i].name, list[i].rank, list[i].shape, (Init){INIT_NORMAL, 0.5},
                               list[i].role, &param));
    assert_done(params_seal(params, 3));
    assert_done(params_train(params));
    return params;
}

static void draw_gradients(Params *params, double *gradients, int step)
{
    memset(gradients, 0, (size_t)params->length * sizeof *gradients);
    for (size_t p = 0; p < params->count; p++)
        for (int64_t i = 0; i < params->list[p]->size; i++) {
            int64_t at = params->list[p]->offset + i;
            gradients[at] =
                (double)(float)(0.1 * random_normal(random_key(1, "gradient", (uint64_t)step, 0), (uint64_t)at));
        }
    KERNEL(params->backend, put_f64, params->length, gradients, params->gradients);
}

static void check_steps(BackendKind kind, double tolerance)
{
    enum { STEPS = 25 };
    Backend *backend;
    assert_done(backend_open(kind, 2, false, &backend));
    Params *params = odd_parameters(backend);
    TrainConfig config = default_training();
    config.weight_decay = 0.3;
    config.memory_rate = 0.5;
    double *start = vector_read(params, params->values), *gradients = vector_read(params, params->gradients);
    Reference *reference = calloc((size_t)params->length, sizeof *reference);
    for (int64_t i = 0; i < params->length; i++)
        reference[i].w = start[i];
    for (int step = 1; step <= STEPS; step++) {
        double rate = 0.01 * step, scale = step % 3 == 0 ? 0.25 : 1;
        draw_gradients(params, gradients, step);
        for (size_t p = 0; p < params->count; p++) {
            ParamRole role = params->list[p]->role;
            for (int64_t i = 0; i < params->list[p]->size; i++) {
                int64_t at = params->list[p]->offset + i;
                reference_step(&reference[at], &config, role == PARAM_MEMORY ? rate / 2 : rate, scale * gradients[at],
                               role != PARAM_VECTOR && role != PARAM_MEMORY, step);
            }
        }
        optimiser_step(params, &config, NULL, rate, scale, step);
    }
    double *values = vector_read(params, params->values), *second = vector_read(params, params->second_moment);
    for (int64_t i = 0; i < params->length; i++) {
        if (fabs(values[i] - reference[i].w) > tolerance * (1 + fabs(reference[i].w)))
            fail_msg("%s: number %lld is %.9g, not %.9g", backend->name, (long long)i, values[i], reference[i].w);
        assert_true(fabs(second[i] - reference[i].v) <= tolerance);
    }
    free(values);
    free(second);
    free(start);
    free(gradients);
    free(reference);
    fields_free(&train_table, &config);
    params_close(params);
    backend_close(backend);
}

static void test_steps(void **state)
{
    (void)state;
    check_steps(BACKEND_DOUBLE, 1e-12);
    check_steps(BACKEND_REFERENCE, 1e-5);
    check_steps(BACKEND_CPU, 1e-5);
}

static bool name_ends(const char *name, const char *end)
{
    size_t length = strlen(name), tail = strlen(end);
    return length >= tail && strcmp(name + length - tail, end) == 0;
}

/* Matrices and the table by name: whatever is new in an architecture has to be put here by hand. */
static bool decays_by_name(const char *name)
{
    static const char *const ends[] = {
        "embedding.weight", "position.weight", ".attention.qkv.weight", ".attention.zv.weight", ".out.weight",
        ".up.weight",       ".gate.weight",    ".down.weight",          ".input.weight",        ".recurrent.weight"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (name_ends(name, ends[i]))
            return true;
    return false;
}

/* Without a gradient a step is decay alone: what decays is halved, and nothing else has moved by a bit. */
static void test_decay_by_name(void **state)
{
    (void)state;
    Backend *backend;
    assert_done(backend_open(BACKEND_DOUBLE, 1, false, &backend));
    TrainConfig config = default_training();
    config.weight_decay = 0.5;
    for (int a = 0; architectures[a]; a++) {
        ModelConfig small = small_config(architectures[a]->name);
        Model *model;
        small.vocabulary = SMALL_VOCABULARY;
        small.recall = 2;
        small.ngram_slots = 10;
        assert_done(model_create(backend, &small, 0, &model));
        model_config_free(&small);
        Params *params = model->params;
        assert_done(params_train(params));
        params_write_begin(params);
        KERNEL(backend, fill, params->length, 1, params->values);
        params_write_end(params);
        optimiser_step(params, &config, NULL, 1, 1, 1);
        double *values = vector_read(params, params->values);
        size_t decayed = 0;
        for (size_t p = 0; p < params->count; p++) {
            const Param *param = params->list[p];
            bool decays = decays_by_name(param->name);
            decayed += decays;
            for (int64_t i = 0; i < param->size; i++)
                if (values[param->offset + i] != (decays ? 0.5 : 1))
                    fail_msg("%s: %s became %g", architectures[a]->name, param->name, values[param->offset + i]);
        }
        assert_true(decayed > 0 && decayed < params->count);
        free(values);
        model_close(model);
    }
    fields_free(&train_table, &config);
    backend_close(backend);
}

static void test_norm(void **state)
{
    (void)state;
    Backend *backend;
    assert_done(backend_open(BACKEND_CPU, 2, false, &backend));
    Params *params = odd_parameters(backend);
    double *gradients = vector_read(params, params->gradients), sum = 0;
    draw_gradients(params, gradients, 1);
    for (int64_t i = 0; i < params->length; i++)
        sum += gradients[i] * gradients[i];
    assert_true(fabs(optimiser_norm(params) - sqrt(sum)) < 1e-9);
    gradients[params->list[5]->offset + 77] = NAN;
    KERNEL(backend, put_f64, params->length, gradients, params->gradients);
    assert_true(isnan(optimiser_norm(params)));
    gradients[params->list[5]->offset + 77] = -INFINITY;
    KERNEL(backend, put_f64, params->length, gradients, params->gradients);
    assert_true(isinf(optimiser_norm(params)));
    free(gradients);
    params_close(params);
    backend_close(backend);
}

static void assert_near(double value, double expected)
{
    if (fabs(value - expected) > 1e-12)
        fail_msg("%.12g is not %.12g", value, expected);
}

static void test_schedule(void **state)
{
    (void)state;
    TrainConfig c = default_training();
    c.learning_rate = 2e-3;
    c.final_fraction = 0.05;
    c.warmup = 50;
    /* Of 500 steps, 50 warm up. */
    assert_near(schedule_rate(&c, 0, 0, 0.1), 2e-3 / 50);
    assert_near(schedule_rate(&c, 24, 0.048, 0.1), 1e-3);
    assert_near(schedule_rate(&c, 49, 0.098, 0.1), 2e-3);
    assert_near(schedule_rate(&c, 50, 0.1, 0.1), 2e-3);
    assert_near(schedule_rate(&c, 275, 0.55, 0.1), 2e-3 * (0.05 + 0.95 / 2));
    assert_near(schedule_rate(&c, 200, 0.4, 0.1), 2e-3 * (0.05 + 0.95 * 0.75)); /* a third of the way: cos 60 degrees */
    assert_near(schedule_rate(&c, 500, 1, 0.1), 1e-4);
    /* It never rises after the peak, and never leaves its bounds. */
    double before = INFINITY;
    for (int step = 50; step <= 600; step++) {
        double rate = schedule_rate(&c, step, step / 500.0, 0.1);
        assert_true(rate <= before && rate >= 1e-4 - 1e-15 && rate <= 2e-3);
        before = rate;
    }
    c.warmup = 0;
    assert_near(schedule_rate(&c, 0, 0, 0), 2e-3);
    c.warmup = 500; /* a run of warm-up alone */
    assert_near(schedule_rate(&c, 249, 0.498, 1), 1e-3);
    assert_near(schedule_rate(&c, 500, 1, 1), 1e-4);
    assert_near(schedule_course(&c, 0.998, 1), 1);
    assert_near(schedule_course(&c, 0.05, 0.1), 1);
    assert_near(schedule_course(&c, 0.4, 0.1), 0.75);
    assert_near(schedule_course(&c, 1, 0.1), 0);
    /* Stable behind its warm-up, whatever the budget; half of the decay; the end. */
    c.schedule = SCHEDULE_WSD;
    c.decay = 0.2;
    c.warmup = 50;
    assert_near(schedule_rate(&c, 24, 0.048, 0.1), 1e-3);
    assert_near(schedule_rate(&c, 50, 0.1, 0.1), 2e-3);
    assert_near(schedule_rate(&c, 400, 0.8, 0.1), 2e-3);
    assert_near(schedule_rate(&c, 450, 0.9, 0.1), 2e-3 * (0.05 + 0.95 / 2));
    assert_near(schedule_rate(&c, 500, 1, 0.1), 1e-4);
    assert_near(schedule_course(&c, 0.8, 0.1), 1);
    assert_near(schedule_course(&c, 0.9, 0.1), 0.5);
    assert_near(schedule_course(&c, 0.9, 0.95), 1);
    assert_near(schedule_course(&c, 1, 0.1), 0);
    c.decay = 0;
    assert_near(schedule_rate(&c, 500, 1, 0.1), 2e-3);
    fields_free(&train_table, &c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_decay_by_name),
        cmocka_unit_test(test_norm),
        cmocka_unit_test(test_schedule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
