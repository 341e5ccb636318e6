/* The trainer as a library: under the guarded backend, and stopped at every place where it looks whether it should. */
#include <math.h>

#include "train/evaluate.h"
#include "train/trainer.h"
#include "training.h"

static OptimiserKind optimiser = OPTIMISER_ADAMW;
static ScheduleKind schedule = SCHEDULE_COSINE;
static int64_t steps = 8, until = 0;

/* By default eight steps of three micro-batches, two windows each but the last. */
static lmu_status run(const char *name, bool resume, bool guarded, Listener *listener, TrainReport *report)
{
    static bool measured; /* the machine, by the first run, which takes a while */
    TrainConfig config = default_training();
    ModelConfig model = small_config("lmu");
    const char *out = scratch_path(name);
    model.dropout = 0.1;
    model.recall = 2;
    model.ngram_slots = 40;
    config.data = strdup(scratch_path("corpus"));
    config.length = 16;
    config.batch = 5;
    config.micro_batch = 2;
    config.tokens = steps * config.batch * config.length;
    config.schedule = (int)schedule;
    config.decay = 0.25;
    config.evaluate_every = 3;
    config.evaluate_tokens = 64;
    config.log_every = 2;
    config.warmup = 2;
    config.threads = 1;
    config.optimizer = optimiser;
    config.muon_interval = 4; /* which the places where runs stop are not multiples of */
    TrainRequest request = {.run = out,
                            .config = &config,
                            .model = &model,
                            .resume = resume,
                            .until = until,
                            .guarded = guarded,
                            .ceiling = measured ? 1e9 : 0,
                            .progress = &listener->progress};
    measured = true;
    lmu_status status = train_run(&request, report);
    model_config_free(&model);
    fields_free(&train_table, &config);
    return status;
}

static void test_guarded(void **state)
{
    (void)state;
    Listener listener;
    TrainReport plain, guarded;
    listen(&listener, 0);
    assert_done(run("plain", false, false, &listener, &plain));
    assert_int_equal(listener.reports, 8 * 3);
    assert_non_null(strstr(listener.said, "8 steps of 80 tokens"));
    assert_int_equal(plain.steps, 8);
    assert_int_equal(plain.tokens, 640);
    assert_true(isfinite(plain.best_loss) && plain.loss > 0 && plain.valid.tokens > 64);
    listen(&listener, 10);
    assert_refused(run("guarded", false, true, &listener, &guarded), LMU_INTERRUPTED, "saved. Go on with");
    listen(&listener, 0);
    assert_done(run("guarded", true, true, &listener, &guarded));
    assert_same_file("plain", "guarded", "last/model.safetensors");
    assert_same_file("plain", "guarded", "last/trainer.safetensors");
    assert_same_file("plain", "guarded", "best/model.safetensors");
    assert_true(plain.valid.nats == guarded.valid.nats && plain.best_loss == guarded.best_loss);
}

/* Behind a stable rate, a run with a larger budget may become one with a smaller, to the bit; where it stops, nothing is evaluated. */
static void check_trunk(OptimiserKind kind)
{
    Listener listener;
    TrainReport report;
    listen(&listener, 0);
    directory_remove(scratch_path("short"));
    directory_remove(scratch_path("trunk"));
    optimiser = kind;
    schedule = SCHEDULE_WSD;
    assert_done(run("short", false, false, &listener, &report));
    steps = 40;
    until = 6;
    assert_done(run("trunk", false, false, &listener, &report));
    assert_int_equal(report.steps, 6);
    assert_true(report.valid.tokens < 128); /* that of steps 3 and 6, as asked; not the whole text */
    steps = until = 8;
    assert_done(run("trunk", true, false, &listener, &report));
    assert_same_file("short", "trunk", "last/model.safetensors");
    assert_same_file("short", "trunk", "last/trainer.safetensors");
    until = 0;
    schedule = SCHEDULE_COSINE;
    optimiser = OPTIMISER_ADAMW;
}

static void test_trunk(void **state)
{
    (void)state;
    check_trunk(OPTIMISER_ADAMW);
    check_trunk(OPTIMISER_MUON);
}

/* A model that is loaded and evaluated with every page locked but inside kernels. */
static void test_guarded_evaluation(void **state)
{
    (void)state;
    Backend *backend;
    char *directory;
    Model *model;
    Shard text;
    assert_done(backend_open(BACKEND_CPU, 1, true, &backend));
    assert_done(checkpoint_find(scratch_path("plain"), &directory));
    assert_done(model_load(backend, directory, &model));
    assert_done(shard_open(scratch_path("corpus/valid.bin"), &text));
    const EvalCut cuts[] = {
        {.context = 16, .stride = 16}, {.context = 16, .stride = 4}, {.context = 16, .stride = 16, .carry = 1}};
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        Evaluator evaluator;
        EvalResult result, part[5] = {{0}}, sum = {0};
        EvalCut cut = cuts[i];
        cut.part = part;
        cut.parts = 5;
        assert_done(evaluator_open(model, &cut, &evaluator));
        assert_done(evaluator_run(&evaluator, &text, 0, NULL, NULL, &result));
        assert_int_equal(result.tokens, text.count - 1);
        assert_true(isfinite(eval_loss(&result)));
        for (int p = 0; p < 5; p++) {
            assert_true(part[p].tokens >= result.tokens / 5 - 16);
            sum.tokens += part[p].tokens;
            sum.nats += part[p].nats;
        }
        assert_true(sum.tokens == result.tokens && fabs(sum.nats - result.nats) < 1e-9 * result.nats);
        evaluator_close(&evaluator);
    }
    shard_close(&text);
    model_close(model);
    free(directory);
    backend_close(backend);
}

