/* Backend: where tensors live and which kernels work on them.
 *
 * Tensor data is of the opaque type Real: only kernels, which know whether it is float or double, can look inside. Every
 * kernel is called through KERNEL(backend, name, arguments...), which lets a backend act around each call: the guarded
 * backends keep all tensor pages unreadable between calls, so that code that peeks dies at once.
 *
 * Three CPU backends stand here: `cpu` (float; oneDNN products and vector kernels chosen by the CPU's instruction set),
 * `reference` (float; plain C) and `double` (the same plain C compiled for double). */
#ifndef LMU_KERNEL_BACKEND_H
#define LMU_KERNEL_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/machine.h"

typedef struct Real Real;
typedef struct Backend Backend;
typedef struct Kernels Kernels;

typedef enum BackendKind { BACKEND_CPU, BACKEND_REFERENCE, BACKEND_DOUBLE } BackendKind;

/* Numbers in memory: Reals, or bfloat16 where `half` is set, which only the tables of COMPUTE_BF16 read and write. */
typedef struct Array {
    void *data;
    bool half;
} Array;

/* What products of matrices multiply; sums, parameters and everything else stay as they are. */
typedef enum Compute { COMPUTE_F32, COMPUTE_BF16 } Compute;

/* How models run their Legendre memories: fused with implicit attention, or all states first, by one of the forms of kernels.h. A
 * choice of time and memory alone, as Compute is: what a model computes is the same to rounding. */
typedef enum MemoryForm { MEMORY_FUSED, MEMORY_RECURRENT, MEMORY_CHUNKED, MEMORY_FFT } MemoryForm;
#define MEMORY_FORMS "fused|recurrent|chunked|fft"

typedef struct BackendBlock BackendBlock;
typedef struct GemmCache GemmCache;

struct Backend {
    const char *name;
    const Kernels *kernels;
    int threads;
    MachineIsa isa;
    Compute compute;   /* of products of matrices */
    MemoryForm memory; /* of models planned from now on */
    GemmCache *gemm;   /* compiled products; NULL while compute is COMPUTE_F32 */
    size_t real_size;  /* bytes of a Real: 4 or 8 */
    bool guarded;      /* pages are unreadable outside kernel calls */
    int depth;         /* of KERNEL calls, for the guard */
    void *workspace;   /* scratch for one kernel call at a time */
    size_t workspace_size;
    BackendBlock *blocks; /* all memory given out */
    size_t allocated;     /* bytes, workspace included */
};

/* `threads` 0 means machine_threads(). LMU_MEMORY if there is none. */
lmu_status backend_open(BackendKind kind, int threads, bool guarded, Backend **out);
/* Chooses what products multiply from now on, before graphs are planned. LMU_USAGE where COMPUTE_BF16 is unknown: on a CPU
 * without it, and on all backends but `cpu`. */
lmu_status backend_compute(Backend *backend, Compute compute);
/* COMPUTE_BF16 where the CPU multiplies bfloat16. */
Compute backend_best_compute(const Backend *backend);
/* The option --compute of the programs: COMPUTE_CHOICES in this order. Auto is backend_best_compute. */
typedef enum ComputeChoice { COMPUTE_CHOICE_AUTO, COMPUTE_CHOICE_F32, COMPUTE_CHOICE_BF16 } ComputeChoice;
#define COMPUTE_CHOICES "auto|f32|bf16"
lmu_status backend_choose_compute(Backend *backend, ComputeChoice choice);
const char *backend_compute_name(const Backend *backend); /* "float", "bfloat16" */
void backend_close(Backend *backend);                     /* accepts NULL; frees whatever is still allocated */

/* Zeroed memory aligned to a page. */
lmu_status backend_alloc(Backend *backend, size_t bytes, void *out);
void backend_free(Backend *backend, void *memory); /* accepts NULL */

/* Makes the scratch memory at least this large. Called while planning, never while running. */
lmu_status backend_reserve(Backend *backend, size_t bytes);

void backend_enter(Backend *backend);
void backend_leave(Backend *backend);

#define KERNEL(backend, name, ...)                                                                                     \
    do {                                                                                                               \
        backend_enter(backend);                                                                                        \
        (backend)->kernels->name((backend), __VA_ARGS__);                                                              \
        backend_leave(backend);                                                                                        \
    } while (0)

/* The address of element `index` of an array of Real. */
static inline Real *real_at(const Backend *backend, const Real *base, int64_t index)
{
    return (Real *)((char *)(uintptr_t)base + index * (int64_t)backend->real_size);
}

static inline Array array_of(const Real *base)
{
    return (Array){(void *)(uintptr_t)base, false};
}

/* An array from its element `index` on. */
static inline Array array_at(const Backend *backend, Array array, int64_t index)
{
    int64_t size = array.half ? (int64_t)sizeof(uint16_t) : (int64_t)backend->real_size;
    return (Array){(char *)array.data + index * size, array.half};
}

#endif
