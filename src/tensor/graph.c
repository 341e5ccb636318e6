/* Building a graph. */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensor/graph_internal.h"

lmu_status graph_open(Backend *backend, Params *params, GraphMode mode, int rows, int64_t tokens, int flags,
                      Graph **out)
{
    if (rows < 1 || tokens < 1 || tokens > ((int64_t)1 << 40))
        return error_set(LMU_USAGE, "a graph for %d rows and %lld tokens: both must be positive", rows,
                         (long long)tokens);
    lmu_status status;
    Graph *g = NULL;
    ATTEMPT(memory_new(&g, 1, sizeof *g, "a graph"));
    g->backend = backend;
    g->params = params;
    g->mode = mode;
    g->flags = flags;
    g->rows = rows;
    g->tokens = tokens;
    g->chunks = tokens / LEGENDRE_CHUNK + rows;
    g->arena = arena_open();
    size_t count = (size_t)rows + 1;
    int64_t *arrays = g->arena ? arena_alloc(g->arena, 5 * count, sizeof *arrays) : NULL;
    if (!arrays) {
        status = error_set(LMU_MEMORY, "no memory for a graph");
        goto done;
    }
    g->offset = arrays;
    g->position = arrays + count;
    g->slot = arrays + 2 * count;
    g->sample = arrays + 3 * count;
    g->chunk = arrays + 4 * count;
    g->current =
        (Rows){.offset = g->offset, .position = g->position, .slot = g->slot, .sample = g->sample, .chunk = g->chunk};
    *out = g;
    return LMU_OK;
done:
    graph_close(g);
    return status;
}

void graph_close(Graph *g)
{
    if (!g)
        return;
    backend_free(g->backend, g->memory);
    backend_free(g->backend, g->constants);
    state_close(g->start);
    arena_close(g->arena);
    free(g->states);
    free(g->steps);
    free(g);
}

GraphMode graph_mode(const Graph *g)
{
    return g->mode;
}

Backend *graph_backend(const Graph *g)
{
    return g->backend;
}

Params *graph_params(const Graph *g)
{
    return g->params;
}

Tensor *graph_fail(Graph *g, lmu_status status, const char *format, ...)
{
    if (g->status != LMU_OK)
        return NULL;
    g->status = status;
    int used = g->scope[0] ? snprintf(g->message, sizeof g->message, "%s: ", g->scope) : 0;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(g->message + used, sizeof g->message - (size_t)used, format, arguments);
    va_end(arguments);
    return NULL;
}

lmu_status graph_status(const Graph *g)
{
    return g->status == LMU_OK ? LMU_OK : error_set(g->status, "%s", g->message);
}

bool graph_ready(Graph *g, int inputs, Tensor *const *in)
{
    if (g->status != LMU_OK)
        return false;
    for (int i = 0; i < inputs; i++)
        if (!in[i]) {
            graph_fail(g, LMU_USAGE, "an input is missing");
            return false;
        }
    return true;
}

static void scope_enter(Graph *g, const char *format, va_list arguments)
{
    size_t used = strlen(g->scope);
    char *end = g->scope + used;
    if (g->scope_depth == SCOPE_DEPTH) {
        graph_fail(g, LMU_USAGE, "scopes are nested too deeply");
        return;
    }
    g->scope_start[g->scope_depth++] = used;
    if (used > 0 && used + 1 < SCOPE_LENGTH) {
        *end++ = '.';
        *end = 0;
    }
    int wanted = vsnprintf(end, (size_t)(g->scope + SCOPE_LENGTH - end), format, arguments);
    if (wanted >= g->scope + SCOPE_LENGTH - end)
        graph_fail(g, LMU_USAGE, "scope names are too long");
}

void graph_scope(Graph *g, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    scope_enter(g, format, arguments);
    va_end(arguments);
}

void graph_block(Graph *g, const char *format, ...)
{
    if (!g->block) {
        g->block = ++g->blocks;
        g->block_depth = g->scope_depth;
    }
    va_list arguments;
    va_start(arguments, format);
    scope_enter(g, format, arguments);
    va_end(arguments);
}

void graph_scope_end(Graph *g)
{
    if (g->scope_depth > 0)
        g->scope[g->scope_start[--g->scope_depth]] = 0;
    if (g->scope_depth <= g->block_depth)
        g->block = 0;
}

/* The scope being built, in memory that the nodes built in it share. */
static const char *scope_name(Graph *g)
{
    if (g->last && strcmp(g->last->scope, g->scope) == 0)
        return g->last->scope;
    char *copy = arena_alloc(g->arena, strlen(g->scope) + 1, 1);
    if (copy)
        strcpy(copy, g->scope);
    else
        graph_fail(g, LMU_MEMORY, "no memory for the name of a scope");
    return copy;
}

