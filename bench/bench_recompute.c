/* What recomputation saves and costs: one JSON object a line, each with the CPU's name.
 *
 *     bench_recompute [THREADS]
 *
 * For some sizes the memory of the plan, without and with recomputation, and the time of forward and backward passes in pairs run
 * one behind the other, because a machine's speed drifts: ratios of wall time, and of CPU time, which others on the machine disturb
 * less (with one thread; more than one that wait are counted too). Ids are random, parameters as they are drawn; windows of 1,024 tokens. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/machine.h"
#include "base/memory.h"
#include "base/random.h"
#include "model/model.h"

#define VOCABULARY 4096
#define LENGTH 1024
#define PAIRS 5

typedef struct Size {
    int64_t dim, layers, order;
    int rows;
} Size;

typedef struct Bench {
    Model *model;
    Graph *graph[2]; /* without, with recomputation */
    int32_t *ids, *targets;
    int64_t *count;
} Bench;

static lmu_status bench_open(Backend *backend, const Size *size, Bench *out)
{
    ModelConfig config;
    Tensor *loss;
    int64_t tokens = size->rows * (int64_t)LENGTH;
    TRY(model_config_init(&config, "lmu"));
    config.vocabulary = VOCABULARY;
    config.dim = size->dim;
    config.layers = size->layers;
    config.order = size->order;
    lmu_status status = model_create(backend, &config, 0, &out->model);
    model_config_free(&config);
    TRY(status);
    TRY(params_train(out->model->params));
    for (int with = 0; with < 2; with++)
        TRY(model_graph(out->model, GRAPH_TRAIN, size->rows, tokens, with ? GRAPH_RECOMPUTE : 0, &out->graph[with],
                        &loss));
    TRY(memory_new(&out->ids, (size_t)tokens, sizeof *out->ids, "a batch"));
    TRY(memory_new(&out->targets, (size_t)tokens, sizeof *out->targets, "a batch"));
    TRY(memory_new(&out->count, (size_t)size->rows, sizeof *out->count, "a batch"));
    for (int r = 0; r < size->rows; r++)
        out->count[r] = LENGTH;
    for (int64_t i = 0; i < tokens; i++) {
        out->ids[i] = (int32_t)random_below(1, (uint64_t)i, VOCABULARY);
        out->targets[i] = (int32_t)random_below(2, (uint64_t)i, VOCABULARY);
    }
    return LMU_OK;
}

static void bench_close(Bench *bench)
{
    graph_close(bench->graph[0]);
    graph_close(bench->graph[1]);
    model_close(bench->model);
    free(bench->ids);
    free(bench->targets);
    free(bench->count);
}

static lmu_status bench_run(const Bench *bench, int with, int rows, double *seconds, double *cpu)
{
    Run run = {.rows = rows,
               .count = bench->count,
               .ids = bench->ids,
               .targets = bench->targets,
               .first_micro_batch = true,
               .loss_scale = 1.0 / (double)(rows * LENGTH)};
    double start = machine_seconds();
    clock_t ticks = clock();
    TRY(graph_run(bench->graph[with], &run));
    *seconds = machine_seconds() - start;
    *cpu = (double)(clock() - ticks) / CLOCKS_PER_SEC;
    return LMU_OK;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static lmu_status bench_size(Backend *backend, const Size *size)
{
    Bench bench = {0};
    double seconds[2], cpu[2], ratio[PAIRS], cpu_ratio[PAIRS], least[2] = {1e30, 1e30};
    lmu_status status;
    ATTEMPT(bench_open(backend, size, &bench));
    for (int i = -1; i < PAIRS; i++) { /* the first pair warms up */
        for (int with = 0; with < 2; with++)
            ATTEMPT(bench_run(&bench, with, size->rows, &seconds[with], &cpu[with]));
        for (int with = 0; with < 2; with++)
            least[with] = seconds[with] < least[with] ? seconds[with] : least[with];
        ratio[i < 0 ? 0 : i] = seconds[1] / seconds[0];
        cpu_ratio[i < 0 ? 0 : i] = cpu[1] / cpu[0];
    }
    qsort(ratio, PAIRS, sizeof *ratio, by_value);
    qsort(cpu_ratio, PAIRS, sizeof *cpu_ratio, by_value);
    json_t *line =
        json_pack("{s:s, s:I, s:I, s:I, s:i, s:i, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:i, s:s, s:s, s:i}", "bench",
                  "recompute", "dim", (json_int_t)size->dim, "layers", (json_int_t)size->layers, "order",
                  (json_int_t)size->order, "batch", size->rows, "length", LENGTH, "bytes",
                  (json_int_t)graph_bytes(bench.graph[0]), "bytes_recompute", (json_int_t)graph_bytes(bench.graph[1]),
                  "seconds", least[0], "seconds_recompute", least[1], "ratio", ratio[PAIRS / 2], "ratio_lowest",
                  ratio[0], "ratio_highest", ratio[PAIRS - 1], "cpu_ratio", cpu_ratio[PAIRS / 2], "pairs", PAIRS, "cpu",
                  machine_cpu_name(), "isa", machine_isa_name(backend->isa), "threads", backend->threads);
    if (!line) {
        status = error_set(LMU_MEMORY, "no memory for a line of figures");
        goto done;
    }
    json_dumpf(line, stdout, JSON_COMPACT | JSON_REAL_PRECISION(4));
    putchar('\n');
    fflush(stdout);
    json_decref(line);
done:
    bench_close(&bench);
    return status;
}

static lmu_status bench_all(int threads)
{
    static const Size sizes[] = {{256, 6, 16, 4}, {512, 16, 16, 4}};
    Backend *backend;
    TRY(backend_open(BACKEND_CPU, threads, false, &backend));
    lmu_status status = LMU_OK;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes && status == LMU_OK; i++)
        status = bench_size(backend, &sizes[i]);
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
