/* Models whose matrices are in bytes: what they compute, what they take, how they are kept in files, and broken files. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/random.h"
#include "model/model.h"
#include "model/safetensors.h"

#define GOLDEN "tests/golden/checkpoint"
#define GOLDEN_INT8 "tests/golden/checkpoint_int8" /* the same by lmu quantize, without the tokenizer */
#define LENGTH 40
#define COMPANY 33

static char directory[] = "/tmp/lmu_test_int8_XXXXXX";

static int make_directory(void **state)
{
    (void)state;
    return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
    (void)state;
    return directory_remove(directory) == LMU_OK ? 0 : -1;
}

static void done(lmu_status status)
{
    if (status != LMU_OK)
        fail_msg("status %d: %s", (int)status, lmu_error_message());
}

static void *fresh(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    assert_non_null(memory);
    return memory;
}

/* -- what a model computes -- */

/* Logits behind `rows` texts of LENGTH ids, read at once. */
static float *logits(Model *model, int rows)
{
    Graph *g;
    Tensor *result;
    int64_t count[COMPANY], v = model->config.vocabulary;
    int32_t ids[COMPANY * LENGTH];
    done(model_graph(model, GRAPH_DECODE, rows, rows * LENGTH, 0, &g, &result));
    for (int i = 0; i < rows * LENGTH; i++)
        ids[i] = (int32_t)random_below(9, (uint64_t)i, (uint64_t)v);
    for (int r = 0; r < rows; r++)
        count[r] = LENGTH;
    done(graph_run(g, &(Run){.rows = rows, .count = count, .ids = ids}));
    float *values = fresh((size_t)(rows * v), sizeof *values);
    graph_get_f32(g, result, rows * v, values);
    graph_close(g);
    return values;
}

/* The model of the numbers that the bytes stand for. */
static Model *widened(const Model *model)
{
    Model *wide;
    done(model_create(model->backend, &model->config, 0, &wide));
    params_write_begin(wide->params);
    for (size_t i = 0; i < wide->params->count; i++) {
        const Param *to = wide->params->list[i], *from = params_find(model->params, to->name);
        float *values = fresh((size_t)to->size, sizeof *values);
        param_get_f32(model->params, from, 0, to->size, values);
        KERNEL(model->backend, put_f32, to->size, values, real_at(wide->backend, wide->params->values, to->offset));
        free(values);
    }
    params_write_end(wide->params);
    return wide;
}

static double worst_of(int64_t n, const float *a, const float *b)
{
    double worst = 0;
    for (int64_t i = 0; i < n; i++)
        worst = fmax(worst, fabs((double)(a[i] - b[i])));
    return worst;
}

static Model *quantized(Backend *b)
{
    Model *model, *bytes;
    done(model_load(b, GOLDEN, &model));
    done(model_quantize(model, &bytes));
    model_close(model);
    return bytes;
}

/* Alone or in company the same bits; near what the bytes stand for, from which inputs rounded to bytes part it; near the model
 * that it was made from, whose largest logit is 6. */
static void check_logits(BackendKind kind, bool guarded)
{
    Backend *b;
    Model *model;
    done(backend_open(kind, 2, guarded, &b));
    done(model_load(b, GOLDEN, &model));
    Model *bytes = quantized(b), *wide = widened(bytes);
    int64_t v = model->config.vocabulary;
    float *alone = logits(bytes, 1), *together = logits(bytes, COMPANY), *plain = logits(wide, 1),
          *before = logits(model, 1);
    assert_memory_equal(alone, together, (size_t)v * sizeof *alone);
    double inputs = worst_of(v, alone, plain), all = worst_of(v, alone, before);
    print_message("%s: off by %.3f for the inputs, %.3f in all\n", b->name, inputs, all);
    assert_true(inputs > 0 && inputs < 0.1 && all < 0.1);
    free(alone);
    free(together);
    free(plain);
    free(before);
    model_close(model);
    model_close(bytes);
    model_close(wide);
    backend_close(b);
}