/* The n-gram table of a run is that of its windows, each counted once and in their order. */
static void test_counts(void **state)
{
    (void)state;
    enum { LENGTH = 16, SAMPLES = 8 * 5 };
    Backend *backend;
    Model *model;
    Shard text;
    Windows windows;
    void *counted;
    assert_done(backend_open(BACKEND_CPU, 1, false, &backend));
    assert_done(model_load(backend, scratch_path("plain/last"), &model));
    const Param *counts = params_find(model->params, "ngram.counts");
    assert_non_null(counts);
    NgramShape shape = {counts->shape[0], (counts->shape[2] - 1) / 2, counts->shape[1]};
    size_t bytes = (size_t)counts->size * backend->real_size;
    assert_done(backend_alloc(backend, bytes, &counted));
    assert_done(shard_open(scratch_path("corpus/train.bin"), &text));
    assert_done(windows_open(&text, LENGTH, 0, &windows));
    for (int64_t sample = 0; sample < SAMPLES; sample++) {
        int32_t window[LENGTH + 1];
        int64_t offset[] = {0, LENGTH}, none = 0, chunk[] = {0, 1};
        Rows rows = {1, LENGTH, offset, &none, &none, &none, chunk};
        windows_read(&windows, sample, window);
        KERNEL(backend, ngram_note, &shape, &rows, window, counted);
    }
    assert_memory_equal(counted, real_at(backend, model->params->values, counts->offset), bytes);
    backend_free(backend, counted);
    shard_close(&text);
    model_close(model);
    backend_close(backend);
}

/* Stopped after a micro-batch, after a step, after the last step: resumed, and resumed once more, it is the unbroken run. */
static void test_stopped(void **state)
{
    (void)state;
    static const int places[] = {1, 3, 9, 23, 24};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        Listener listener;
        TrainReport report;
        listen(&listener, places[i]);
        directory_remove(scratch_path("stopped"));
        assert_refused(run("stopped", false, false, &listener, &report), LMU_INTERRUPTED, "interrupted at step");
        listen(&listener, 2);
        lmu_status status = run("stopped", true, false, &listener, &report);
        listen(&listener, 0);
        if (status == LMU_INTERRUPTED)
            status = run("stopped", true, false, &listener, &report);
        assert_done(status);
        assert_same_file("plain", "stopped", "last/model.safetensors");
        assert_same_file("plain", "stopped", "last/trainer.safetensors");
        assert_same_file("plain", "stopped", "best/model.safetensors");
    }
}

/* Evaluations along the way are silent; that of the whole text is not, and when it is stopped the run is complete. */
static void test_stopped_evaluation(void **state)
{
    (void)state;
    Listener listener;
    TrainReport report;
    listen(&listener, 0);
    listener.stop_evaluating = true;
    directory_remove(scratch_path("stopped"));
    assert_refused(run("stopped", false, false, &listener, &report), LMU_INTERRUPTED,
                   "training is complete and saved. Evaluate with: lmu eval ");
    assert_same_file("plain", "stopped", "last/model.safetensors");
    assert_same_file("plain", "stopped", "best/model.safetensors");
    listen(&listener, 0);
    assert_done(run("stopped", true, false, &listener, &report));
    assert_int_equal(listener.reports, 0);
    assert_true(report.valid.tokens > 64 && report.tokens_per_second == 0);
    assert_same_file("plain", "stopped", "last/trainer.safetensors");
}

/* Muon's momentum is kept as AdamW's moments are, and no run goes on from those of the other; matrices move when it is their turn. */
static void test_muon(void **state)
{
    (void)state;
    Listener listener;
    TrainReport plain, resumed;
    optimiser = OPTIMISER_MUON;
    listen(&listener, 0);
    assert_done(run("muon", false, false, &listener, &plain));
    listen(&listener, 10);
    assert_refused(run("muon_stopped", false, true, &listener, &resumed), LMU_INTERRUPTED, "saved. Go on with");
    optimiser = OPTIMISER_ADAMW;
    listen(&listener, 0);
    assert_refused(run("muon_stopped", true, false, &listener, &resumed), LMU_USAGE,
                   "--optimizer adamw: the run has muon");
    optimiser = OPTIMISER_MUON;
    assert_refused(run("plain", true, false, &listener, &resumed), LMU_USAGE, "--optimizer muon: the run has adamw");
    assert_done(run("muon_stopped", true, true, &listener, &resumed));
    optimiser = OPTIMISER_ADAMW;
    assert_same_file("muon", "muon_stopped", "last/model.safetensors");
    assert_same_file("muon", "muon_stopped", "last/trainer.safetensors");
    assert_true(plain.valid.nats == resumed.valid.nats);
}

static int setup(void **state)
{
    if (scratch_open(state) != 0)
        return -1;
    make_corpus();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_guarded), cmocka_unit_test(test_trunk),   cmocka_unit_test(test_guarded_evaluation),
        cmocka_unit_test(test_counts),  cmocka_unit_test(test_stopped), cmocka_unit_test(test_stopped_evaluation),
        cmocka_unit_test(test_muon),
    };
    return cmocka_run_group_tests(tests, setup, scratch_close);
}
