/* Gradients that must agree: micro-batches with one batch, and any plan of memory with the plain one. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "law.h"

#define ROWS 6

static const int64_t count[ROWS] = {18, 5, 0, 1, 33, 7};

/* Outputs, parameter gradients and input gradients of a subject's last run, one after the other. */
typedef struct Results {
    int64_t numbers;
    double *value;
} Results;

static Results results_read(const LawSubject *s, const LawBatch *batch)
{
    int64_t tokens = batch_tokens(batch), numbers = subject_numbers(s, batch), length = s->params->length;
    int64_t total = numbers + length;
    for (int i = 0; i < s->model.inputs; i++)
        total += tokens * s->model.width[i];
    Results results = {total, law_new((size_t)total, sizeof(double))};
    double *to = results.value;
    subject_output(s, batch, to);
    to += numbers;
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

/* -- backends ------------------------------------------------------------------------------------------------------ */

#define VARIANT_ROWS 4

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

/* Each of: output, each parameter's gradient, each input's gradient, relative to its own largest number. */
static double results_differ(const LawSubject *s, const LawBatch *batch, bool train, const Results *a, const Results *b)
{
    int64_t tokens = batch_tokens(batch), numbers = subject_numbers(s, batch);
    const double *x = a->value, *y = b->value;
    double worst = difference(numbers, x, y, false);
    if (!train)
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
    LawBatch before, batch;
    variant_batches(scale, &before, &batch);
    bool train = law_trains(law);
    LawSubject *s[2];
    State *state[2];
    Results results[2] = {0};
    for (int i = 0; i < 2; i++) {
        LawOptions options = {.kind = i ? BACKEND_DOUBLE : kind,
                              .threads = 2,
                              .mode = train ? GRAPH_TRAIN : GRAPH_SCORE,
                              .shape = shape,
                              .rows = VARIANT_ROWS,
                              .tokens = 57 * scale,
                              .mutation = i ? NULL : mutation};
        s[i] = subject_open(law, &options);
        state[i] = subject_state(s[i], 5);
        subject_run(s[i], &before, state[i]);
        subject_run(s[i], &batch, state[i]);
        if (train) {
            results[i] = results_read(s[i], &batch);
        } else {
            results[i] = (Results){subject_numbers(s[i], &batch), NULL};
            results[i].value = law_new((size_t)results[i].numbers, sizeof(double));
            subject_output(s[i], &batch, results[i].value);
        }
    }
    double worst = results_differ(s[0], &batch, train, &results[0], &results[1]);
    int64_t numbers = state_numbers(state[1]);
    double *x = law_new((size_t)numbers, sizeof *x), *y = law_new((size_t)numbers, sizeof *y);
    for (int64_t row = 0; row < 5; row++) {
        state_read(state[0], row, x);
        state_read(state[1], row, y);
        worst = fmax(worst, difference(numbers, x, y, false));
    }
    free(x);
    free(y);
    for (int i = 0; i < 2; i++) {
        free(results[i].value);
        state_close(state[i]);
        subject_close(s[i]);
    }
    return worst;
}
