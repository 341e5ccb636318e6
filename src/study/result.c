#include "study/result.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"

#define RESULTS_LIMIT ((size_t)1 << 30)

void result_free(Result *r)
{
    char **strings[] = {&r->id,      &r->grid,   &r->model, &r->size,   &r->optimizer,
                        &r->variant, &r->corpus, &r->cpu,   &r->compute};
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
        free(*strings[i]);
    json_decref(r->settings);
    memset(r, 0, sizeof *r);
}

void results_free(Results *results)
{
    for (size_t i = 0; i < results->count; i++)
        result_free(&results->list[i]);
    free(results->list);
    memset(results, 0, sizeof *results);
}

const Result *results_find(const Results *results, const char *id, const char *grid)
{
    for (size_t i = 0; i < results->count; i++)
        if (strcmp(results->list[i].id, id) == 0 && (!grid || strcmp(results->list[i].grid, grid) == 0))
            return &results->list[i];
    return NULL;
}

int64_t result_interval(const Result *result)
{
    const json_t *interval = json_object_get(result->settings, "muon_interval");
    return interval ? json_integer_value(interval) : 1;
}

/* -- reading -- */

static lmu_status get_text(const char *origin, const json_t *json, const char *key, char **out)
{
    const char *text;
    TRY(json_get_string(origin, json, key, &text));
    *out = strdup(text);
    return *out ? LMU_OK : error_set(LMU_MEMORY, "no memory for results");
}

static lmu_status get_positive(const char *origin, const json_t *json, const char *key, double *out)
{
    TRY(json_get_real(origin, json, key, out));
    return *out >= 0 ? LMU_OK : error_set(LMU_FORMAT, "%s: key \"%s\" is %g; it cannot be negative", origin, key, *out);
}

static lmu_status get_parts(const char *origin, const json_t *json, const char *key, double *out, int *count)
{
    const json_t *array = json_object_get(json, key);
    if (!json_is_array(array) || json_array_size(array) > RESULT_PARTS)
        return error_set(LMU_FORMAT, "%s: key \"%s\" must be an array of at most %d numbers", origin, key,
                         RESULT_PARTS);
    *count = (int)json_array_size(array);
    for (int i = 0; i < *count; i++) {
        const json_t *number = json_array_get(array, (size_t)i);
        out[i] = json_number_value(number);
        if (!json_is_number(number) || !(out[i] >= 0))
            return error_set(LMU_FORMAT, "%s: key \"%s\": number %d is none, or negative", origin, key, i + 1);
    }
    return LMU_OK;
}

static lmu_status result_numbers(const char *origin, const json_t *json, Result *r)
{
    int64_t threads;
    int bytes;
    TRY(json_get_integer(origin, json, "seed", 0, INT64_MAX, &r->seed));
    TRY(json_get_integer(origin, json, "budget", 1, INT64_MAX, &r->budget));
    TRY(json_get_integer(origin, json, "tokens", 1, INT64_MAX, &r->tokens));
    TRY(json_get_integer(origin, json, "width", 0, INT64_MAX, &r->width));
    TRY(json_get_integer(origin, json, "non_embedding", 0, INT64_MAX, &r->non_embedding));
    TRY(json_get_integer(origin, json, "parameters", 0, INT64_MAX, &r->parameters));
    TRY(json_get_integer(origin, json, "threads", 1, INT32_MAX, &threads));
    TRY(get_positive(origin, json, "flops_token", &r->flops_token));
    r->nats = r->bits_per_byte = INFINITY;
    if (!json_is_null(json_object_get(json, "nats"))) {
        TRY(get_positive(origin, json, "nats", &r->nats));
        TRY(get_positive(origin, json, "bits_per_byte", &r->bits_per_byte));
    }
    TRY(get_positive(origin, json, "seconds", &r->seconds));
    r->threads = (int)threads;
    r->carried = NAN;
    if (!json_is_null(json_object_get(json, "carried_bits_per_byte")))
        TRY(get_positive(origin, json, "carried_bits_per_byte", &r->carried));
    TRY(get_parts(origin, json, "part_nats", r->part_nats, &r->parts));
    TRY(get_parts(origin, json, "part_bytes", r->part_bytes, &bytes));
    if (bytes != r->parts)
        return error_set(LMU_FORMAT, "%s: %d \"part_nats\" and %d \"part_bytes\"; there must be as many", origin,
                         r->parts, bytes);
    return LMU_OK;
}

