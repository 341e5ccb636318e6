/* The cases: one or more for each operator, with odd sizes, and whole models. */
#include <math.h>
#include <stdio.h>

#include "law.h"
#include "op/operators.h"

static Tensor *param(LawModel *m, const char *name, int rank, int64_t rows, int64_t columns, double scale)
{
    int64_t shape[2] = {rows, columns};
    return graph_param(m->g, name, rank, shape, (Init){INIT_NORMAL, scale}, rank > 1 ? PARAM_MATRIX : PARAM_VECTOR);
}

Tensor *law_input(LawModel *m, int64_t d)
{
    Tensor *input = graph_input(m->g, d, true);
    if (input) {
        m->width[m->inputs] = d;
        m->input[m->inputs++] = input;
    }
    return input;
}

static Tensor *apply_embedding(LawModel *m, Tensor *x)
{
    return op_embedding(m->g, x, param(m, "table", 2, m->law->vocabulary, m->law->d, 1));
}

static Tensor *apply_recall(LawModel *m, Tensor *x)
{
    const LawCase *c = m->law;
    return op_recall(m->g, x, param(m, "table", 2, c->vocabulary, c->d, 1), c->order, c->window);
}

static Tensor *apply_ngram(LawModel *m, Tensor *x)
{
    enum { SLOTS = 5, WAYS = 2 };
    const LawCase *c = m->law;
    Tensor *counts = graph_param(m->g, "counts", 3, (int64_t[]){c->order, SLOTS, 1 + 2 * WAYS},
                                 (Init){.kind = INIT_ZEROS}, PARAM_COUNTS);
    return op_ngram(m->g, x, param(m, "table", 2, c->vocabulary, c->d, 1), counts, WAYS);
}

static Tensor *apply_linear(LawModel *m, Tensor *x)
{
    const LawCase *c = m->law;
    Tensor *bias = c->bias ? param(m, "bias", 1, c->out, 0, 1) : NULL;
    return op_linear(m->g, x, param(m, "weight", 2, c->out, c->d, 0.3), bias);
}

/* The same one for both uses of a twin. */
static Tensor *second_operand(LawModel *m, Tensor *x)
{
    if (!m->second)
        m->second = m->law->kind ? x : law_input(m, m->law->d);
    return m->second;
}

static Tensor *apply_add(LawModel *m, Tensor *x)
{
    return op_add(m->g, x, second_operand(m, x));
}

static Tensor *apply_multiply(LawModel *m, Tensor *x)
{
    return op_multiply(m->g, x, second_operand(m, x));
}

static Tensor *apply_weighted_sum(LawModel *m, Tensor *x)
{
    const LawCase *c = m->law;
    return op_weighted_sum(m->g, x, param(m, "gain", 2, c->order, c->d / c->order, 1));
}

static Tensor *apply_norm(LawModel *m, Tensor *x)
{
    const LawCase *c = m->law;
    return op_norm(m->g, (NormKind)c->kind, x, param(m, "gain", 1, c->d, 0, 1),
                   c->bias ? param(m, "bias", 1, c->d, 0, 1) : NULL);
}

static Tensor *apply_activation(LawModel *m, Tensor *x)
{
    return op_activation(m->g, (Activation)m->law->kind, x);
}

/* Outside training dropout is x itself, and a graph's result must be an operator's. */
static Tensor *apply_dropout(LawModel *m, Tensor *x)
{
    return op_dropout(m->g, op_activation(m->g, ACTIVATION_SILU, x), m->law->rate);
}

/* The Legendre system of a case; theta is where the windows of its groups are put. */
static LegendreSpec law_legendre(const LawCase *c, double *theta)
{
    int64_t groups = c->groups ? c->groups : 1;
    for (int64_t i = 0; i < groups; i++)
        theta[i] = c->theta * pow(2.5, (double)i);
    return (LegendreSpec){c->order, groups, theta, c->scaled};
}

