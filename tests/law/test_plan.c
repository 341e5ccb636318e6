/* The plan of memory: no buffer of B*T*D*q numbers, buffers that live together lie apart, and reuse saves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "law.h"
#include "tensor/graph_internal.h"

static void memory_is_never_stored(void **state)
{
    (void)state;
    static const LawCase law = {0};
    enum { ROWS = 16, LENGTH = 1024, D = 256, Q = 16, P = 16 };
    Backend *backend;
    Params *params;
    Graph *g;
    law_require(backend_open(BACKEND_CPU, 1, false, &backend));
    law_require(params_open(backend, &params));
    law_require(graph_open(backend, params, GRAPH_TRAIN, ROWS, ROWS * LENGTH, 0, &g));
    LawModel m = {.g = g, .law = &law};
    int64_t l[2] = {3 * P, Q}, bias[1] = {3 * P}, p[1] = {P};
    Init init = {INIT_NORMAL, 1};
    Tensor *x = law_input(&m, D);
    for (int layer = 0; layer < 2; layer++) {
        graph_scope(g, "%d", layer);
        ImplicitSpec attention = {.heads = 1,
                                  .l = graph_param(g, "l", 2, l, init, PARAM_MATRIX),
                                  .bias = graph_param(g, "bias", 1, bias, init, PARAM_VECTOR),
                                  .p = graph_param(g, "p", 1, p, init, PARAM_VECTOR)};
        x = op_implicit_attention(g, x, &attention, &(LegendreSpec){Q, 1, &(double){32}, false});
        graph_scope_end(g);
    }
    law_require(graph_plan(g, x));
    int64_t memory = (int64_t)ROWS * LENGTH * D * Q;
    assert_true(graph_largest_buffer(g) < memory / 8);
    /* The scratch of the operator counts as well, and the whole graph is smaller than one M. */
    assert_true(g->workspace / backend->real_size < (size_t)memory / 8);
    assert_true(graph_bytes(g) < (size_t)memory * backend->real_size);
    graph_close(g);
    params_close(params);
    backend_close(backend);
}

static bool live_together(const Buffer *a, const Buffer *b)
{
    return a->first <= b->last && b->first <= a->last;
}

static bool overlap(const Buffer *a, const Buffer *b)
{
    return a->offset < b->offset + b->bytes && b->offset < a->offset + a->bytes;
}

/* The steps that touch a tensor's value or gradient, told from the graph alone, lie in the life of its buffer. */
static void assert_lives(const Node *node, const Tensor *tensor, const Buffer *buffer, int step)
{
    if (!buffer || step < 0 || tensor->kind == TENSOR_CONSTANT || tensor->kind == TENSOR_PARAM)
        return;
    if (step < buffer->first || step > buffer->last)
        fail_msg("%s: step %d is outside a life of %d to %d", node->op->name, step, buffer->first, buffer->last);
}

static const Buffer *second_life(const Tensor *tensor)
{
    return tensor->recomputed ? tensor->recomputed : tensor->buffer;
}

static void check_lives(const Graph *g)
{
    for (const Node *node = g->first; node; node = node->next) {
        assert_lives(node, node->out, node->out->buffer, node->forward_step);
        assert_lives(node, node->out, second_life(node->out), node->recompute_step);
        for (int i = 0; i < node->inputs; i++) {
            assert_lives(node, node->in[i], node->in[i]->buffer, node->forward_step);
            assert_lives(node, node->in[i], second_life(node->in[i]), node->recompute_step);
            if (node->op->keeps & KEEPS_INPUT(i))
                assert_lives(node, node->in[i], second_life(node->in[i]), node->backward_step);
            if (node->in[i]->wanted && node->backward_step >= 0)
                assert_lives(node, node->in[i], node->in[i]->gradient, node->backward_step);
        }
        if (node->op->keeps & KEEPS_OUTPUT)
            assert_lives(node, node->out, second_life(node->out), node->backward_step);
        if (node->backward_step > node->forward_step)
            assert_lives(node, node->out, node->out->gradient, node->backward_step);
        for (int i = 0; i < node->saves; i++) {
            assert_lives(node, node->saved[i], node->saved[i]->buffer, node->forward_step);
            assert_lives(node, node->saved[i], second_life(node->saved[i]), node->recompute_step);
            assert_lives(node, node->saved[i], second_life(node->saved[i]), node->backward_step);
        }
    }
}

