/* The stream law: one text, three ways to read it. */
#include <math.h>
#include <stdlib.h>

#include "base/random.h"
#include "law.h"

#define STREAMS 4
#define LONGEST 41
#define SLOTS 6

static const int64_t length[STREAMS] = {LONGEST, 1, 33, 16}, slot[STREAMS] = {5, 0, 3, 1};

typedef enum Cut { CUT_NONE, CUT_RAGGED, CUT_TOKENS } Cut;

/* The next run: the rows in an order of its own, each with a piece of what is left of it, or with nothing. */
static LawBatch next_batch(Cut cut, uint64_t run, const State *state)
{
    LawBatch batch = {0};
    uint64_t key = random_key(7, "cut", run, 0);
    for (int i = 0; i < STREAMS; i++) {
        int64_t r = cut == CUT_NONE ? i : (int64_t)random_permute(key, STREAMS, (uint64_t)i);
        int64_t start = state->position[slot[r]], left = length[r] - start, count = left;
        if (cut == CUT_RAGGED)
            count = (int64_t)random_below(key, 10 + (uint64_t)i, random_below(key, 20, 2) ? 20 : 4);
        else if (cut == CUT_TOKENS)
            count = 1;
        count = count < left ? count : left;
        if (count > 0 || cut == CUT_RAGGED)
            batch_row(&batch, r, start, count, slot[r]);
    }
    return batch;
}

static LawTrace stream_read(LawSubject *s, Cut cut, State *state)
{
    LawTrace trace = trace_open(STREAMS, LONGEST, s->width);
    int64_t left = 0;
    for (int r = 0; r < STREAMS; r++)
        left += length[r];
    for (uint64_t run = 0; left > 0; run++) {
        LawBatch batch = next_batch(cut, run, state);
        subject_run(s, &batch, state);
        trace_add(&trace, s, &batch);
        left -= batch_tokens(&batch);
    }
    return trace;
}

static double states_differ(const State *a, const State *b)
{
    int64_t numbers = state_numbers(a);
    double *x = law_new((size_t)numbers, sizeof *x), *y = law_new((size_t)numbers, sizeof *y), worst = 0;
    for (int64_t row = 0; row < SLOTS; row++) {
        state_read(a, row, x);
        state_read(b, row, y);
        int64_t first = 0;
        for (int i = 0; i < a->slots; first += a->numbers[i++])
            worst = fmax(worst, difference(a->numbers[i], x + first, y + first, false));
        worst = a->position[row] == b->position[row] ? worst : LAW_BROKEN;
    }
    free(x);
    free(y);
    return worst;
}

double law_stream(const LawCase *law, LawShape shape, BackendKind kind, GraphMode mode, const Mutation *mutation)
{
    LawOptions options = {
        .kind = kind, .mode = mode, .shape = shape, .rows = STREAMS, .tokens = 91, .mutation = mutation};
    LawSubject *s = subject_open(law, &options);
    State *whole_state = subject_state(s, SLOTS);
    LawTrace whole = stream_read(s, CUT_NONE, whole_state);
    double worst = 0;
    for (Cut cut = CUT_RAGGED; cut <= CUT_TOKENS; cut++) {
        State *state = subject_state(s, SLOTS);
        LawTrace trace = stream_read(s, cut, state);
        worst = fmax(worst, difference(STREAMS * LONGEST * s->width, trace.value, whole.value, true));
        worst = fmax(worst, states_differ(state, whole_state));
        for (int r = 0; r < STREAMS; r++) /* the last token of every stream has been seen both ways */
            if (isnan(trace.value[(r * LONGEST + length[r] - 1) * s->width]) ||
                isnan(whole.value[(r * LONGEST + length[r] - 1) * s->width]))
                worst = LAW_BROKEN;
        trace_close(&trace);
        state_close(state);
    }
    trace_close(&whole);
    state_close(whole_state);
    subject_close(s);
    return worst;
}
