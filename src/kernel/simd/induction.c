/* Queries, and keys one token late: a token a thread. */
#include "kernel/simd/array.h"

/* to [d] at `place` (+)= from at `a`, and from at `b` where that is not negative */
INLINE void put_sum(Array from, int64_t a, int64_t b, Array to, int64_t place, int64_t d, bool add)
{
    for (int64_t j = 0; j < d; j += LANES) {
        int64_t lanes = lanes_left(d - j);
        vec sum = array_load(from, a + j, lanes);
        if (b >= 0)
            sum += array_load(from, b + j, lanes);
        array_store(to, place + j, lanes, add ? array_load(to, place + j, lanes) + sum : sum);
    }
}

INLINE void copy_numbers(Array from, int64_t at, Array to, int64_t place, int64_t d)
{
    put_sum(from, at, -1, to, place, d, false);
}

INLINE void clear_numbers(Array to, int64_t place, int64_t d)
{
    for (int64_t j = 0; j < d; j += LANES)
        array_store(to, place + j, lanes_left(d - j), (vec){0});
}

static void induction(Backend *b, const Rows *rows, int64_t d, Array u, Real *STATE, Array y)
{
    for (int r = 0; r < rows->count; r++) {
        int64_t first = rows->offset[r], end = rows->offset[r + 1];
        Array state = array_of(STATE ? (Real *)((float *)STATE + rows->slot[r] * d) : NULL);
        PARALLEL_FOR(4 * (end - first) * d)
        for (int64_t i = first; i < end; i++) {
            int64_t z = i * 2 * d, q = i * 3 * d;
            copy_numbers(u, z, y, q, d);
            if (i > first)
                copy_numbers(u, z - 2 * d, y, q + d, d);
            else if (state.data)
                copy_numbers(state, 0, y, q + d, d);
            else
                clear_numbers(y, q + d, d);
            copy_numbers(u, z + d, y, q + 2 * d, d);
        }
        if (state.data && end > first)
            copy_numbers(u, (end - 1) * 2 * d, state, 0, d);
    }
}

static void induction_back(Backend *b, const Rows *rows, int64_t d, Array dy, Array du, bool add)
{
    for (int r = 0; r < rows->count; r++) {
        int64_t first = rows->offset[r], end = rows->offset[r + 1];
        PARALLEL_FOR(4 * (end - first) * d)
        for (int64_t i = first; i < end; i++) {
            int64_t z = i * 2 * d, q = i * 3 * d;
            put_sum(dy, q, i + 1 < end ? q + 4 * d : -1, du, z, d, add);
            put_sum(dy, q + 2 * d, -1, du, z + d, d, add);
        }
    }
}

void VARIANT_NAME(simd_induction)(Kernels *table)
{
    table->induction = induction;
    table->induction_back = induction_back;
}
