/* Recomputation: blocks that run again in the backward pass change no bit, and save memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "law.h"
#include "model/model.h"
#include "op/operators.h"

static void change_no_bit(BackendKind kind, LawProducts products)
{
    int broken = 0;
    for (const LawCase *law = law_every(); law->name; law++)
        for (LawShape shape = LAW_PLAIN; shape < LAW_SHAPES; shape++) {
            LawCase one = *law;
            one.products = products;
            if (law_trains(law) && law_has_shape(law, shape) && law_recompute(&one, shape, kind, 0) != 0) {
                print_error("%s, shape %d, backend %d: recomputation changes numbers\n", law->name, shape, kind);
                broken++;
            }
        }
    assert_int_equal(broken, 0);
}

static void blocks_again_change_no_bit(void **state)
{
    (void)state;
    for (BackendKind kind = BACKEND_CPU; kind <= BACKEND_DOUBLE; kind++)
        change_no_bit(kind, LAW_FLOAT);
}

/* Where some activations are kept in bfloat16. */
static void nor_do_they_on_bfloat16(void **state)
{
    (void)state;
    change_no_bit(BACKEND_CPU, LAW_BF16_PLAIN);
    if (law_multiplies_bf16())
        change_no_bit(BACKEND_CPU, LAW_BF16);
}

/* Of every operator and architecture something runs again, and nothing runs again that need not. That is no matter of a sanitizer. */
static void every_step_again_is_needed(void **state)
{
    (void)state;
#ifdef LMU_SANITIZED
    skip();
#endif
    int tried = 0, missed = 0;
    for (const LawCase *law = law_every(); law->name; law++) {
        LawShape shape = law->op ? LAW_WRAPPED : LAW_PLAIN;
        if (!law_trains(law) || (law->op && law->op->forms_gradient))
            continue;
        int count = law_recomputed(law, shape);
        if (count < 1)
            fail_msg("%s: nothing runs again; is there no graph_block around its layers?", law->name);
        for (int skip = 1; skip <= count; skip++, tried++)
            if (law_recompute(law, shape, BACKEND_CPU, skip) == 0) {
                print_error("%s: step %d of %d that run again could be left out\n", law->name, skip, count);
                missed++;
            }
    }
    print_message("%d steps left out\n", tried);
    assert_int_equal(missed, 0);
}

static size_t planned_bytes(const char *arch, int64_t layers, int flags, double *flops)
{
    ModelConfig config;
    Backend *backend;
    Model *model;
    Graph *g;
    Tensor *loss;
    law_require(model_config_init(&config, arch));
    config.vocabulary = 100;
    config.dim = 64;
    config.layers = layers;
    config.dropout = 0.1;
    law_require(backend_open(BACKEND_CPU, 1, false, &backend));
    law_require(model_open(backend, &config, &model));
    law_require(model_graph(model, GRAPH_TRAIN, 2, 512, flags | GRAPH_OUTLINE, &g, &loss));
    size_t bytes = graph_bytes(g);
    *flops = graph_flops(g, 256);
    graph_close(g);
    model_close(model);
    backend_close(backend);
    model_config_free(&config);
    return bytes;
}

/* A layer more costs little beside the values at its border, N x D numbers: norm saves a few numbers a token, and memory is not
 * packed without gaps. */
static void deep_models_take_less(void **state)
{
    (void)state;
    for (int i = 0; architectures[i]; i++) {
        const char *name = architectures[i]->name;
        size_t plain[2], again[2], border = (size_t)512 * 64 * sizeof(float);
        double flops[2];
        for (int deep = 0; deep < 2; deep++) {
            plain[deep] = planned_bytes(name, deep ? 24 : 8, 0, &flops[0]);
            again[deep] = planned_bytes(name, deep ? 24 : 8, GRAPH_RECOMPUTE, &flops[1]);
            assert_true(flops[1] == flops[0]); /* redundant work earns no credit */
        }
        print_message("%s: %zu KiB a layer, %zu KiB with recomputation\n", name, (plain[1] - plain[0]) / 16 >> 10,
                      (again[1] - again[0]) / 16 >> 10);
        assert_true(again[1] - again[0] < 16 * border * 5 / 4);
        assert_true(again[1] < plain[1] / 4);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_again_change_no_bit), cmocka_unit_test(nor_do_they_on_bfloat16),
        cmocka_unit_test(every_step_again_is_needed), cmocka_unit_test(deep_models_take_less)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
