/* --ngram-smoothing: its targets against the definition, and the gradient that a soft target gives. */
#include <math.h>

#include "base/random.h"
#include "text/memory_shard.h"
#include "train/smoothing.h"
#include "training.h"

enum { TOKENS = 700, LENGTH = 33, VOCABULARY = 13, ROWS = 2 };

static uint16_t ids[TOKENS];

static Windows windows_of(Shard *shard, int64_t lanes)
{
    Windows windows;
    uint64_t key = random_key(7, "text", 0, 0);
    for (uint64_t i = 0; i < TOKENS; i++)
        ids[i] = (uint16_t)random_below(key, 2 * i, 1 + random_below(key, 2 * i + 1, VOCABULARY));
    *shard = memory_shard(ids, TOKENS, VOCABULARY);
    if (lanes > 0)
        assert_done(windows_open_lanes(shard, LENGTH, lanes, 3, &windows));
    else
        assert_done(windows_open(shard, LENGTH, 3, &windows));
    return windows;
}

/* counts[v] of what followed the last `order` tokens of text[0..count-1] in the first samples; returns their sum. */
static double count_followers(const Windows *windows, int64_t samples, const int32_t *text, int64_t count, int order,
                              double counts[VOCABULARY])
{
    int32_t window[LENGTH + 1];
    double total = 0;
    memset(counts, 0, VOCABULARY * sizeof *counts);
    for (int64_t s = 0; s < samples && count >= order; s++) {
        windows_read(windows, s, window);
        for (int i = order; i <= LENGTH; i++)
            if (memcmp(window + i - order, text + count - order, (size_t)order * sizeof *window) == 0) {
                counts[window[i]]++;
                total++;
            }
    }
    return total;
}

static void check_target(const Windows *windows, int64_t samples, const int32_t *text, int64_t count, double share,
                         const SoftTarget *target)
{
    double two[VOCABULARY], one[VOCABULARY], got[VOCABULARY] = {0}, sum = target->own;
    double n2 = count_followers(windows, samples, text, count, 2, two);
    double n1 = count_followers(windows, samples, text, count, 1, one);
    double w2 = share * n2 / (n2 + 1), w1 = (share - w2) * n1 / (n1 + 3);
    for (int k = 0; k < SOFT_PARTS; k++)
        for (int64_t i = 0; i < target->part[k].length; i++)
            got[target->part[k].pairs[2 * i]] += target->part[k].factor * target->part[k].pairs[2 * i + 1];
    for (int v = 0; v < VOCABULARY; v++) {
        double expected = (n2 > 0 ? w2 * two[v] / n2 : 0) + (n1 > 0 ? w1 * one[v] / n1 : 0);
        assert_true(fabs(got[v] - expected) < 1e-12);
        sum += got[v];
    }
    assert_true(fabs(sum - 1) < 1e-12);
}

static void check_targets(int64_t lanes)
{
    Shard shard;
    Windows windows = windows_of(&shard, lanes);
    Smoothing *smoothing;
    assert_done(smoothing_open(&windows, VOCABULARY, ROWS, &smoothing));
    int64_t counted = 0, next[] = {0, 1, 2, 9, windows.count, 2 * windows.count};
    for (size_t k = 0; k < sizeof next / sizeof *next; k++) {
        int32_t text[ROWS * LENGTH], window[LENGTH + 1];
        assert_done(smoothing_count(smoothing, counted, next[k], NULL));
        counted = next[k];
        for (int r = 0; r < ROWS; r++) {
            windows_read(&windows, counted + r, window);
            memcpy(text + r * LENGTH, window, LENGTH * sizeof *text);
        }
        const SoftTarget *targets = smoothing_targets(smoothing, text, ROWS, 0.6);
        int64_t once = counted < windows.count ? counted : windows.count; /* a second pass is not counted */
        for (int r = 0; r < ROWS; r++)
            for (int i = 0; i < LENGTH; i++)
                check_target(&windows, once, text + r * LENGTH, i + 1, 0.6, &targets[r * LENGTH + i]);
        assert_null(smoothing_targets(smoothing, text, ROWS, 0));
    }
    smoothing_close(smoothing);
}

