/* Training with carried state: a lane's losses are those of its text read as one, and a run that is stopped goes on as if unbroken. */
#include <math.h>

#include "base/json.h"
#include "kernel/kernels.h"
#include "model/safetensors.h"
#include "text/windows.h"
#include "train/trainer.h"
#include "training.h"

enum { LENGTH = 32, LANES = 5 };

/* What of a run differs from test to test. */
typedef struct Options {
    const char *arch, *from;
    int64_t steps, context, window;
    double rate;
    bool carry, recompute, resume, guarded;
    bool measured; /* the machine is, which takes a while, and the outlook said */
    Progress *progress;
} Options;

static lmu_status train(const char *name, const Options *options)
{
    TrainConfig config = default_training();
    ModelConfig model = small_config(options->arch);
    TrainReport report;
    model.context = options->context ? options->context : 4096;
    model.window = options->window;
    config.data = strdup(scratch_path("corpus"));
    config.length = LENGTH;
    config.batch = LANES;
    config.micro_batch = 2;
    config.tokens = options->steps * LANES * LENGTH;
    config.learning_rate = options->rate;
    config.warmup = 0;
    config.evaluate_every = 1000;
    config.evaluate_tokens = 64;
    config.log_every = 1;
    config.threads = 1;
    config.compute = COMPUTE_CHOICE_F32;
    config.carry = options->carry;
    config.recompute = options->recompute;
    TrainRequest request = {.run = scratch_path(name),
                            .config = &config,
                            .model = &model,
                            .from = options->from,
                            .resume = options->resume,
                            .guarded = options->guarded,
                            .ceiling = options->measured ? 0 : 1e9,
                            .progress = options->progress};
    lmu_status status = train_run(&request, &report);
    model_config_free(&model);
    fields_free(&train_table, &config);
    return status;
}

/* The losses of a run's steps, from its metrics. */
static int read_losses(const char *name, double *losses, int most)
{
    char path[512], *text, *line, *rest;
    size_t size;
    int count = 0;
    snprintf(path, sizeof path, "%s/metrics.jsonl", scratch_path(name));
    assert_done(file_read(path, (size_t)1 << 20, &text, &size));
    for (rest = text; (line = strtok_r(rest, "\n", &rest));) {
        json_t *json = json_loads(line, 0, NULL);
        if (strcmp(json_string_value(json_object_get(json, "kind")), "train") == 0 && count < most)
            losses[count++] = json_real_value(json_object_get(json, "loss"));
        json_decref(json);
    }
    free(text);
    return count;
}

static void open_windows(Shard *shard, Windows *windows)
{
    assert_done(shard_open(scratch_path("corpus/train.bin"), shard));
    assert_done(windows_open_lanes(shard, LENGTH, LANES, 0, windows));
}

/* Adds to losses[step] the mean loss of each of a lane's windows in a pass: its text in one run from zero state, or window by
 * window, each from zero state. */
static void score_lane(Model *model, const Windows *windows, int64_t pass, int64_t lane, bool whole, double *losses)
{
    Graph *g;
    Tensor *loss;
    int64_t tokens = windows->steps * LENGTH, count = whole ? tokens : LENGTH;
    int32_t *text = calloc((size_t)tokens + 1, sizeof *text);
    float *each = calloc((size_t)tokens, sizeof *each);
    assert_true(text && each);
    shard_read(windows->shard, windows_offset(windows, pass * windows->count + lane), tokens + 1, text);
    assert_done(model_graph(model, GRAPH_SCORE, 1, count, 0, &g, &loss));
    for (int64_t start = 0; start < tokens; start += count) {
        Run run = {.rows = 1, .count = &count, .ids = text + start, .targets = text + start + 1};
        assert_done(graph_run(g, &run));
        graph_get_f32(g, loss, count, each + start);
    }
    for (int64_t i = 0; i < tokens; i++)
        losses[pass * windows->steps + i / LENGTH] += (double)each[i] / (LANES * LENGTH);
    graph_close(g);
    free(text);
    free(each);
}

