#include "measure.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"

#define SECONDS 0.2 /* of one measurement */
#define LEAST 5     /* calls */
#define MOST 2000

lmu_status bench_apart(BenchRun *run, const BenchOptions *options, const char *name)
{
    int result = 0;
    fflush(stdout);
    pid_t child = fork();
    if (child < 0)
        return error_set(LMU_IO, "no process can be started for bench %s", name);
    if (child == 0) {
        lmu_status status = run(options);
        if (status != LMU_OK)
            fprintf(stderr, "bench_lmu %s: %s\n", name, lmu_error_message());
        fflush(stdout);
        _exit(status == LMU_OK ? 0 : 1);
    }
    if (waitpid(child, &result, 0) < 0 || result != 0)
        return error_set(LMU_USAGE, "bench %s failed", name);
    return LMU_OK;
}

lmu_status bench_backend(int64_t threads, ComputeChoice compute, Backend **out)
{
    TRY(backend_open(BACKEND_CPU, (int)threads, false, out));
    lmu_status status = backend_choose_compute(*out, compute);
    if (status != LMU_OK)
        backend_close(*out);
    return status;
}

lmu_status bench_config(const char *arch, int64_t vocabulary, int64_t dim, int64_t layers, int64_t order,
                        ModelConfig *out)
{
    TRY(model_config_init(out, arch));
    out->vocabulary = vocabulary;
    out->dim = dim;
    out->layers = layers;
    if (strcmp(arch, "lmu-paper") != 0) /* whose order is its own */
        out->order = order;
    return LMU_OK;
}

void bench_ids(int64_t count, int64_t vocabulary, int series, int32_t *ids)
{
    for (int64_t i = 0; i < count; i++)
        ids[i] = (int32_t)(((uint32_t)(2 * i + series) * 2654435761u >> 8) % (uint64_t)vocabulary);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, by_value);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

double cpu_seconds(void)
{
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

double measure(Work *work, void *context)
{
    double seconds[MOST], start = machine_seconds();
    size_t count = 0;
    work(context); /* warms up */
    while (count < MOST && (count < LEAST || machine_seconds() - start < SECONDS)) {
        double before = machine_seconds();
        work(context);
        seconds[count++] = machine_seconds() - before;
    }
    return median(seconds, count);
}

/* -- bandwidth -- */

#define PLACES 4 /* in memory that are read at once, which is faster than one */

typedef struct Traffic {
    int threads;
    size_t size; /* bytes a thread */
    char *from, *to;
    volatile uint64_t sum;
} Traffic;

static void read_work(void *context)
{
    Traffic *t = context;
    uint64_t all = 0;
#pragma omp parallel for num_threads(t->threads) schedule(static) reduction(+ : all)
    for (int thread = 0; thread < t->threads; thread++) {
        const uint64_t *from = (const uint64_t *)(t->from + (size_t)thread * t->size);
        size_t part = t->size / sizeof *from / PLACES;
        uint64_t sum[PLACES][8] = {{0}}; /* independent, so that no load waits for an addition */
        for (size_t i = 0; i + 8 <= part; i += 8)
            for (size_t place = 0; place < PLACES; place++)
                for (size_t lane = 0; lane < 8; lane++)
                    sum[place][lane] += from[place * part + i + lane];
        for (size_t lane = 0; lane < PLACES * 8; lane++)
            all += sum[lane / 8][lane % 8];
    }
    t->sum = all;
}

static void copy_work(void *context)
{
    Traffic *t = context;
#pragma omp parallel for num_threads(t->threads) schedule(static)
    for (int thread = 0; thread < t->threads; thread++)
        memcpy(t->to + (size_t)thread * t->size, t->from + (size_t)thread * t->size, t->size);
}

static lmu_status measure_traffic(Work *work, int threads, double bytes, double *seconds)
{
    Traffic t = {.threads = threads, .size = ((size_t)(bytes / threads) / 4096 + 1) * 4096};
    size_t all = t.size * (size_t)threads;
    TRY(memory_new(&t.from, all, 1, "bandwidth"));
    lmu_status status = memory_new(&t.to, all, 1, "bandwidth");
    if (status == LMU_OK) {
        memset(t.from, 1, all);
        memset(t.to, 1, all);
        *seconds = measure(work, &t) * bytes / (double)all;
    }
    free(t.from);
    free(t.to);
    return status;
}

lmu_status measure_read(int threads, double bytes, double *seconds)
{
    return measure_traffic(read_work, threads, bytes, seconds);
}

lmu_status measure_copy(int threads, double bytes, double *seconds)
{
    return measure_traffic(copy_work, threads, bytes / 2, seconds);
}

/* -- lines -- */

lmu_status bench_line(const Backend *backend, json_t *line)
{
    const char *compute = backend->compute == COMPUTE_BF16 ? "bf16" : "f32";
    if (!line || json_object_set_new(line, "compute", json_string(compute)) != 0 ||
        json_object_set_new(line, "threads", json_integer(backend->threads)) != 0 ||
        json_object_set_new(line, "isa", json_string(machine_isa_name(backend->isa))) != 0 ||
        json_object_set_new(line, "cpu", json_string(machine_cpu_name())) != 0)
        return error_set(LMU_MEMORY, "no memory for a line of figures");
    json_dumpf(line, stdout, JSON_COMPACT | JSON_REAL_PRECISION(5));
    putchar('\n');
    fflush(stdout);
    json_decref(line);
    return LMU_OK;
}
