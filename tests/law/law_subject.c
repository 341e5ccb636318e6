/* Subjects: a case opened on a backend, with data that depends on (stream, position) alone. */
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/random.h"
#include "kernel/gemm.h"
#include "law.h"
#include "tensor/graph_internal.h"

#define SEED 20
#define LOSS_SCALE 0.5

void law_require(lmu_status status)
{
    if (status != LMU_OK)
        fail_msg("%s", lmu_error_message());
}

void *law_new(size_t count, size_t size)
{
    void *memory;
    law_require(memory_new(&memory, count, size, "a law"));
    return memory;
}

/* -- opening ----------------------------------------------------------------------------------------------------- */

/* Counts of a text of random ids. */
static void fill_counts(Params *params, const Param *param)
{
    enum { COUNTED = 400, VARIETY = 3 };
    NgramShape shape = {param->shape[0], (param->shape[2] - 1) / 2, param->shape[1]};
    int64_t offset[] = {0, COUNTED}, none = 0, chunk[] = {0, 0};
    Rows rows = {1, COUNTED, offset, &none, &none, &none, chunk};
    int32_t ids[COUNTED];
    for (int64_t i = 0; i < COUNTED; i++)
        ids[i] = (int32_t)random_below(random_key(SEED, "law counts", 0, 0), (uint64_t)i, VARIETY);
    params_write_begin(params);
    KERNEL(params->backend, ngram_note, &shape, &rows, ids, real_at(params->backend, params->values, param->offset));
    params_write_end(params);
}

/* And projections and gains that start at zero are drawn: what lies behind them would not be seen; as are counts. */
static void round_parameters(Params *params)
{
    for (size_t k = 0; k < params->count; k++)
        if (params->list[k]->role == PARAM_COUNTS)
            fill_counts(params, params->list[k]);
    double *values = law_new((size_t)params->length, sizeof *values);
    KERNEL(params->backend, get_f64, params->length, params->values, values);
    for (size_t k = 0; k < params->count; k++) {
        const Param *param = params->list[k];
        bool gains = param->role == PARAM_VECTOR && param->rank == 2;
        bool closed = param->init.kind == INIT_ZEROS && (param->role == PARAM_BRANCH || gains);
        for (int64_t i = param->offset; closed && i < param->offset + param->size; i++)
            values[i] = random_normal(random_key(SEED, "law zeros", k, 0), (uint64_t)i) /
                        sqrt(3 * (gains ? 1 : (double)param->shape[1])); /* as wide as those of a linear layer */
    }
    for (int64_t i = 0; i < params->length; i++)
        values[i] = (float)values[i];
    params_write_begin(params);
    KERNEL(params->backend, put_f64, params->length, values, params->values);
    params_write_end(params);
    free(values);
}

static void subject_mutate(LawSubject *s, const Mutation *mutation)
{
    for (Node *node = s->g->first; mutation && node; node = node->next)
        if (node->op == mutation->from)
            node->op = &mutation->to;
}

bool law_multiplies_bf16(void)
{
    bool does = machine_isa() >= ISA_AVX512BF16;
    if (!does)
        print_message("kernels %s do not multiply bfloat16: skipped, but for tiles in plain C\n",
                      machine_isa_name(machine_isa()));
    return does;
}

static void choose_products(Backend *b, LawProducts products)
{
    static Kernels plain;
    if (products == LAW_BF16)
        law_require(backend_compute(b, COMPUTE_BF16));
    if (products != LAW_BF16_PLAIN)
        return;
    plain = *b->kernels;
    kernels_simd_override(&plain, ISA_BASE);
    kernels_onednn_bf16_override(&plain);
    kernels_bf16_override(&plain, ISA_BASE);
    b->kernels = &plain;
    b->compute = COMPUTE_BF16;
}

