/* The Legendre memory as an operator of its own: M_t = Abar M_{t-1} + Bbar x_t (Voelker et al. 2019). */
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "op/operators.h"

typedef struct Memory {
    LegendreShape shape;
    LegendreForm form;
} Memory;

static void forward(Graph *g, const Step *s)
{
    const Memory *a = s->node->attributes;
    Backend *b = graph_backend(g);
    const Rows *rows = step_rows(g);
    KERNEL(b, legendre_scan, &a->shape, a->form, rows, step_in(g, s, 1), step_in(g, s, 0), step_state(g, s),
           step_saved(g, s, 0));
    KERNEL(b, legendre_memory, &a->shape, a->form, rows, step_in(g, s, 1), step_in(g, s, 0), step_saved(g, s, 0),
           step_out(g, s));
}

static void backward(Graph *g, const Step *s)
{
    const Memory *a = s->node->attributes;
    if (step_gradient(g, s, 0))
        KERNEL(graph_backend(g), legendre_memory_back, &a->shape, a->form, step_rows(g), step_in(g, s, 1),
               step_gradient_out(g, s), step_saved(g, s, 0), step_gradient(g, s, 0), step_add(g, s, 0));
}

static double flops(const Node *node, int64_t length)
{
    (void)length;
    const Memory *a = node->attributes;
    double q = (double)a->shape.order;
    return 2 * q * (q + 1) * (double)a->shape.channels;
}

const Operator operator_legendre_memory = {
    .name = "legendre_memory", .forward = forward, .backward = backward, .looks_back = true, .flops = flops};

Tensor *legendre_constant(Graph *g, const LegendreSpec *spec)
{
    if (!graph_ready(g, 0, NULL))
        return NULL;
    int64_t q = spec->order, shape[2] = {LEGENDRE_CHUNK * q, q + LEGENDRE_CHUNK};
    if (q < 1 || q > LEGENDRE_ORDER_LIMIT)
        return graph_fail(g, LMU_USAGE, "a Legendre memory of order %lld: the order must be 1 to %d", (long long)q,
                          LEGENDRE_ORDER_LIMIT);
    char name[64]; /* layers of the same system share it: solving it takes far longer than finding it */
    snprintf(name, sizeof name, "legendre %lld %a%s", (long long)q, spec->theta, spec->scaled ? " scaled" : "");
    Tensor *constant = graph_constant_find(g, name);
    if (constant)
        return constant;
    double *space;
    lmu_status status =
        memory_new(&space, (size_t)(q * q + q + shape[0] * shape[1]), sizeof *space, "a Legendre system");
    if (status != LMU_OK)
        return graph_fail(g, status, "%s", lmu_error_message());
    double *abar = space, *bbar = abar + q * q, *w = bbar + q;
    status = legendre_discretise(q, spec->theta, spec->scaled, abar, bbar);
    if (status == LMU_OK) {
        legendre_chunk_matrix(q, LEGENDRE_CHUNK, abar, bbar, w);
        constant = graph_constant(g, name, 2, shape, w);
    } else {
        graph_fail(g, status, "%s", lmu_error_message());
    }
    free(space);
    return constant;
}

Tensor *op_legendre_memory(Graph *g, Tensor *x, const LegendreSpec *legendre, LegendreForm form)
{
    Tensor *w = legendre_constant(g, legendre);
    NodeSpec spec = {
        .inputs = 2, .in = {x, w}, .lead = LEAD_TOKENS, .rank = 3, .saves = 1, .saved_lead = {LEAD_CHUNKS}};
    if (!graph_ready(g, 2, spec.in))
        return NULL;
    if (x->rank != 2 || x->lead != LEAD_TOKENS)
        return graph_fail(g, LMU_USAGE, "a Legendre memory takes x [N x D]");
    Memory attributes = {.shape = {x->shape[1], legendre->order}, .form = form};
    Backend *b = graph_backend(g);
    spec.shape[1] = legendre->order;
    spec.shape[2] = x->shape[1];
    spec.state = spec.saved_numbers[0] = legendre->order * x->shape[1];
    spec.attributes = &attributes;
    spec.attributes_size = sizeof attributes;
    spec.workspace = b->kernels->legendre_workspace(b, &attributes.shape, 0);
    return graph_node(g, &operator_legendre_memory, &spec);
}
