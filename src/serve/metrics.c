#include "serve/metrics.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/machine.h"

/* Codes that are answered; what is none of them is counted as the last. */
static const unsigned codes[METRIC_CODES] = {200, 204, 400, 401, 403, 404, 405, 408,
                                             413, 415, 429, 431, 499, 500, 503, 0};

/* Upper bounds of the buckets, in seconds. */
static const double bounds[METRIC_BUCKETS] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                              0.25,   0.5,   1,      2.5,   5,    10,    30,   60};

void metrics_request(Metrics *metrics, size_t route, unsigned code)
{
    size_t i = 0;
    while (i + 1 < METRIC_CODES && codes[i] != code)
        i++;
    atomic_fetch_add(&metrics->request[route][i], 1);
}

void histogram_note(Histogram *histogram, double seconds)
{
    size_t i = 0;
    while (i < METRIC_BUCKETS && seconds > bounds[i])
        i++;
    atomic_fetch_add(&histogram->bucket[i], 1);
    atomic_fetch_add(&histogram->nanoseconds, (uint64_t)(seconds * 1e9));
}

static lmu_status put(ByteQueue *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
static lmu_status put(ByteQueue *out, const char *format, ...)
{
    char line[256];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    return bytes_put(out, line, size < (int)sizeof line ? (size_t)size : sizeof line - 1);
}

static lmu_status put_head(ByteQueue *out, const char *name, const char *type, const char *help)
{
    return put(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static lmu_status put_number(ByteQueue *out, const char *name, const char *type, const char *help, uint64_t value)
{
    TRY(put_head(out, name, type, help));
    return put(out, "%s %llu\n", name, (unsigned long long)value);
}

static lmu_status put_histogram(ByteQueue *out, const char *name, const char *help, Histogram *histogram)
{
    uint64_t sum = 0;
    TRY(put_head(out, name, "histogram", help));
    for (size_t i = 0; i < METRIC_BUCKETS; i++) {
        sum += atomic_load(&histogram->bucket[i]);
        TRY(put(out, "%s_bucket{le=\"%g\"} %llu\n", name, bounds[i], (unsigned long long)sum));
    }
    sum += atomic_load(&histogram->bucket[METRIC_BUCKETS]);
    TRY(put(out, "%s_bucket{le=\"+Inf\"} %llu\n", name, (unsigned long long)sum));
    TRY(put(out, "%s_sum %.9f\n", name, (double)atomic_load(&histogram->nanoseconds) * 1e-9));
    return put(out, "%s_count %llu\n", name, (unsigned long long)sum);
}

static lmu_status put_requests(ByteQueue *out, Metrics *metrics)
{
    TRY(put_head(out, "lmu_requests_total", "counter", "Requests answered, by route and HTTP status."));
    for (size_t r = 0; r < METRIC_ROUTES && metrics->route[r]; r++)
        for (size_t c = 0; c < METRIC_CODES; c++) {
            uint64_t count = atomic_load(&metrics->request[r][c]);
            if (count > 0)
                TRY(put(out, "lmu_requests_total{route=\"%s\",code=\"%u\"} %llu\n", metrics->route[r], codes[c],
                        (unsigned long long)count));
        }
    return LMU_OK;
}

lmu_status metrics_write(Metrics *m, ByteQueue *out)
{
    TRY(put_requests(out, m));
    TRY(put_number(out, "lmu_tokens_read_total", "counter", "Prompt tokens read by the model.", m->tokens_read));
    TRY(put_number(out, "lmu_tokens_cached_total", "counter", "Prompt tokens whose state was in the cache.",
                   m->tokens_cached));
    TRY(put_number(out, "lmu_tokens_written_total", "counter", "Tokens written.", m->tokens_written));
    TRY(put_number(out, "lmu_steps_total", "counter", "Steps of all running streams together.", m->steps));
    TRY(put_number(out, "lmu_streams_active", "gauge", "Texts being read or written.", m->streams));
    TRY(put_number(out, "lmu_requests_queued", "gauge", "Requests that wait for a stream.", m->queued));
    TRY(put_number(out, "lmu_connections", "gauge", "Open connections.", m->connections));
    TRY(put_number(out, "lmu_cache_hits_total", "counter", "States found in the cache.", m->cache_hits));
    TRY(put_number(out, "lmu_cache_misses_total", "counter", "States looked for and not found.", m->cache_misses));
    TRY(put_number(out, "lmu_cache_evictions_total", "counter", "States that had to go.", m->cache_evictions));
    TRY(put_number(out, "lmu_cache_bytes", "gauge", "Memory of the cache.", m->cache_bytes));
    TRY(put_number(out, "lmu_cache_entries", "gauge", "States in the cache.", m->cache_entries));
    TRY(put_number(out, "process_resident_memory_bytes", "gauge", "Resident memory.", (uint64_t)machine_resident()));
    TRY(put_histogram(out, "lmu_time_to_first_token_seconds", "From a request's arrival to a text's first token.",
                      &m->first_token));
    return put_histogram(out, "lmu_time_between_tokens_seconds", "Between two tokens of a text.", &m->next_token);
}
