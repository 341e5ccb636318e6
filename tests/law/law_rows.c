/* Rows do not see each other: isolation, and the same bits in any company. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "law.h"

#define ROWS 5

/* -- isolation ----------------------------------------------------------------------------------------------------- */

static const int64_t prefix[ROWS] = {3, 0, 17, 6, 1}, count[ROWS] = {5, 18, 0, 33, 1}, slot[ROWS] = {4, 1, 6, 0, 2};

/* What one row leaves: output, input gradients, state. */
typedef struct RowResult {
    int64_t numbers;
    double *value;
} RowResult;

typedef struct Isolation {
    LawSubject *s;
    bool train;
} Isolation;

static void append(RowResult *result, int64_t numbers, const double *values)
{
    memcpy(result->value + result->numbers, values, (size_t)numbers * sizeof *values);
    result->numbers += numbers;
}

/* Runs all rows after their prefixes, with row `changed` (-1: none) reading another stream; one result a row. */
static void isolation_run(Isolation *law, int changed, RowResult result[ROWS])
{
    LawSubject *s = law->s;
    LawBatch before = {0}, batch = {0};
    for (int r = 0; r < ROWS; r++) {
        int64_t stream = r == changed ? 100 : r;
        batch_row(&before, stream, 0, prefix[r], slot[r]);
        batch_row(&batch, stream, prefix[r], count[r], slot[r]);
    }
    State *state = subject_state(s, ROWS + 2);
    subject_run(s, &before, state);
    subject_run(s, &batch, state);
    int64_t widest = s->width, numbers = state_numbers(state);
    for (int i = 0; i < s->model.inputs; i++)
        widest = s->model.width[i] > widest ? s->model.width[i] : widest;
    double *values = law_new((size_t)(s->tokens * widest + numbers), sizeof *values);
    for (int r = 0; r < ROWS; r++)
        result[r].value = law_new((size_t)(count[r] * widest * (LAW_INPUTS + 1) + widest + numbers), sizeof *values);
    subject_output(s, &batch, values);
    for (int r = 0; r < ROWS; r++) {
        int64_t n;
        const double *span = batch_span(s, &batch, r, values, &n);
        append(&result[r], n, span);
    }
    for (int i = 0; law->train && i < s->model.inputs; i++) {
        subject_input_gradient(s, &batch, i, values);
        const double *span = values;
        for (int r = 0; r < ROWS; span += count[r++] * s->model.width[i])
            append(&result[r], count[r] * s->model.width[i], span);
    }
    for (int r = 0; r < ROWS; r++) {
        state_read(state, slot[r], values);
        append(&result[r], numbers, values);
    }
    free(values);
    state_close(state);
}

double law_isolation(const LawCase *law, LawShape shape, BackendKind kind, const Mutation *mutation)
{
    bool train = law_trains(law);
    LawOptions options = {.kind = kind,
                          .mode = train ? GRAPH_TRAIN : GRAPH_SCORE,
                          .shape = shape,
                          .rows = ROWS,
                          .tokens = 64,
                          .mutation = mutation};
    Isolation isolation = {subject_open(law, &options), train};
    RowResult plain[ROWS] = {0}, other[ROWS] = {0};
    isolation_run(&isolation, -1, plain);
    double worst = 0;
    for (int changed = 0; changed < ROWS; changed++) {
        memset(other, 0, sizeof other);
        isolation_run(&isolation, changed, other);
        for (int r = 0; r < ROWS; r++) {
            if (r != changed)
                worst = fmax(worst, bits_differ(plain[r].numbers, other[r].value, plain[r].value));
            free(other[r].value);
        }
    }
    for (int r = 0; r < ROWS; r++)
        free(plain[r].value);
    subject_close(isolation.s);
    return worst;
}

/* -- batches ------------------------------------------------------------------------------------------------------- */

#define MEMBERS LAW_ROWS
#define LENGTH 20

static int64_t member_count(int64_t stream)
{
    static const int64_t counts[7] = {1, 16, 3, 0, 20, 17, 8};
    return counts[stream % 7];
}

/* Reads 2 tokens of every member, then the rest, in runs of `size` members; the state is left for each member's slot. */
static LawTrace members_read(LawSubject *s, int size, int members, State *state)
{
    LawTrace trace = trace_open(members, LENGTH + 2, s->width);
    for (int first = 0; first < members; first += size) {
        LawBatch before = {0}, batch = {0};
        for (int r = first; r < first + size && r < members; r++) {
            batch_row(&before, r, 0, 2, r);
            batch_row(&batch, r, 2, member_count(r), r);
        }
        subject_run(s, &before, state);
        trace_add(&trace, s, &before);
        subject_run(s, &batch, state);
        trace_add(&trace, s, &batch);
    }
    return trace;
}

static double members_differ(const LawTrace *alone, const LawTrace *together, const State *one, const State *other)
{
    int64_t numbers = state_numbers(one);
    double *x = law_new((size_t)numbers, sizeof *x), *y = law_new((size_t)numbers, sizeof *y);
    double worst = bits_differ(together->streams * together->length * together->width, alone->value, together->value);
    for (int64_t r = 0; r < together->streams; r++) {
        state_read(one, r, x);
        state_read(other, r, y);
        worst = fmax(worst, bits_differ(numbers, x, y));
    }
    free(x);
    free(y);
    return worst;
}

double law_batch(const LawCase *law, LawShape shape, BackendKind kind, GraphMode mode, const Mutation *mutation)
{
    LawOptions options = {.kind = kind,
                          .mode = mode,
                          .shape = shape,
                          .rows = MEMBERS,
                          .tokens = MEMBERS * LENGTH,
                          .threads = law->op ? 1 : 2,
                          .mutation = mutation};
    LawSubject *s = subject_open(law, &options);
    options.rows = 1;
    options.tokens = LENGTH;
    LawSubject *single = subject_open(law, &options);
    State *alone_state = subject_state(single, MEMBERS);
    LawTrace alone = members_read(single, 1, MEMBERS, alone_state);
    double worst = 0;
    for (int size = 1; size <= MEMBERS; size += LAW_STEP) {
        State *state = subject_state(s, MEMBERS);
        LawTrace together = members_read(s, size, size, state);
        worst = fmax(worst, members_differ(&alone, &together, alone_state, state));
        trace_close(&together);
        state_close(state);
    }
    trace_close(&alone);
    state_close(alone_state);
    subject_close(single);
    subject_close(s);
    return worst;
}
