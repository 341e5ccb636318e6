/* Running a planned graph. */
#include <math.h>
#include <string.h>

#include "tensor/graph_internal.h"

/* Checks a run against the capacity and fills g->current. */
static lmu_status run_rows(Graph *g, const Run *run)
{
    if (run->rows < 0 || run->rows > g->rows)
        return error_set(LMU_USAGE, "a run of %d rows on a graph for %d", run->rows, g->rows);
    g->offset[0] = g->chunk[0] = 0;
    for (int r = 0; r < run->rows; r++) {
        int64_t count = run->count[r];
        if (count < 0 || count > g->tokens - g->offset[r])
            return error_set(LMU_USAGE, "a run with %lld tokens in row %d: the graph holds %lld in all",
                             (long long)count, r, (long long)g->tokens);
        g->slot[r] = run->slot ? run->slot[r] : r;
        g->sample[r] = run->sample ? run->sample[r] : r;
        if (run->state && (g->slot[r] < 0 || g->slot[r] >= run->state->rows))
            return error_set(LMU_USAGE, "row %d asks for stream %lld of %lld", r, (long long)g->slot[r],
                             (long long)run->state->rows);
        for (int other = 0; run->state && run->slot && other < r; other++)
            if (g->slot[other] == g->slot[r])
                return error_set(LMU_USAGE, "rows %d and %d both ask for stream %lld", other, r, (long long)g->slot[r]);
        g->position[r] = run->state ? run->state->position[g->slot[r]] : 0;
        g->offset[r + 1] = g->offset[r] + count;
        g->chunk[r + 1] = g->chunk[r] + (count + LEGENDRE_CHUNK - 1) / LEGENDRE_CHUNK;
    }
    g->current.count = run->rows;
    g->current.tokens = g->offset[run->rows];
    return LMU_OK;
}

static lmu_status run_integers(const Graph *g, const Tensor *tensor, const int32_t *values, const char *what)
{
    if (!tensor || g->current.tokens == 0)
        return LMU_OK;
    if (!values)
        return error_set(LMU_USAGE, "a run without the %ss that its graph reads", what);
    for (int64_t i = 0; tensor->bound > 0 && i < g->current.tokens; i++)
        if (values[i] >= tensor->bound)
            return error_set(LMU_USAGE, "%s %d (token %lld of a run): the model has %lld tokens, 0 to %lld", what,
                             values[i], (long long)i, (long long)tensor->bound, (long long)tensor->bound - 1);
    return LMU_OK;
}

/* Whether positions go as far as the end of a row: those that the model knows, or that can be counted. */
static lmu_status positions_reach(const Graph *g, int64_t end)
{
    int64_t bound = g->positions->bound > 0 ? g->positions->bound : INT32_MAX, period = g->positions->period;
    if ((period > 0 ? period : end) > bound)
        return error_set(LMU_USAGE,
                         "a row would reach %lld tokens: this model has positions for %lld; read the text in shorter "
                         "pieces, each from a zero state (lmu eval --context --stride)%s",
                         (long long)end, (long long)bound,
                         g->positions->bound > 0 ? ", or train with a larger --context or a --window" : "");
    return LMU_OK;
}

/* Fills in the positions, unless a row would go beyond them. */
static lmu_status run_positions(Graph *g)
{
    int64_t period = g->positions ? g->positions->period : 0;
    for (int r = 0; g->positions && r < g->current.count; r++) {
        int64_t count = g->offset[r + 1] - g->offset[r];
        TRY(positions_reach(g, g->position[r] + count));
        for (int64_t i = 0; i < count; i++) {
            int64_t place = g->position[r] + i;
            g->places[g->offset[r] + i] = (int32_t)(period > 0 ? place % period : place);
        }
    }
    return LMU_OK;
}

static lmu_status run_check(Graph *g, const Run *run)
{
    if (!g->planned || (g->flags & GRAPH_OUTLINE))
        return error_set(LMU_USAGE, "a graph must be planned before it runs, and not in outline");
    if (!g->params->sealed || g->params->writing)
        return error_set(LMU_USAGE, "a graph cannot run while its parameters are being written");
    if (g->mode == GRAPH_TRAIN && !g->params->gradients)
        return error_set(LMU_USAGE, "a training graph needs params_train first");
    if (run->state &&
        (run->state->slots != (int)g->state_count ||
         (g->state_count && memcmp(run->state->numbers, g->states, g->state_count * sizeof *g->states) != 0)))
        return error_set(LMU_MISMATCH, "a stream state of another model");
    if (g->result->gradient && !run->result_gradient)
        return error_set(LMU_USAGE, "a training run whose result is no loss needs the result's gradient");
    TRY(run_rows(g, run));
    TRY(run_integers(g, g->ids, run->ids, "id"));
    TRY(run_integers(g, g->targets, run->targets, "target"));
    TRY(run_positions(g));
    for (Node *node = g->first; node; node = node->next)
        if (node->op->check)
            TRY(node->op->check(node, &g->current));
    return LMU_OK;
}

