/* Training steps as the trainer does them: micro-batches, clipping, AdamW. Ids are drawn, parameters as they start. */
#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "measure.h"
#include "train/optimiser.h"
#include "train/trainer.h"

#define SECONDS 3.0 /* of timed steps, unless their number is given */
#define LEAST 3
#define MOST 1000

static const TrainConfig optimiser = {.beta1 = 0.9, .beta2 = 0.95, .epsilon = 1e-8, .weight_decay = 0.1, .clip = 1};

/* A graph that trains a model on rows of one length. */
typedef struct Training {
    Model *model; /* borrowed */
    Graph *graph;
    Tensor *losses;
    int64_t batch, length, micro;
    int32_t *ids, *targets;
    int64_t *count, step;
    float *loss;
} Training;

static lmu_status training_open(Model *model, int64_t batch, int64_t length, int64_t micro_batch, Training *out)
{
    TrainConfig policy = {.length = length, .batch = batch, .micro_batch = micro_batch};
    int64_t micro = train_micro_batch(&policy), vocabulary = model->config.vocabulary;
    *out = (Training){.model = model, .batch = batch, .length = length, .micro = micro};
    TRY(model_graph(model, GRAPH_TRAIN, (int)micro, micro * length, 0, &out->graph, &out->losses));
    TRY(memory_new(&out->ids, (size_t)(batch * length), sizeof *out->ids, "a batch"));
    TRY(memory_new(&out->targets, (size_t)(batch * length), sizeof *out->targets, "a batch"));
    TRY(memory_new(&out->count, (size_t)micro, sizeof *out->count, "a batch"));
    TRY(memory_new(&out->loss, (size_t)(micro * length), sizeof *out->loss, "a batch"));
    for (int64_t r = 0; r < micro; r++)
        out->count[r] = length;
    bench_ids(batch * length, vocabulary, 0, out->ids);
    bench_ids(batch * length, vocabulary, 1, out->targets);
    return LMU_OK;
}

static void training_close(Training *t)
{
    graph_close(t->graph);
    free(t->ids);
    free(t->targets);
    free(t->count);
    free(t->loss);
}

/* One step; its seconds, and the mean loss before it. */
static lmu_status training_step(Training *t, double *seconds, double *loss)
{
    double start = machine_seconds(), tokens = (double)(t->batch * t->length);
    *loss = 0;
    for (int64_t done = 0; done < t->batch; done += t->micro) {
        int64_t rows = t->batch - done < t->micro ? t->batch - done : t->micro;
        Run run = {.rows = (int)rows,
                   .count = t->count,
                   .ids = t->ids + done * t->length,
                   .targets = t->targets + done * t->length,
                   .first_micro_batch = done == 0,
                   .loss_scale = 1 / tokens};
        TRY(graph_run(t->graph, &run));
        graph_get_f32(t->graph, t->losses, rows * t->length, t->loss);
        for (int64_t i = 0; i < rows * t->length; i++)
            *loss += (double)t->loss[i] / tokens;
    }
    double norm = optimiser_norm(t->model->params);
    if (!isfinite(norm))
        return error_set(LMU_NUMERIC, "the gradient of drawn tokens is not finite");
    double scale = norm > optimiser.clip ? optimiser.clip / norm : 1;
    optimiser_step(t->model->params, &optimiser, NULL, 1e-4, scale, ++t->step);
    *seconds = machine_seconds() - start;
    return LMU_OK;
}

/* What a series of steps took. */
typedef struct Steps {
    double seconds, cpu, loss; /* medians; the loss of the first */
} Steps;

static lmu_status training_measure(Training *t, int64_t count, Steps *out)
{
    double seconds[MOST], cpu[MOST], ignored, start = 0;
    size_t done = 0;
    TRY(training_step(t, &ignored, &out->loss)); /* warms up */
    start = machine_seconds();
    while (done < MOST && (count ? (int64_t)done < count : done < LEAST || machine_seconds() - start < SECONDS)) {
        double before = cpu_seconds();
        TRY(training_step(t, &seconds[done], &ignored));
        cpu[done++] = cpu_seconds() - before;
    }
    out->seconds = median(seconds, done);
    out->cpu = median(cpu, done);
    return LMU_OK;
}

static json_t *training_line(const Training *t, const Steps *s, double idle, double peak, double ceiling)
{
    const ModelConfig *c = &t->model->config;
    double tokens = (double)(t->batch * t->length), flops = 3 * graph_flops(t->graph, t->length);
    return json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}",
                     "bench", "train", "arch", c->arch, "dim", (json_int_t)c->dim, "layers", (json_int_t)c->layers,
                     "order", (json_int_t)c->order, "vocabulary", (json_int_t)c->vocabulary, "length",
                     (json_int_t)t->length, "batch", (json_int_t)t->batch, "micro_batch", (json_int_t)t->micro,
                     "parameters", (json_int_t)params_total(t->model->params), "seconds", s->seconds, "cpu_seconds",
                     s->cpu, "tokens_per_second", tokens / s->seconds, "flops_per_token", flops, "ceiling_gflops",
                     ceiling / 1e9, "share_of_ceiling", tokens * flops / s->seconds / ceiling, "idle_mib",
                     idle / 1048576, "peak_mib", peak / 1048576, "loss", s->loss);
}

