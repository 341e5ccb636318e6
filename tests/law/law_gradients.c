/* Gradients that must agree: micro-batches with one batch, and any plan of memory with the plain one. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "law.h"

#define ROWS 6

static const int64_t count[ROWS] = {18, 5, 0, 1, 33, 7};

/* The outputs of a subject's last run and, in training, the gradients of its parameters and inputs, one after the other. */
typedef struct Results {
    int64_t numbers;
    double *value;
} Results;

static Results results_read(const LawSubject *s, const LawBatch *batch)
{
    int64_t tokens = batch_tokens(batch), numbers = subject_numbers(s, batch), length = s->params->length;
    bool train = s->mode == GRAPH_TRAIN;
    int64_t total = numbers + (train ? length : 0);
    for (int i = 0; train && i < s->model.inputs; i++)
        total += tokens * s->model.width[i];
    Results results = {total, law_new((size_t)total, sizeof(double))};
    double *to = results.value;
    subject_output(s, batch, to);
    to += numbers;
    if (!train)
        return results;
    subject_gradients(s, to);
    to += length;
    for (int i = 0; i < s->model.inputs; to += tokens * s->model.width[i++])
        subject_input_gradient(s, batch, i, to);
    return results;
}

/* Worst difference of any one parameter's gradient, relative to that parameter's largest. */
static double gradients_differ(const Params *params, const double *a, const double *b)
{
    double worst = 0;
    for (size_t k = 0; k < params->count; k++) {
        const Param *param = params->list[k];
        worst = fmax(worst, difference(param->size, a + param->offset, b + param->offset, false));
    }
    return worst;
}

double law_micro_batches(const LawCase *law, LawShape shape, BackendKind kind, const Mutation *mutation)
{
    /* The first micro-batch has no token at all: it still replaces what stood in the gradients. */
    static const int part[ROWS] = {1, 1, 0, 2, 2, 2};
    LawOptions options = {
        .kind = kind, .mode = GRAPH_TRAIN, .shape = shape, .rows = ROWS, .tokens = 64, .mutation = mutation};
    LawSubject *s = subject_open(law, &options);
    int64_t length = s->params->length;
    double *whole = law_new((size_t)length, sizeof *whole), *parts = law_new((size_t)length, sizeof *parts);
    LawBatch batch = {0};
    for (int r = 0; r < ROWS; r++)
        batch_row(&batch, r, 0, count[r], r);
    subject_run(s, &batch, NULL);
    subject_run(s, &batch, NULL); /* the second run finds the gradients of the first */
    subject_gradients(s, whole);
    for (int k = 0; k < 3; k++) {
        LawBatch micro = {.accumulate = k > 0};
        for (int r = 0; r < ROWS; r++)
            if (part[r] == k)
                batch_row(&micro, r, 0, count[r], r);
        subject_run(s, &micro, NULL);
    }
    subject_gradients(s, parts);
    double worst = gradients_differ(s->params, parts, whole);
    free(whole);
    free(parts);
    subject_close(s);
    return worst;
}

double law_memory(const LawCase *law, LawShape shape, BackendKind kind, const Mutation *mutation)
{
    static const int flags[4] = {0, GRAPH_NO_REUSE, GRAPH_POISON, GRAPH_NO_REUSE | GRAPH_POISON};
    Results plain = {0};
    double worst = 0;
    LawBatch batch = {0};
    for (int r = 0; r < ROWS; r++)
        batch_row(&batch, r, 0, count[r], r);
    for (int i = 0; i < 4; i++) {
        LawOptions options = {.kind = kind,
                              .mode = GRAPH_TRAIN,
                              .shape = shape,
                              .rows = ROWS,
                              .tokens = 64,
                              .flags = flags[i],
                              .mutation = mutation};
        LawSubject *s = subject_open(law, &options);
        for (int run = 0; run < 2; run++) { /* the second meets what the first left in memory */
            subject_run(s, &batch, NULL);
            Results results = results_read(s, &batch);
            if (!plain.value) {
                plain = results;
                continue;
            }
            worst = fmax(worst, bits_differ(plain.numbers, results.value, plain.value));
            free(results.value);
        }
        subject_close(s);
    }
    for (int64_t i = 0; i < plain.numbers; i++)
        worst = isfinite(plain.value[i]) ? worst : LAW_BROKEN;
    free(plain.value);
    return worst;
}

/* The results of three runs one after the other: from zero state, from zero state that is kept, and from there on. */
static Results recompute_results(const LawCase *law, LawShape shape, BackendKind kind, int flags, int skip)
{
    LawOptions options = {
        .kind = kind, .mode = GRAPH_TRAIN, .shape = shape, .rows = ROWS, .tokens = 64, .flags = flags, .skip = skip};
    LawSubject *s = subject_open(law, &options);
    State *state = subject_state(s, ROWS + 1);
    int64_t after[ROWS] = {0}, numbers = state_numbers(state);
    Results all = {0};
    for (int run = 0; run < 3; run++) {
        LawBatch batch = {0};
        for (int r = 0; r < ROWS; r++)
            batch_row(&batch, r, after[r], run < 2 ? count[r] : 3 + r, ROWS - r);
        batch.accumulate = run == 2;
        subject_run(s, &batch, run ? state : NULL);
        for (int r = 0; run && r < ROWS; r++)
            after[r] += batch.count[r];
        Results results = results_read(s, &batch);
        all.value = realloc(all.value, (size_t)(all.numbers + results.numbers + ROWS * numbers) * sizeof *all.value);
        memcpy(all.value + all.numbers, results.value, (size_t)results.numbers * sizeof *all.value);
        all.numbers += results.numbers;
        for (int r = 0; r < ROWS; r++, all.numbers += numbers)
            state_read(state, r + 1, all.value + all.numbers);
        free(results.value);
    }
    state_close(state);
    subject_close(s);
    return all;
}

