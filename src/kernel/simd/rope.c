/* Rotary positions: a token a thread. */
#include <math.h>

#include "kernel/simd/array.h"

#define TURN 6.28318530717958647693
#define TERMS 12

/* Cosine and sine by Taylor's series in double on -pi .. pi, of which the terms left out are below 1e-13. An angle of a million turns
 * is still known to 1e-9 of a turn, far below what a float tells apart. */
INLINE void circle_point(double angle, float *cosine, float *sine)
{
    const double magic = 6755399441055744.0; /* 1.5 * 2^52: adding it rounds to an integer */
    double turns = angle * (1 / TURN);
    double x = (turns - ((turns + magic) - magic)) * TURN, square = x * x, c = 1, s = 1;
#pragma GCC unroll 12
    for (int k = TERMS; k > 0; k--) {
        c = 1 - c * square * (1.0 / (2 * k * (2 * k - 1)));
        s = 1 - s * square * (1.0 / (2 * k * (2 * k + 1)));
    }
    *cosine = (float)c;
    *sine = (float)(x * s);
}

static void rope_angles(Backend *b, int64_t n, int64_t pairs, const double *frequency, const int32_t *position,
                        Real *ANGLES)
{
    PARALLEL_FOR(64 * n * pairs)
    for (int64_t i = 0; i < n; i++) {
        float *cosine = (float *)ANGLES + 2 * i * pairs, *sine = cosine + pairs;
        double at = position[i];
#pragma omp simd
        for (int64_t j = 0; j < pairs; j++)
            circle_point(at * frequency[j], cosine + j, sine + j);
    }
}

/* sum over a head's e channels of a b */
INLINE float head_dot(Array a, Array b, int64_t at, int64_t e)
{
    vec total = {0};
    for (int64_t j = 0; j < e; j += LANES)
        total += array_load(a, at + j, lanes_left(e - j)) * array_load(b, at + j, lanes_left(e - j));
    return reduce_sum(total);
}

INLINE void move_values(Array from, Array to, int64_t at, int64_t d, bool add)
{
    if (!add && from.data == to.data)
        return;
    for (int64_t j = at; j < at + d; j += LANES) {
        int64_t lanes = lanes_left(at + d - j);
        vec v = array_load(from, j, lanes);
        array_store(to, j, lanes, add ? array_load(to, j, lanes) + v : v);
    }
}

static void rope(Backend *b, int64_t n, int64_t d, int64_t heads, double epsilon, Array x, const Real *ANGLES, Array y,
                 Real *RSTD)
{
    int64_t e = d / heads, pairs = e / 2;
    Array angles = array_of(ANGLES);
    PARALLEL_FOR(8 * n * d)
    for (int64_t i = 0; i < n; i++) {
        for (int64_t h = 0; h < 2 * heads; h++) { /* of the queries, then of the keys */
            int64_t at = i * 3 * d + h * e;
            float rstd = 1 / sqrtf(head_dot(x, x, at, e) / (float)e + (float)epsilon);
            for (int64_t j = 0; j < pairs; j += LANES) {
                int64_t lanes = lanes_left(pairs - j);
                vec cosine = array_load(angles, i * e + j, lanes), sine = array_load(angles, i * e + pairs + j, lanes);
                vec first = array_load(x, at + j, lanes) * rstd, second = array_load(x, at + pairs + j, lanes) * rstd;
                array_store(y, at + j, lanes, first * cosine - second * sine);
                array_store(y, at + pairs + j, lanes, first * sine + second * cosine);
            }
            ((float *)RSTD)[i * 2 * heads + h] = rstd;
        }
        move_values(x, y, i * 3 * d + 2 * d, d, false);
    }
}

INLINE void array_put(Array y, int64_t i, int64_t lanes, vec v, bool add)
{
    array_store(y, i, lanes, add ? array_load(y, i, lanes) + v : v);
}

static void rope_back(Backend *b, int64_t n, int64_t d, int64_t heads, Array y, const Real *ANGLES, const Real *RSTD,
                      Array dy, Array dx, bool add)
{
    int64_t e = d / heads, pairs = e / 2;
    Array angles = array_of(ANGLES);
    PARALLEL_FOR(8 * n * d)
    for (int64_t i = 0; i < n; i++) {
        for (int64_t h = 0; h < 2 * heads; h++) {
            int64_t at = i * 3 * d + h * e, other = at + pairs;
            float rstd = ((const float *)RSTD)[i * 2 * heads + h], along = head_dot(y, dy, at, e) / (float)e;
            for (int64_t j = 0; j < pairs; j += LANES) {
                int64_t lanes = lanes_left(pairs - j);
                vec cosine = array_load(angles, i * e + j, lanes), sine = array_load(angles, i * e + pairs + j, lanes);
                vec first = array_load(dy, at + j, lanes) - array_load(y, at + j, lanes) * along;
                vec second = array_load(dy, other + j, lanes) - array_load(y, other + j, lanes) * along;
                array_put(dx, at + j, lanes, rstd * (first * cosine + second * sine), add);
                array_put(dx, other + j, lanes, rstd * (second * cosine - first * sine), add);
            }
        }
        move_values(dy, dx, i * 3 * d + 2 * d, d, add);
    }
}

void VARIANT_NAME(simd_rope)(Kernels *table)
{
    table->rope_angles = rope_angles;
    table->rope = rope;
    table->rope_back = rope_back;
}