static Tensor *apply_memory(LawModel *m, Tensor *x)
{
    const LawCase *c = m->law;
    double theta[LEGENDRE_GROUP_LIMIT];
    LegendreSpec legendre = law_legendre(c, theta);
    return op_legendre_memory(m->g, x, &legendre, (LegendreForm)c->kind);
}

/* Parameters of implicit attention; `bias` says that scores have a scale that is learned. */
static ImplicitSpec law_attention(LawModel *m)
{
    const LawCase *c = m->law;
    int64_t heads = c->heads ? c->heads : 1, rows = heads * c->reduced;
    return (ImplicitSpec){.heads = heads,
                          .activation = c->activation,
                          .l = param(m, "l", 2, 3 * rows, c->order, 1),
                          .bias = param(m, "bias", 1, 3 * rows, 0, 0.5),
                          .p = param(m, "p", 1, rows, 0, 1),
                          .scale = c->bias ? param(m, "scale", 1, heads, 0, 1) : NULL};
}

static Tensor *apply_implicit(LawModel *m, Tensor *x)
{
    const LawCase *c = m->law;
    double theta[LEGENDRE_GROUP_LIMIT];
    LegendreSpec legendre = law_legendre(c, theta);
    ImplicitSpec attention = law_attention(m);
    return op_implicit_attention(m->g, x, &attention, &legendre);
}

/* The states are the same for both uses of a twin: two gradients meet there. */
static Tensor *apply_states(LawModel *m, Tensor *x)
{
    ImplicitSpec attention = law_attention(m);
    if (!m->second)
        m->second = apply_memory(m, x);
    return op_implicit_states(m->g, m->second, &attention);
}

static Tensor *apply_causal(LawModel *m, Tensor *x)
{
    return op_causal_attention(m->g, x, m->law->heads, m->law->context, m->law->window);
}

static Tensor *apply_lstm(LawModel *m, Tensor *x)
{
    int64_t h = m->law->d / 4;
    return op_lstm(m->g, x, param(m, "recurrent", 2, 4 * h, h, 1 / sqrt((double)h)));
}

static Tensor *apply_rope_angles(LawModel *m, Tensor *x)
{
    (void)x;
    return op_rope_angles(m->g, graph_positions(m->g), m->law->d, m->law->theta);
}

static Tensor *apply_rope(LawModel *m, Tensor *x)
{
    const LawCase *c = m->law;
    return op_rope(m->g, x, op_rope_angles(m->g, graph_positions(m->g), c->d / 3 / c->heads, 10000), c->heads);
}

static Tensor *apply_induction(LawModel *m, Tensor *x)
{
    return op_induction(m->g, x);
}

static Tensor *apply_last(LawModel *m, Tensor *x)
{
    return op_last(m->g, x);
}

static Tensor *apply_cross_entropy(LawModel *m, Tensor *x)
{
    return op_cross_entropy(m->g, x, param(m, "head", 2, m->law->vocabulary, m->law->d, 0.5), graph_targets(m->g));
}

/* A block of the house's own model with every operator in it: the token table is the head too. */
static Tensor *apply_block(LawModel *m, Tensor *ids)
{
    const LawCase *c = m->law;
    Graph *g = m->g;
    int64_t d = c->d, p = c->reduced;
    double theta[LEGENDRE_GROUP_LIMIT];
    LegendreSpec legendre = law_legendre(c, theta);
    Tensor *table = param(m, "table", 2, c->vocabulary, d, 0.7);
    Tensor *x = op_embedding(g, ids, table);
    for (int layer = 0; layer < 2; layer++) {
        graph_block(g, "layer%d", layer);
        Tensor *y = op_norm(g, NORM_LAYER, x, param(m, "gain", 1, d, 0, 1), param(m, "shift", 1, d, 0, 0.3));
        ImplicitSpec attention = {.heads = 1,
                                  .l = param(m, "l", 2, 3 * p, c->order, 0.7),
                                  .bias = param(m, "b", 1, 3 * p, 0, 0.3),
                                  .p = param(m, "p", 1, p, 0, 0.7)};
        y = op_implicit_attention(g, y, &attention, &legendre);
        y = op_linear(g, y, param(m, "out", 2, d, d, 0.3), param(m, "out_bias", 1, d, 0, 0.1));
        x = op_add(g, x, op_dropout(g, y, c->rate));
        y = op_norm(g, NORM_RMS, x, param(m, "attention_gain", 1, d, 0, 1), NULL);
        y = op_causal_attention(g, op_linear(g, y, param(m, "qkv", 2, 3 * d, d, 0.3), NULL), c->heads, c->context,
                                c->window);
        x = op_add(g, x, y);
        y = op_linear(g, x, param(m, "up", 2, 2 * d, d, 0.3), param(m, "up_bias", 1, 2 * d, 0, 0.1));
        y = op_multiply(g, op_activation(g, ACTIVATION_GELU, y), op_activation(g, ACTIVATION_SILU, y));
        x = op_add(g, x, op_linear(g, y, param(m, "down", 2, d, 2 * d, 0.3), NULL));
        graph_scope_end(g);
    }
    return op_cross_entropy(g, x, table, graph_targets(g));
}

