#include "cli/run_record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "kernel/backend.h"

#define MOST ((int64_t)1 << 40)

static lmu_status record_parse(RunRecord *record, const json_t *json)
{
    const char *origin = record->path, *cpu;
    json_t *options, *position;
    TRY(json_get_object(origin, json, "position", &position));
    TRY(json_get_integer(origin, position, "step", 0, MOST, &record->step));
    TRY(json_get_real(origin, position, "seconds", &record->seconds));
    TRY(json_get_string(origin, json, "cpu", &cpu));
    TRY(json_get_object(origin, json, "options", &options));
    TRY(json_get_integer(origin, options, "length", 1, 1 << 30, &record->length));
    TRY(json_get_integer(origin, options, "batch", 1, 1 << 30, &record->batch));
    TRY(json_get_integer(origin, options, "micro_batch", 0, 1 << 30, &record->micro_batch));
    const char *compute = json_string_value(json_object_get(options, "compute"));
    record->compute = !compute || strcmp(compute, "f32") == 0 ? COMPUTE_CHOICE_F32
                      : strcmp(compute, "bf16") == 0          ? COMPUTE_CHOICE_BF16
                                                              : COMPUTE_CHOICE_AUTO;
    const char *memory = json_string_value(json_object_get(options, "memory"));
    record->memory = !memory                            ? MEMORY_FUSED
                     : strcmp(memory, "recurrent") == 0 ? MEMORY_RECURRENT
                     : strcmp(memory, "chunked") == 0   ? MEMORY_CHUNKED
                     : strcmp(memory, "fft") == 0       ? MEMORY_FFT
                                                        : MEMORY_FUSED;
    record->recompute = json_is_true(json_object_get(options, "recompute")); /* older runs do not tell */
    record->micro_batch = record->micro_batch < record->batch ? record->micro_batch : record->batch;
    snprintf(record->cpu, sizeof record->cpu, "%s", cpu);
    if (__builtin_mul_overflow(record->step, record->batch, &record->tokens) ||
        __builtin_mul_overflow(record->tokens, record->length, &record->tokens))
        return error_set(LMU_FORMAT, "%s: steps, batch and length multiply to more than a number holds", origin);
    return LMU_OK;
}

lmu_status run_record_read(const char *run, RunRecord *out)
{
    static const char *const places[] = {"last/trainer.json", "trainer.json", "../last/trainer.json"};
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < sizeof places / sizeof *places && !out->found; i++) {
        free(out->path);
        TRY(path_join(run, places[i], &out->path));
        out->found = file_exists(out->path);
    }
    if (!out->found)
        return LMU_OK;
    json_t *json = NULL;
    lmu_status status = json_read_file(out->path, &json);
    if (status == LMU_OK)
        status = record_parse(out, json);
    json_decref(json);
    if (status != LMU_OK)
        run_record_free(out);
    return status;
}

void run_record_free(RunRecord *record)
{
    free(record->path);
    memset(record, 0, sizeof *record);
}
