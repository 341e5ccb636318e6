/* Recall: rows of a table for the ids that followed earlier occurrences of the latest ids, as n-gram heads see them (Akyurek et
 * al. 2024); the stream state is a ring of ids. */
#include "op/operators.h"

typedef struct Recall {
    int64_t orders, window;
} Recall;

static void forward(Graph *g, const Step *s)
{
    const Recall *a = s->node->attributes;
    const Rows *rows = step_rows(g);
    int32_t *next = (int32_t *)step_saved(g, s, 0);
    Real *state = step_state(g, s);
    KERNEL(graph_backend(g), recall, rows, a->orders, a->window, s->node->in[1]->shape[0], step_ids(g, s, 0), state,
           next);
    if (state && !s->recompute)
        KERNEL(graph_backend(g), recall_keep, rows, a->window, step_ids(g, s, 0), state);
    table_gather(g, s, 1, rows->tokens * a->orders, 1, next, NULL);
}

static void backward(Graph *g, const Step *s)
{
    const Recall *a = s->node->attributes;
    const int64_t *table = s->node->in[1]->shape;
    if (step_gradient(g, s, 1))
        KERNEL(graph_backend(g), gather_back, step_rows(g)->tokens * a->orders, 1, table[0], table[1],
               (const int32_t *)step_saved(g, s, 0), NULL, step_gradient_out(g, s), step_gradient(g, s, 1),
               step_add(g, s, 1));
}

const Operator operator_recall = {
    .name = "recall", .forward = forward, .backward = backward, .int8_inputs = KEEPS_INPUT(1), .looks_back = true};

Tensor *op_recall(Graph *g, Tensor *ids, Tensor *table, int64_t orders, int64_t window)
{
    Recall attributes = {orders, window};
    NodeSpec spec = {.inputs = 2,
                     .in = {ids, table},
                     .lead = LEAD_TOKENS,
                     .rank = 2,
                     .saves = 1,
                     .saved_lead = {LEAD_TOKENS},
                     .saved_numbers = {orders},
                     .state = window,
                     .attributes = &attributes,
                     .attributes_size = sizeof attributes};
    if (!graph_ready(g, 2, spec.in))
        return NULL;
    if (!ids->integer || table->kind != TENSOR_PARAM || table->rank != 2 || orders < 1 || window < 1)
        return graph_fail(g, LMU_USAGE, "recall takes ids, a parameter [V x D], orders and a window of at least 1");
    Backend *b = graph_backend(g);
    graph_bound(ids, table->shape[0]);
    spec.shape[1] = orders * table->shape[1];
    spec.workspace = b->kernels->recall_workspace(b, window, ids->shape[0]);
    return graph_node(g, &operator_recall, &spec);
}