static void logits_are_near(void **state)
{
    (void)state;
    check_logits(BACKEND_CPU, false);
    check_logits(BACKEND_CPU, true);
    check_logits(BACKEND_REFERENCE, false);
    check_logits(BACKEND_DOUBLE, false);
}

/* A matrix of 128 columns or more takes at most 52% of what bfloat16 would, and there is nothing beside it. */
static void bytes_are_all_there_is(void **state)
{
    (void)state;
    Backend *b;
    Model *model, *bytes;
    Graph *g;
    Tensor *result;
    ModelConfig config;
    done(backend_open(BACKEND_CPU, 2, false, &b));
    done(model_config_init(&config, "lmu"));
    config.vocabulary = 1000;
    config.dim = 128;
    config.layers = 2;
    done(model_create(b, &config, 1, &model));
    done(model_quantize(model, &bytes));
    model_close(model);
    int64_t matrices = 0, rest = 0;
    for (size_t i = 0; i < bytes->params->count; i++)
        *(param_is_int8(bytes->params->list[i]) ? &matrices : &rest) += bytes->params->list[i]->size;
    assert_true((double)bytes->params->int8_bytes <= 0.52 * 2 * (double)matrices);
    assert_true(bytes->params->length < rest + 16 * (int64_t)bytes->params->count && rest < matrices / 20);
    done(model_graph(bytes, GRAPH_DECODE, 1, 8, 0, &g, &result));
    assert_null(bytes->params->derived);
    graph_close(g);
    model_close(bytes);
    model_config_free(&config);
    backend_close(b);
}

static void training_is_refused(void **state)
{
    (void)state;
    Backend *b;
    Model *again;
    Graph *g;
    Tensor *result;
    done(backend_open(BACKEND_CPU, 1, false, &b));
    Model *bytes = quantized(b);
    assert_int_equal(model_graph(bytes, GRAPH_TRAIN, 1, 8, 0, &g, &result), LMU_USAGE);
    assert_string_equal(lmu_error_message(),
                        "parameter embedding.weight is int8: the model can be run, and not trained");
    assert_int_equal(model_quantize(bytes, &again), LMU_USAGE);
    model_close(bytes);
    backend_close(b);
}

/* What is no number has no scale: the model is not rounded. */
static void numbers_must_be_finite(void **state)
{
    (void)state;
    Backend *b;
    Model *model, *bytes;
    static const float infinite = INFINITY;
    done(backend_open(BACKEND_CPU, 1, false, &b));
    done(model_load(b, GOLDEN, &model));
    const Param *table = params_find(model->params, "embedding.weight");
    params_write_begin(model->params);
    KERNEL(b, put_f32, 1, &infinite, real_at(b, model->params->values, table->offset + 5 * table->shape[1] + 1));
    params_write_end(model->params);
    assert_int_equal(model_quantize(model, &bytes), LMU_FORMAT);
    assert_string_equal(lmu_error_message(), "parameter embedding.weight: row 5 holds a number that is not finite");
    model_close(model);
    backend_close(b);
}

/* -- files -- */

static void in_directory(const char *name, char path[256])
{
    snprintf(path, 256, "%s/%s", directory, name);
}

static void saved_and_read_again(void **state)
{
    (void)state;
    Backend *b;
    Model *again;
    char path[256], *first, *second;
    size_t first_size, second_size;
    for (int guarded = 0; guarded < 2; guarded++) {
        done(backend_open(BACKEND_CPU, 1, guarded, &b));
        Model *bytes = quantized(b);
        done(model_save(bytes, directory));
        in_directory("model.safetensors", path);
        done(file_read(path, 1 << 24, &first, &first_size));
        done(model_load(b, directory, &again));
        assert_true(model_is_int8(again));
        assert_string_equal(model_products(again), "int8");
        float *before = logits(bytes, 1), *after = logits(again, 1);
        assert_memory_equal(before, after, (size_t)bytes->config.vocabulary * sizeof *before);
        done(model_save(again, directory));
        done(file_read(path, 1 << 24, &second, &second_size));
        assert_int_equal(first_size, second_size);
        assert_memory_equal(first, second, first_size);
        free(before);
        free(after);
        free(first);
        free(second);
        model_close(again);
        model_close(bytes);
        backend_close(b);
    }
}

