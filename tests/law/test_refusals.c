/* What makes no sense is refused with a message, while building, planning or before a run, and changes nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "law.h"
#include "op/operators.h"

static const LawCase *find_case(const char *name)
{
    const LawCase *law = law_cases;
    while (strcmp(law->name, name) != 0)
        law++;
    return law;
}

static void assert_refused(lmu_status status, lmu_status wanted, const char *words)
{
    assert_int_equal(status, wanted);
    if (!strstr(lmu_error_message(), words))
        fail_msg("\"%s\" does not say \"%s\"", lmu_error_message(), words);
}

/* -- building ------------------------------------------------------------------------------------------------------ */

typedef struct Bench {
    Backend *backend;
    Params *params;
    Graph *g;
} Bench;

static Bench bench_open(GraphMode mode)
{
    Bench b;
    law_require(backend_open(BACKEND_REFERENCE, 1, false, &b.backend));
    law_require(params_open(b.backend, &b.params));
    law_require(graph_open(b.backend, b.params, mode, 2, 8, 0, &b.g));
    return b;
}

static void bench_close(Bench *b)
{
    graph_close(b->g);
    params_close(b->params);
    backend_close(b->backend);
}

static Tensor *weight(Graph *g, const char *name, int rank, int64_t rows, int64_t columns)
{
    return graph_param(g, name, rank, (int64_t[]){rows, columns}, (Init){INIT_ONES, 0}, PARAM_MATRIX);
}

static Tensor *constant(Graph *g, int rank, int64_t rows, int64_t columns)
{
    static const double zeros[256];
    char name[64];
    snprintf(name, sizeof name, "%d zeros %lld %lld", rank, (long long)rows, (long long)columns);
    Tensor *found = graph_constant_find(g, name);
    return found ? found : graph_constant(g, name, rank, (int64_t[]){rows, columns}, zeros);
}

static const double ten[] = {10, 10, 10, 10};
static const LegendreSpec memory = {.order = 4, .groups = 1, .theta = ten};

typedef Tensor *Build(Graph *g);

#define BAD_BUILD(name, expression)                                                                                    \
    static Tensor *name(Graph *g)                                                                                      \
    {                                                                                                                  \
        Tensor *x = graph_input(g, 6, true);                                                                           \
        (void)x;                                                                                                       \
        return expression;                                                                                             \
    }

BAD_BUILD(ids_as_numbers, op_embedding(g, x, weight(g, "table", 2, 5, 6)))
BAD_BUILD(table_of_rank_1, op_embedding(g, graph_ids(g), weight(g, "table", 1, 5, 6)))
BAD_BUILD(constant_table, op_embedding(g, graph_ids(g), constant(g, 2, 5, 6)))
BAD_BUILD(linear_of_other_width, op_linear(g, x, weight(g, "w", 2, 3, 7), NULL))
BAD_BUILD(linear_of_constant, op_linear(g, x, constant(g, 2, 3, 6), NULL))
BAD_BUILD(linear_of_ids, op_linear(g, graph_ids(g), weight(g, "w", 2, 3, 1), NULL))
BAD_BUILD(linear_bias_of_other_size, op_linear(g, x, weight(g, "w", 2, 3, 6), weight(g, "b", 1, 4, 0)))
BAD_BUILD(sum_of_two_widths, op_add(g, x, graph_input(g, 7, false)))
BAD_BUILD(sum_of_ids, op_add(g, graph_ids(g), graph_ids(g)))
BAD_BUILD(product_with_parameter, op_multiply(g, x, weight(g, "w", 2, 8, 6)))
BAD_BUILD(weighted_sum_of_other_width, op_weighted_sum(g, x, weight(g, "gain", 2, 2, 4)))
BAD_BUILD(weighted_sum_by_constant, op_weighted_sum(g, x, constant(g, 2, 2, 3)))
BAD_BUILD(gain_of_other_width, op_norm(g, NORM_LAYER, x, weight(g, "gain", 1, 5, 0), NULL))
BAD_BUILD(rms_with_bias, op_norm(g, NORM_RMS, x, weight(g, "gain", 1, 6, 0), weight(g, "bias", 1, 6, 0)))
BAD_BUILD(dropout_of_all, op_dropout(g, x, 1))
BAD_BUILD(dropout_below_0, op_dropout(g, x, -0.1))
BAD_BUILD(order_0, op_legendre_memory(g, x, &(LegendreSpec){.order = 0, .groups = 1, .theta = ten}, LEGENDRE_CHUNKED))
BAD_BUILD(order_257,
          op_legendre_memory(g, x, &(LegendreSpec){.order = 257, .groups = 1, .theta = ten}, LEGENDRE_CHUNKED))