double law_recompute(const LawCase *law, LawShape shape, BackendKind kind, int skip)
{
    static const int flags[4] = {0, GRAPH_NO_REUSE, GRAPH_POISON, GRAPH_NO_REUSE | GRAPH_POISON};
    Results plain = recompute_results(law, shape, kind, 0, 0);
    double worst = 0;
    for (int i = 0; i < 4; i++) {
        Results again = recompute_results(law, shape, kind, flags[i] | GRAPH_RECOMPUTE, skip);
        worst = fmax(worst, bits_differ(plain.numbers, again.value, plain.value));
        free(again.value);
    }
    free(plain.value);
    return worst;
}

int law_recomputed(const LawCase *law, LawShape shape)
{
    LawOptions options = {
        .kind = BACKEND_CPU, .mode = GRAPH_TRAIN, .shape = shape, .rows = 2, .tokens = 8, .flags = GRAPH_RECOMPUTE};
    LawSubject *s = subject_open(law, &options);
    const Step *steps;
    int total = graph_steps(s->g, &steps), again = 0;
    for (int i = 0; i < total; i++)
        again += steps[i].recompute;
    subject_close(s);
    return again;
}

/* -- backends ------------------------------------------------------------------------------------------------------ */

#define VARIANT_ROWS 4
#define VARIANT_SLOTS 5

static void variant_batches(int64_t scale, LawBatch *before, LawBatch *batch)
{
    static const int64_t prefix[VARIANT_ROWS] = {3, 7, 0, 18}, more[VARIANT_ROWS] = {5, 0, 19, 33};
    static const int64_t slot[VARIANT_ROWS] = {2, 4, 0, 3};
    *before = *batch = (LawBatch){0};
    for (int r = 0; r < VARIANT_ROWS; r++) {
        batch_row(before, r, 0, prefix[r] * scale, slot[r]);
        batch_row(batch, r, prefix[r] * scale, more[r] * scale, slot[r]);
    }
}

struct Variant {
    LawSubject *s;
    LawBatch batch;
    State *state;
    Results results;
};

Variant *variant_open(const LawCase *law, LawShape shape, BackendKind kind, int threads, int64_t scale,
                      const Mutation *mutation)
{
    Variant *v = law_new(1, sizeof *v);
    LawBatch before;
    variant_batches(scale, &before, &v->batch);
    LawOptions options = {.kind = kind,
                          .threads = threads,
                          .mode = law_trains(law) ? GRAPH_TRAIN : GRAPH_SCORE,
                          .shape = shape,
                          .rows = VARIANT_ROWS,
                          .tokens = 57 * scale,
                          .mutation = mutation};
    v->s = subject_open(law, &options);
    v->state = subject_state(v->s, VARIANT_SLOTS);
    subject_run(v->s, &before, v->state);
    subject_run(v->s, &v->batch, v->state);
    v->results = results_read(v->s, &v->batch);
    return v;
}

void variant_close(Variant *v)
{
    free(v->results.value);
    state_close(v->state);
    subject_close(v->s);
    free(v);
}

static double states_differ(const State *a, const State *b)
{
    int64_t numbers = state_numbers(b);
    double *x = law_new((size_t)numbers, sizeof *x), *y = law_new((size_t)numbers, sizeof *y), worst = 0;
    for (int64_t row = 0; row < VARIANT_SLOTS; row++) {
        state_read(a, row, x);
        state_read(b, row, y);
        worst = fmax(worst, difference(numbers, x, y, false));
    }
    free(x);
    free(y);
    return worst;
}

/* Each of: output, each parameter's gradient, each input's gradient, states; relative to its own largest number. */
double variants_differ(const Variant *a, const Variant *b)
{
    const LawSubject *s = b->s;
    int64_t tokens = batch_tokens(&b->batch), numbers = subject_numbers(s, &b->batch);
    const double *x = a->results.value, *y = b->results.value;
    double worst = fmax(difference(numbers, x, y, false), states_differ(a->state, b->state));
    if (!law_trains(s->law))
        return worst;
    x += numbers, y += numbers;
    worst = fmax(worst, gradients_differ(s->params, x, y));
    x += s->params->length, y += s->params->length;
    for (int i = 0; i < s->model.inputs; i++) {
        int64_t n = tokens * s->model.width[i];
        worst = fmax(worst, difference(n, x, y, false));
        x += n, y += n;
    }
    return worst;
}

double law_variant(const LawCase *law, LawShape shape, BackendKind kind, int64_t scale, const Mutation *mutation)
{
    Variant *fast = variant_open(law, shape, kind, 1, scale, mutation);
    Variant *exact = variant_open(law, shape, BACKEND_DOUBLE, 1, scale, NULL);
    double worst = variants_differ(fast, exact);
    variant_close(fast);
    variant_close(exact);
    return worst;
}
