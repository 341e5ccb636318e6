/* Every architecture of the registry learns one batch by heart, and is the same model, bit for bit, when saved and loaded. */
#include <math.h>

#include "base/random.h"
#include "train/evaluate.h"
#include "train/optimiser.h"
#include "training.h"

enum { ROWS = 4, LENGTH = 19, TOKENS = ROWS * LENGTH, STEPS = 400 };

typedef struct Batch {
    int32_t ids[TOKENS], targets[TOKENS];
    int64_t count[ROWS];
} Batch;

/* Tokens without a pattern, so that nothing but memory helps. */
static Batch random_batch(void)
{
    Batch batch;
    for (int i = 0; i < TOKENS; i++) {
        batch.ids[i] = (int32_t)random_below(1, (uint64_t)i, SMALL_VOCABULARY);
        batch.targets[i] = (int32_t)random_below(2, (uint64_t)i, SMALL_VOCABULARY);
    }
    for (int r = 0; r < ROWS; r++)
        batch.count[r] = LENGTH;
    return batch;
}

static double mean_loss(Graph *g, Tensor *loss, const Batch *batch)
{
    float losses[TOKENS];
    double sum = 0;
    Run run = {.rows = ROWS,
               .count = batch->count,
               .ids = batch->ids,
               .targets = batch->targets,
               .first_micro_batch = true,
               .loss_scale = 1.0 / TOKENS};
    assert_done(graph_run(g, &run));
    graph_get_f32(g, loss, TOKENS, losses);
    for (int i = 0; i < TOKENS; i++)
        sum += (double)losses[i];
    return sum / TOKENS;
}

/* Trains and returns the last loss. */
static double learn(Model *model, const Batch *batch, OptimiserKind kind)
{
    Graph *g;
    Tensor *loss;
    Muon *muon = NULL;
    TrainConfig config = default_training();
    config.weight_decay = 0;
    config.warmup = 10;
    config.learning_rate = 1e-2;
    config.optimizer = kind;
    config.muon_interval = 2;
    assert_done(params_train(model->params));
    assert_done(model_graph(model, GRAPH_TRAIN, ROWS, TOKENS, 0, &g, &loss));
    if (kind == OPTIMISER_MUON)
        assert_done(muon_open(model->params, &muon));
    double last = mean_loss(g, loss, batch), first = last;
    for (int step = 0; step < STEPS; step++) {
        double norm = optimiser_norm(model->params);
        assert_true(isfinite(norm));
        double rate = schedule_rate(&config, step, (double)step / STEPS, (double)config.warmup / STEPS);
        optimiser_step(model->params, &config, muon, rate, norm > 1 ? 1 / norm : 1, step + 1);
        last = mean_loss(g, loss, batch);
    }
    if (!(fabs(first - log(SMALL_VOCABULARY)) < 1))
        fail_msg("%s: an untrained loss of %g", model->arch->name, first);
    muon_close(muon);
    graph_close(g);
    fields_free(&train_table, &config);
    return last;
}

static void assert_same_loaded(const Model *model)
{
    Model *loaded;
    const char *directory = scratch_path(model->arch->name);
    assert_done(directory_make(directory));
    assert_done(model_save(model, directory));
    assert_done(model_load(model->backend, directory, &loaded));
    assert_string_equal(loaded->arch->name, model->arch->name);
    assert_int_equal(loaded->params->length, model->params->length);
    double *ours = vector_read(model->params, model->params->values);
    double *theirs = vector_read(loaded->params, loaded->params->values);
    assert_memory_equal(ours, theirs, (size_t)model->params->length * sizeof *ours);
    free(ours);
    free(theirs);
    model_close(loaded);
}

static void test_overfit(void **state)
{
    (void)state;
    Backend *backend;
    Batch batch = random_batch();
    assert_done(backend_open(BACKEND_CPU, 1, false, &backend));
    for (int a = 0; architectures[a]; a++) {
        Model *model = small_model(backend, architectures[a]->name, 5);
        double loss = learn(model, &batch, OPTIMISER_ADAMW);
        if (!(loss < 0.05))
            fail_msg("%s: one batch learnt by heart still loses %g nats a token", architectures[a]->name, loss);
        assert_same_loaded(model);
        model_close(model);
        model = small_model(backend, architectures[a]->name, 5);
        loss = learn(model, &batch, OPTIMISER_MUON);
        if (!(loss < 0.05))
            fail_msg("%s: one batch learnt by heart with Muon still loses %g", architectures[a]->name, loss);
        model_close(model);
    }
    backend_close(backend);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_overfit)};
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