BAD_BUILD(theta_0,
          op_legendre_memory(g, x, &(LegendreSpec){.order = 4, .groups = 1, .theta = &(double){0}}, LEGENDRE_RECURRENT))
BAD_BUILD(groups_that_do_not_divide, op_legendre_memory(g, x, &(LegendreSpec){4, 4, ten, false}, LEGENDRE_RECURRENT))
BAD_BUILD(memory_of_ids, op_legendre_memory(g, graph_ids(g), &memory, LEGENDRE_CHUNKED))
/* On 6 channels and a memory of order 4: l, bias and p as they are for heads of 3 rows, but for what a case changes. */
static Tensor *attend(Graph *g, Tensor *x, int64_t heads, int64_t order, Tensor *p, Tensor *scale)
{
    int64_t rows = 3 * (p ? p->shape[0] : 0);
    ImplicitSpec attention = {.heads = heads, .p = p, .scale = scale};
    attention.l = weight(g, "l", 2, rows, order);
    attention.bias = weight(g, "b", 1, rows, 0);
    return op_implicit_attention(g, x, &attention, &memory);
}
BAD_BUILD(projection_of_other_order, attend(g, x, 1, 5, weight(g, "p", 1, 3, 0), NULL))
BAD_BUILD(pool_that_is_constant, attend(g, x, 1, 4, constant(g, 1, 3, 0), NULL))
BAD_BUILD(implicit_heads_that_do_not_divide, attend(g, x, 4, 4, weight(g, "p", 1, 12, 0), NULL))
BAD_BUILD(implicit_heads_0, attend(g, x, 0, 4, weight(g, "p", 1, 3, 0), NULL))
BAD_BUILD(pool_of_other_heads, attend(g, x, 2, 4, weight(g, "p", 1, 3, 0), NULL))
BAD_BUILD(scale_of_other_heads, attend(g, x, 2, 4, weight(g, "p", 1, 6, 0), weight(g, "s", 1, 3, 0)))
BAD_BUILD(heads_that_do_not_divide, op_causal_attention(g, x, 4, 8, 0))
BAD_BUILD(context_0, op_causal_attention(g, x, 1, 0, 0))
BAD_BUILD(angles_of_numbers, op_rope_angles(g, x, 2, 10000))
BAD_BUILD(angles_of_odd_heads, op_rope_angles(g, graph_positions(g), 3, 10000))
BAD_BUILD(rope_of_other_heads, op_rope(g, x, op_rope_angles(g, graph_positions(g), 2, 10000), 2))
BAD_BUILD(induction_of_an_odd_number, op_induction(g, op_linear(g, x, weight(g, "w", 2, 5, 6), NULL)))
BAD_BUILD(last_of_last, op_last(g, op_last(g, x)))
BAD_BUILD(head_of_other_width, op_cross_entropy(g, x, weight(g, "head", 2, 5, 7), graph_targets(g)))
BAD_BUILD(targets_as_numbers, op_cross_entropy(g, x, weight(g, "head", 2, 5, 6), x))
BAD_BUILD(one_name_two_shapes,
          op_linear(g, op_linear(g, x, weight(g, "w", 2, 6, 6), NULL), weight(g, "w", 2, 3, 6), NULL))
BAD_BUILD(parameter_without_numbers, op_linear(g, x, weight(g, "w", 2, 0, 6), NULL))
BAD_BUILD(no_input, op_add(g, x, NULL))