lmu_status graph_check_reach(const Graph *g, int64_t tokens)
{
    /* A row whose last token is the last of the stream. */
    int64_t offset[] = {0, 1}, position = tokens - 1, none = 0, chunk[] = {0, 1};
    Rows rows = {1, 1, offset, &position, &none, &none, chunk};
    if (tokens < 1)
        return LMU_OK;
    if (g->positions)
        TRY(positions_reach(g, tokens));
    for (const Node *node = g->first; node; node = node->next)
        if (node->op->check)
            TRY(node->op->check(node, &rows));
    return LMU_OK;
}

static void run_poison(Graph *g, int index)
{
    for (Buffer *buffer = g->buffers; buffer; buffer = buffer->next)
        if (buffer->last == index && !buffer->integer)
            KERNEL(g->backend, fill, (int64_t)(buffer->bytes / g->backend->real_size), NAN,
                   (Real *)((char *)g->memory + buffer->offset));
}

/* The gradients' start: the result's, if it is no loss. */
static void run_seed_gradient(Graph *g, const Run *run)
{
    if (g->result->gradient)
        KERNEL(g->backend, put_f64, step_numbers(g, g->result), run->result_gradient, tensor_gradient(g, g->result));
}

bool graph_keeps_start(const Graph *g)
{
    return (g->flags & GRAPH_RECOMPUTE) || g->keeps_start;
}

/* Forward steps overwrite the state that they start from: those that will run again need it once more, and some backward steps. */
static lmu_status run_keep_start(Graph *g, const Run *run)
{
    if (!graph_keeps_start(g) || !run->state)
        return LMU_OK;
    if (g->start && g->start->rows != run->state->rows) {
        state_close(g->start);
        g->start = NULL;
    }
    if (!g->start)
        TRY(state_open(g->backend, (int)g->state_count, g->states, run->state->rows, &g->start));
    for (int r = 0; r < run->rows; r++)
        state_copy(g->start, g->slot[r], run->state, g->slot[r]);
    return LMU_OK;
}

lmu_status graph_run(Graph *g, const Run *run)
{
    TRY(run_check(g, run));
    TRY(run_keep_start(g, run));
    g->run = run;
    size_t bytes = (size_t)g->current.tokens * sizeof(int32_t);
    if (g->ids && run->ids)
        KERNEL(g->backend, put_bytes, bytes, run->ids, tensor_data(g, g->ids));
    if (g->targets && run->targets)
        KERNEL(g->backend, put_bytes, bytes, run->targets, tensor_data(g, g->targets));
    if (g->positions)
        KERNEL(g->backend, put_bytes, bytes, g->places, tensor_data(g, g->positions));
    bool seeded = false;
    for (int index = 0; index < g->step_count; index++) {
        const Step *step = &g->steps[index];
        if (step->backward && !seeded) {
            run_seed_gradient(g, run);
            seeded = true;
        }
        (step->backward ? step->node->op->backward : step->node->op->forward)(g, step);
        if (g->flags & GRAPH_POISON)
            run_poison(g, index);
    }
    for (int r = 0; run->state && r < run->rows; r++)
        run->state->position[g->slot[r]] += run->count[r];
    return LMU_OK;
}

bool graph_observes(const Graph *g)
{
    bool any = false;
    for (const Node *node = g->first; node; node = node->next)
        any |= node->op->observe != NULL;
    return any;
}

lmu_status graph_observe(Graph *g, const Run *run)
{
    Run plain = *run;
    plain.state = NULL;
    TRY(run_check(g, &plain));
    g->run = &plain;
    if (g->ids)
        KERNEL(g->backend, put_bytes, (size_t)g->current.tokens * sizeof(int32_t), run->ids, tensor_data(g, g->ids));
    params_write_begin(g->params);
    for (Node *node = g->first; node; node = node->next)
        if (node->op->observe)
            node->op->observe(g, &(Step){.node = node});
    params_write_end(g->params);
    g->run = NULL;
    return LMU_OK;
}

lmu_status graph_put(Graph *g, Tensor *tensor, int64_t numbers, const double *values)
{
    int64_t limit = tensor_stride(tensor) * (tensor->lead == LEAD_NONE ? 1 : tensor->shape[0]);
    if (numbers > limit)
        return error_set(LMU_USAGE, "%lld numbers for a tensor of %lld", (long long)numbers, (long long)limit);
    KERNEL(g->backend, put_f64, numbers, values, tensor_data(g, tensor));
    return LMU_OK;
}

