/* The identity of a run: a hash of everything that its result rests on. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/memory.h"
#include "study/planner.h"

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

/* Adds the fields that are not at the table's default, so that options that come to the program later leave old identities alone. */
static lmu_status identity_fields(const FieldTable *table, const void *values, void *defaults, json_t *json)
{
    TRY(fields_init(table, defaults));
    for (size_t i = 0; i < table->count; i++) {
        const Field *field = &table->fields[i];
        char now[2048], then[2048];
        field_format(field, values, now, sizeof now);
        field_format(field, defaults, then, sizeof then);
        if (!setting_stands_aside(field->name) && strcmp(now, then) != 0)
            json_object_set_new(json, field->name, json_string(now));
    }
    fields_free(table, defaults);
    return LMU_OK;
}

lmu_status cell_identify(Cell *cell, const StudyCorpus *corpus)
{
    TRY(memory_new(&cell->id, cell->grid->budgets, sizeof *cell->id, "a study"));
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
    }
    for (size_t i = 0; i < cell->grid->budgets; i++) {
        char digest[DIGEST_SIZE];
        json_object_set_new(json, "tokens", json_integer(cell->grid->budget[i]));
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