static Tensor *graph_tensor(Graph *g, TensorKind kind, Lead lead, int rank, const int64_t *shape)
{
    Tensor *tensor = arena_alloc(g->arena, 1, sizeof *tensor);
    if (!tensor)
        return graph_fail(g, LMU_MEMORY, "no memory for a tensor");
    tensor->kind = kind;
    tensor->lead = lead;
    tensor->rank = rank;
    memcpy(tensor->shape, shape, (size_t)rank * sizeof *shape);
    switch (lead) {
    case LEAD_NONE:
        break;
    case LEAD_TOKENS:
        tensor->shape[0] = g->tokens;
        break;
    case LEAD_ROWS:
        tensor->shape[0] = g->rows;
        break;
    case LEAD_CHUNKS:
        tensor->shape[0] = g->chunks;
        break;
    }
    tensor->next = g->tensors;
    g->tensors = tensor;
    return tensor;
}

static Tensor *graph_integers(Graph *g, Tensor **slot)
{
    if (g->status == LMU_OK && !*slot) {
        *slot = graph_tensor(g, TENSOR_INPUT, LEAD_TOKENS, 1, (int64_t[]){0});
        if (*slot)
            (*slot)->integer = true;
    }
    return *slot;
}

Tensor *graph_ids(Graph *g)
{
    return graph_integers(g, &g->ids);
}

Tensor *graph_targets(Graph *g)
{
    return graph_integers(g, &g->targets);
}

Tensor *graph_positions(Graph *g)
{
    if (g->status == LMU_OK && !g->places && !(g->places = arena_alloc(g->arena, (size_t)g->tokens, sizeof *g->places)))
        return graph_fail(g, LMU_MEMORY, "no memory for positions");
    return graph_integers(g, &g->positions);
}

void graph_bound(Tensor *integers, int64_t bound)
{
    if (integers->bound == 0 || bound < integers->bound)
        integers->bound = bound;
}

void graph_wrap(Tensor *positions, int64_t period)
{
    positions->period = period;
}

void graph_keep_start(Graph *g)
{
    g->keeps_start = g->mode == GRAPH_TRAIN;
}

Tensor *graph_input(Graph *g, int64_t d, bool differentiable)
{
    if (g->status != LMU_OK)
        return NULL;
    Tensor *tensor = graph_tensor(g, TENSOR_INPUT, LEAD_TOKENS, 2, (int64_t[]){0, d});
    if (tensor)
        tensor->differentiable = differentiable;
    return tensor;
}

Tensor *graph_param(Graph *g, const char *name, int rank, const int64_t *shape, Init init, ParamRole role)
{
    if (g->status != LMU_OK)
        return NULL;
    char full[SCOPE_LENGTH + 64];
    snprintf(full, sizeof full, "%s%s%s", g->scope, g->scope[0] ? "." : "", name);
    Param *param;
    lmu_status status = params_get(g->params, full, rank, shape, init, role, &param);
    if (status != LMU_OK)
        return graph_fail(g, status, "%s", lmu_error_message());
    for (ParamUse *use = g->uses; use; use = use->next)
        if (use->param == param)
            return use->tensor;
    ParamUse *use = arena_alloc(g->arena, 1, sizeof *use);
    Tensor *tensor = use ? graph_tensor(g, TENSOR_PARAM, LEAD_NONE, rank, shape) : NULL;
    if (!tensor)
        return graph_fail(g, LMU_MEMORY, "no memory for a tensor");
    tensor->param = param;
    *use = (ParamUse){.param = param, .tensor = tensor, .first_write = -1, .last_write = -1, .next = g->uses};
    g->uses = use;
    return tensor;
}

Tensor *graph_constant_find(const Graph *g, const char *name)
{
    for (Tensor *tensor = g->tensors; tensor; tensor = tensor->next)
        if (tensor->kind == TENSOR_CONSTANT && strcmp(tensor->constant_name, name) == 0)
            return tensor;
    return NULL;
}

Tensor *graph_constant(Graph *g, const char *name, int rank, const int64_t *shape, const double *values)
{
    if (g->status != LMU_OK)
        return NULL;
    assert(!graph_constant_find(g, name));
    Tensor *tensor = graph_tensor(g, TENSOR_CONSTANT, LEAD_NONE, rank, shape);
    if (!tensor)
        return NULL;
    int64_t numbers = tensor_stride(tensor);
    double *copy = arena_alloc(g->arena, (size_t)numbers, sizeof *copy);
    char *own_name = arena_alloc(g->arena, strlen(name) + 1, 1);
    if (!copy || !own_name)
        return graph_fail(g, LMU_MEMORY, "no memory for a constant");
    memcpy(copy, values, (size_t)numbers * sizeof *copy);
    tensor->constant = copy;
    tensor->constant_name = strcpy(own_name, name);
    return tensor;
}

