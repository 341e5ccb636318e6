#include "kernel/backend.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/memory.h"
#include "kernel/fft.h"
#include "kernel/gemm.h"

#define HUGE_PAGE ((size_t)2 << 20) /* of x86-64, and of arm64 with small pages of 4 KiB */

struct BackendBlock {
    void *memory;
    size_t size; /* whole pages */
    BackendBlock *next;
};

/* The tables for this machine, by what products multiply: filled once, when the first backend opens. */
static Kernels kernels_cpu[2];

static const Kernels *cpu_kernels(MachineIsa isa)
{
    static MachineIsa filled = ISA_COUNT;
#pragma omp critical(lmu_kernels_cpu)
    if (filled != isa) {
        Kernels *table = &kernels_cpu[COMPUTE_F32];
        *table = kernels_reference_f32;
        kernels_onednn_override(table);
        kernels_fftw_override(table);
        if (isa > ISA_REFERENCE)
            kernels_simd_override(table, isa);
        kernels_cpu[COMPUTE_BF16] = *table;
        kernels_onednn_bf16_override(&kernels_cpu[COMPUTE_BF16]);
        kernels_bf16_override(&kernels_cpu[COMPUTE_BF16], isa);
        filled = isa;
    }
    return kernels_cpu;
}

lmu_status backend_open(BackendKind kind, int threads, bool guarded, Backend **out)
{
    Backend *backend;
    TRY(memory_new(&backend, 1, sizeof *backend, "a backend"));
    backend->threads = threads > 0 ? threads : machine_threads(NULL, 0);
    backend->guarded = guarded;
    backend->real_size = sizeof(float);
    switch (kind) {
    case BACKEND_CPU:
        backend->name = "cpu";
        backend->isa = machine_isa();
        backend->kernels = cpu_kernels(backend->isa);
        break;
    case BACKEND_REFERENCE:
        backend->name = "reference";
        backend->kernels = &kernels_reference_f32;
        break;
    case BACKEND_DOUBLE:
        backend->name = "double";
        backend->kernels = &kernels_reference_f64;
        backend->real_size = sizeof(double);
        break;
    }
    omp_set_num_threads(backend->threads); /* oneDNN follows it */
    *out = backend;
    return LMU_OK;
}

Compute backend_best_compute(const Backend *backend)
{
    return backend->isa >= ISA_AVX512BF16 && gemm_bf16_known() ? COMPUTE_BF16 : COMPUTE_F32;
}

lmu_status backend_compute(Backend *backend, Compute compute)
{
    bool cpu = backend->kernels >= kernels_cpu && backend->kernels <= &kernels_cpu[COMPUTE_BF16];
    if (compute == COMPUTE_BF16 && !cpu)
        return error_set(LMU_USAGE, "the %s backend multiplies its own type alone", backend->name);
    if (compute == COMPUTE_BF16 && backend_best_compute(backend) != COMPUTE_BF16)
        return error_set(LMU_USAGE, "this CPU (%s, kernels %s) does not multiply bfloat16: use float",
                         machine_cpu_name(), machine_isa_name(backend->isa));
    if (compute == COMPUTE_BF16 && !backend->gemm)
        TRY(gemm_cache_open(&backend->gemm));
    backend->compute = compute;
    if (cpu)
        backend->kernels = &kernels_cpu[compute];
    return LMU_OK;
}

lmu_status backend_choose_compute(Backend *backend, ComputeChoice choice)
{
    Compute compute = choice == COMPUTE_CHOICE_BF16 ? COMPUTE_BF16 : COMPUTE_F32;
    return backend_compute(backend, choice == COMPUTE_CHOICE_AUTO ? backend_best_compute(backend) : compute);
}

const char *backend_compute_name(const Backend *backend)
{
    return backend->compute == COMPUTE_BF16 ? "bfloat16" : "float";
}

void backend_close(Backend *backend)
{
    if (!backend)
        return;
    gemm_cache_close(backend->gemm);
    while (backend->blocks)
        backend_free(backend, backend->blocks->memory);
    free(backend);
}

/* Zeroed pages from a multiple of `alignment` on; NULL: none. `size` and `alignment` are whole pages. */
static void *map_pages(size_t size, size_t alignment, int protection)
{
    char *memory = mmap(NULL, size + alignment, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    size_t before = (alignment - (uintptr_t)memory % alignment) % alignment;
    if (before > 0)
        munmap(memory, before);
    munmap(memory + before + size, alignment - before);
    return memory + before;
}

lmu_status backend_alloc(Backend *backend, size_t bytes, void *out)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), size = (bytes / page + 1) * page;
    size_t alignment = size >= HUGE_PAGE ? HUGE_PAGE : page;
    BackendBlock *block;
    TRY(memory_new(&block, 1, sizeof *block, "a memory block"));
    if (bytes <= SIZE_MAX - page - alignment)
        block->memory = map_pages(size, alignment, backend->guarded ? PROT_NONE : PROT_READ | PROT_WRITE);
    if (!block->memory) {
        free(block);
        return error_set(LMU_MEMORY, "no memory for %zu bytes of tensors", bytes);
    }
    if (size >= HUGE_PAGE)
        madvise(block->memory, size, MADV_HUGEPAGE);
    block->size = size;
    block->next = backend->blocks;
    backend->blocks = block;
    backend->allocated += size;
    memcpy(out, &block->memory, sizeof(void *));
    return LMU_OK;
}

void backend_free(Backend *backend, void *memory)
{
    for (BackendBlock **link = &backend->blocks; memory && *link; link = &(*link)->next)
        if ((*link)->memory == memory) {
            BackendBlock *block = *link;
            *link = block->next;
            munmap(block->memory, block->size);
            backend->allocated -= block->size;
            free(block);
            return;
        }
}

lmu_status backend_reserve(Backend *backend, size_t bytes)
{
    if (bytes <= backend->workspace_size)
        return LMU_OK;
    void *larger;
    TRY(backend_alloc(backend, bytes, &larger));
    backend_free(backend, backend->workspace);
    backend->workspace = larger;
    backend->workspace_size = bytes;
    return LMU_OK;
}

static void backend_protect(Backend *backend, int protection)
{
    for (BackendBlock *block = backend->blocks; block; block = block->next)
        mprotect(block->memory, block->size, protection);
}

void backend_enter(Backend *backend)
{
    if (backend->guarded && backend->depth++ == 0)
        backend_protect(backend, PROT_READ | PROT_WRITE);
}

void backend_leave(Backend *backend)
{
    if (backend->guarded && --backend->depth == 0)
        backend_protect(backend, PROT_NONE);
}
