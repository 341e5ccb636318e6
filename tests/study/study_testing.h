/* Runs that never were, for tests of what reads them. */
#ifndef LMU_STUDY_TESTING_H
#define LMU_STUDY_TESTING_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "study/result.h"

#define assert_near(actual, expected, relative)                                                                        \
    assert_true(fabs((double)(actual) - (double)(expected)) <= (relative)*fabs((double)(expected)))

static inline void must(lmu_status status)
{
    if (status != LMU_OK)
        fail_msg("%s", lmu_error_message());
}

/* A run of 8 parts of 1,000 bytes whose losses are around `bits`, each as far off as `spread` says. */
static inline Result *add_run(Results *results, const char *model, const char *size, int64_t budget, int64_t seed,
                              double bits, double spread)
{
    char id[32];
    must(memory_grow(&results->list, &results->capacity, results->count + 1, sizeof *results->list, "results"));
    Result *run = &results->list[results->count];
    snprintf(id, sizeof id, "run%zu", results->count++);
    *run = (Result){.id = strdup(id),
                    .grid = strdup("main"),
                    .model = strdup(model),
                    .size = strdup(size),
                    .optimizer = strdup("adamw"),
                    .variant = strdup(""),
                    .corpus = strdup("books"),
                    .seed = seed,
                    .budget = budget,
                    .tokens = budget,
                    .width = 64,
                    .non_embedding = 100000,
                    .parameters = 200000,
                    .flops_token = 6e5,
                    .nats = bits * 2,
                    .bits_per_byte = bits,
                    .carried = NAN,
                    .parts = 8,
                    .seconds = 1e-5 * (double)budget,
                    .cpu = strdup("cpu"),
                    .compute = strdup("f32"),
                    .threads = 1,
                    .settings = json_object()};
    for (int i = 0; i < 8; i++) {
        run->part_bytes[i] = 1000;
        run->part_nats[i] = 1000 * M_LN2 * bits * (1 + spread * ((i * 5 % 8) - 3.5) / 3.5);
    }
    return run;
}

#endif
