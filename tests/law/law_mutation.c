/* Operators broken on purpose: each wrapper calls the operator and then spoils what it wrote, through kernels. */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "law.h"
#include "law_mutation.h"

static const Operator *original(const Step *s)
{
    return ((const Mutation *)((const char *)s->node->op - offsetof(Mutation, to)))->from;
}

static void scale_gradient(Graph *g, const Step *s, int i, double factor)
{
    Real *gradient = i < s->node->inputs ? step_gradient(g, s, i) : NULL;
    if (gradient)
        KERNEL(graph_backend(g), scale, step_numbers(g, s->node->in[i]), factor, gradient);
}

static int64_t stride(Graph *g, const Tensor *tensor)
{
    int64_t extent = step_extent(g, tensor);
    return extent ? step_numbers(g, tensor) / extent : 0;
}

/* -- forward ------------------------------------------------------------------------------------------------------ */

static void forward_scaled(Graph *g, const Step *s)
{
    original(s)->forward(g, s);
    KERNEL(graph_backend(g), scale, step_numbers(g, s->node->out), 1.01, step_out(g, s));
}

static void zero_state(Graph *g, const Step *s)
{
    const State *state = step_run(g)->state;
    if (step_state(g, s))
        KERNEL(graph_backend(g), fill, state->rows * state->numbers[s->node->state], 0, step_state(g, s));
}

static void forward_loses_state(Graph *g, const Step *s)
{
    original(s)->forward(g, s);
    zero_state(g, s);
}

static void forward_ignores_state(Graph *g, const Step *s)
{
    zero_state(g, s);
    original(s)->forward(g, s);
}

/* Adds the first number(s) of every row to those of the next row that has any: a leak. */
static void leak(Graph *g, const Tensor *tensor, Real *data)
{
    const Rows *rows = step_rows(g);
    Backend *b = graph_backend(g);
    int64_t d = stride(g, tensor), from = -1;
    for (int r = 0; r < rows->count; r++) {
        int64_t at = tensor->lead == LEAD_ROWS ? r : rows->offset[r];
        if (rows->offset[r + 1] == rows->offset[r])
            continue;
        if (from >= 0)
            KERNEL(b, copy, d, real_at(b, data, from * d), real_at(b, data, at * d), true);
        from = at;
    }
}

static void forward_leaks(Graph *g, const Step *s)
{
    original(s)->forward(g, s);
    leak(g, s->node->out, step_out(g, s));
}

/* -- gradients, wherever the operator forms them -------------------------------------------------------------------- */

static void call(Graph *g, const Step *s)
{
    (original(s)->forms_gradient ? original(s)->forward : original(s)->backward)(g, s);
}

#define GRADIENT_MUTATIONS(i)                                                                                          \
    static void gradient_flips_##i(Graph *g, const Step *s)                                                            \
    {                                                                                                                  \
        call(g, s);                                                                                                    \
        scale_gradient(g, s, i, -1);                                                                                   \
    }                                                                                                                  \
    static void gradient_stores_##i(Graph *g, const Step *s)                                                           \
    {                                                                                                                  \
        if (step_gradient(g, s, i))                                                                                    \
            KERNEL(graph_backend(g), fill, step_numbers(g, s->node->in[i]), 0, step_gradient(g, s, i));                \
        call(g, s);                                                                                                    \
    }                                                                                                                  \
    static void gradient_leaks_##i(Graph *g, const Step *s)                                                            \
    {                                                                                                                  \
        call(g, s);                                                                                                    \
        leak(g, s->node->in[i], step_gradient(g, s, i));                                                               \
    }

GRADIENT_MUTATIONS(0)
GRADIENT_MUTATIONS(1)
GRADIENT_MUTATIONS(2)
GRADIENT_MUTATIONS(3)
GRADIENT_MUTATIONS(4)
GRADIENT_MUTATIONS(5)