static void targets_are_those_of_the_definition(void **state)
{
    (void)state;
    check_targets(0);
    check_targets(4);
    smoothing_close(NULL);
}

/* -- the gradient: that of a mixture of targets is the mixture of their gradients -- */

enum { GRAPH_ROWS = 3, GRAPH_LENGTH = 111 }; /* more tokens than the loss has logits of at a time */

typedef struct Text {
    int32_t ids[GRAPH_ROWS * GRAPH_LENGTH], a[GRAPH_ROWS * GRAPH_LENGTH], b[GRAPH_ROWS * GRAPH_LENGTH];
    int32_t pairs[GRAPH_ROWS * GRAPH_LENGTH][2];
    SoftTarget soft[GRAPH_ROWS * GRAPH_LENGTH];
} Text;

/* 0.25 of each of a, and 0.75 of b as three counts in the second part. */
static void draw_targets(Text *text)
{
    uint64_t key = random_key(9, "targets", 0, 0);
    for (uint64_t i = 0; i < GRAPH_ROWS * GRAPH_LENGTH; i++) {
        text->ids[i] = (int32_t)random_below(key, 3 * i, SMALL_VOCABULARY);
        text->a[i] = i % 7 == 0 ? -1 : (int32_t)random_below(key, 3 * i + 1, SMALL_VOCABULARY);
        text->b[i] = text->a[i] < 0 ? -1 : (int32_t)random_below(key, 3 * i + 2, SMALL_VOCABULARY);
        text->pairs[i][0] = text->b[i];
        text->pairs[i][1] = 3;
        text->soft[i] = (SoftTarget){.own = 0.25, .part = {{0}, {text->pairs[i], 1, 0.25}}};
    }
}

static double *gradient(Graph *g, const Text *text, const int32_t *targets, const SoftTarget *soft)
{
    int64_t count[GRAPH_ROWS] = {GRAPH_LENGTH, GRAPH_LENGTH, GRAPH_LENGTH};
    Run run = {.rows = GRAPH_ROWS,
               .count = count,
               .ids = text->ids,
               .targets = targets,
               .soft = soft,
               .first_micro_batch = true,
               .loss_scale = 1};
    assert_done(graph_run(g, &run));
    return vector_read(graph_params(g), graph_params(g)->gradients);
}

static void mixtures_have_mixed_gradients(BackendKind kind, double limit)
{
    static Text text;
    Backend *backend;
    Graph *g;
    Tensor *loss;
    draw_targets(&text);
    assert_done(backend_open(kind, 2, true, &backend));
    Model *model = small_model(backend, "lmu", 1);
    assert_done(params_train(model->params));
    assert_done(model_graph(model, GRAPH_TRAIN, GRAPH_ROWS, GRAPH_ROWS * GRAPH_LENGTH, 0, &g, &loss));
    double *mixed = gradient(g, &text, text.a, text.soft), *a = gradient(g, &text, text.a, NULL),
           *b = gradient(g, &text, text.b, NULL), largest = 0, error = 0;
    for (int64_t i = 0; i < model->params->length; i++) {
        largest = fmax(largest, fabs(mixed[i]));
        error = fmax(error, fabs(mixed[i] - 0.25 * a[i] - 0.75 * b[i]));
    }
    assert_true(largest > 0.1);
    assert_true(error <= limit * largest);
    free(mixed);
    free(a);
    free(b);
    graph_close(g);
    model_close(model);
    backend_close(backend);
}

static void gradients_mix_in_double(void **state)
{
    (void)state;
    mixtures_have_mixed_gradients(BACKEND_DOUBLE, 1e-12);
}

static void gradients_mix_on_the_cpu(void **state)
{
    (void)state;
    mixtures_have_mixed_gradients(BACKEND_CPU, 1e-4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(targets_are_those_of_the_definition),
                                       cmocka_unit_test(gradients_mix_in_double),
                                       cmocka_unit_test(gradients_mix_on_the_cpu)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