#define EMBEDDING .op = &operator_embedding, .apply = apply_embedding, .takes_ids = true
#define RECALL .op = &operator_recall, .apply = apply_recall, .takes_ids = true
#define NGRAM .op = &operator_ngram, .apply = apply_ngram, .takes_ids = true
#define LINEAR .op = &operator_linear, .apply = apply_linear
#define ADD .op = &operator_add, .apply = apply_add
#define MULTIPLY .op = &operator_multiply, .apply = apply_multiply
#define WEIGHTED_SUM .op = &operator_weighted_sum, .apply = apply_weighted_sum
#define NORM .op = &operator_norm, .apply = apply_norm
#define ACTIVATION .op = &operator_activation, .apply = apply_activation
#define DROPOUT .op = &operator_dropout, .apply = apply_dropout
#define MEMORY .op = &operator_legendre_memory, .apply = apply_memory
#define IMPLICIT .op = &operator_implicit_attention, .apply = apply_implicit
#define STATES .op = &operator_implicit_states, .apply = apply_states
#define CAUSAL .op = &operator_causal_attention, .apply = apply_causal
#define LSTM .op = &operator_lstm, .apply = apply_lstm
#define ROPE_ANGLES .op = &operator_rope_angles, .apply = apply_rope_angles, .takes_ids = true
#define ROPE .op = &operator_rope, .apply = apply_rope
#define INDUCTION .op = &operator_induction, .apply = apply_induction
#define LAST .op = &operator_last, .apply = apply_last
#define LOSS .op = &operator_cross_entropy, .apply = apply_cross_entropy
#define BLOCK .apply = apply_block, .takes_ids = true

