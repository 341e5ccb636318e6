/* What the tests of sessions share: the stored checkpoint opened on a backend. */
#ifndef TESTS_INFER_ENGINE_TESTING_H
#define TESTS_INFER_ENGINE_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "infer/engine.h"

#define GOLDEN "tests/golden/checkpoint"

typedef struct Opened {
    Backend *backend;
    Engine engine;
} Opened;

static inline void assert_done(lmu_status status)
{
    if (status != LMU_OK)
        fail_msg("status %d: %s", (int)status, lmu_error_message());
}

/* The call failed with this status, and its message holds this part. */
static inline void assert_refused(lmu_status got, lmu_status expected, const char *part)
{
    if (got != expected || !strstr(lmu_error_message(), part))
        fail_msg("status %d (expected %d): \"%s\" should hold \"%s\"", (int)got, (int)expected, lmu_error_message(),
                 part);
}

/* The same on bfloat16; in plain C if so asked, or where the CPU does not multiply it. */
static inline void opened_open_bf16(Opened *opened, bool plain)
{
    static Kernels table;
    *opened = (Opened){0};
    assert_done(backend_open(BACKEND_CPU, 2, false, &opened->backend));
    if (plain || backend_best_compute(opened->backend) != COMPUTE_BF16) {
        table = *opened->backend->kernels;
        kernels_simd_override(&table, ISA_BASE);
        opened->backend->kernels = &table;
        opened->backend->compute = COMPUTE_BF16;
    } else
        assert_done(backend_compute(opened->backend, COMPUTE_BF16));
    assert_done(engine_open(opened->backend, GOLDEN, &opened->engine));
}

static inline void opened_open(Opened *opened, BackendKind kind, bool guarded)
{
    *opened = (Opened){0};
    assert_done(backend_open(kind, 2, guarded, &opened->backend));
    assert_done(engine_open(opened->backend, GOLDEN, &opened->engine));
}

static inline void opened_close(Opened *opened)
{
    engine_close(&opened->engine);
    backend_close(opened->backend);
}

#endif