/* What it would save is zero, as it may be places in a table. */
static void do_nothing(Graph *g, const Step *s)
{
    for (int i = 0; i < s->node->saves; i++)
        KERNEL(graph_backend(g), fill, step_numbers(g, s->node->saved[i]), 0, step_saved(g, s, i));
}

static void subject_skip(LawSubject *s, int skip)
{
    static const Operator nothing = {.name = "nothing", .forward = do_nothing};
    static Node idle;
    for (int i = 0; i < s->g->step_count; i++)
        if (s->g->steps[i].recompute && skip-- == 1) {
            idle = *s->g->steps[i].node;
            idle.op = &nothing;
            s->g->steps[i].node = &idle;
        }
}

bool law_reads_int8(const LawCase *law)
{
    return law->arch || (law->op && law->op->int8_inputs);
}

static void build_graph(LawSubject *s, const LawOptions *o)
{
    law_require(graph_open(s->backend, s->params, o->mode, o->rows, o->tokens, o->flags, &s->g));
    s->model = (LawModel){.g = s->g, .law = s->law};
    s->result = law_build(&s->model, o->shape);
    law_require(graph_status(s->g));
}

/* A store that knows its parameters, and nothing more. */
static void name_parameters(LawSubject *s, const LawOptions *o)
{
    law_require(params_open(s->backend, &s->params));
    build_graph(s, o);
    graph_close(s->g);
}

/* The parameters that others are given, rounded into a store with matrices in bytes. */
static void quantize_parameters(LawSubject *s, const LawOptions *o)
{
    name_parameters(s, o);
    law_require(params_seal(s->params, SEED));
    round_parameters(s->params);
    Params *drawn = s->params;
    name_parameters(s, o);
    law_require(params_use_int8(s->params));
    assert_true(s->params->int8_bytes > 0);
    law_require(params_seal(s->params, SEED));
    law_require(params_quantize(drawn, s->params));
    params_close(drawn);
}

LawSubject *subject_open(const LawCase *law, const LawOptions *o)
{
    LawSubject *s = law_new(1, sizeof *s);
    s->law = law;
    s->mode = o->mode;
    s->rows = o->rows;
    s->tokens = o->tokens;
    s->key = SEED;
    law_require(backend_open(o->kind, o->threads ? o->threads : 1, o->guarded, &s->backend));
    choose_products(s->backend, law->products);
    bool int8 = law->products == LAW_INT8;
    if (int8)
        quantize_parameters(s, o);
    else
        law_require(params_open(s->backend, &s->params));
    build_graph(s, o);
    law_require(graph_plan(s->g, s->result));
    if (!int8) {
        law_require(params_seal(s->params, SEED));
        round_parameters(s->params);
    }
    if (o->mode == GRAPH_TRAIN)
        law_require(params_train(s->params));
    subject_mutate(s, o->mutation);
    subject_skip(s, o->skip);
    s->width = tensor_stride(s->result);
    int64_t widest = s->width;
    for (int i = 0; i < s->model.inputs; i++)
        widest = s->model.width[i] > widest ? s->model.width[i] : widest;
    size_t tokens = 2 * (size_t)o->tokens; /* runs too large for the graph are tried as well */
    s->ids = law_new(tokens, sizeof *s->ids);
    s->targets = law_new(tokens, sizeof *s->targets);
    s->input = law_new(tokens * (size_t)widest, sizeof *s->input);
    s->weight = law_new(tokens * (size_t)widest, sizeof *s->weight);
    return s;
}

void subject_close(LawSubject *s)
{
    graph_close(s->g);
    params_close(s->params);
    backend_close(s->backend);
    free(s->ids);
    free(s->targets);
    free(s->input);
    free(s->weight);
    free(s);
}

/* -- data ---------------------------------------------------------------------------------------------------------- */