/* What was once written is written again, and read. */
static void golden_bytes(void **state)
{
    (void)state;
    Backend *b;
    Model *stored;
    char path[256], *then, *now;
    size_t then_size, now_size;
    done(backend_open(BACKEND_CPU, 1, false, &b));
    Model *bytes = quantized(b);
    done(model_save(bytes, directory));
    in_directory("model.safetensors", path);
    done(file_read(GOLDEN_INT8 "/model.safetensors", 1 << 24, &then, &then_size));
    done(file_read(path, 1 << 24, &now, &now_size));
    assert_int_equal(then_size, now_size);
    assert_memory_equal(then, now, now_size);
    done(model_load(b, GOLDEN_INT8, &stored));
    float *before = logits(stored, 1), *after = logits(bytes, 1);
    assert_memory_equal(before, after, (size_t)bytes->config.vocabulary * sizeof *before);
    free(before);
    free(after);
    free(then);
    free(now);
    model_close(stored);
    model_close(bytes);
    backend_close(b);
}

/* -- broken files -- */

enum { TENSORS = 256 };

typedef struct Content {
    SafetensorsTensor tensor[TENSORS];
    size_t count;
    SafetensorsText metadata[2];
    size_t metadata_count;
    float scale[1 << 10]; /* in the place of those of the table, for changes */
    float wide[1 << 16];
} Content;

static SafetensorsTensor *tensor_named(Content *c, const char *name)
{
    for (size_t i = 0; i < c->count; i++)
        if (strcmp(c->tensor[i].name, name) == 0)
            return &c->tensor[i];
    fail_msg("no tensor %s", name);
    return NULL;
}

static void change_scale(Content *c, float value)
{
    SafetensorsTensor *scale = tensor_named(c, "embedding.weight.scale");
    assert_true(scale->size <= sizeof c->scale);
    memcpy(c->scale, scale->data, scale->size);
    c->scale[7] = value;
    scale->data = c->scale;
}

static void scale_nan(Content *c)
{
    change_scale(c, NAN);
}

static void scale_negative(Content *c)
{
    change_scale(c, -1e-3f);
}

static void scale_infinite(Content *c)
{
    change_scale(c, INFINITY);
}

static void scale_short(Content *c)
{
    tensor_named(c, "embedding.weight.scale")->shape[0]--;
}

static void scale_of_another_rank(Content *c)
{
    SafetensorsTensor *scale = tensor_named(c, "embedding.weight.scale");
    scale->rank = 2;
    scale->shape[1] = 1;
}

static void scale_missing(Content *c)
{
    *tensor_named(c, "embedding.weight.scale") = c->tensor[c->count - 1];
    c->count--;
}

static void scale_of_bytes(Content *c)
{
    tensor_named(c, "embedding.weight.scale")->type = SAFETENSORS_I8;
}

static void one_matrix_in_float(Content *c)
{
    SafetensorsTensor *weight = tensor_named(c, "embedding.weight");
    weight->type = SAFETENSORS_F32;
    assert_true(weight->size <= sizeof c->wide / sizeof *c->wide);
    weight->data = c->wide;
}

static void bytes_unsigned(Content *c)
{
    tensor_named(c, "embedding.weight")->type = SAFETENSORS_U8;
}

static void bytes_short(Content *c)
{
    tensor_named(c, "embedding.weight")->shape[0]--;
}

static void a_scale_too_many(Content *c)
{
    c->tensor[c->count] = *tensor_named(c, "embedding.weight.scale");
    c->tensor[c->count++].name = "final_norm.weight.scale";
}

static void no_word_of_int8(Content *c)
{
    c->metadata_count = 1;
}

static void another_kind(Content *c)
{
    c->metadata[1].value = "int4";
}