static lmu_status result_parse(const char *origin, const char *line, size_t size, Result *r)
{
    json_t *json, *settings;
    TRY(json_read_text(origin, line, size, &json));
    lmu_status status;
    ATTEMPT(get_text(origin, json, "id", &r->id));
    ATTEMPT(get_text(origin, json, "grid", &r->grid));
    ATTEMPT(get_text(origin, json, "model", &r->model));
    ATTEMPT(get_text(origin, json, "size", &r->size));
    ATTEMPT(get_text(origin, json, "optimizer", &r->optimizer));
    ATTEMPT(get_text(origin, json, "variant", &r->variant));
    ATTEMPT(get_text(origin, json, "corpus", &r->corpus));
    ATTEMPT(get_text(origin, json, "cpu", &r->cpu));
    ATTEMPT(get_text(origin, json, "compute", &r->compute));
    ATTEMPT(result_numbers(origin, json, r));
    ATTEMPT(json_get_object(origin, json, "settings", &settings));
    r->settings = json_incref(settings);
done:
    json_decref(json);
    return status;
}

static lmu_status results_add(Results *results, Result *r)
{
    TRY(memory_grow(&results->list, &results->capacity, results->count + 1, sizeof *results->list, "results"));
    results->list[results->count++] = *r;
    memset(r, 0, sizeof *r);
    return LMU_OK;
}

/* Drops the line of a run that a newer one follows, as where files were put together. */
static void results_drop(Results *results, const char *id, const char *grid)
{
    Result *old = (Result *)results_find(results, id, grid);
    if (!old)
        return;
    result_free(old);
    size_t behind = (size_t)(results->list + --results->count - old);
    memmove(old, old + 1, behind * sizeof *old);
}

lmu_status results_read(const char *path, Results *out)
{
    memset(out, 0, sizeof *out);
    if (!file_exists(path))
        return LMU_OK;
    char *text;
    size_t size;
    TRY(file_read(path, RESULTS_LIMIT, &text, &size));
    Result r = {0};
    lmu_status status = LMU_OK;
    size_t number = 1;
    if (strncmp(text, "{\"id\"", size < 5 ? size : 5) != 0) {
        status = error_set(LMU_FORMAT, "%s: holds something else than the results of a study", path);
        goto done;
    }
    for (const char *line = text, *end; (end = memchr(line, '\n', size - (size_t)(line - text)));
         line = end + 1, number++) {
        char origin[4200];
        snprintf(origin, sizeof origin, "%s:%zu", path, number);
        if (end == line)
            continue;
        ATTEMPT(result_parse(origin, line, (size_t)(end - line), &r));
        results_drop(out, r.id, r.grid);
        ATTEMPT(results_add(out, &r));
    }
done:
    result_free(&r);
    free(text);
    if (status != LMU_OK)
        results_free(out);
    return status;
}

/* -- writing -- */

/* JSON has no infinity: a figure that is none is null. */
static json_t *figure(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *numbers(const double *value, int count)
{
    json_t *array = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(array, json_real(value[i]));
    return array;
}

static json_t *result_to_json(const Result *r)
{
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:o, s:o, s:o, s:f, s:s, s:s, s:i, "
        "s:o, "
        "s:o, s:O}",
        "id", r->id, "grid", r->grid, "model", r->model, "size", r->size, "optimizer", r->optimizer, "variant",
        r->variant, "corpus", r->corpus, "seed", (json_int_t)r->seed, "budget", (json_int_t)r->budget, "tokens",
        (json_int_t)r->tokens, "width", (json_int_t)r->width, "non_embedding", (json_int_t)r->non_embedding,
        "parameters", (json_int_t)r->parameters, "flops_token", r->flops_token, "nats", figure(r->nats),
        "bits_per_byte", figure(r->bits_per_byte), "carried_bits_per_byte", figure(r->carried), "seconds", r->seconds,
        "cpu", r->cpu, "compute", r->compute, "threads", r->threads, "part_nats", numbers(r->part_nats, r->parts),
        "part_bytes", numbers(r->part_bytes, r->parts), "settings", r->settings);
}

/* What a killed process has left of a line is cut off, then the line is written and synced. */
static lmu_status line_append(const char *path, const char *line, size_t size)
{
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    off_t end = file < 0 ? -1 : lseek(file, 0, SEEK_END);
    char last = '\n';
    while (end > 0 && pread(file, &last, 1, end - 1) == 1 && last != '\n')
        end--;
    bool written =
        end >= 0 && ftruncate(file, end) == 0 && pwrite(file, line, size, end) == (ssize_t)size && fsync(file) == 0;
    int reason = errno;
    if (file >= 0)
        close(file);
    return written ? LMU_OK : error_set(LMU_IO, "%s: cannot append a result: %s", path, strerror(reason));
}

lmu_status results_append(Results *results, const char *path, Result *result)
{
    json_t *json = result_to_json(result);
    char *text = json ? json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(8)) : NULL;
    size_t size = text ? strlen(text) : 0;
    json_decref(json);
    if (!text)
        return error_set(LMU_MEMORY, "no memory for a result");
    text[size] = '\n'; /* in the place of the NUL */
    lmu_status status = line_append(path, text, size + 1);
    free(text);
    return status == LMU_OK ? results_add(results, result) : status;
}
