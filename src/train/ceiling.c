/* The product ceiling: what the machine's best product of matrices reaches, against which the use of FLOPs is stated. */
#include <stdlib.h>

#include "base/memory.h"
#include "kernel/kernels.h"
#include "train/trainer_internal.h"

enum { M = CEILING_M, N = CEILING_N, K = CEILING_K };

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

double seconds_median(double *seconds, int count)
{
    qsort(seconds, (size_t)count, sizeof *seconds, by_value);
    return seconds[count / 2];
}

/* Numbers into `to`, as operands of the product; `scratch` holds them in float on the way. */
static void ceiling_operand(Backend *backend, int64_t count, const float *numbers, Real *scratch, Real *to)
{
    bool rounded = backend->compute == COMPUTE_BF16;
    KERNEL(backend, put_f32, count, numbers, rounded ? scratch : to);
    if (rounded)
        KERNEL(backend, to_bf16, count, scratch, (uint16_t *)to);
}

lmu_status product_ceiling(Backend *backend, double *flops)
{
    lmu_status status;
    float *numbers = NULL;
    Real *a = NULL, *b = NULL, *c = NULL;
    bool half = backend->compute == COMPUTE_BF16;
    Product product = {.transpose_b = true, .m = M, .n = N, .k = K};
    ATTEMPT(memory_new(&numbers, (size_t)M * K, sizeof *numbers, "a product"));
    ATTEMPT(backend_alloc(backend, (size_t)M * K * backend->real_size, &a));
    ATTEMPT(backend_alloc(backend, (size_t)N * K * backend->real_size, &b));
    ATTEMPT(backend_alloc(backend, (size_t)M * N * backend->real_size, &c));
    for (int i = 0; i < M * K; i++)
        numbers[i] = (float)((uint32_t)i * 2654435761u >> 8) * 0x1p-24f - 0.5f;
    ceiling_operand(backend, M * K, numbers, c, a);
    ceiling_operand(backend, N * K, numbers, c, b);
    double seconds[CEILING_RUNS], start = machine_seconds();
    int runs = 0;
    while (runs == 0 || (runs < CEILING_RUNS && machine_seconds() - start < (runs < 3 ? 2 : 0.25))) {
        double before = machine_seconds();
        KERNEL(backend, product, &product, (Array){a, half}, (Array){b, half}, NULL, array_of(c));
        seconds[runs++] = machine_seconds() - before;
    }
    *flops = 2.0 * M * N * K / seconds_median(seconds, runs);
done:
    backend_free(backend, a);
    backend_free(backend, b);
    backend_free(backend, c);
    free(numbers);
    return status;
}