static const struct {
    Build *build;
    lmu_status status;
    const char *words;
} bad_builds[] = {
    {ids_as_numbers, LMU_USAGE, "embedding takes ids"},
    {table_of_rank_1, LMU_USAGE, "embedding takes ids"},
    {constant_table, LMU_USAGE, "embedding takes ids"},
    {linear_of_other_width, LMU_USAGE, "linear takes x"},
    {linear_of_constant, LMU_USAGE, "linear takes x"},
    {linear_of_ids, LMU_USAGE, "linear takes x"},
    {linear_bias_of_other_size, LMU_USAGE, "a bias of 3"},
    {sum_of_two_widths, LMU_USAGE, "add takes activations of one shape"},
    {sum_of_ids, LMU_USAGE, "add takes activations"},
    {product_with_parameter, LMU_USAGE, "multiply takes activations of one shape"},
    {weighted_sum_of_other_width, LMU_USAGE, "takes x [N x K D] and a parameter [K x D]"},
    {weighted_sum_by_constant, LMU_USAGE, "takes x [N x K D] and a parameter [K x D]"},
    {gain_of_other_width, LMU_USAGE, "norm takes x"},
    {rms_with_bias, LMU_USAGE, "RMS norm has no bias"},
    {dropout_of_all, LMU_USAGE, "a rate from 0 to below 1"},
    {dropout_below_0, LMU_USAGE, "a rate from 0 to below 1"},
    {order_0, LMU_USAGE, "the order must be 1 to 256"},
    {order_257, LMU_USAGE, "the order must be 1 to 256"},
    {theta_0, LMU_USAGE, "theta must be positive"},
    {groups_that_do_not_divide, LMU_USAGE, "6 channels in 4 groups: groups must be 1 to 64 and divide the channels"},
    {memory_of_ids, LMU_USAGE, "Legendre memory takes x"},
    {projection_of_other_order, LMU_USAGE, "implicit attention takes"},
    {pool_that_is_constant, LMU_USAGE, "implicit attention takes parameters"},
    {implicit_heads_that_do_not_divide, LMU_USAGE,
     "6 channels cannot be divided among the 4 heads of implicit attention"},
    {implicit_heads_0, LMU_USAGE, "6 channels cannot be divided among the 0 heads of implicit attention"},
    {pool_of_other_heads, LMU_USAGE, "implicit attention takes parameters"},
    {scale_of_other_heads, LMU_USAGE, "implicit attention takes parameters"},
    {heads_that_do_not_divide, LMU_USAGE, "number of heads (4)"},
    {context_0, LMU_USAGE, "causal attention takes"},
    {angles_of_numbers, LMU_USAGE, "rotary positions are made of integers"},
    {angles_of_odd_heads, LMU_USAGE, "a head of 3 channels cannot be paired"},
    {rope_of_other_heads, LMU_USAGE, "of H heads (2)"},
    {induction_of_an_odd_number, LMU_USAGE, "induction takes u"},
    {last_of_last, LMU_USAGE, "last takes x"},
    {head_of_other_width, LMU_USAGE, "cross-entropy takes"},
    {targets_as_numbers, LMU_USAGE, "cross-entropy takes"},
    {one_name_two_shapes, LMU_MISMATCH, "scope.w is asked for with a shape other than it has"},
    {parameter_without_numbers, LMU_USAGE, "scope.w: a dimension of 0"},
    {no_input, LMU_USAGE, "an input is missing"},
};

/* The first error is the one reported, with its scope, and later builders are quiet. */
static void bad_builds_are_reported_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_builds / sizeof *bad_builds; i++) {
        Bench b = bench_open(GRAPH_TRAIN);
        graph_scope(b.g, "scope");
        Tensor *y = bad_builds[i].build(b.g);
        if (y)
            fail_msg("build %zu was not refused", i);
        graph_scope_end(b.g);
        y = op_activation(b.g, ACTIVATION_GELU, op_add(b.g, y, y));
        assert_null(y);
        assert_null(op_last(b.g, graph_input(b.g, 3, false)));
        assert_refused(graph_plan(b.g, y), bad_builds[i].status, bad_builds[i].words);
        assert_non_null(strstr(lmu_error_message(), "scope"));
        bench_close(&b);
    }
}

static void paths_without_gradient_are_refused(void **state)
{
    (void)state;
    Bench b = bench_open(GRAPH_TRAIN);
    Tensor *x = op_linear(b.g, graph_input(b.g, 6, false), weight(b.g, "w", 2, 3, 6), NULL);
    assert_refused(graph_plan(b.g, op_last(b.g, x)), LMU_USAGE, "operator last has no backward pass");
    bench_close(&b);

    b = bench_open(GRAPH_TRAIN); /* nothing to differentiate behind it */
    law_require(graph_plan(b.g, op_last(b.g, graph_input(b.g, 6, false))));
    bench_close(&b);

    b = bench_open(GRAPH_TRAIN);
    x = op_linear(b.g, graph_input(b.g, 6, false), weight(b.g, "w", 2, 3, 6), NULL);
    x = op_cross_entropy(b.g, x, weight(b.g, "head", 2, 5, 3), graph_targets(b.g));
    assert_refused(graph_plan(b.g, op_add(b.g, x, x)), LMU_USAGE, "cross_entropy forms its own gradient");
    bench_close(&b);

    b = bench_open(GRAPH_SCORE);
    assert_refused(graph_plan(b.g, graph_input(b.g, 6, false)), LMU_USAGE, "an operator's output as its result");
    assert_refused(graph_plan(b.g, NULL), LMU_USAGE, "an operator's output as its result");
    bench_close(&b);
}

