/* What a run will take, said before its first step. */
#include <stdlib.h>
#include <string.h>

#include "base/format.h"
#include "base/memory.h"
#include "base/random.h"
#include "train/trainer_internal.h"

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

lmu_status product_ceiling(Backend *backend, double *flops)
{
    enum { M = 4096, N = 1024, K = 1024, RUNS = 20 };
    lmu_status status;
    float *numbers = NULL;
    Real *a = NULL, *b = NULL, *c = NULL;
    ATTEMPT(memory_new(&numbers, (size_t)M * K, sizeof *numbers, "a product"));
    ATTEMPT(backend_alloc(backend, (size_t)M * K * backend->real_size, &a));
    ATTEMPT(backend_alloc(backend, (size_t)N * K * backend->real_size, &b));
    ATTEMPT(backend_alloc(backend, (size_t)M * N * backend->real_size, &c));
    for (int i = 0; i < M * K; i++)
        numbers[i] = (float)(random_uniform(1, (uint64_t)i) - 0.5);
    KERNEL(backend, put_f32, M * K, numbers, a);
    KERNEL(backend, put_f32, N * K, numbers, b);
    Product product = {.transpose_b = true, .m = M, .n = N, .k = K};
    double seconds[RUNS], start = machine_seconds();
    int runs = 0;
    while (runs < RUNS && (runs < 3 || machine_seconds() - start < 2)) {
        double before = machine_seconds();
        KERNEL(backend, product, &product, a, b, NULL, c);
        seconds[runs++] = machine_seconds() - before;
    }
    qsort(seconds, (size_t)runs, sizeof *seconds, by_value);
    *flops = 2.0 * M * N * K / seconds[runs / 2];
done:
    backend_free(backend, a);
    backend_free(backend, b);
    backend_free(backend, c);
    free(numbers);
    return status;
}

/* Seconds of one micro-batch: the second of two, whose results are thrown away. */
static lmu_status measure_micro_batch(Trainer *t, double *seconds)
{
    double loss = 0, before = 0;
    for (int i = 0; i < 2; i++) {
        before = machine_seconds();
        TRY(trainer_micro_batch(t, 0, t->micro, true, &loss));
    }
    *seconds = machine_seconds() - before;
    return LMU_OK;
}

lmu_status trainer_outlook(Trainer *t)
{
    char needed[32], there[32], duration[32], a[32], b[32], reason[128];
    double bytes = (double)t->backend->allocated + (double)machine_peak_resident();
    format_bytes(bytes, needed, sizeof needed);
    format_bytes((double)machine_memory(), there, sizeof there);
    if (bytes > (double)machine_memory())
        return error_set(LMU_MEMORY, "training would take %s of memory and %s are free: try a smaller --micro-batch, --length or --dim",
                         needed, there);
    machine_threads(reason, sizeof reason);
    progress_say(t->progress, "%d threads (%s), %s, kernels %s, %s", t->backend->threads,
                 t->config->threads ? "as asked" : reason, machine_cpu_name(), machine_isa_name(t->backend->isa), "float products by oneDNN");
    progress_say(t->progress, "model %s: %s parameters, %s without the embedding", t->model->arch->name,
                 format_count((double)params_total(t->model->params), a, sizeof a),
                 format_count((double)params_non_embedding(t->model->params), b, sizeof b));
    double micro;
    TRY(product_ceiling(t->backend, &t->ceiling));
    TRY(measure_micro_batch(t, &micro));
    double pass = (double)(t->windows.count * t->config->length);
    double steps = t->total_steps ? (double)(t->total_steps - t->step) : 0;
    double seconds = steps * (double)t->config->batch / t->micro * micro;
    if (t->config->time > 0 && (!t->total_steps || seconds > t->config->time - t->seconds))
        seconds = t->config->time - t->seconds;
    double tokens = seconds / micro * t->micro * (double)t->config->length;
    progress_say(t->progress, "expect %s of memory (%s free), %s of training, %.2f passes over %s tokens", needed, there,
                 format_duration(seconds, duration, sizeof duration), tokens / pass, format_count(pass, a, sizeof a));
    return LMU_OK;
}
