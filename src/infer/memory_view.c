#include "infer/memory_view.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "infer/session.h"
#include "model/architectures.h"
#include "nn/nn.h"
#include "op/operators.h"

#define BLOCK SESSION_BLOCK

struct MemoryView {
    Model *model;
    Graph *graph; /* one row; the inputs of memories are kept */
    State *state;
    const Node **memory; /* [layers] */
    int64_t layers;
    Graph *table; /* ids to what the first layer would be given; NULL until it is needed */
    Tensor *row;
    /* the look that is going on */
    const uint32_t *id;
    int64_t count, read; /* ids of the text */
    int64_t compared;    /* ids of the vocabulary */
    float *input;        /* [count x D] */
    float *coefficient;  /* [Q x D] */
    float *past;         /* [recalled x D]: what is rebuilt, a delay a row */
    float *known;        /* [D]: a row of the table, 0 where a channel's window has ended */
    float *similarity;   /* [recalled x V] */
    MemoryPicture picture;
};

void memory_picture_free(MemoryPicture *picture)
{
    free(picture->theta);
    free(picture->delay);
    free(picture->reach);
    free(picture->given);
    free(picture->rebuilt);
    free(picture->recalled);
    memset(picture, 0, sizeof *picture);
}

static void forget_look(MemoryView *view)
{
    memory_picture_free(&view->picture);
    free(view->input);
    free(view->coefficient);
    free(view->past);
    free(view->known);
    free(view->similarity);
    view->input = view->coefficient = view->past = view->known = view->similarity = NULL;
    view->id = NULL;
    view->count = view->read = view->compared = 0;
}

/* -- graphs ------------------------------------------------------------------------------------------------------------- */

static bool is_memory(const Node *node)
{
    return node->op == &operator_implicit_attention || node->op == &operator_legendre_memory;
}

/* Keeps what the memories are given; there is one in each layer. */
static lmu_status find_memories(MemoryView *view)
{
    int64_t layer = 0;
    TRY(memory_new(&view->memory, (size_t)view->layers, sizeof *view->memory, "a view of a memory"));
    for (const Node *node = graph_first(view->graph); node; node = node->next)
        if (is_memory(node) && layer < view->layers) {
            graph_keep(view->graph, node->in[0]);
            view->memory[layer++] = node;
        }
    return layer == view->layers ? LMU_OK : error_set(LMU_USAGE, "a layer without a Legendre memory");
}

static Tensor *embedding_of(Graph *g, const Model *model)
{
    return graph_param(g, "embedding.weight", 2, (int64_t[]){model->config.vocabulary, model->config.dim}, (Init){0},
                       PARAM_TABLE);
}

lmu_status memory_view_check(const Model *model)
{
    return architecture_is_lmu(model->arch)
               ? LMU_OK
               : error_set(LMU_USAGE, "a model of kind %s has no Legendre memory to look into", model->arch->name);
}

lmu_status memory_view_open(Model *model, MemoryView **out)
{
    lmu_status status;
    MemoryView *view;
    const int64_t *numbers;
    *out = NULL;
    TRY(memory_view_check(model));
    TRY(memory_new(&view, 1, sizeof *view, "a view of a memory"));
    view->model = model;
    view->layers = model->config.layers;
    ATTEMPT(graph_open(model->backend, model->params, GRAPH_LOGITS, 1, BLOCK, 0, &view->graph));
    Tensor *embedding = embedding_of(view->graph, model);
    Tensor *hidden = model->arch->build(view->graph, &model->config, graph_ids(view->graph), embedding);
    ATTEMPT(graph_status(view->graph));
    ATTEMPT(find_memories(view));
    ATTEMPT(graph_plan(view->graph, hidden));
    int slots = graph_states(view->graph, &numbers);
    ATTEMPT(state_open(model->backend, slots, numbers, 1, &view->state));
    *out = view;
    return LMU_OK;
done:
    memory_view_close(view);
    return status;
}

void memory_view_close(MemoryView *view)
{
    if (!view)
        return;
    forget_look(view);
    state_close(view->state);
    graph_close(view->graph);
    graph_close(view->table);
    free(view->memory);
    free(view);
}

/* The first layer's norm of each token's embedding. What n-gram heads and tables add to it depends on the text and is left out. */
static lmu_status open_table(MemoryView *view)
{
    Model *model = view->model;
    if (view->table)
        return LMU_OK;
    TRY(graph_open(model->backend, model->params, GRAPH_LOGITS, 1, BLOCK, 0, &view->table));
    Graph *g = view->table;
    Tensor *x = op_embedding(g, graph_ids(g), embedding_of(g, model));
    graph_scope(g, "layer.0");
    view->row = nn_norm(g, x, (NormKind)model->config.norm, "memory.norm");
    graph_scope_end(g);
    lmu_status status = graph_plan(g, view->row);
    if (status != LMU_OK) {
        graph_close(g);
        view->table = NULL;
    }
    return status;
}

