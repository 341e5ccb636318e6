/* What a window of causal attention means, apart from what the laws say of every operator. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "law.h"
#include "model/model.h"
#include "op/operators.h"

#define LENGTH 37

static Tensor *attend(LawModel *m, Tensor *x)
{
    return op_causal_attention(m->g, x, m->law->heads, m->law->context, m->law->window);
}

/* The outputs of tokens start .. start+count-1 of stream 1, read as a text of its own. */
static void read_piece(LawSubject *s, int64_t start, int64_t count, double *out)
{
    LawBatch batch = {0};
    batch_row(&batch, 1, start, count, 0);
    subject_run(s, &batch, NULL);
    subject_output(s, &batch, out);
}

/* A token's output is that of the last token of a text that is its window. */
static void tokens_see_their_window(BackendKind kind, int64_t window, double limit)
{
    LawCase law = {"attention",      .op = &operator_causal_attention, .apply = attend, .d = 3 * 32, .heads = 2,
                   .context = LENGTH};
    LawOptions options = {.kind = kind, .mode = GRAPH_SCORE, .rows = 1, .tokens = LENGTH};
    LawSubject *plain = subject_open(&law, &options);
    LawCase windowed_law = law;
    windowed_law.window = window;
    LawSubject *windowed = subject_open(&windowed_law, &options);
    double whole[LENGTH * 32], piece[LENGTH * 32];
    read_piece(windowed, 0, LENGTH, whole);
    for (int64_t t = 0; t < LENGTH; t++) {
        int64_t seen = t + 1 < window ? t + 1 : window;
        read_piece(plain, t + 1 - seen, seen, piece);
        assert_true(difference(32, whole + t * 32, piece + (seen - 1) * 32, false) < limit);
    }
    subject_close(plain);
    subject_close(windowed);
}

static void a_token_sees_itself_and_those_before_it(void **state)
{
    (void)state;
    const int64_t windows[] = {1, 2, 5, 16, 36, 37, 100};
    for (size_t i = 0; i < sizeof windows / sizeof *windows; i++) {
        tokens_see_their_window(BACKEND_DOUBLE, windows[i], 1e-12);
        tokens_see_their_window(BACKEND_CPU, windows[i], 1e-5);
    }
}

static lmu_status open_model(const char *arch, int64_t context, int64_t window, Backend *backend, Model **model)
{
    ModelConfig config;
    law_require(model_config_init(&config, arch));
    config.vocabulary = 11;
    config.dim = 12;
    config.layers = 2;
    config.context = context;
    config.window = window;
    config.attention = ATTENTION_PLAIN; /* of the hybrid: rotary positions end at 2^31 */
    lmu_status status = model_create(backend, &config, 1, model);
    model_config_free(&config);
    return status;
}

/* A run of 8 tokens behind `position` tokens. */
static lmu_status run_far(Model *model, int64_t position, int64_t *state_bytes)
{
    Graph *g;
    Tensor *result;
    State *state;
    const int64_t *numbers, count = 8;
    law_require(model_graph(model, GRAPH_DECODE, 1, count, 0, &g, &result));
    int slots = graph_states(g, &numbers);
    law_require(state_open(model->backend, slots, numbers, 1, &state));
    state_reset(state, 0);
    state->position[0] = position;
    lmu_status status =
        graph_run(g, &(Run){.rows = 1, .count = &count, .ids = (int32_t[8]){1, 2, 3, 4, 5, 6, 7, 8}, .state = state});
    *state_bytes = state_row_bytes(state);
    state_close(state);
    graph_close(g);
    return status;
}

static void a_text_has_no_end(void **unused)
{
    (void)unused;
    Backend *backend;
    Model *model;
    int64_t bytes, far = (int64_t)INT32_MAX - 3;
    law_require(backend_open(BACKEND_CPU, 1, false, &backend));
    law_require(open_model("transformer", 9, 5, backend, &model));
    law_require(run_far(model, far, &bytes));
    assert_int_equal(bytes, 2 * 5 * 2 * 12 * sizeof(float)); /* layers, window, keys and values, channels */
    model_close(model);
    law_require(open_model("lmu-attention", 1, 5, backend, &model));
    law_require(run_far(model, far, &bytes));
    model_close(model);
    law_require(open_model("transformer-modern", 1, 5, backend, &model));
    law_require(run_far(model, far - 5, &bytes));
    assert_int_equal(run_far(model, far, &bytes), LMU_USAGE); /* positions are counted in 32 bits */
    assert_non_null(strstr(lmu_error_message(), "would reach 2147483652 tokens"));
    model_close(model);
    backend_close(backend);
}

static void what_cannot_be_is_refused(void **unused)
{
    (void)unused;
    Backend *backend;
    Model *model;
    int64_t bytes;
    law_require(backend_open(BACKEND_CPU, 1, false, &backend));
    assert_int_equal(open_model("transformer", 9, 10, backend, &model), LMU_USAGE);
    assert_non_null(strstr(lmu_error_message(), "a --window of 10 tokens is more than the --context of 9"));
    const char *bounded[] = {"transformer", "transformer-modern", "lmu-attention"};
    for (int i = 0; i < 3; i++) {
        law_require(open_model(bounded[i], 9, 0, backend, &model));
        law_require(run_far(model, 1, &bytes));
        assert_int_equal(run_far(model, 2, &bytes), LMU_USAGE);
        assert_non_null(strstr(lmu_error_message(), "would reach 10 tokens"));
        assert_non_null(strstr(lmu_error_message(), "--window"));
        model_close(model);
    }
    backend_close(backend);
}

/* Between the ramp up to the window and the tokens that see all of it. */
static void flops_count_what_is_seen(void **state)
{
    (void)state;
    LawCase law = {"attention",    .op = &operator_causal_attention, .apply = attend, .d = 3 * 32, .heads = 2,
                   .context = 1000};
    LawOptions options = {.kind = BACKEND_CPU, .mode = GRAPH_SCORE, .rows = 1, .tokens = 4};
    const int64_t windows[] = {0, 1000, 100, 10}, length = 200;
    const double seen[] = {100, 100, 75, 9.75};
    for (int i = 0; i < 4; i++) {
        law.window = windows[i];
        LawSubject *s = subject_open(&law, &options);
        assert_true(graph_flops(s->g, length) == 4 * 32 * seen[i]);
        subject_close(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_token_sees_itself_and_those_before_it),
                                       cmocka_unit_test(a_text_has_no_end), cmocka_unit_test(what_cannot_be_is_refused),
                                       cmocka_unit_test(flops_count_what_is_seen)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
