/* What an architecture is said to read of a configuration is what changes what it computes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "model/model.h"

#define LENGTH 24
#define VOCABULARY 20

static void done(lmu_status status)
{
    if (status != LMU_OK)
        fail_msg("status %d: %s", (int)status, lmu_error_message());
}

static const struct Change {
    const char *option, *value, *other; /* the other where an architecture has the first by default */
} changes[] = {{"dim", "32", NULL},
               {"layers", "1", NULL},
               {"order", "6", NULL},
               {"reduced", "3", NULL},
               {"theta", "5", NULL},
               {"theta_groups", "3,9", NULL},
               {"scaled", "true", NULL},
               {"memory_activation", "relu", NULL},
               {"memory_heads", "2", NULL},
               {"memory_scale", "learned", NULL},
               {"memory_projection", "false", NULL},
               {"init", "gpt2", NULL},
               {"norm", "none", NULL},
               {"feed_forward", "swiglu", NULL},
               {"feed_width", "2", NULL},
               {"attention", "rope", "plain"},
               {"attention_width", "0.25", NULL},
               {"induction", "true", "false"},
               {"heads", "4", NULL},
               {"window", "5", NULL},
               {"recall", "1", NULL},
               {"ngram_slots", "64", NULL}};

static void base_config(const char *arch, ModelConfig *config)
{
    done(model_config_init(config, arch));
    config->vocabulary = VOCABULARY;
    config->dim = 16;
    config->layers = 2;
    config->order = 4;
    config->reduced = 0;
    config->theta_groups.count = 0;
    done(fields_set(&model_table, config, "init", "uniform"));
}

/* Logits behind one text, and in front of them the numbers that the model has. */
static double *computed(Backend *b, const ModelConfig *config)
{
    Model *model;
    Graph *g;
    Tensor *result;
    int64_t count = LENGTH;
    int32_t ids[LENGTH];
    float logits[VOCABULARY];
    double *values = calloc(VOCABULARY + 1, sizeof *values);
    assert_non_null(values);
    done(model_create(b, config, 1, &model));
    done(model_graph(model, GRAPH_DECODE, 1, LENGTH, 0, &g, &result));
    for (int i = 0; i < LENGTH; i++)
        ids[i] = (int32_t)random_below(9, (uint64_t)i, VOCABULARY);
    done(graph_run(g, &(Run){.rows = 1, .count = &count, .ids = ids}));
    graph_get_f32(g, result, VOCABULARY, logits);
    values[0] = (double)model->params->length;
    for (int i = 0; i < VOCABULARY; i++)
        values[i + 1] = logits[i];
    graph_close(g);
    model_close(model);
    return values;
}

static void what_is_read_changes_it(void **state)
{
    (void)state;
    Backend *b;
    int wrong = 0;
    done(backend_open(BACKEND_CPU, 1, false, &b));
    for (int a = 0; architectures[a]; a++) {
        ModelConfig base, config;
        base_config(architectures[a]->name, &base);
        double *before = computed(b, &base);
        for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
            const Field *field = fields_find(&model_table, changes[i].option);
            char now[64];
            assert_non_null(field);
            field_format(field, &base, now, sizeof now);
            base_config(architectures[a]->name, &config);
            done(fields_set(&model_table, &config, field->name,
                            strcmp(now, changes[i].value) == 0 ? changes[i].other : changes[i].value));
            double *after = computed(b, &config);
            bool changed = memcmp(before, after, (VOCABULARY + 1) * sizeof *after) != 0;
            if (changed != model_config_reads(&base, field->name)) {
                print_error("%s: %s %s what it computes\n", base.arch, field->name,
                            changed ? "changes" : "changes nothing in");
                wrong++;
            }
            free(after);
            model_config_free(&config);
        }
        free(before);
        model_config_free(&base);
    }
    backend_close(b);
    assert_int_equal(wrong, 0);
}

/* Whoever adds an option to the model adds it above. */
static void every_option_is_tried(void **state)
{
    (void)state;
    for (size_t f = 0; f < model_table.count; f++) {
        const char *name = model_table.fields[f].name;
        bool tried = strcmp(name, "dropout") == 0 || strcmp(name, "context") == 0; /* of training, and of long texts */
        for (size_t i = 0; i < sizeof changes / sizeof *changes; i++)
            tried = tried || strcmp(changes[i].option, name) == 0;
        if (!tried)
            fail_msg("no change of %s is tried", name);
    }
}

static void readers_are_named(void **state)
{
    (void)state;
    char readers[256];
    model_option_readers("heads", readers, sizeof readers);
    assert_string_equal(readers, "lmu-attention, transformer, transformer-modern");
    model_option_readers("attention", readers, sizeof readers); /* and not attention_width's */
    assert_string_equal(readers, "lmu-attention");
}

/* Rotary positions turn pairs: heads that are left to the width are of an even number of channels. */
static void rotary_heads_have_pairs(void **state)
{
    (void)state;
    Backend *b;
    done(backend_open(BACKEND_CPU, 1, false, &b));
    for (int64_t dim = 4; dim <= 512; dim += 4) {
        ModelConfig config;
        Model *model;
        base_config("transformer-modern", &config);
        config.dim = dim;
        int64_t heads = model_config_heads(&config);
        assert_int_equal(dim % (2 * heads), 0);
        if (dim % 100 == 16) {
            done(model_open(b, &config, &model));
            model_close(model);
        }
        model_config_free(&config);
    }
    backend_close(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_is_read_changes_it),
                                       cmocka_unit_test(every_option_is_tried), cmocka_unit_test(readers_are_named),
                                       cmocka_unit_test(rotary_heads_have_pairs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