typedef void StepFunction(Graph *, const Step *);
typedef struct GradientMutations {
    const char *flip_name, *store_name, *leak_name;
    StepFunction *flip, *store, *leak;
} GradientMutations;

static const GradientMutations gradient_mutations[] = {
#define ROW(i)                                                                                                         \
    {                                                                                                                  \
        "gradient " #i " flipped", "gradient " #i " stored, not added", "gradient " #i " leaks between rows",          \
            gradient_flips_##i, gradient_stores_##i, gradient_leaks_##i                                                \
    }
    ROW(0), ROW(1), ROW(2), ROW(3), ROW(4), ROW(5),
#undef ROW
};
#define GRADIENT_INPUTS (int)(sizeof gradient_mutations / sizeof *gradient_mutations)

/* -- which mutations an operator can have ---------------------------------------------------------------------------- */

static void add_forward(Mutation *list, int *count, const Operator *op, const char *name, StepFunction *forward)
{
    Mutation *mutation = &list[(*count)++];
    *mutation = (Mutation){name, op, *op};
    mutation->to.forward = forward;
}

static void add_gradient(Mutation *list, int *count, const Operator *op, const char *name, StepFunction *function)
{
    Mutation *mutation = &list[(*count)++];
    *mutation = (Mutation){name, op, *op};
    *(op->forms_gradient ? &mutation->to.forward : &mutation->to.backward) = function;
}

/* A node of the operator in the case's training graph. */
static const Node *find_node(const LawSubject *s, const Operator *op)
{
    const Node *node = graph_first(s->g);
    while (node && node->op != op)
        node = node->next;
    return node;
}

int mutations_of(const LawCase *law, Mutation list[MUTATIONS])
{
    const Operator *op = law->op;
    int count = 0;
    add_forward(list, &count, op, "output scaled by 1.01", forward_scaled);
    add_forward(list, &count, op, "output leaks between rows", forward_leaks);
    if (op->looks_back) {
        add_forward(list, &count, op, "state lost", forward_loses_state);
        add_forward(list, &count, op, "state ignored", forward_ignores_state);
    }
    if (!law_trains(law))
        return count;
    LawOptions options = {.kind = BACKEND_DOUBLE, .mode = GRAPH_TRAIN, .rows = 1, .tokens = 1};
    LawSubject *s = subject_open(law, &options);
    const Node *node = find_node(s, op);
    for (int i = 0; i < node->inputs && i < GRADIENT_INPUTS; i++) {
        const GradientMutations *m = &gradient_mutations[i];
        const Tensor *in = node->in[i];
        if (!in->wanted)
            continue;
        add_gradient(list, &count, op, m->flip_name, m->flip);
        /* The loss is the first writer of an activation's gradient: only parameters' can be there before it. */
        if (in->kind == TENSOR_PARAM || !op->forms_gradient)
            add_gradient(list, &count, op, m->store_name, m->store);
        if (in->lead == LEAD_TOKENS)
            add_gradient(list, &count, op, m->leak_name, m->leak);
    }
    subject_close(s);
    return count;
}

const char *mutation_caught(const LawCase *law, const Mutation *mutation)
{
    for (LawShape shape = LAW_PLAIN; shape <= LAW_TWIN; shape++) {
        if (!law_has_shape(law, shape))
            continue;
        if (law_trains(law)) {
            if (law_gradient(law, shape, mutation) > 1e-4)
                return "gradient";
            if (law_micro_batches(law, shape, BACKEND_DOUBLE, mutation) > 1e-4)
                return "micro-batches";
        }
        if (law_stream(law, shape, BACKEND_DOUBLE, GRAPH_SCORE, mutation) > 1e-4)
            return "stream";
        if (law_isolation(law, shape, BACKEND_DOUBLE, mutation) != 0)
            return "isolation";
        if (law_variant(law, shape, BACKEND_REFERENCE, 1, mutation) > 1e-3)
            return "variants";
    }
    return NULL;
}
