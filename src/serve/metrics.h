/* What the server counts, in Prometheus' text format (0.0.4). All of it may be counted and written by any thread. */
#ifndef LMU_SERVE_METRICS_H
#define LMU_SERVE_METRICS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "serve/byte_queue.h"

#define METRIC_ROUTES 16
#define METRIC_CODES 16
#define METRIC_BUCKETS 16

typedef struct Histogram {
    atomic_uint_fast64_t bucket[METRIC_BUCKETS + 1]; /* each by itself; the last is beyond all bounds */
    atomic_uint_fast64_t nanoseconds;
} Histogram;

typedef struct Metrics {
    const char *route[METRIC_ROUTES]; /* names, set before the first request; NULL ends */
    atomic_uint_fast64_t request[METRIC_ROUTES][METRIC_CODES];
    atomic_uint_fast64_t tokens_read, tokens_cached, tokens_written;
    atomic_uint_fast64_t cache_hits, cache_misses, cache_evictions;
    atomic_size_t cache_bytes, cache_entries;
    atomic_size_t streams, queued, connections;
    atomic_uint_fast64_t steps;
    Histogram first_token, next_token; /* seconds from a request's arrival to a text's first token, and between two */
} Metrics;

void metrics_request(Metrics *metrics, size_t route, unsigned code);
void histogram_note(Histogram *histogram, double seconds);
lmu_status metrics_write(Metrics *metrics, ByteQueue *out);

#endif