static int graph_add_state(Graph *g, int64_t numbers)
{
    if (memory_grow(&g->states, &g->state_capacity, g->state_count + 1, sizeof *g->states, "stream states") != LMU_OK)
        return -1;
    g->states[g->state_count] = numbers;
    return (int)g->state_count++;
}

/* Parameters in bytes are for operators that know them, and not for training. */
static bool reads_parameters(Graph *g, const Operator *op, const NodeSpec *spec)
{
    for (int i = 0; i < spec->inputs; i++) {
        if (!spec->in[i] || spec->in[i]->kind != TENSOR_PARAM || !param_is_int8(spec->in[i]->param))
            continue;
        if (g->mode == GRAPH_TRAIN)
            graph_fail(g, LMU_USAGE, "parameter %s is int8: the model can be run, and not trained",
                       spec->in[i]->param->name);
        else if (!(op->int8_inputs & KEEPS_INPUT(i)))
            graph_fail(g, LMU_USAGE, "parameter %s is int8, which the operator %s does not read",
                       spec->in[i]->param->name, op->name);
    }
    return g->status == LMU_OK;
}

Tensor *graph_node(Graph *g, const Operator *op, const NodeSpec *spec)
{
    if (!graph_ready(g, spec->inputs, spec->in) || !reads_parameters(g, op, spec))
        return NULL;
    Node *node = arena_alloc(g->arena, 1, sizeof *node);
    if (!node)
        return graph_fail(g, LMU_MEMORY, "no memory for a node");
    node->op = op;
    node->inputs = spec->inputs;
    memcpy(node->in, spec->in, sizeof node->in);
    node->derived = spec->derived;
    node->scope = scope_name(g);
    node->block = g->block;
    node->state = -1;
    node->forward_step = node->recompute_step = node->backward_step = -1;
    node->out = graph_tensor(g, TENSOR_ACTIVATION, spec->lead, spec->rank, spec->shape);
    node->saves = spec->saves;
    for (int i = 0; i < spec->saves; i++)
        node->saved[i] =
            graph_tensor(g, TENSOR_ACTIVATION, spec->saved_lead[i], 2, (int64_t[]){1, spec->saved_numbers[i]});
    if (spec->attributes_size > 0) {
        node->attributes = arena_alloc(g->arena, 1, spec->attributes_size);
        if (node->attributes)
            memcpy(node->attributes, spec->attributes, spec->attributes_size);
        else
            graph_fail(g, LMU_MEMORY, "no memory for a node");
    }
    if (spec->state > 0 && (node->state = graph_add_state(g, spec->state)) < 0)
        graph_fail(g, LMU_MEMORY, "no memory for a stream state");
    if (g->status != LMU_OK)
        return NULL;
    node->out->producer = node;
    g->workspace = spec->workspace > g->workspace ? spec->workspace : g->workspace;
    node->previous = g->last;
    *(g->last ? &g->last->next : &g->first) = node;
    g->last = node;
    return node->out;
}

bool graph_scratch(Graph *g, Node *node, size_t bytes)
{
    node->attributes = arena_alloc(g->arena, 1, bytes);
    if (!node->attributes)
        graph_fail(g, LMU_MEMORY, "no memory for a node");
    return node->attributes != NULL;
}

void graph_keep(Graph *g, Tensor *tensor)
{
    (void)g;
    if (tensor)
        tensor->kept = true;
}

double graph_flops(const Graph *g, int64_t length)
{
    double total = 0;
    for (const Node *node = g->first; node; node = node->next)
        total += node->op->flops ? node->op->flops(node, length) : 0;
    return total;
}

int graph_states(const Graph *g, const int64_t **numbers)
{
    *numbers = g->states;
    return (int)g->state_count;
}

const Node *graph_first(const Graph *g)
{
    return g->first;
}

int graph_steps(const Graph *g, const Step **steps)
{
    *steps = g->steps;
    return g->step_count;
}

size_t graph_bytes(const Graph *g)
{
    return g->memory_bytes + (size_t)g->constant_numbers * g->backend->real_size;
}

int64_t graph_largest_buffer(const Graph *g)
{
    size_t largest = 0;
    for (const Buffer *buffer = g->buffers; buffer; buffer = buffer->next)
        largest = !buffer->integer && buffer->bytes > largest ? buffer->bytes : largest;
    return (int64_t)(largest / g->backend->real_size);
}

int graph_last_write(const Graph *g, const Param *param)
{
    for (const ParamUse *use = g->uses; use; use = use->next)
        if (use->param == param)
            return use->last_write;
    return -1;
}