/* -- a look begins ------------------------------------------------------------------------------------------------------ */

static double longest(const LegendreSpec *legendre)
{
    double longest = 0;
    for (int64_t g = 0; g < legendre->groups; g++)
        longest = fmax(longest, legendre->theta[g]);
    return longest;
}

/* The delays of the longest window, every one of them or some that stand equally far apart. */
static lmu_status lay_out(MemoryPicture *p, const LegendreSpec *legendre)
{
    int64_t steps = (int64_t)(longest(legendre) + 0.5);
    if (steps < 1)
        steps = 1; /* a window of less than half a step remembers at most the last token */
    p->delays = steps < MEMORY_VIEW_DELAYS ? steps : MEMORY_VIEW_DELAYS;
    TRY(memory_new(&p->theta, (size_t)p->groups, sizeof *p->theta, "a view of a memory"));
    TRY(memory_new(&p->reach, (size_t)p->groups, sizeof *p->reach, "a view of a memory"));
    TRY(memory_new(&p->delay, (size_t)p->delays, sizeof *p->delay, "a view of a memory"));
    for (int64_t d = 0; d < p->delays; d++)
        p->delay[d] = d * steps / p->delays;
    for (int64_t g = 0; g < p->groups; g++) {
        p->theta[g] = legendre->theta[g];
        p->reach[g] = recollection_reach(p->theta[g], p->delay, p->delays);
    }
    size_t numbers = (size_t)(p->channels * p->delays);
    TRY(memory_new(&p->given, numbers, sizeof *p->given, "a view of a memory"));
    return memory_new(&p->rebuilt, numbers, sizeof *p->rebuilt, "a view of a memory");
}

static lmu_status prepare_tokens(MemoryView *view)
{
    MemoryPicture *p = &view->picture;
    if (p->layer != 0)
        return LMU_OK;
    while (p->recalled_count < p->delays && p->recalled_count < MEMORY_VIEW_RECALLED &&
           p->delay[p->recalled_count] < view->count)
        p->recalled_count++;
    size_t recalled = (size_t)p->recalled_count;
    TRY(open_table(view));
    TRY(memory_new(&p->recalled, recalled, sizeof *p->recalled, "a view of a memory"));
    TRY(memory_new(&view->past, recalled * (size_t)p->channels, sizeof *view->past, "a view of a memory"));
    TRY(memory_new(&view->known, (size_t)p->channels, sizeof *view->known, "a view of a memory"));
    return memory_new(&view->similarity, recalled * (size_t)view->model->config.vocabulary, sizeof *view->similarity,
                      "a view of a memory");
}

lmu_status memory_view_begin(MemoryView *view, int64_t layer, const uint32_t *id, int64_t count)
{
    const ModelConfig *config = &view->model->config;
    forget_look(view);
    if (layer < 0 || layer >= view->layers)
        return error_set(LMU_USAGE, "there is no layer %lld: the model has layers 0 to %lld", (long long)layer,
                         (long long)view->layers - 1);
    if (count < 1)
        return error_set(LMU_USAGE, "a memory that was given nothing has nothing to show");
    TRY(graph_check_reach(view->graph, count));
    LegendreSpec legendre = lmu_legendre(config, layer);
    MemoryPicture *p = &view->picture;
    *p = (MemoryPicture){.layer = layer, .order = legendre.order, .channels = config->dim, .groups = legendre.groups};
    TRY(lay_out(p, &legendre));
    size_t inputs = (size_t)(count * p->channels), coefficients = (size_t)(p->order * p->channels);
    TRY(memory_new(&view->input, inputs, sizeof *view->input, "a view of a memory"));
    TRY(memory_new(&view->coefficient, coefficients, sizeof *view->coefficient, "a view of a memory"));
    view->id = id;
    view->count = count;
    state_reset(view->state, 0);
    return prepare_tokens(view);
}

/* -- its parts ---------------------------------------------------------------------------------------------------------- */

