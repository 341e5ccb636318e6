/* What training costs: one JSON object a line, each with the CPU's name.
 *
 *     bench_train_step [THREADS]
 *
 * First the product ceiling, then whole training steps (forward, backward, clipping, AdamW) of some sizes, then the cost of
 * long windows: time per token of one row of 16,384 tokens against 16 rows of 1,024, in pairs run one behind the other, because
 * a machine's speed drifts. Ids are random, parameters as they are drawn. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/machine.h"
#include "base/memory.h"
#include "base/random.h"
#include "model/model.h"
#include "train/optimiser.h"
#include "train/trainer.h"

#define VOCABULARY 4096
#define RUNS 5 /* timed; the median counts */

typedef struct Size {
    int64_t dim, layers, order;
    int rows;
    int64_t length;
} Size;

/* One model and a graph that trains it on rows of one length. */
typedef struct Bench {
    Size size;
    Model *model; /* borrowed */
    Graph *graph;
    Tensor *loss;
    int64_t tokens;
    int32_t *ids, *targets;
    int64_t *count;
    int64_t step;
} Bench;

static lmu_status bench_model(Backend *backend, const Size *size, Model **out)
{
    ModelConfig config;
    TRY(model_config_init(&config, "lmu"));
    config.vocabulary = VOCABULARY;
    config.dim = size->dim;
    config.layers = size->layers;
    config.order = size->order;
    lmu_status status = model_create(backend, &config, 0, out);
    model_config_free(&config);
    return status == LMU_OK ? params_train((*out)->params) : status;
}

static lmu_status bench_open(Model *model, const Size *size, Bench *out)
{
    *out = (Bench){.size = *size, .model = model, .tokens = size->rows * size->length};
    TRY(model_graph(model, GRAPH_TRAIN, size->rows, out->tokens, 0, &out->graph, &out->loss));
    TRY(memory_new(&out->ids, (size_t)out->tokens, sizeof *out->ids, "a batch"));
    TRY(memory_new(&out->targets, (size_t)out->tokens, sizeof *out->targets, "a batch"));
    TRY(memory_new(&out->count, (size_t)size->rows, sizeof *out->count, "a batch"));
    for (int r = 0; r < size->rows; r++)
        out->count[r] = size->length;
    for (int64_t i = 0; i < out->tokens; i++) {
        out->ids[i] = (int32_t)random_below(1, (uint64_t)i, VOCABULARY);
        out->targets[i] = (int32_t)random_below(2, (uint64_t)i, VOCABULARY);
    }
    return LMU_OK;
}

static void bench_close(Bench *bench)
{
    graph_close(bench->graph);
    free(bench->ids);
    free(bench->targets);
    free(bench->count);
}

/* One training step; its seconds into *seconds. */
static lmu_status bench_step(Bench *bench, double *seconds)
{
    static const TrainConfig config = {.beta1 = 0.9, .beta2 = 0.95, .epsilon = 1e-8, .weight_decay = 0.1};
    double start = machine_seconds();
    Run run = {.rows = bench->size.rows,
               .count = bench->count,
               .ids = bench->ids,
               .targets = bench->targets,
               .first_micro_batch = true,
               .loss_scale = 1.0 / (double)bench->tokens};
    TRY(graph_run(bench->graph, &run));
    double norm = optimiser_norm(bench->model->params);
    if (!isfinite(norm))
        return error_set(LMU_NUMERIC, "the gradient of random tokens is not finite");
    optimiser_step(bench->model->params, &config, 1e-4, norm > 1 ? 1 / norm : 1, ++bench->step);
    *seconds = machine_seconds() - start;
    return LMU_OK;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, by_value);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