static void check_places(const Graph *g)
{
    for (const Buffer *a = g->buffers; a; a = a->next) {
        assert_true(a->offset % 64 == 0);
        assert_true(a->offset + a->bytes <= g->memory_bytes);
        for (const Buffer *b = a->next; b; b = b->next)
            if (overlap(a, b) && ((g->flags & GRAPH_NO_REUSE) || live_together(a, b)))
                fail_msg("buffers of steps %d to %d and %d to %d overlap", a->first, a->last, b->first, b->last);
    }
}

static void buffers_that_live_together_lie_apart(void **state)
{
    (void)state;
    for (const LawCase *law = law_every(); law->name; law++)
        for (LawShape shape = LAW_PLAIN; shape < LAW_SHAPES; shape++)
            for (GraphMode mode = law_trains(law) ? GRAPH_TRAIN : GRAPH_SCORE; mode <= GRAPH_DECODE; mode++) {
                if (!law_has_shape(law, shape))
                    continue;
                size_t bytes[4];
                for (int reuse = 0; reuse < 4; reuse++) {
                    LawOptions options = {.kind = BACKEND_CPU,
                                          .mode = mode,
                                          .shape = shape,
                                          .rows = 3,
                                          .tokens = 50,
                                          .flags =
                                              (reuse & 1 ? 0 : GRAPH_NO_REUSE) | (reuse & 2 ? GRAPH_RECOMPUTE : 0)};
                    LawSubject *s = subject_open(law, &options);
                    check_lives(s->g);
                    check_places(s->g);
                    bytes[reuse] = graph_bytes(s->g);
                    subject_close(s);
                }
                for (int with = 0; with < 4; with += 2)
                    assert_true(law->op ? bytes[with + 1] <= bytes[with] : bytes[with + 1] < bytes[with]);
            }
}

/* The step that is named as a parameter's last writer is the last that has it as an input whose gradient is written. */
static void last_writes_are_known(void **state)
{
    (void)state;
    for (const LawCase *law = law_every(); law->name; law++) {
        if (!law_trains(law))
            continue;
        LawOptions options = {
            .kind = BACKEND_CPU, .mode = GRAPH_TRAIN, .rows = 2, .tokens = 8, .flags = GRAPH_RECOMPUTE};
        LawSubject *s = subject_open(law, &options);
        const Step *steps;
        int count = graph_steps(s->g, &steps);
        for (size_t k = 0; k < s->params->count; k++) {
            bool learnt = s->params->list[k]->role != PARAM_COUNTS; /* no step writes a gradient of counts */
            int last = -1;
            for (int step = 0; step < count; step++)
                for (int i = 0; i < steps[step].node->inputs && learnt; i++)
                    if (steps[step].node->in[i]->param == s->params->list[k] && steps[step].node->backward_step == step)
                        last = step;
            assert_true(learnt == (last >= 0));
            assert_int_equal(graph_last_write(s->g, s->params->list[k]), last);
        }
        subject_close(s);
    }
}

static void outlines_take_no_memory(void **state)
{
    (void)state;
    static const LawCase law = {0};
    Backend *backend;
    Params *params;
    Graph *g[2];
    size_t allocated[2];
    law_require(backend_open(BACKEND_CPU, 1, false, &backend));
    law_require(params_open(backend, &params));
    for (int outline = 0; outline < 2; outline++) {
        size_t before = backend->allocated;
        law_require(graph_open(backend, params, GRAPH_TRAIN, 2, 1000, outline ? GRAPH_OUTLINE : 0, &g[outline]));
        LawModel m = {.g = g[outline], .law = &law};
        law_require(graph_plan(g[outline], op_activation(g[outline], ACTIVATION_SILU, law_input(&m, 64))));
        allocated[outline] = backend->allocated - before;
    }
    assert_true(allocated[0] >= graph_bytes(g[0]));
    assert_true(allocated[1] == 0 && graph_bytes(g[1]) == graph_bytes(g[0]));
    assert_int_equal(graph_run(g[1], &(Run){0}), LMU_USAGE);
    assert_non_null(strstr(lmu_error_message(), "not in outline"));
    graph_close(g[0]);
    graph_close(g[1]);
    params_close(params);
    backend_close(backend);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_never_stored), cmocka_unit_test(buffers_that_live_together_lie_apart),
        cmocka_unit_test(last_writes_are_known), cmocka_unit_test(outlines_take_no_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