/* Packs `width` random numbers a token; a second draw times `nudge` is added to each. */
static void fill_numbers(const LawSubject *s, const LawBatch *batch, const char *purpose, uint64_t which, int64_t width,
                         double nudge, double *to)
{
    for (int r = 0; r < batch->rows; r++) {
        uint64_t key = random_key(s->key, purpose, which, (uint64_t)batch->stream[r]);
        uint64_t nudge_key = random_key(s->nudge_key, purpose, which, (uint64_t)batch->stream[r]);
        for (int64_t i = batch->start[r] * width; i < (batch->start[r] + batch->count[r]) * width; i++) {
            *to = (float)random_normal(key, (uint64_t)i);
            *to++ += nudge == 0 ? 0 : nudge * random_normal(nudge_key, (uint64_t)i);
        }
    }
}

static void fill_tokens(const LawSubject *s, const LawBatch *batch)
{
    uint64_t vocabulary = s->law->vocabulary ? (uint64_t)s->law->vocabulary : 1;
    int64_t n = 0;
    for (int r = 0; r < batch->rows; r++) {
        uint64_t key = random_key(s->key, "law tokens", (uint64_t)batch->stream[r], 0);
        for (int64_t t = batch->start[r]; t < batch->start[r] + batch->count[r]; t++, n++) {
            uint64_t at = (uint64_t)t, uncounted = random_below(key, 4 * at + 2, 6);
            s->ids[n] = (int32_t)random_below(key, 4 * at, vocabulary);
            s->targets[n] = uncounted == 0 ? -1 : (int32_t)random_below(key, 4 * at + 1, vocabulary);
            if (s->law->missing && random_below(key, 4 * at + 3, 5) == 0)
                s->ids[n] = -1;
        }
    }
}

void batch_row(LawBatch *batch, int64_t stream, int64_t start, int64_t count, int64_t slot)
{
    int r = batch->rows++;
    batch->stream[r] = stream;
    batch->start[r] = start;
    batch->count[r] = count;
    batch->slot[r] = slot;
}

int64_t batch_tokens(const LawBatch *batch)
{
    int64_t total = 0;
    for (int r = 0; r < batch->rows; r++)
        total += batch->count[r];
    return total;
}

/* -- running ------------------------------------------------------------------------------------------------------- */

static bool is_loss(const LawSubject *s)
{
    return s->result->producer->op->forms_gradient;
}

lmu_status subject_try(LawSubject *s, const LawBatch *batch, State *state)
{
    int64_t tokens = batch_tokens(batch);
    fill_tokens(s, batch);
    for (int i = 0; i < s->model.inputs; i++) {
        int64_t width = s->model.width[i];
        fill_numbers(s, batch, "law input", (uint64_t)i, width, s->nudge[i], s->input);
        TRY(graph_put(s->g, s->model.input[i], tokens * width, s->input));
    }
    bool weighted = s->mode == GRAPH_TRAIN && !is_loss(s);
    if (weighted)
        fill_numbers(s, batch, "law weight", 0, s->width, 0, s->weight);
    Run run = {.rows = batch->rows,
               .count = batch->count,
               .slot = batch->slot,
               .sample = batch->stream,
               .ids = s->ids,
               .targets = s->targets,
               .state = state,
               .first_micro_batch = !batch->accumulate,
               .loss_scale = LOSS_SCALE,
               .key = 5,
               .result_gradient = weighted ? s->weight : NULL};
    return graph_run(s->g, &run);
}

void subject_run(LawSubject *s, const LawBatch *batch, State *state)
{
    for (int r = 0; state && r < batch->rows; r++)
        assert_int_equal(state->position[batch->slot[r]], batch->start[r]);
    law_require(subject_try(s, batch, state));
}

State *subject_state(LawSubject *s, int64_t rows)
{
    const int64_t *numbers;
    State *state;
    int slots = graph_states(s->g, &numbers);
    law_require(state_open(s->backend, slots, numbers, rows, &state));
    return state;
}

int64_t state_numbers(const State *state)
{
    return state_row_bytes(state) / (int64_t)state->backend->real_size;
}

