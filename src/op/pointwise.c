/* Pointwise operators: add, multiply, activation, dropout. */
#include "base/random.h"
#include "op/operators.h"

static Tensor *pointwise_node(Graph *g, const Operator *op, int inputs, Tensor *a, Tensor *b, const void *attributes,
                              size_t size)
{
    NodeSpec spec = {.inputs = inputs, .in = {a, b}, .attributes = attributes, .attributes_size = size};
    if (!graph_ready(g, inputs, spec.in))
        return NULL;
    bool same = !a->integer && a->lead != LEAD_NONE;
    for (int i = 0; b && same && i < a->rank; i++)
        same = a->rank == b->rank && a->lead == b->lead && a->shape[i] == b->shape[i];
    if (!same)
        return graph_fail(g, LMU_USAGE, "%s takes activations of one shape", op->name);
    spec.lead = a->lead;
    spec.rank = a->rank;
    for (int i = 0; i < a->rank; i++)
        spec.shape[i] = a->shape[i];
    return graph_node(g, op, &spec);
}

/* -- y = a + b -- */

static void add_forward(Graph *g, const Step *s)
{
    KERNEL(graph_backend(g), sum, step_numbers(g, s->node->out), step_in(g, s, 0), step_in(g, s, 1), step_out(g, s));
}

static void add_backward(Graph *g, const Step *s)
{
    /* In this order: the gradient of the first may lie in the memory of dy, where storing changes nothing, and both inputs
     * may be one tensor, whose gradient is first stored and then added to. */
    for (int i = 0; i < 2; i++)
        if (step_gradient(g, s, i))
            KERNEL(graph_backend(g), copy, step_numbers(g, s->node->out), step_gradient_out(g, s),
                   step_gradient(g, s, i), step_add(g, s, i));
}

const Operator operator_add = {
    .name = "add", .forward = add_forward, .backward = add_backward, .in_place = true, .gradient_in_place = true};

Tensor *op_add(Graph *g, Tensor *a, Tensor *b)
{
    return pointwise_node(g, &operator_add, 2, a, b, NULL, 0);
}

/* -- y = a b -- */

static void multiply_forward(Graph *g, const Step *s)
{
    KERNEL(graph_backend(g), multiply, step_numbers(g, s->node->out), step_in(g, s, 0), step_in(g, s, 1),
           step_out(g, s), false);
}

static void multiply_backward(Graph *g, const Step *s)
{
    for (int i = 0; i < 2; i++)
        if (step_gradient(g, s, i))
            KERNEL(graph_backend(g), multiply, step_numbers(g, s->node->out), step_gradient_out(g, s),
                   step_in(g, s, 1 - i), step_gradient(g, s, i), step_add(g, s, i));
}

const Operator operator_multiply = {.name = "multiply",
                                    .forward = multiply_forward,
                                    .backward = multiply_backward,
                                    .keeps = KEEPS_INPUT(0) | KEEPS_INPUT(1)};

Tensor *op_multiply(Graph *g, Tensor *a, Tensor *b)
{
    return pointwise_node(g, &operator_multiply, 2, a, b, NULL, 0);
}

/* -- y = f(x) -- */

static void activation_forward(Graph *g, const Step *s)
{
    const Activation *kind = s->node->attributes;
    int64_t n = step_extent(g, s->node->out), d = n ? step_numbers(g, s->node->out) / n : 0;
    KERNEL(graph_backend(g), activate, *kind, n, d, step_in_array(g, s, 0), step_out_array(g, s));
}

static void activation_backward(Graph *g, const Step *s)
{
    const Activation *kind = s->node->attributes;
    int64_t n = step_extent(g, s->node->out), d = n ? step_numbers(g, s->node->out) / n : 0;
    if (step_gradient(g, s, 0))
        KERNEL(graph_backend(g), activate_back, *kind, n, d, step_in_array(g, s, 0), step_gradient_out_array(g, s),
               step_gradient_array(g, s, 0), step_add(g, s, 0));
}

const Operator operator_activation = {.name = "activation",
                                      .forward = activation_forward,
                                      .backward = activation_backward,
                                      .keeps = KEEPS_INPUT(0),
                                      .in_place = true,
                                      .gradient_in_place = true,
                                      .half_inputs = KEEPS_INPUT(0),
                                      .half_output = true,
                                      .half_gradient = true,
                                      .half_gradients = KEEPS_INPUT(0)};

Tensor *op_activation(Graph *g, Activation kind, Tensor *x)
{
    return pointwise_node(g, &operator_activation, 1, x, NULL, &kind, sizeof kind);
}

/* -- dropout (Srivastava et al. 2014): the mask is drawn again in the backward pass -- */

typedef struct Dropout {
    double rate;
    uint64_t site; /* tells this node's draws from those of others */
} Dropout;

static void dropout_forward(Graph *g, const Step *s)
{
    const Dropout *a = s->node->attributes;
    KERNEL(graph_backend(g), dropout, step_rows(g), s->node->out->shape[1],
           random_key(step_run(g)->key, "dropout", a->site, 0), a->rate, step_in(g, s, 0), step_out(g, s), false);
}

static void dropout_backward(Graph *g, const Step *s)
{
    const Dropout *a = s->node->attributes;
    if (step_gradient(g, s, 0))
        KERNEL(graph_backend(g), dropout, step_rows(g), s->node->out->shape[1],
               random_key(step_run(g)->key, "dropout", a->site, 0), a->rate, step_gradient_out(g, s),
               step_gradient(g, s, 0), step_add(g, s, 0));
}

const Operator operator_dropout = {.name = "dropout",
                                   .forward = dropout_forward,
                                   .backward = dropout_backward,
                                   .in_place = true,
                                   .gradient_in_place = true};

Tensor *op_dropout(Graph *g, Tensor *x, double rate)
{
    if (!graph_ready(g, 1, &x) || rate == 0 || graph_mode(g) != GRAPH_TRAIN)
        return x;
    if (!(rate > 0 && rate < 1) || x->rank != 2 || x->lead != LEAD_TOKENS)
        return graph_fail(g, LMU_USAGE, "dropout takes x [N x D] and a rate from 0 to below 1");
    Dropout attributes = {.rate = rate};
    for (const Node *node = graph_first(g); node; node = node->next)
        attributes.site += node->op == &operator_dropout;
    return pointwise_node(g, &operator_dropout, 1, x, NULL, &attributes, sizeof attributes);
}