/* The ceiling comes last, so that its operands are not in the peak. */
static lmu_status train_one(const BenchOptions *o)
{
    Backend *backend;
    Model *model = NULL;
    Training training = {0};
    Steps steps;
    double ceiling;
    TRY(bench_backend(o->threads, (ComputeChoice)o->compute, &backend));
    lmu_status status;
    double idle = (double)machine_peak_resident();
    ATTEMPT(model_create(backend, &o->model, 0, &model));
    ATTEMPT(params_train(model->params));
    ATTEMPT(training_open(model, o->batch ? o->batch : 8, o->length, o->micro_batch, &training));
    ATTEMPT(training_measure(&training, o->steps, &steps));
    double peak = (double)machine_peak_resident();
    ATTEMPT(product_ceiling(backend, &ceiling));
    ATTEMPT(bench_line(backend, training_line(&training, &steps, idle, peak, ceiling)));
done:
    training_close(&training);
    model_close(model);
    backend_close(backend);
    return status;
}

static lmu_status train_standard(const BenchOptions *o, const char *arch, int64_t dim, int64_t batch)
{
    static const int computes[] = {COMPUTE_CHOICE_F32, COMPUTE_CHOICE_AUTO};
    BenchOptions one = *o;
    one.batch = batch;
    one.length = 1024;
    TRY(bench_config(arch, 8192, dim, 6, 16, &one.model));
    lmu_status status = LMU_OK;
    for (int i = 0; status == LMU_OK && i < 2; i++) {
        one.compute = computes[i];
        status = bench_apart(train_one, &one, "train");
    }
    model_config_free(&one.model);
    return status;
}

lmu_status bench_train(const BenchOptions *o)
{
    static const char *const archs[] = {"lmu", "lmu-paper", "transformer"};
    if (o->arch)
        return bench_apart(train_one, o, "train");
    for (int i = 0; i < 3; i++)
        TRY(train_standard(o, archs[i], 256, 8));
    for (int i = 0; i < 3; i++)
        TRY(train_standard(o, archs[i], 1024, 1));
    return LMU_OK;
}

/* -- one long row against many short ones, of as many tokens, in pairs run one behind the other: machines drift -- */

enum { PAIRS = 3, LONG = 65536, SHORT = 1024 };

static lmu_status length_pairs(Training pair[2], double seconds[2][PAIRS], double ratio[PAIRS])
{
    for (int i = -1; i < PAIRS; i++) { /* the first warms up */
        double loss, pass[2];
        for (int side = 0; side < 2; side++)
            TRY(training_step(&pair[side], &pass[side], &loss));
        for (int side = 0; side < 2 && i >= 0; side++)
            seconds[side][i] = pass[side];
        if (i >= 0)
            ratio[i] = pass[0] / pass[1];
    }
    return LMU_OK;
}

static lmu_status length_one(const BenchOptions *o)
{
    Backend *backend;
    Model *model = NULL;
    Training pair[2] = {0};
    double seconds[2][PAIRS], ratio[PAIRS];
    TRY(bench_backend(o->threads, (ComputeChoice)o->compute, &backend));
    lmu_status status;
    ATTEMPT(model_create(backend, &o->model, 0, &model));
    ATTEMPT(params_train(model->params));
    ATTEMPT(training_open(model, 1, LONG, 0, &pair[0]));
    ATTEMPT(training_open(model, LONG / SHORT, SHORT, 0, &pair[1]));
    ATTEMPT(length_pairs(pair, seconds, ratio));
    double middle = median(ratio, PAIRS); /* which puts them in order */
    ATTEMPT(
        bench_line(backend, json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:i, s:f, s:f, s:f, s:f, s:f}", "bench", "length",
                                      "arch", model->config.arch, "dim", (json_int_t)model->config.dim, "layers",
                                      (json_int_t)model->config.layers, "order", (json_int_t)model->config.order,
                                      "vocabulary", (json_int_t)model->config.vocabulary, "pairs", PAIRS,
                                      "microseconds_per_token_1x65536", 1e6 * median(seconds[0], PAIRS) / LONG,
                                      "microseconds_per_token_64x1024", 1e6 * median(seconds[1], PAIRS) / LONG, "ratio",
                                      middle, "ratio_lowest", ratio[0], "ratio_highest", ratio[PAIRS - 1])));
done:
    training_close(&pair[0]);
    training_close(&pair[1]);
    model_close(model);
    backend_close(backend);
    return status;
}

lmu_status bench_length(const BenchOptions *o)
{
    BenchOptions one = *o;
    if (o->arch)
        return bench_apart(length_one, o, "length");
    TRY(bench_config("lmu", 4096, 256, 4, 16, &one.model));
    lmu_status status = bench_apart(length_one, &one, "length");
    model_config_free(&one.model);
    return status;
}
