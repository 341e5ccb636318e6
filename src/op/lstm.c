/* Long short-term memory (Hochreiter & Schmidhuber 1997) with forget gates (Gers et al. 2000); the formulas stand in
 * kernel/reference/lstm.h. Products with the inputs are a linear layer before it; what is left here is the sequential part. */
#include "op/operators.h"

enum { IN_Z, IN_R };
enum { SAVED_GATES, SAVED_CELL, SAVED_START };

static void forward(Graph *g, const Step *s)
{
    const Int8Matrix *recurrent = step_int8(s, IN_R);
    KERNEL(graph_backend(g), lstm, step_rows(g), s->node->out->shape[1], step_in(g, s, IN_Z),
           recurrent ? NULL : step_in(g, s, IN_R), recurrent, step_state(g, s), step_saved(g, s, SAVED_START),
           step_saved(g, s, SAVED_GATES), step_saved(g, s, SAVED_CELL), step_out(g, s));
}

static void backward(Graph *g, const Step *s)
{
    KERNEL(graph_backend(g), lstm_back, step_rows(g), s->node->out->shape[1], step_in(g, s, IN_R),
           step_saved(g, s, SAVED_START), step_saved(g, s, SAVED_GATES), step_saved(g, s, SAVED_CELL), step_out(g, s),
           step_gradient_out(g, s), step_gradient(g, s, IN_Z), step_add(g, s, IN_Z), step_gradient(g, s, IN_R),
           step_add(g, s, IN_R));
}

static double flops(const Node *node, int64_t length)
{
    (void)length;
    double h = (double)node->out->shape[1];
    return 2 * 4 * h * h;
}

const Operator operator_lstm = {.name = "lstm",
                                .forward = forward,
                                .backward = backward,
                                .keeps = KEEPS_INPUT(IN_R) | KEEPS_OUTPUT,
                                .int8_inputs = KEEPS_INPUT(IN_R),
                                .looks_back = true,
                                .flops = flops};

Tensor *op_lstm(Graph *g, Tensor *z, Tensor *recurrent)
{
    NodeSpec spec = {.inputs = 2,
                     .in = {z, recurrent},
                     .lead = LEAD_TOKENS,
                     .rank = 2,
                     .saves = 3,
                     .saved_lead = {LEAD_TOKENS, LEAD_TOKENS, LEAD_ROWS}};
    if (!graph_ready(g, 2, spec.in))
        return NULL;
    int64_t h = recurrent->shape[recurrent->rank - 1];
    if (z->rank != 2 || z->lead != LEAD_TOKENS || recurrent->kind != TENSOR_PARAM || recurrent->rank != 2 ||
        recurrent->shape[0] != 4 * h || z->shape[1] != 4 * h)
        return graph_fail(g, LMU_USAGE, "an LSTM takes z [N x 4H] and a parameter [4H x H]");
    Backend *b = graph_backend(g);
    spec.shape[1] = h;
    spec.state = spec.saved_numbers[SAVED_START] = 2 * h;
    spec.saved_numbers[SAVED_GATES] = 4 * h;
    spec.saved_numbers[SAVED_CELL] = h;
    spec.workspace = b->kernels->lstm_workspace(b, z->shape[0], h);
    return graph_node(g, &operator_lstm, &spec);
}