const LawCase law_cases[] = {
    {"embedding", EMBEDDING, .d = 7, .vocabulary = 11, .missing = true},
    {"embedding of 517", EMBEDDING, .d = 33, .vocabulary = 517},
    {"recall of 3 orders in a window of 7", RECALL, .d = 7, .vocabulary = 3, .order = 3, .window = 7, .missing = true},
    {"recall beyond the text", RECALL, .d = 33, .vocabulary = 5, .order = 1, .window = 50},
    {"n-gram table", NGRAM, .d = 7, .vocabulary = 3, .order = 1, .missing = true},
    {"n-gram table of 3 orders", NGRAM, .d = 33, .vocabulary = 3, .order = 3},
    {"linear with bias", LINEAR, .d = 7, .out = 19, .bias = true},
    {"linear", LINEAR, .d = 33, .out = 7},
    {"add", ADD, .d = 19},
    {"add to itself", ADD, .d = 7, .kind = 1},
    {"multiply", MULTIPLY, .d = 19},
    {"multiply by itself", MULTIPLY, .d = 7, .kind = 1},
    {"weighted sum of 3", WEIGHTED_SUM, .d = 3 * 7, .order = 3},
    {"weighted sum of 1", WEIGHTED_SUM, .d = 33, .order = 1},
    {"layer norm with bias", NORM, .d = 19, .bias = true, .kind = NORM_LAYER},
    {"layer norm", NORM, .d = 33, .kind = NORM_LAYER},
    {"rms norm", NORM, .d = 7, .kind = NORM_RMS},
    {"gelu", ACTIVATION, .d = 19, .kind = ACTIVATION_GELU},
    {"relu", ACTIVATION, .d = 7, .kind = ACTIVATION_RELU},
    {"relu squared", ACTIVATION, .d = 33, .kind = ACTIVATION_RELU2},
    {"silu", ACTIVATION, .d = 19, .kind = ACTIVATION_SILU},
    {"dropout", DROPOUT, .d = 19, .rate = 0.3},
    {"memory of 1, recurrent", MEMORY, .d = 7, .order = 1, .theta = 4, .kind = LEGENDRE_RECURRENT},
    {"memory of 8, recurrent", MEMORY, .d = 19, .order = 8, .theta = 32, .scaled = true, .kind = LEGENDRE_RECURRENT},
    {"memory of 4, chunked", MEMORY, .d = 33, .order = 4, .theta = 20, .scaled = true, .kind = LEGENDRE_CHUNKED},
    {"memory of 13, chunked", MEMORY, .d = 7, .order = 13, .theta = 50.5, .kind = LEGENDRE_CHUNKED},
    {"memory of 5 in 3 groups, recurrent", MEMORY, .d = 15, .order = 5, .groups = 3, .theta = 4,
     .kind = LEGENDRE_RECURRENT},
    {"memory of 4 in 3 groups, chunked", MEMORY, .d = 33, .order = 4, .groups = 3, .theta = 6, .scaled = true,
     .kind = LEGENDRE_CHUNKED},
    {"memory of 1, by transforms", MEMORY, .d = 19, .order = 1, .theta = 4, .kind = LEGENDRE_FFT},
    {"memory of 8, by transforms", MEMORY, .d = 33, .order = 8, .theta = 32, .scaled = true, .kind = LEGENDRE_FFT},
    {"memory of 5 in 3 groups, by transforms", MEMORY, .d = 15, .order = 5, .groups = 3, .theta = 6,
     .kind = LEGENDRE_FFT},
    {"implicit attention on 8 of 8", STATES, .d = 33, .order = 8, .reduced = 8, .theta = 20, .kind = LEGENDRE_CHUNKED},
    {"implicit attention on 3 of 5, by transforms", STATES, .d = 15, .order = 5, .reduced = 3, .groups = 3, .theta = 9,
     .kind = LEGENDRE_FFT},
    {"implicit attention 1 of 1", IMPLICIT, .d = 7, .order = 1, .reduced = 1, .theta = 4},
    {"implicit attention 5 of 4", IMPLICIT, .d = 19, .order = 4, .reduced = 5, .theta = 9.5},
    {"implicit attention 8 of 8", IMPLICIT, .d = 33, .order = 8, .reduced = 8, .theta = 32, .scaled = true},
    {"implicit attention 5 of 13", IMPLICIT, .d = 7, .order = 13, .reduced = 5, .theta = 40},
    {"implicit attention 4 of 5 in 3 groups", IMPLICIT, .d = 15, .order = 5, .reduced = 4, .groups = 3, .theta = 5},
    {"implicit attention 3 of 4, each channel a group", IMPLICIT, .d = 7, .order = 4, .reduced = 3, .groups = 7,
     .theta = 2},
    {"implicit attention with relu", IMPLICIT, .d = 19, .order = 4, .reduced = 3, .theta = 9.5,
     .activation = ACTIVATION_RELU},
    {"implicit attention with relu squared", IMPLICIT, .d = 19, .order = 4, .reduced = 3, .theta = 9.5,
     .activation = ACTIVATION_RELU2},
    {"implicit attention without activation", IMPLICIT, .d = 7, .order = 4, .reduced = 3, .theta = 9.5,
     .activation = ACTIVATION_NONE},
    {"implicit attention of 3 heads", IMPLICIT, .d = 15, .order = 4, .reduced = 3, .theta = 9.5, .heads = 3},
    {"implicit attention of 5 heads with scales, 3 groups, relu squared", IMPLICIT, .d = 15, .order = 4, .reduced = 5,
     .groups = 3, .theta = 5, .heads = 5, .bias = true, .activation = ACTIVATION_RELU2},
    {"implicit attention with a scale", IMPLICIT, .d = 19, .order = 5, .reduced = 4, .theta = 12, .bias = true},
    {"implicit attention of 3 heads with scales on states", STATES, .d = 33, .order = 4, .reduced = 3, .theta = 20,
     .heads = 3, .bias = true, .kind = LEGENDRE_CHUNKED},
    {"lstm", LSTM, .d = 4 * 7},
    {"lstm of 1 cell", LSTM, .d = 4},
    {"causal attention", CAUSAL, .d = 3 * 7, .heads = 1, .context = 64},
    {"causal attention of 3 heads", CAUSAL, .d = 3 * 33, .heads = 3, .context = 70},
    {"causal attention, window 5", CAUSAL, .d = 3 * 7, .heads = 1, .context = 1, .window = 5},
    {"causal attention of 2 heads, window 17", CAUSAL, .d = 3 * 32, .heads = 2, .context = 1, .window = 17},
    {"causal attention, window beyond the text", CAUSAL, .d = 3 * 5, .heads = 1, .context = 1, .window = 50},
    {"rotary angles", ROPE_ANGLES, .d = 14, .theta = 10000},
    {"rotary positions", ROPE, .d = 3 * 2, .heads = 1},
    {"rotary positions of 3 heads", ROPE, .d = 3 * 30, .heads = 3},
    {"induction", INDUCTION, .d = 2 * 7},
    {"induction of 33", INDUCTION, .d = 2 * 33},
    {"last", LAST, .d = 19},
    {"cross-entropy", LOSS, .d = 7, .vocabulary = 11},
    {"cross-entropy of 517", LOSS, .d = 33, .vocabulary = 517},
    {"block", BLOCK, .d = 6, .vocabulary = 11, .order = 5, .reduced = 3, .theta = 12, .heads = 3, .context = 80,
     .rate = 0.2},
    {0},
};

