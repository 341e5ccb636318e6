/* The identity of a run: a hash of everything that its result rests on. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/memory.h"
#include "study/planner.h"

/* Options that change nothing about what is learnt, or only its last bits, or stand in the identity by themselves. */
static const char *const aside[] = {"data",       "tokens",          "time",      "seed",    "micro_batch",
                                    "recompute",  "evaluate_every",  "threads",   "compute", "log_every",
                                    "save_every", "evaluate_tokens", "vocabulary"};

/* Adds the fields that are not at the table's default, so that options that come to the program later leave old identities alone. */
static lmu_status identity_fields(const FieldTable *table, const void *values, void *defaults, json_t *json)
{
    TRY(fields_init(table, defaults));
    for (size_t i = 0; i < table->count; i++) {
        const Field *field = &table->fields[i];
        char now[2048], then[2048];
        bool stands_aside = false;
        for (size_t k = 0; k < sizeof aside / sizeof *aside; k++)
            stands_aside |= strcmp(aside[k], field->name) == 0;
        field_format(field, values, now, sizeof now);
        field_format(field, defaults, then, sizeof then);
        if (!stands_aside && strcmp(now, then) != 0)
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