void graph_get(Graph *g, const Tensor *tensor, int64_t numbers, double *values)
{
    KERNEL(g->backend, get_f64, numbers, tensor_data(g, tensor), values);
}

void graph_get_f32(Graph *g, const Tensor *tensor, int64_t numbers, float *values)
{
    graph_get_part_f32(g, tensor, 0, numbers, values);
}

void graph_get_part_f32(Graph *g, const Tensor *tensor, int64_t first, int64_t numbers, float *values)
{
    KERNEL(g->backend, get_f32, numbers, real_at(g->backend, tensor_data(g, tensor), first), values);
}

void graph_get_gradient(Graph *g, const Tensor *tensor, int64_t numbers, double *values)
{
    KERNEL(g->backend, get_f64, numbers, tensor_gradient(g, tensor), values);
}

Real *tensor_data(const Graph *g, const Tensor *tensor)
{
    switch (tensor->kind) {
    case TENSOR_PARAM:
        return real_at(g->backend, g->params->values, tensor->param->offset);
    case TENSOR_CONSTANT:
        return (Real *)((char *)g->constants + tensor->buffer->offset);
    case TENSOR_ACTIVATION:
    case TENSOR_INPUT:
        break;
    }
    return (Real *)((char *)g->memory + tensor->buffer->offset);
}

Real *tensor_gradient(const Graph *g, const Tensor *tensor)
{
    if (!tensor->wanted)
        return NULL;
    if (tensor->kind == TENSOR_PARAM)
        return real_at(g->backend, g->params->gradients, tensor->param->offset);
    return tensor->gradient ? (Real *)((char *)g->memory + tensor->gradient->offset) : NULL;
}

const Rows *step_rows(const Graph *g)
{
    return &g->current;
}

const Run *step_run(const Graph *g)
{
    return g->run;
}

int64_t step_extent(const Graph *g, const Tensor *tensor)
{
    switch (tensor->lead) {
    case LEAD_TOKENS:
        return g->current.tokens;
    case LEAD_ROWS:
        return g->current.count;
    case LEAD_CHUNKS:
        return g->chunk[g->current.count];
    case LEAD_NONE:
        break;
    }
    return 1;
}

int64_t step_numbers(const Graph *g, const Tensor *tensor)
{
    return step_extent(g, tensor) * tensor_stride(tensor);
}

/* The value that a step sees: in the backward pass that of the second life, if there is one. */
static Real *step_data(const Graph *g, const Step *s, const Tensor *tensor)
{
    if (tensor->recomputed && (s->backward || s->recompute))
        return (Real *)((char *)g->memory + tensor->recomputed->offset);
    return tensor_data(g, tensor);
}

Real *step_in(const Graph *g, const Step *s, int i)
{
    return step_data(g, s, s->node->in[i]);
}

const Int8Matrix *step_int8(const Step *s, int i)
{
    const Tensor *in = s->node->in[i];
    return in->kind == TENSOR_PARAM && param_is_int8(in->param) ? &in->param->int8 : NULL;
}

const int32_t *step_ids(const Graph *g, const Step *s, int i)
{
    return (const int32_t *)step_data(g, s, s->node->in[i]);
}

Real *step_out(const Graph *g, const Step *s)
{
    return step_data(g, s, s->node->out);
}

Real *step_saved(const Graph *g, const Step *s, int i)
{
    return step_data(g, s, s->node->saved[i]);
}

Real *step_state(const Graph *g, const Step *s)
{
    bool start = s->recompute || (s->backward && g->keeps_start);
    const State *state = start && g->run->state ? g->start : g->run->state;
    return state && s->node->state >= 0 ? real_at(g->backend, state->data, state->offset[s->node->state]) : NULL;
}

Real *step_gradient(const Graph *g, const Step *s, int i)
{
    return tensor_gradient(g, s->node->in[i]);
}

Real *step_gradient_out(const Graph *g, const Step *s)
{
    return tensor_gradient(g, s->node->out);
}

Array step_in_array(const Graph *g, const Step *s, int i)
{
    return (Array){step_in(g, s, i), s->node->in[i]->half};
}

Array step_out_array(const Graph *g, const Step *s)
{
    return (Array){step_out(g, s), s->node->out->half};
}

Array step_gradient_array(const Graph *g, const Step *s, int i)
{
    return (Array){step_gradient(g, s, i), s->node->in[i]->half_gradient};
}

Array step_gradient_out_array(const Graph *g, const Step *s)
{
    return (Array){step_gradient_out(g, s), s->node->out->half_gradient};
}

bool step_add(const Graph *g, const Step *s, int i)
{
    return s->add[i] || (s->node->in[i]->kind == TENSOR_PARAM && !g->run->first_micro_batch);
}
