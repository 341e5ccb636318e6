/* The last token of each row: what a decoder needs logits of. */
#include <stdlib.h>

#include "op/operators.h"

static void forward(Graph *g, const Step *s)
{
    const Rows *rows = step_rows(g);
    int32_t *last = s->node->attributes; /* [rows at capacity] */
    for (int r = 0; r < rows->count; r++)
        last[r] = rows->offset[r + 1] > rows->offset[r] ? (int32_t)(rows->offset[r + 1] - 1) : -1;
    int32_t *ids = (int32_t *)step_saved(g, s, 0);
    KERNEL(graph_backend(g), put_bytes, (size_t)rows->count * sizeof *last, last, ids);
    KERNEL(graph_backend(g), gather, rows->count, 1, s->node->out->shape[1], ids, NULL, step_in(g, s, 0),
           step_out(g, s));
}

const Operator operator_last = {.name = "last", .forward = forward};

Tensor *op_last(Graph *g, Tensor *x)
{
    NodeSpec spec = {.inputs = 1,
                     .in = {x},
                     .lead = LEAD_ROWS,
                     .rank = 2,
                     .saves = 1,
                     .saved_lead = {LEAD_ROWS},
                     .saved_numbers = {1}};
    if (!graph_ready(g, 1, spec.in))
        return NULL;
    if (x->rank != 2 || x->lead != LEAD_TOKENS)
        return graph_fail(g, LMU_USAGE, "last takes x [N x D]");
    spec.shape[1] = x->shape[1];
    Tensor *out = graph_node(g, &operator_last, &spec);
    if (out && !graph_scratch(g, out->producer, (size_t)out->shape[0] * sizeof(int32_t)))
        return NULL;
    return out;
}
