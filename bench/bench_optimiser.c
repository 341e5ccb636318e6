/* What the optimisers cost: one JSON object a line.
 *
 *     bench_optimiser [BATCH [ARCH [FEED_WIDTH [INTERVAL]]]]
 *
 * CPU seconds of a training step's parts on one thread, for models of six sizes and steps of BATCH (16) windows of 256 tokens: the gradient
 * (forward and backward, in micro-batches as training takes them), the norm, and the step of AdamW or of Muon with AdamW. `share` is that of norm
 * and step in the whole. The parts are timed in turns, because a machine's speed drifts; the median counts. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/machine.h"
#include "base/memory.h"
#include "base/random.h"
#include "model/model.h"
#include "train/optimiser.h"
#include "train/trainer_internal.h"

enum { VOCABULARY = 4096, LENGTH = 256, RUNS = 7 };

typedef struct Bench {
    Model *model;
    Graph *graph;
    Muon *muon;
    int rows; /* windows of a micro-batch */
    int32_t *ids, *targets;
    int64_t *count;
    int64_t step;
} Bench;

static double cpu_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static lmu_status bench_open(Backend *backend, const char *arch, double feed_width, const int64_t *size, Bench *bench)
{
    ModelConfig config;
    Tensor *loss;
    TRY(model_config_init(&config, arch));
    config.vocabulary = VOCABULARY;
    config.dim = size[0];
    config.layers = size[1];
    config.feed_width = feed_width > 0 ? feed_width : config.feed_width;
    lmu_status status = model_create(backend, &config, 0, &bench->model);
    model_config_free(&config);
    TRY(status);
    TRY(params_train(bench->model->params));
    TRY(muon_open(bench->model->params, &bench->muon));
    int64_t tokens = bench->rows * LENGTH;
    TRY(model_graph(bench->model, GRAPH_TRAIN, bench->rows, tokens, 0, &bench->graph, &loss));
    TRY(memory_new(&bench->ids, (size_t)tokens, sizeof *bench->ids, "a batch"));
    TRY(memory_new(&bench->targets, (size_t)tokens, sizeof *bench->targets, "a batch"));
    TRY(memory_new(&bench->count, (size_t)bench->rows, sizeof *bench->count, "a batch"));
    for (int r = 0; r < bench->rows; r++)
        bench->count[r] = LENGTH;
    for (int64_t i = 0; i < tokens; i++) {
        bench->ids[i] = (int32_t)random_below(1, (uint64_t)i, VOCABULARY);
        bench->targets[i] = (int32_t)random_below(2, (uint64_t)i, VOCABULARY);
    }
    return LMU_OK;
}

static void bench_close(Bench *bench)
{
    muon_close(bench->muon);
    graph_close(bench->graph);
    model_close(bench->model);
    free(bench->ids);
    free(bench->targets);
    free(bench->count);
}

/* The gradient of `batch` windows, as so many micro-batches. */
static lmu_status bench_gradient(Bench *bench, int batch, double *seconds)
{
    double start = cpu_seconds();
    for (int done = 0; done < batch; done += bench->rows) {
        Run run = {.rows = bench->rows,
                   .count = bench->count,
                   .ids = bench->ids,
                   .targets = bench->targets,
                   .first_micro_batch = done == 0,
                   .loss_scale = 1.0 / (batch * LENGTH)};
        TRY(graph_run(bench->graph, &run));
    }
    *seconds = cpu_seconds() - start;
    return LMU_OK;
}

/* Of a step, the mean of as many as move every matrix once. */
static double bench_optimiser(Bench *bench, const TrainConfig *config)
{
    Muon *muon = config->optimizer == OPTIMISER_MUON ? bench->muon : NULL;
    int64_t interval = optimiser_interval(config);
    double start = cpu_seconds();
    for (int64_t i = 0; i < interval; i++) {
        double norm = optimiser_norm(bench->model->params);
        optimiser_step(bench->model->params, config, muon, 1e-4, norm > 1 ? 1 / norm : 1, ++bench->step);
    }
    return (cpu_seconds() - start) / (double)interval;
}

static lmu_status bench_size(Backend *backend, const char *arch, double feed_width, int batch, int interval,
                             const int64_t *size)
{
    TrainConfig config = {.batch = batch,
                          .length = LENGTH,
                          .beta1 = 0.9,
                          .beta2 = 0.95,
                          .epsilon = 1e-8,
                          .weight_decay = 0.1,
                          .momentum = 0.95};
    TrainConfig with_muon = config;
    with_muon.optimizer = OPTIMISER_MUON;
    with_muon.muon_interval = interval;
    Bench bench = {.rows = train_micro_batch(&config)};
    double gradient[RUNS], adamw[RUNS], muon[RUNS];
    lmu_status status;
    ATTEMPT(bench_open(backend, arch, feed_width, size, &bench));
    for (int i = -1; i < RUNS; i++) { /* the first warms up */
        int at = i < 0 ? 0 : i;
        ATTEMPT(bench_gradient(&bench, batch, &gradient[at]));
        adamw[at] = bench_optimiser(&bench, &config);
        muon[at] = bench_optimiser(&bench, &with_muon);
    }
    double whole = seconds_median(gradient, RUNS), a = seconds_median(adamw, RUNS), m = seconds_median(muon, RUNS);
    json_t *line =
        json_pack("{s:s, s:s, s:I, s:I, s:i, s:I, s:f, s:f, s:f, s:f, s:f, s:I, s:s, s:s}", "bench", "optimiser",
                  "arch", arch, "dim", (json_int_t)size[0], "layers", (json_int_t)size[1], "tokens", batch * LENGTH,
                  "non_embedding", (json_int_t)params_non_embedding(bench.model->params), "gradient_ms", 1e3 * whole,
                  "adamw_ms", 1e3 * a, "muon_ms", 1e3 * m, "adamw_share", a / (whole + a), "muon_share",
                  m / (whole + m), "muon_interval", (json_int_t)optimiser_interval(&with_muon), "products",
                  backend_compute_name(backend), "cpu", machine_cpu_name());
    if (line) {
        json_dumpf(line, stdout, JSON_COMPACT | JSON_REAL_PRECISION(4));
        putchar('\n');
        fflush(stdout);
        json_decref(line);
    }
done:
    bench_close(&bench);
    return status;
}

int main(int argc, char **argv)
{
    static const int64_t sizes[][2] = {{64, 4}, {128, 4}, {256, 4}, {116, 2}, {284, 2}, {576, 2}};
    int batch = argc > 1 ? atoi(argv[1]) : 16;
    const char *arch = argc > 2 ? argv[2] : "lmu-paper";
    double feed_width = argc > 3 ? atof(argv[3]) : 0;
    int interval = argc > 4 ? atoi(argv[4]) : 0;
    for (int compute = COMPUTE_F32; compute <= COMPUTE_BF16; compute++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            Backend *backend = NULL;
            lmu_status status;
            ATTEMPT(backend_open(BACKEND_CPU, 1, false, &backend));
            if (compute == COMPUTE_BF16 && backend_best_compute(backend) != COMPUTE_BF16)
                goto done;
            ATTEMPT(backend_compute(backend, (Compute)compute));
            ATTEMPT(bench_size(backend, arch, feed_width, batch, interval, sizes[i]));
        done:
            backend_close(backend);
            if (status != LMU_OK) {
                fprintf(stderr, "bench_optimiser: %s\n", lmu_error_message());
                return 1;
            }
        }
    return 0;
}