/* -- running ------------------------------------------------------------------------------------------------------- */

static void unready_graphs_do_not_run(void **state)
{
    (void)state;
    Bench b = bench_open(GRAPH_TRAIN);
    int64_t count[2] = {1, 1};
    double gradient[6] = {0};
    Run run = {.rows = 2, .count = count, .result_gradient = gradient};
    Graph *none;
    assert_refused(graph_open(b.backend, b.params, GRAPH_TRAIN, 0, 1, 0, &none), LMU_USAGE, "must be positive");
    assert_refused(graph_open(b.backend, b.params, GRAPH_TRAIN, 1, 0, 0, &none), LMU_USAGE, "must be positive");
    Tensor *x = op_linear(b.g, graph_input(b.g, 6, false), weight(b.g, "w", 2, 3, 6), NULL);
    assert_refused(graph_run(b.g, &run), LMU_USAGE, "must be planned");
    law_require(graph_plan(b.g, x));
    assert_refused(graph_run(b.g, &run), LMU_USAGE, "parameters are being written");
    law_require(params_seal(b.params, 1));
    assert_refused(graph_run(b.g, &run), LMU_USAGE, "needs params_train first");
    law_require(params_train(b.params));
    params_write_begin(b.params);
    assert_refused(graph_run(b.g, &run), LMU_USAGE, "parameters are being written");
    params_write_end(b.params);
    run.result_gradient = NULL;
    assert_refused(graph_run(b.g, &run), LMU_USAGE, "needs the result's gradient");
    run.result_gradient = gradient;
    law_require(graph_run(b.g, &run));
    bench_close(&b);
}

/* State, position and parameter gradients, in one array. */
static double *everything(const LawSubject *s, const State *state, int64_t *numbers)
{
    int64_t row = state_numbers(state), length = s->params->length;
    *numbers = length + state->rows * (row + 1);
    double *values = law_new((size_t)*numbers, sizeof *values);
    subject_gradients(s, values);
    for (int64_t r = 0; r < state->rows; r++) {
        state_read(state, r, values + length + r * (row + 1));
        values[length + r * (row + 1) + row] = (double)state->position[r];
    }
    return values;
}

static void refuse_run(LawSubject *s, State *state, const LawBatch *batch, const char *words)
{
    int64_t numbers;
    double *before = everything(s, state, &numbers);
    assert_refused(subject_try(s, batch, state), LMU_USAGE, words);
    double *after = everything(s, state, &numbers);
    assert_memory_equal(before, after, (size_t)numbers * sizeof *after);
    free(before);
    free(after);
}

static void impossible_runs_change_nothing(void **unused)
{
    (void)unused;
    LawOptions options = {.kind = BACKEND_CPU, .mode = GRAPH_TRAIN, .rows = 3, .tokens = 100};
    LawSubject *s = subject_open(find_case("block"), &options); /* its context is 80 */
    State *state = subject_state(s, 4);
    LawBatch first = {0}, batch;
    batch_row(&first, 0, 0, 30, 2);
    batch_row(&first, 1, 0, 3, 0);
    subject_run(s, &first, state);

    batch = (LawBatch){0};
    batch_row(&batch, 1, 3, 1, 0);
    batch_row(&batch, 0, 30, 51, 2);
    refuse_run(s, state, &batch, "would reach 81 tokens");
    batch.count[1] = 50;
    batch.count[0] = -1;
    refuse_run(s, state, &batch, "a run with -1 tokens in row 0");
    batch.count[0] = 51;
    refuse_run(s, state, &batch, "a run with 50 tokens in row 1: the graph holds 100 in all");
    batch.count[0] = 1;
    batch.slot[0] = 4;
    refuse_run(s, state, &batch, "row 0 asks for stream 4 of 4");
    batch.slot[0] = -1;
    refuse_run(s, state, &batch, "row 0 asks for stream -1 of 4");
    batch.slot[0] = 2;
    refuse_run(s, state, &batch, "rows 0 and 1 both ask for stream 2");
    batch = (LawBatch){0};
    for (int r = 0; r < 4; r++)
        batch_row(&batch, r, 0, 0, r);
    refuse_run(s, state, &batch, "a run of 4 rows on a graph for 3");

    batch = (LawBatch){0};
    batch_row(&batch, 0, 30, 50, 2);
    subject_run(s, &batch, state);
    state_close(state);
    subject_close(s);
}

