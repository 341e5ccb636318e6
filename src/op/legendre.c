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
    if (a->form == LEGENDRE_FFT) {
        KERNEL(b, legendre_convolve, &a->shape, rows, step_in(g, s, 1), step_in(g, s, 0), step_state(g, s),
               step_out(g, s));
        return;
    }
    KERNEL(b, legendre_scan, &a->shape, a->form, rows, step_in(g, s, 1), step_in(g, s, 0), step_state(g, s),
           step_saved(g, s, 0));
    KERNEL(b, legendre_memory, &a->shape, a->form, rows, step_in(g, s, 1), step_in(g, s, 0), step_saved(g, s, 0),
           step_out(g, s));
}

static void backward(Graph *g, const Step *s)
{
    const Memory *a = s->node->attributes;
    if (!step_gradient(g, s, 0))
        return;
    if (a->form == LEGENDRE_FFT)
        KERNEL(graph_backend(g), legendre_convolve_back, &a->shape, step_rows(g), step_in(g, s, 1),
               step_gradient_out(g, s), step_gradient(g, s, 0), step_add(g, s, 0));
    else
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

/* Names a system for all layers that have it: solving it takes far longer than finding it. */
static void constant_name(const LegendreSpec *spec, size_t size, char *name)
{
    size_t used =
        (size_t)snprintf(name, size, "legendre %lld%s", (long long)spec->order, spec->scaled ? " scaled" : "");
    for (int64_t i = 0; i < spec->groups; i++)
        used += (size_t)snprintf(name + used, size - used, " %a", spec->theta[i]);
}

/* w [G x C*Q x (Q+C)] */
static lmu_status chunk_matrices(const LegendreSpec *spec, double *w)
{
    int64_t q = spec->order;
    double *abar;
    TRY(memory_new(&abar, (size_t)(q * q + q), sizeof *abar, "a Legendre system"));
    lmu_status status = LMU_OK;
    for (int64_t i = 0; status == LMU_OK && i < spec->groups; i++) {
        status = legendre_discretise(q, spec->theta[i], spec->scaled, abar, abar + q * q);
        if (status == LMU_OK)
            legendre_chunk_matrix(q, LEGENDRE_CHUNK, abar, abar + q * q,
                                  w + i * LEGENDRE_CHUNK * q * (q + LEGENDRE_CHUNK));
    }
    free(abar);
    return status;
}

Tensor *legendre_constant(Graph *g, const LegendreSpec *spec, int64_t channels)
{
    if (!graph_ready(g, 0, NULL))
        return NULL;
    int64_t q = spec->order, shape[2] = {spec->groups * LEGENDRE_CHUNK * q, q + LEGENDRE_CHUNK};
    if (q < 1 || q > LEGENDRE_ORDER_LIMIT)
        return graph_fail(g, LMU_USAGE, "a Legendre memory of order %lld: the order must be 1 to %d", (long long)q,
                          LEGENDRE_ORDER_LIMIT);
    if (spec->groups < 1 || spec->groups > LEGENDRE_GROUP_LIMIT || channels % spec->groups != 0)
        return graph_fail(
            g, LMU_USAGE,
            "a Legendre memory of %lld channels in %lld groups: groups must be 1 to %d and divide the channels",
            (long long)channels, (long long)spec->groups, LEGENDRE_GROUP_LIMIT);
    char name[64 + 32 * LEGENDRE_GROUP_LIMIT];
    constant_name(spec, sizeof name, name);
    Tensor *constant = graph_constant_find(g, name);
    if (constant)
        return constant;
    double *w;
    lmu_status status = memory_new(&w, (size_t)(shape[0] * shape[1]), sizeof *w, "a Legendre system");
    if (status != LMU_OK)
        return graph_fail(g, status, "%s", lmu_error_message());
    status = chunk_matrices(spec, w);
    constant =
        status == LMU_OK ? graph_constant(g, name, 2, shape, w) : graph_fail(g, status, "%s", lmu_error_message());
    free(w);
    return constant;
}

Tensor *op_legendre_memory(Graph *g, Tensor *x, const LegendreSpec *legendre, LegendreForm form)
{
    Tensor *w = x ? legendre_constant(g, legendre, x->shape[1]) : NULL;
    NodeSpec spec = {
        .inputs = 2, .in = {x, w}, .lead = LEAD_TOKENS, .rank = 3, .saves = 1, .saved_lead = {LEAD_CHUNKS}};
    if (!graph_ready(g, 2, spec.in))
        return NULL;
    if (x->rank != 2 || x->lead != LEAD_TOKENS)
        return graph_fail(g, LMU_USAGE, "a Legendre memory takes x [N x D]");
    Memory attributes = {.shape = {x->shape[1], legendre->order, legendre->groups}, .form = form};
    Backend *b = graph_backend(g);
    spec.shape[1] = legendre->order;
    spec.shape[2] = x->shape[1];
    spec.state = spec.saved_numbers[0] = legendre->order * x->shape[1];
    spec.attributes = &attributes;
    spec.attributes_size = sizeof attributes;
    if (form == LEGENDRE_FFT) {
        spec.saves = 0;
        spec.workspace = b->kernels->legendre_convolve_workspace(b, &attributes.shape, x->shape[0]);
    } else {
        spec.workspace = b->kernels->legendre_workspace(b, &attributes.shape, 1, 0);
    }
    return graph_node(g, &operator_legendre_memory, &spec);
}
