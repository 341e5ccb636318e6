/* What the tests of training share: a model and settings small enough to train in a moment. */
#ifndef LMU_TESTS_TRAIN_TRAINING_H
#define LMU_TESTS_TRAIN_TRAINING_H

#include "model/model.h"
#include "text/testing.h"
#include "train/config.h"

#define SMALL_VOCABULARY 23

static inline ModelConfig small_config(const char *arch)
{
    ModelConfig config;
    assert_done(model_config_init(&config, arch));
    config.vocabulary = SMALL_VOCABULARY;
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

#endif