static void states_of_other_models_are_refused(void **unused)
{
    (void)unused;
    LawOptions options = {.kind = BACKEND_CPU, .mode = GRAPH_SCORE, .rows = 1, .tokens = 4};
    LawSubject *s = subject_open(find_case("memory of 4, chunked"), &options);
    LawSubject *other = subject_open(find_case("memory of 13, chunked"), &options);
    LawSubject *none = subject_open(find_case("silu"), &options);
    State *state = subject_state(s, 1);
    LawBatch batch = {0};
    batch_row(&batch, 0, 0, 4, 0);
    assert_refused(subject_try(other, &batch, state), LMU_MISMATCH, "a stream state of another model");
    assert_refused(subject_try(none, &batch, state), LMU_MISMATCH, "a stream state of another model");
    assert_int_equal(state->position[0], 0);
    state_close(state);
    subject_close(none);
    subject_close(other);
    subject_close(s);
}

static void ids_outside_their_table_are_refused(void **unused)
{
    (void)unused;
    LawOptions options = {.kind = BACKEND_CPU, .mode = GRAPH_SCORE, .rows = 1, .tokens = 4};
    LawSubject *s = subject_open(find_case("block"), &options); /* of 11 tokens */
    int64_t count = 3;
    Run run = {.rows = 1, .count = &count, .ids = (int32_t[]){0, 10, 11}, .targets = (int32_t[]){0, -1, 10}};
    assert_refused(graph_run(s->g, &run), LMU_USAGE, "id 11 (token 2 of a run): the model has 11 tokens, 0 to 10");
    run.ids = run.targets;
    run.targets = (int32_t[]){10, INT32_MAX, 0};
    assert_refused(graph_run(s->g, &run), LMU_USAGE, "target 2147483647 (token 1");
    run.targets = NULL;
    assert_refused(graph_run(s->g, &run), LMU_USAGE, "without the targets");
    run.targets = run.ids;
    run.ids = NULL;
    assert_refused(graph_run(s->g, &run), LMU_USAGE, "without the ids");
    run.ids = run.targets;
    law_require(graph_run(s->g, &run));
    assert_refused(graph_put(s->g, s->result, 5, (double[5]){0}), LMU_USAGE, "5 numbers for a tensor of 4");
    subject_close(s);
}

/* A matrix in bytes is for operators that know it, and not for training. */
static void bytes_are_refused_where_they_are_not_read(void **unused)
{
    (void)unused;
    Bench b = bench_open(GRAPH_SCORE);
    weight(b.g, "l", 2, 6, 4);
    weight(b.g, "w", 2, 4, 4);
    law_require(params_use_int8(b.params));
    for (int train = 0; train < 2; train++) {
        graph_close(b.g);
        law_require(graph_open(b.backend, b.params, train ? GRAPH_TRAIN : GRAPH_SCORE, 2, 8, 0, &b.g));
        Tensor *x = op_linear(b.g, graph_input(b.g, 4, false), weight(b.g, "w", 2, 4, 4), NULL);
        ImplicitSpec attention = {.heads = 1,
                                  .l = weight(b.g, "l", 2, 6, 4),
                                  .bias = weight(b.g, "bias", 1, 6, 0),
                                  .p = weight(b.g, "p", 1, 2, 0)};
        x = op_implicit_attention(b.g, x, &attention, &(LegendreSpec){4, 1, &(double){5}, false});
        assert_null(x);
        assert_refused(graph_status(b.g), LMU_USAGE,
                       train ? "parameter w is int8: the model can be run, and not trained"
                             : "parameter l is int8, which the operator implicit_attention does not read");
    }
    bench_close(&b);
}

static void states_too_large_are_refused(void **unused)
{
    (void)unused;
    Bench b = bench_open(GRAPH_SCORE);
    State *state;
    int64_t numbers[2] = {INT64_MAX / 2, 4};
    assert_refused(state_open(b.backend, 1, numbers, 3, &state), LMU_MEMORY, "for 3 rows is too large");
    assert_refused(state_open(b.backend, 2, numbers, 1, &state), LMU_MEMORY, "too large");
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_builds_are_reported_once),
        cmocka_unit_test(paths_without_gradient_are_refused),
        cmocka_unit_test(unready_graphs_do_not_run),
        cmocka_unit_test(impossible_runs_change_nothing),
        cmocka_unit_test(states_of_other_models_are_refused),
        cmocka_unit_test(ids_outside_their_table_are_refused),
        cmocka_unit_test(states_too_large_are_refused),
        cmocka_unit_test(bytes_are_refused_where_they_are_not_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