void state_read(const State *state, int64_t row, double *values)
{
    for (int i = 0; i < state->slots; values += state->numbers[i++])
        KERNEL(state->backend, get_f64, state->numbers[i],
               real_at(state->backend, state->data, state->offset[i] + row * state->numbers[i]), values);
}

/* -- reading ------------------------------------------------------------------------------------------------------- */

int64_t subject_numbers(const LawSubject *s, const LawBatch *batch)
{
    return s->width * (s->result->lead == LEAD_ROWS ? batch->rows : batch_tokens(batch));
}

void subject_output(const LawSubject *s, const LawBatch *batch, double *values)
{
    graph_get(s->g, s->result, subject_numbers(s, batch), values);
}

double subject_value(const LawSubject *s, const LawBatch *batch, double *magnitude)
{
    int64_t n = subject_numbers(s, batch);
    double *out = law_new((size_t)n, sizeof *out), total = 0;
    subject_output(s, batch, out);
    *magnitude = 0;
    for (int64_t i = 0; i < n; i++) {
        double term = out[i] * (is_loss(s) ? LOSS_SCALE : s->weight[i]);
        total += term;
        *magnitude += fabs(term);
    }
    free(out);
    return total;
}

void subject_gradients(const LawSubject *s, double *values)
{
    KERNEL(s->backend, get_f64, s->params->learnt, s->params->gradients, values);
}

void subject_input_gradient(const LawSubject *s, const LawBatch *batch, int input, double *values)
{
    graph_get_gradient(s->g, s->model.input[input], batch_tokens(batch) * s->model.width[input], values);
}

const double *batch_span(const LawSubject *s, const LawBatch *batch, int row, const double *values, int64_t *numbers)
{
    int64_t before = 0;
    for (int r = 0; r < row; r++)
        before += s->result->lead == LEAD_ROWS ? 1 : batch->count[r];
    *numbers = s->width * (s->result->lead == LEAD_ROWS ? 1 : batch->count[row]);
    return values + before * s->width;
}

LawTrace trace_open(int64_t streams, int64_t length, int64_t width)
{
    LawTrace trace = {streams, length, width, law_new((size_t)(streams * length * width), sizeof(double))};
    for (int64_t i = 0; i < streams * length * width; i++)
        trace.value[i] = NAN;
    return trace;
}

void trace_close(LawTrace *trace)
{
    free(trace->value);
}

void trace_add(LawTrace *trace, const LawSubject *s, const LawBatch *batch)
{
    double *out = law_new((size_t)subject_numbers(s, batch), sizeof *out);
    subject_output(s, batch, out);
    for (int r = 0; r < batch->rows; r++) {
        int64_t numbers, first = batch->start[r];
        const double *span = batch_span(s, batch, r, out, &numbers);
        if (batch->count[r] == 0)
            continue;
        if (s->result->lead == LEAD_ROWS)
            first += batch->count[r] - 1;
        memcpy(trace->value + (batch->stream[r] * trace->length + first) * trace->width, span,
               (size_t)numbers * sizeof *span);
    }
    free(out);
}

/* -- comparing ----------------------------------------------------------------------------------------------------- */

double difference(int64_t n, const double *a, const double *b, bool sparse)
{
    double worst = 0, largest = 0;
    for (int64_t i = 0; i < n; i++) {
        if (sparse && (isnan(a[i]) || isnan(b[i])))
            continue;
        if (!isfinite(a[i]) || !isfinite(b[i]))
            return LAW_BROKEN;
        worst = fmax(worst, fabs(a[i] - b[i]));
        largest = fmax(largest, fabs(b[i]));
    }
    return worst == 0 ? 0 : worst / fmax(largest, 1e-30);
}

double bits_differ(int64_t n, const double *a, const double *b)
{
    return memcmp(a, b, (size_t)n * sizeof *a) == 0 ? 0 : LAW_BROKEN;
}