const LawCase law_larger[] = {
    {"embedding", EMBEDDING, .d = 131, .vocabulary = 517},
    {"linear", LINEAR, .d = 257, .out = 131, .bias = true},
    {"weighted sum of 12", WEIGHTED_SUM, .d = 12 * 131, .order = 12},
    {"layer norm", NORM, .d = 257, .bias = true, .kind = NORM_LAYER},
    {"rms norm", NORM, .d = 131, .kind = NORM_RMS},
    {"gelu", ACTIVATION, .d = 131, .kind = ACTIVATION_GELU},
    {"relu", ACTIVATION, .d = 131, .kind = ACTIVATION_RELU},
    {"relu squared", ACTIVATION, .d = 131, .kind = ACTIVATION_RELU2},
    {"silu", ACTIVATION, .d = 131, .kind = ACTIVATION_SILU},
    {"dropout", DROPOUT, .d = 131, .rate = 0.1},
    {"memory of 64, recurrent", MEMORY, .d = 35, .order = 64, .theta = 1000, .kind = LEGENDRE_RECURRENT},
    {"memory of 64, chunked", MEMORY, .d = 35, .order = 64, .theta = 1000, .kind = LEGENDRE_CHUNKED},
    {"memory of 64, scaled", MEMORY, .d = 67, .order = 64, .theta = 128, .scaled = true, .kind = LEGENDRE_CHUNKED},
    {"memory of 16 in 3 groups, recurrent", MEMORY, .d = 141, .order = 16, .groups = 3, .theta = 20,
     .kind = LEGENDRE_RECURRENT},
    {"memory of 16 in 3 groups, chunked", MEMORY, .d = 96, .order = 16, .groups = 3, .theta = 20,
     .kind = LEGENDRE_CHUNKED},
    {"memory of 16, by transforms", MEMORY, .d = 67, .order = 16, .theta = 128, .kind = LEGENDRE_FFT},
    {"memory of 8 in 3 groups, by transforms", MEMORY, .d = 96, .order = 8, .groups = 3, .theta = 10,
     .kind = LEGENDRE_FFT},
    {"implicit attention on 9 of 11", STATES, .d = 131, .order = 11, .reduced = 9, .theta = 30,
     .kind = LEGENDRE_CHUNKED},
    {"implicit attention 8 of 8 in 3 groups", IMPLICIT, .d = 96, .order = 8, .reduced = 8, .groups = 3, .theta = 16},
    {"implicit attention 9 of 11 in 5 groups", IMPLICIT, .d = 135, .order = 11, .reduced = 9, .groups = 5, .theta = 8},
    {"implicit attention 16 of 16", IMPLICIT, .d = 131, .order = 16, .reduced = 16, .theta = 128},
    {"implicit attention 8 of 64", IMPLICIT, .d = 67, .order = 64, .reduced = 8, .theta = 1000, .scaled = true},
    {"implicit attention 11 of 32", IMPLICIT, .d = 45, .order = 32, .reduced = 11, .theta = 100, .scaled = true},
    {"implicit attention of 4 heads with scales", IMPLICIT, .d = 132, .order = 8, .reduced = 8, .theta = 20, .heads = 4,
     .bias = true},
    {"implicit attention of 2 heads on states, relu", STATES, .d = 96, .order = 8, .reduced = 9, .theta = 20,
     .heads = 2, .kind = LEGENDRE_CHUNKED, .activation = ACTIVATION_RELU},
    {"implicit attention without activation", IMPLICIT, .d = 131, .order = 8, .reduced = 8, .theta = 20,
     .activation = ACTIVATION_NONE},
    {"lstm", LSTM, .d = 4 * 37},
    {"causal attention", CAUSAL, .d = 3 * 96, .heads = 3, .context = 400},
    {"causal attention, window 1", CAUSAL, .d = 3 * 96, .heads = 3, .context = 1, .window = 1},
    {"causal attention, window 37", CAUSAL, .d = 3 * 96, .heads = 3, .context = 1, .window = 37},
    {"causal attention, window 150", CAUSAL, .d = 3 * 66, .heads = 3, .context = 1, .window = 150},
    {"rotary angles", ROPE_ANGLES, .d = 62, .theta = 500},
    {"rotary positions", ROPE, .d = 3 * 132, .heads = 2},
    {"induction", INDUCTION, .d = 2 * 131},
    {"cross-entropy", LOSS, .d = 131, .vocabulary = 517},
    {"block", BLOCK, .d = 48, .vocabulary = 517, .order = 8, .reduced = 8, .theta = 32, .heads = 3, .context = 400},
    {0},
};