static double worst_difference(const double *a, const double *b, int64_t count)
{
    double worst = 0;
    for (int64_t i = 0; i < count; i++)
        worst = fmax(worst, fabs(a[i] - b[i]));
    return worst;
}

/* With a learning rate of 0 a step's loss is that of its lanes' texts, each read as one from the start of the pass; and a
 * trained model tells it from that of windows read by themselves. */
static void check_losses(const char *arch, bool recompute)
{
    enum { MOST = 1000 };
    static double trained[MOST], carried[MOST], alone[MOST];
    Shard shard;
    Windows windows;
    Backend *backend;
    Model *model;
    memset(carried, 0, sizeof carried);
    memset(alone, 0, sizeof alone);
    open_windows(&shard, &windows);
    assert_in_range(windows.steps, 8, 100);
    int64_t steps = windows.steps + 3; /* into a second pass */
    directory_remove(scratch_path("start"));
    directory_remove(scratch_path("still"));
    assert_done(train("start", &(Options){.arch = arch, .steps = 40, .rate = 0.01}));
    assert_done(
        train("still",
              &(Options){
                  .arch = arch, .from = scratch_path("start"), .steps = steps, .carry = true, .recompute = recompute}));
    assert_int_equal(read_losses("still", trained, MOST), steps);
    assert_done(backend_open(BACKEND_CPU, 1, false, &backend));
    assert_done(model_load(backend, scratch_path("still/last"), &model));
    for (int64_t pass = 0; pass < 2; pass++)
        for (int64_t lane = 0; lane < LANES; lane++) {
            score_lane(model, &windows, pass, lane, true, carried);
            score_lane(model, &windows, pass, lane, false, alone);
        }
    double same = worst_difference(trained, carried, steps), other = worst_difference(trained, alone, steps);
    if (same > 1e-6 || other < 1e-4)
        fail_msg("%s: %g from losses of carried state, %g from those of windows alone", arch, same, other);
    model_close(model);
    backend_close(backend);
    shard_close(&shard);
}

static void losses_are_those_of_contiguous_text(void **state)
{
    (void)state;
    for (int i = 0; architectures[i]; i++)
        if (architectures[i]->causal)
            check_losses(architectures[i]->name, i % 2);
}

/* -- stopped and resumed -- */

/* Stopped within a step, behind one, at the end of a pass, in the next: the state that is kept is that of the last whole step. */
static void stopped_runs_go_on_as_if_unbroken(void **state)
{
    (void)state;
    Shard shard;
    Windows windows;
    open_windows(&shard, &windows);
    int64_t pass = windows.steps;
    shard_close(&shard);
    static const char *const files[] = {"last/model.safetensors", "last/trainer.safetensors", "last/state.safetensors",
                                        "best/model.safetensors"};
    static const char *const archs[] = {"lstm", "lmu-attention", "transformer"};
    static const int64_t windows_of[] = {0, 0, 20};
    for (int a = 0; a < 3; a++) {
        Options options = {.arch = archs[a], .window = windows_of[a], .steps = pass + 4, .rate = 0.003, .carry = true};
        directory_remove(scratch_path("unbroken"));
        assert_done(train("unbroken", &options));
        const int64_t places[] = {1, 2, 3, 10, 3 * pass - 1, 3 * pass, 3 * pass + 1, 3 * pass + 4};
        for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
            Listener listener;
            Options stopped = options;
            stopped.progress = &listener.progress;
            stopped.guarded = a == 1 && i == 1; /* which is slow */
            stopped.measured = i == 0;
            listen(&listener, (int)places[i]);
            directory_remove(scratch_path("stopped"));
            assert_refused(train("stopped", &stopped), LMU_INTERRUPTED, "interrupted at step");
            listen(&listener, 0);
            stopped.resume = true;
            stopped.recompute = i % 2;
            assert_done(train("stopped", &stopped));
            assert_true(!stopped.measured || strstr(listener.said, "\n5 lanes of "));
            for (size_t f = 0; f < sizeof files / sizeof *files; f++)
                assert_same_file("unbroken", "stopped", files[f]);
        }
    }
}

/* -- refusals -- */