static const struct {
    void (*change)(Content *);
    lmu_status status;
    const char *message;
} broken[] = {
    {scale_nan, LMU_FORMAT, "tensor \"embedding.weight.scale\": the scale of row 7 is nan"},
    {scale_negative, LMU_FORMAT, "tensor \"embedding.weight.scale\": the scale of row 7 is -0.001"},
    {scale_infinite, LMU_FORMAT, "tensor \"embedding.weight.scale\": the scale of row 7 is inf"},
    {scale_short, LMU_MISMATCH, "tensor \"embedding.weight.scale\" is F32 (271); F32 (272) is needed"},
    {scale_of_another_rank, LMU_MISMATCH, "tensor \"embedding.weight.scale\" is F32 (272, 1); F32 (272) is needed"},
    {scale_missing, LMU_MISMATCH, "there is no tensor \"embedding.weight.scale\""},
    {scale_of_bytes, LMU_MISMATCH, "tensor \"embedding.weight.scale\" is I8 (272); F32 (272) is needed"},
    {one_matrix_in_float, LMU_MISMATCH, "tensor \"embedding.weight\" is F32 (272, 8); I8 (272, 8) is needed"},
    {bytes_unsigned, LMU_MISMATCH, "tensor \"embedding.weight\" is U8 (272, 8); I8 (272, 8) is needed"},
    {bytes_short, LMU_MISMATCH, "tensor \"embedding.weight\" is I8 (271, 8); I8 (272, 8) is needed"},
    {a_scale_too_many, LMU_MISMATCH, "tensor final_norm.weight.scale has no place in this model"},
    {no_word_of_int8, LMU_MISMATCH, "tensor \"embedding.weight\" is I8 (272, 8); F32 (272, 8) is needed"},
    {another_kind, LMU_FORMAT, "weights \"int4\" in the metadata; this program knows \"int8\""},
};

static void broken_files_are_refused(void **state)
{
    (void)state;
    Backend *b;
    Model *again;
    Safetensors *good;
    static Content content;
    char from[256], path[256];
    done(backend_open(BACKEND_CPU, 1, false, &b));
    Model *bytes = quantized(b);
    done(model_save(bytes, directory));
    in_directory("model.safetensors", path);
    in_directory("good.safetensors", from);
    assert_int_equal(rename(path, from), 0);
    done(safetensors_open(from, &good));
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        content = (Content){.count = safetensors_count(good),
                            .metadata = {{"format", "lmu"}, {"weights", "int8"}},
                            .metadata_count = 2};
        assert_true(content.count < TENSORS);
        for (size_t k = 0; k < content.count; k++)
            content.tensor[k] = *safetensors_at(good, k);
        broken[i].change(&content);
        done(safetensors_write(path, &(SafetensorsContent){.tensors = content.tensor,
                                                           .count = content.count,
                                                           .metadata = content.metadata,
                                                           .metadata_count = content.metadata_count}));
        lmu_status status = model_load(b, directory, &again);
        if (status != broken[i].status || !strstr(lmu_error_message(), broken[i].message) ||
            !strstr(lmu_error_message(), path))
            fail_msg("status %d: \"%s\" should hold \"%s\"", (int)status, lmu_error_message(), broken[i].message);
    }
    safetensors_close(good);
    model_close(bytes);
    backend_close(b);
}

/* Into a store in float, as a resumed training has it, bytes are not read. */
static void no_bytes_for_training(void **state)
{
    (void)state;
    Backend *b;
    Model *model;
    char path[256];
    done(backend_open(BACKEND_CPU, 1, false, &b));
    Model *bytes = quantized(b);
    done(model_save(bytes, directory));
    done(model_load(b, GOLDEN, &model));
    in_directory("model.safetensors", path);
    assert_int_equal(params_load(model->params, &(ParamVector){"", model->params->values}, 1, path), LMU_MISMATCH);
    assert_non_null(strstr(lmu_error_message(), "model.safetensors: its matrices are int8"));
    model_close(model);
    model_close(bytes);
    backend_close(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_are_near),          cmocka_unit_test(bytes_are_all_there_is),
        cmocka_unit_test(training_is_refused),      cmocka_unit_test(numbers_must_be_finite),
        cmocka_unit_test(saved_and_read_again),     cmocka_unit_test(golden_bytes),
        cmocka_unit_test(broken_files_are_refused), cmocka_unit_test(no_bytes_for_training),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