bool law_has_shape(const LawCase *law, LawShape shape)
{
    return shape == LAW_PLAIN || (law->op && !law->op->forms_gradient) || (law->op && shape == LAW_WRAPPED);
}

Tensor *law_build(LawModel *m, LawShape shape)
{
    const LawCase *c = m->law;
    Tensor *x = c->takes_ids ? graph_ids(m->g) : law_input(m, c->d);
    bool loss = c->op && c->op->forms_gradient;
    if (shape == LAW_WRAPPED && !loss)
        graph_block(m->g, "block");
    if (shape == LAW_WRAPPED && !c->takes_ids)
        x = op_multiply(m->g, x, law_input(m, c->d));
    Tensor *y = c->apply(m, x);
    if (shape == LAW_TWIN)
        y = op_add(m->g, y, c->apply(m, x));
    if (shape != LAW_WRAPPED || loss)
        return y;
    y = op_activation(m->g, ACTIVATION_SILU, y);
    graph_scope_end(m->g);
    graph_block(m->g, "last"); /* which is never run again */
    y = op_activation(m->g, ACTIVATION_SILU, y);
    graph_scope_end(m->g);
    return y;
}

bool law_trains(const LawCase *law)
{
    return !law->op || law->op->backward || law->op->forms_gradient;
}