static void a_bounded_state_is_refused_before_training(void **state)
{
    (void)state;
    static const char *const archs[] = {"transformer", "transformer-modern", "lmu-attention"};
    Shard shard;
    Windows windows;
    open_windows(&shard, &windows);
    int64_t lane = windows.steps * LENGTH;
    shard_close(&shard);
    for (int i = 0; i < 3; i++) {
        Options options = {.arch = archs[i], .steps = 1000, .context = lane - 1, .carry = true};
        assert_refused(train("bounded", &options), LMU_USAGE, "--carry: a lane goes on for ");
        assert_false(file_exists(scratch_path("bounded")));
        options.steps = 3; /* and one that is read to check the last checkpoint */
        options.context = 4 * LENGTH - 1;
        assert_refused(train("bounded", &options), LMU_USAGE, "--carry: a lane goes on for 128 tokens");
        options.context = 4 * LENGTH;
        assert_done(train("bounded", &options));
        directory_remove(scratch_path("bounded"));
        options.context = options.window = LENGTH / 2; /* which bounds nothing */
        assert_done(train("bounded", &options));
        directory_remove(scratch_path("bounded"));
    }
    Options passes = {.arch = "transformer", .steps = lane / LENGTH + 2, .context = lane, .carry = true};
    assert_done(train("bounded", &passes));
}

/* Writes one tensor into the state file of a run in the place of all that is there. */
static void write_state(const char *name, SafetensorsType type, int64_t rows, const void *data)
{
    SafetensorsTensor tensor = {.name = name, .type = type, .rank = 1, .shape = {rows}, .data = data};
    assert_done(safetensors_write(scratch_path("broken/last/state.safetensors"),
                                  &(SafetensorsContent){.tensors = &tensor, .count = 1}));
}

static void broken_states_are_refused(void **state)
{
    (void)state;
    static const char *const why =
        "the state that the lanes of this run carry cannot be read, without which it cannot go "
        "on; another run can start from its model (lmu train --from ";
    static const float numbers[LANES];
    char *path = scratch_path("broken/last/state.safetensors"), *kept = scratch_path("kept");
    Options options = {.arch = "lstm", .steps = 4, .carry = true}, resumed = options;
    resumed.resume = true;
    resumed.steps = 8;
    assert_done(train("broken", &options));
    assert_int_equal(rename(path, kept), 0);
    assert_refused(train("broken", &resumed), LMU_IO, why);
    assert_refused(train("broken", &resumed), LMU_IO, "state.safetensors: cannot open");
    write_state("state.0", SAFETENSORS_F32, LANES, numbers);
    assert_refused(train("broken", &resumed), LMU_MISMATCH,
                   "state.safetensors: tensor \"state.0\" is F32 (5); F32 (5, 32) is needed");
    assert_refused(train("broken", &resumed), LMU_MISMATCH, why);
    scratch_text("broken/last/state.safetensors", "nothing of the kind");
    assert_refused(train("broken", &resumed), LMU_FORMAT, why);
    /* That of another step. */
    options.steps = 3;
    assert_done(train("earlier", &options));
    assert_int_equal(rename(scratch_path("earlier/last/state.safetensors"), path), 0);
    assert_refused(train("broken", &resumed), LMU_MISMATCH,
                   "lane 0 stands at token 96; at step 4 of the run it is 128");
    assert_int_equal(rename(kept, path), 0);
    /* The order of the data is the run's. */
    resumed.carry = false;
    assert_refused(train("broken", &resumed), LMU_USAGE, "--no-carry: the run is one with carried state");
    resumed.carry = true;
    assert_done(train("broken", &resumed));
    options.carry = false;
    assert_done(train("shuffled", &options));
    assert_false(file_exists(scratch_path("shuffled/last/state.safetensors")));
    assert_refused(train("shuffled", &resumed), LMU_USAGE, "--carry: the run is one without carried state");
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
        cmocka_unit_test(losses_are_those_of_contiguous_text),
        cmocka_unit_test(stopped_runs_go_on_as_if_unbroken),
        cmocka_unit_test(a_bounded_state_is_refused_before_training),
        cmocka_unit_test(broken_states_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, scratch_close);
}
