/* What the tests of training share: a model and settings small enough to train in a moment. */
#ifndef LMU_TESTS_TRAIN_TRAINING_H
#define LMU_TESTS_TRAIN_TRAINING_H

#include "model/model.h"
#include "text/bpe_train.h"
#include "text/prepare.h"
#include "text/testing.h"
#include "train/config.h"

#define SMALL_VOCABULARY 23

/* Without a vocabulary, which is that of the text. */
static inline ModelConfig small_config(const char *arch)
{
    ModelConfig config;
    assert_done(model_config_init(&config, arch));
    config.dim = 16;
    config.layers = 2;
    config.order = 4;
    config.reduced = 0;
    config.theta = (RealList){.count = 1, .value = {8}};
    return config;
}

static inline Model *small_model(Backend *backend, const char *arch, uint64_t seed)
{
    ModelConfig config = small_config(arch);
    Model *model;
    config.vocabulary = SMALL_VOCABULARY;
    assert_done(model_create(backend, &config, seed, &model));
    model_config_free(&config);
    return model;
}

static inline TrainConfig default_training(void)
{
    TrainConfig config;
    assert_done(fields_init(&train_table, &config));
    return config;
}

/* A vector of a store's layout, on the host; freed by the caller. */
static inline double *vector_read(const Params *params, const Real *vector)
{
    double *values = calloc((size_t)params->length, sizeof *values);
    assert_non_null(values);
    KERNEL(params->backend, get_f64, params->length, vector, values);
    return values;
}

/* Sentences of a few words in a pseudorandom order, as documents of a prepared corpus, scratch "corpus". */
static inline void make_corpus(void)
{
    static const char *const words[] = {"river", "stone", "walks", "slowly", "under", "the", "old", "house"};
    char text[4096], *inputs[] = {scratch_path("text")};
    uint32_t random = 1;
    assert_done(directory_make(inputs[0]));
    for (int document = 0; document < 40; document++) {
        size_t used = 0;
        for (int i = 0; i < 120; i++) {
            random = random * 1664525 + 1013904223;
            used += (size_t)snprintf(text + used, sizeof text - used, "%s ", words[random >> 29]);
        }
        char name[32];
        snprintf(name, sizeof name, "text/%d.txt", document);
        scratch_text(name, text);
    }
    Tokenizer *tokenizer;
    PrepareResult result;
    assert_done(tokenizer_train(inputs, 1, 270, 1, NULL, &tokenizer));
    PrepareOptions options = {
        .inputs = inputs, .input_count = 1, .valid_fraction = 0.7, .threads = 1, .out = scratch_path("corpus")};
    assert_done(prepare_run(&options, tokenizer, NULL, &result));
    tokenizer_close(tokenizer);
}

/* Two runs in the scratch folder have the same file. */
static inline void assert_same_file(const char *a, const char *b, const char *name)
{
    char path[2][512], *data[2];
    size_t size[2];
    for (int i = 0; i < 2; i++) {
        snprintf(path[i], sizeof path[i], "%s/%s", scratch_path(i ? b : a), name);
        assert_done(file_read(path[i], (size_t)1 << 30, &data[i], &size[i]));
    }
    if (size[0] != size[1] || memcmp(data[0], data[1], size[0]) != 0)
        fail_msg("%s and %s differ", path[0], path[1]);
    free(data[0]);
    free(data[1]);
}

/* A Progress that asks to stop at its `stop_at`-th report (0: never) and remembers what was said. */
typedef struct Listener {
    Progress progress;
    atomic_int interrupt;
    int reports, stop_at;
    bool stop_evaluating; /* at the first report of an evaluation */
    char said[2048];
} Listener;

static inline void on_report(Progress *self, const char *stage, double done, double total, const char *unit,
                             const char *note)
{
    Listener *listener = (Listener *)self;
    (void)unit, (void)note;
    assert_true(total == 0 || done <= total);
    if (strcmp(stage, "train") == 0 && ++listener->reports == listener->stop_at)
        listener->interrupt = 1;
    if (strcmp(stage, "evaluating") == 0 && listener->stop_evaluating)
        listener->interrupt = 1;
}

static inline void on_say(Progress *self, const char *sentence)
{
    Listener *listener = (Listener *)self;
    size_t used = strlen(listener->said);
    snprintf(listener->said + used, sizeof listener->said - used, "%s\n", sentence);
}

static inline void listen(Listener *listener, int stop_at)
{
    *listener = (Listener){.progress = {on_report, on_say, NULL}, .stop_at = stop_at};
    listener->progress.interrupt = &listener->interrupt;
}

#endif