/* Prints an object, taken over, as one line with the CPU's name and the threads. */
static lmu_status print_line(const Backend *backend, json_t *line)
{
    if (!line || json_object_set_new(line, "cpu", json_string(machine_cpu_name())) != 0 ||
        json_object_set_new(line, "isa", json_string(machine_isa_name(backend->isa))) != 0 ||
        json_object_set_new(line, "threads", json_integer(backend->threads)) != 0)
        return error_set(LMU_MEMORY, "no memory for a line of figures");
    json_dumpf(line, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
    putchar('\n');
    fflush(stdout);
    json_decref(line);
    return LMU_OK;
}

static lmu_status bench_size(Backend *backend, const Size *size, double ceiling)
{
    Model *model = NULL;
    Bench bench = {0};
    double seconds[RUNS];
    lmu_status status;
    ATTEMPT(bench_model(backend, size, &model));
    ATTEMPT(bench_open(model, size, &bench));
    for (int i = -1; i < RUNS; i++) /* the first warms up */
        ATTEMPT(bench_step(&bench, &seconds[i < 0 ? 0 : i]));
    double speed = (double)bench.tokens / median(seconds, RUNS), flops = 3 * graph_flops(bench.graph, size->length);
    ATTEMPT(print_line(
        backend,
        json_pack("{s:s, s:I, s:I, s:I, s:i, s:I, s:I, s:I, s:f, s:f, s:f, s:f}", "bench", "training step", "dim",
                  (json_int_t)size->dim, "layers", (json_int_t)size->layers, "order", (json_int_t)size->order, "batch",
                  size->rows, "length", (json_int_t)size->length, "vocabulary", (json_int_t)VOCABULARY, "parameters",
                  (json_int_t)params_total(model->params), "tokens_per_second", speed, "flops_per_token", flops,
                  "share_of_ceiling", speed * flops / ceiling, "memory_mib", (double)backend->allocated / 1048576)));
done:
    bench_close(&bench);
    model_close(model);
    return status;
}

/* Time per token of one long row over that of many short ones, for the same number of tokens. */
static lmu_status bench_length(Backend *backend)
{
    static const Size long_row = {256, 6, 16, 1, 16384}, short_rows = {256, 6, 16, 16, 1024};
    Model *model = NULL;
    Bench pair[2] = {0};
    double seconds[2][RUNS], ratio[RUNS];
    lmu_status status;
    ATTEMPT(bench_model(backend, &long_row, &model));
    ATTEMPT(bench_open(model, &long_row, &pair[0]));
    ATTEMPT(bench_open(model, &short_rows, &pair[1]));
    for (int i = -1; i < RUNS; i++) {
        int slot = i < 0 ? 0 : i;
        ATTEMPT(bench_step(&pair[0], &seconds[0][slot]));
        ATTEMPT(bench_step(&pair[1], &seconds[1][slot]));
        ratio[slot] = seconds[0][slot] / seconds[1][slot];
    }
    double tokens = (double)pair[0].tokens, middle = median(ratio, RUNS); /* which puts them in order */
    ATTEMPT(
        print_line(backend, json_pack("{s:s, s:i, s:i, s:i, s:i, s:f, s:f, s:f, s:f, s:f}", "bench", "length", "dim",
                                      256, "layers", 6, "order", 16, "pairs", RUNS, "microseconds_per_token_1x16384",
                                      1e6 * median(seconds[0], RUNS) / tokens, "microseconds_per_token_16x1024",
                                      1e6 * median(seconds[1], RUNS) / tokens, "ratio", middle, "ratio_lowest",
                                      ratio[0], "ratio_highest", ratio[RUNS - 1])));
done:
    bench_close(&pair[0]);
    bench_close(&pair[1]);
    model_close(model);
    return status;
}

static lmu_status bench_all(int threads)
{
    static const Size sizes[] = {
        {128, 4, 8, 4, 256}, {128, 4, 8, 16, 256}, {256, 6, 16, 16, 256}, {512, 8, 16, 8, 512}};
    Backend *backend;
    double ceiling;
    TRY(backend_open(BACKEND_CPU, threads, false, &backend));
    lmu_status status;
    ATTEMPT(product_ceiling(backend, &ceiling));
    ATTEMPT(print_line(backend,
                       json_pack("{s:s, s:f}", "bench", "product ceiling", "gigaflops_per_second", ceiling / 1e9)));
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        ATTEMPT(bench_size(backend, &sizes[i], ceiling));
    ATTEMPT(bench_length(backend));
done:
    backend_close(backend);
    return status;
}

int main(int argc, char **argv)
{
    char *end = "";
    long threads = argc > 1 ? strtol(argv[1], &end, 10) : 0;
    if (argc > 2 || *end || threads < 0 || threads > 1024) {
        fprintf(stderr, "usage: %s [THREADS]\n", argv[0]);
        return 2;
    }
    if (bench_all((int)threads) != LMU_OK) {
        fprintf(stderr, "%s: %s\n", argv[0], lmu_error_message());
        return 1;
    }
    return 0;
}
