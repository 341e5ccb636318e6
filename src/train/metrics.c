/* metrics.jsonl: one object a line, appended as training goes. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "train/trainer_internal.h"

#define METRICS_LIMIT ((size_t)1 << 30)

static lmu_status metrics_path(const Trainer *t, char **path)
{
    return path_join(t->request->run, "metrics.jsonl", path);
}

/* Whether a line is whole and of a step, or an evaluation, that the resumed run has behind it. */
static bool line_stands(const Trainer *t, const char *line, size_t size)
{
    json_t *json = json_loadb(line, size, 0, NULL);
    const char *kind = json_string_value(json_object_get(json, "kind"));
    json_t *step = json_object_get(json, "step"), *whole = json_object_get(json, "whole");
    int64_t last = kind && strcmp(kind, "valid") == 0 ? t->at.evaluated : t->at.step;
    bool stands = json_is_integer(step) && json_integer_value(step) <= last && !json_is_true(whole);
    json_decref(json);
    return stands;
}

/* Rewrites the file of a resumed run without what comes after its checkpoint. */
static lmu_status metrics_trim(const Trainer *t, const char *path)
{
    char *text;
    size_t size, kept = 0;
    TRY(file_read(path, METRICS_LIMIT, &text, &size));
    for (size_t start = 0; start < size;) {
        const char *newline = memchr(text + start, '\n', size - start);
        size_t length = newline ? (size_t)(newline - text) + 1 - start : size - start;
        if (newline && line_stands(t, text + start, length)) {
            memmove(text + kept, text + start, length);
            kept += length;
        }
        start += length;
    }
    lmu_status status = file_write(path, text, kept);
    free(text);
    return status;
}

lmu_status metrics_begin(Trainer *t)
{
    char *path;
    TRY(metrics_path(t, &path));
    lmu_status status = LMU_OK;
    if (!t->request->resume)
        status = file_write(path, "", 0);
    else if (file_exists(path))
        status = metrics_trim(t, path);
    free(path);
    return status;
}

static lmu_status line_write(const char *path, const char *line)
{
    FILE *file = fopen(path, "a");
    bool written = file && fprintf(file, "%s\n", line) >= 0;
    if (file && fclose(file) != 0)
        written = false;
    return written ? LMU_OK : error_set(LMU_IO, "%s: cannot append a line: %s", path, strerror(errno));
}

static lmu_status metrics_append(const Trainer *t, json_t *json)
{
    char *path, *line = json ? json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(10)) : NULL;
    json_decref(json);
    if (!line)
        return error_set(LMU_MEMORY, "no memory for a line of metrics");
    lmu_status status = metrics_path(t, &path);
    if (status == LMU_OK) {
        status = line_write(path, line);
        free(path);
    }
    free(line);
    return status;
}

/* JSON has no NaN: a figure that is none is null. */
static json_t *figure(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

lmu_status metrics_train(Trainer *t, double tokens_per_second)
{
    double steps = (double)t->at.sum_steps;
    return metrics_append(
        t, json_pack("{s:s, s:I, s:I, s:f, s:f, s:f, s:f, s:f}", "kind", "train", "step", (json_int_t)t->at.step,
                     "tokens", (json_int_t)(t->at.step * trainer_step_tokens(t)), "loss", t->at.sum_loss / steps,
                     "gradient_norm", t->at.sum_norm / steps, "learning_rate", t->at.rate, "tokens_per_second",
                     tokens_per_second, "flop_use", tokens_per_second * t->flops_token / t->ceiling));
}

lmu_status metrics_valid(Trainer *t, const EvalResult *result, bool whole)
{
    return metrics_append(t,
                          json_pack("{s:s, s:I, s:I, s:I, s:b, s:o, s:o}", "kind", "valid", "step",
                                    (json_int_t)t->at.step, "tokens", (json_int_t)(t->at.step * trainer_step_tokens(t)),
                                    "scored", (json_int_t)result->tokens, "whole", (int)whole, "loss",
                                    figure(eval_loss(result)), "bits_per_byte", figure(eval_bits_per_byte(result))));
}