static lmu_status read_block(MemoryView *view)
{
    int32_t ids[BLOCK];
    int64_t count = view->count - view->read, slot = 0, channels = view->picture.channels;
    if (count > BLOCK)
        count = BLOCK;
    for (int64_t i = 0; i < count; i++)
        ids[i] = (int32_t)view->id[view->read + i];
    TRY(graph_run(view->graph, &(Run){.rows = 1, .count = &count, .slot = &slot, .ids = ids, .state = view->state}));
    graph_get_f32(view->graph, view->memory[view->picture.layer]->in[0], count * channels,
                  view->input + view->read * channels);
    view->read += count;
    return LMU_OK;
}

/* The channels of a group, which are neighbours. */
static void rebuild_group(MemoryView *view, int64_t group, const double *c)
{
    MemoryPicture *p = &view->picture;
    int64_t size = p->channels / p->groups, reach = p->reach[group];
    for (int64_t channel = group * size; channel < (group + 1) * size; channel++) {
        recollect(p->order, p->channels, channel, view->coefficient, c, reach, p->rebuilt + channel * p->delays);
        for (int64_t d = 0; d < p->delays; d++) {
            int64_t place = view->count - 1 - p->delay[d];
            p->given[channel * p->delays + d] = place < 0 ? 0 : view->input[place * p->channels + channel];
        }
    }
}

static lmu_status rebuild(MemoryView *view)
{
    MemoryPicture *p = &view->picture;
    const State *state = view->state;
    double *c;
    TRY(memory_new(&c, (size_t)(p->delays * p->order), sizeof *c, "a view of a memory"));
    KERNEL(state->backend, get_f32, p->order * p->channels,
           real_at(state->backend, state->data, state->offset[view->memory[p->layer]->state]), view->coefficient);
    for (int64_t g = 0; g < p->groups; g++) {
        recollection_readout(p->order, p->theta[g], view->model->config.scaled, p->delay, p->reach[g], c);
        rebuild_group(view, g, c);
    }
    free(c);
    for (int64_t d = 0; d < p->recalled_count; d++)
        for (int64_t channel = 0; channel < p->channels; channel++)
            view->past[d * p->channels + channel] = p->rebuilt[channel * p->delays + d];
    return LMU_OK;
}

/* Channels whose window ends before a delay know nothing of it: cosines are over the others. */
static void compare_row(MemoryView *view, const float *row, int64_t token)
{
    const MemoryPicture *p = &view->picture;
    int64_t size = p->channels / p->groups, vocabulary = view->model->config.vocabulary;
    float *known = view->known;
    for (int64_t d = 0; d < p->recalled_count; d++) {
        for (int64_t channel = 0; channel < p->channels; channel++)
            known[channel] = d < p->reach[channel / size] ? row[channel] : 0;
        view->similarity[d * vocabulary + token] =
            (float)recollection_cosine(known, view->past + d * p->channels, p->channels);
    }
}

static lmu_status compare_block(MemoryView *view)
{
    int32_t ids[BLOCK];
    float *rows;
    int64_t vocabulary = view->model->config.vocabulary, channels = view->picture.channels;
    int64_t count = vocabulary - view->compared < BLOCK ? vocabulary - view->compared : BLOCK;
    for (int64_t i = 0; i < count; i++)
        ids[i] = (int32_t)(view->compared + i);
    TRY(memory_new(&rows, (size_t)(count * channels), sizeof *rows, "a view of a memory"));
    lmu_status status = graph_run(view->table, &(Run){.rows = 1, .count = &count, .ids = ids});
    if (status == LMU_OK) {
        graph_get_f32(view->table, view->row, count * channels, rows);
        for (int64_t i = 0; i < count; i++)
            compare_row(view, rows + i * channels, view->compared + i);
        view->compared += count;
    }
    free(rows);
    return status;
}

static void find_tokens(MemoryView *view)
{
    MemoryPicture *p = &view->picture;
    int64_t vocabulary = view->model->config.vocabulary;
    for (int64_t d = 0; d < p->recalled_count; d++)
        recalled_token_find(view->similarity + d * vocabulary, vocabulary, view->id[view->count - 1 - p->delay[d]],
                            &p->recalled[d]);
}

lmu_status memory_view_work(MemoryView *view, bool *done)
{
    bool compares = view->picture.recalled_count > 0;
    *done = false;
    if (view->read < view->count) {
        TRY(read_block(view));
        if (view->read < view->count)
            return LMU_OK;
        TRY(rebuild(view));
    } else if (compares) {
        TRY(compare_block(view));
        if (view->compared == view->model->config.vocabulary)
            find_tokens(view);
    }
    *done = !compares || view->compared == view->model->config.vocabulary;
    return LMU_OK;
}

void memory_view_take(MemoryView *view, MemoryPicture *out)
{
    *out = view->picture;
    view->picture = (MemoryPicture){0};
    forget_look(view);
}
