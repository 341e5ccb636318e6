/* What the benches share: options, time, the machine's bandwidth, lines of figures. */
#ifndef LMU_BENCH_MEASURE_H
#define LMU_BENCH_MEASURE_H

#include <jansson.h>

#include "model/model.h"

typedef struct BenchOptions {
    StringList names; /* of benches; none: all */
    char *kernel;     /* only kernels whose names begin so; NULL: all */
    char *arch;       /* NULL: the standard sizes */
    int64_t vocabulary, length, batch, micro_batch, threads, steps, prefix;
    int compute; /* ComputeChoice */
    bool int8;   /* models that decode are rounded */
    char *save;  /* directory for the model, NULL: not saved */
    ModelConfig model;
} BenchOptions;

/* The benches. Each runs in a process of its own, so that its peak of memory is its own. */
typedef lmu_status BenchRun(const BenchOptions *options);
lmu_status bench_kernels(const BenchOptions *options);
lmu_status bench_train(const BenchOptions *options);
lmu_status bench_length(const BenchOptions *options);
lmu_status bench_decode(const BenchOptions *options);
lmu_status bench_memory(const BenchOptions *options);

/* Runs `run` in a child process; LMU_USAGE, with the child's message printed, if it fails. */
lmu_status bench_apart(BenchRun *run, const BenchOptions *options, const char *name);

/* `threads` 0: as many as this process may use. See backend_choose_compute. */
lmu_status bench_backend(int64_t threads, ComputeChoice compute, Backend **out);
/* A configuration of one architecture at a size; everything else by default. Release with model_config_free. */
lmu_status bench_config(const char *arch, int64_t vocabulary, int64_t dim, int64_t layers, int64_t order,
                        ModelConfig *out);
/* The ids of every bench and of the peers', [count]; series 0 for inputs, 1 for targets. */
void bench_ids(int64_t count, int64_t vocabulary, int series, int32_t *ids);

double median(double *values, size_t count); /* which are put in order */
double cpu_seconds(void);                    /* processor time of this process */

/* Calls `work` for a fifth of a second, five times at least; the median of their seconds. */
typedef void Work(void *context);
double measure(Work *work, void *context);
/* Seconds that `threads` need to read `bytes` bytes, and to copy so that `bytes` bytes are read and written together; again and
 * again in the same place, as a kernel whose operands stay in the cache. */
lmu_status measure_read(int threads, double bytes, double *seconds);
lmu_status measure_copy(int threads, double bytes, double *seconds);

/* Prints an object, taken over, as one line with the CPU's name, instruction set, threads and compute. */
lmu_status bench_line(const Backend *backend, json_t *line);

#endif
