/* The identity of a run: a hash of everything that its result rests on. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/memory.h"
#include "study/planner.h"
#include "train/optimiser.h"

bool setting_stands_aside(const char *name)
{
    static const char *const aside[] = {
        "data",    "tokens", "time",        "seed",      "evaluate_every", "evaluate_tokens", "threads",
        "compute", "memory", "micro_batch", "recompute", "log_every",      "save_every"};
    for (size_t i = 0; i < sizeof aside / sizeof *aside; i++)
        if (strcmp(aside[i], name) == 0)
            return true;
    return false;
}

static lmu_status identity_fields(const FieldTable *table, const void *values, void *defaults, json_t *json)
{
    json_t *differing = json_object();
    lmu_status status = fields_differing(table, values, defaults, differing);
    for (size_t i = 0; i < table->count; i++)
        if (setting_stands_aside(table->fields[i].name))
            json_object_del(differing, table->fields[i].name);
    json_object_update(json, differing);
    json_decref(differing);
    return status;
}

/* What 0 comes to, and nothing where a matrix moves in every step, as it did before there was the setting. */
static void identity_interval(const TrainConfig *train, json_t *json)
{
    int64_t interval = optimiser_interval(train);
    json_object_del(json, "muon_interval");
    if (interval != 1)
        json_object_set_new(json, "muon_interval", json_integer(interval));
}

lmu_status cell_identify(Cell *cell, const StudyCorpus *corpus)
{
    TRY(memory_new(&cell->id, cell->budgets, sizeof *cell->id, "a study"));
    json_t *json = json_pack("{s:s, s:s, s:I}", "corpus", corpus->digest, "held_out", corpus->held_out, "seed",
                             (json_int_t)cell->seed);
    lmu_status status = LMU_OK;
    if (cell->order) {
        json_object_set_new(json, "ngram", json_integer(cell->order));
        json_object_set_new(json, "length", json_integer(cell->train.length));
    } else {
        ModelConfig model;
        TrainConfig train;
        json_object_set_new(json, "arch", json_string(cell->config.arch));
        ATTEMPT(identity_fields(&model_table, &cell->config, &model, json));
        ATTEMPT(identity_fields(&train_table, &cell->train, &train, json));
        identity_interval(&cell->train, json);
    }
    for (size_t i = 0; i < cell->budgets; i++) {
        char digest[DIGEST_SIZE];
        json_object_set_new(json, "tokens", json_integer(cell->budget[i]));
        char *text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
        if (!text) {
            status = error_set(LMU_MEMORY, "no memory for a study");
            goto done;
        }
        digest_text(text, strlen(text), digest);
        snprintf(cell->id[i], sizeof cell->id[i], "%.16s", digest);
        free(text);
    }
done:
    json_decref(json);
    return status;
}
