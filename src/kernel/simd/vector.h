/* Vectors of float, by the compiler's vector extension: one source for every instruction set. The build compiles the files of
 * this folder once per variant, with VARIANT (base, avx2, avx512) and LANES (4, 8, 16) defined. */
#ifndef LMU_KERNEL_SIMD_VECTOR_H
#define LMU_KERNEL_SIMD_VECTOR_H

#include <stdint.h>
#include <string.h>

#if LANES > 4
#include <immintrin.h>
#endif

typedef float vec __attribute__((vector_size(LANES * 4)));
typedef int32_t ivec __attribute__((vector_size(LANES * 4)));
typedef uint32_t uvec __attribute__((vector_size(LANES * 4)));

#define INLINE static inline __attribute__((always_inline))

#define VARIANT_JOIN(name, variant) name##_##variant
#define VARIANT_EXPAND(name, variant) VARIANT_JOIN(name, variant)
#define VARIANT_NAME(name) VARIANT_EXPAND(name, VARIANT)

INLINE vec load(const float *p)
{
    vec v;
    memcpy(&v, p, sizeof v);
    return v;
}

INLINE void store(float *p, vec v)
{
    memcpy(p, &v, sizeof v);
}

/* The first n < LANES numbers; the others are 0 (load) or left alone (store). */
INLINE vec load_part(const float *p, int64_t n)
{
#if LANES == 16
    return (vec)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
#else
    vec v = {0};
    memcpy(&v, p, (size_t)n * sizeof *p);
    return v;
#endif
}

INLINE void store_part(float *p, vec v, int64_t n)
{
#if LANES == 16
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v);
#else
    memcpy(p, &v, (size_t)n * sizeof *p);
#endif
}

INLINE vec splat(float x)
{
    return (vec){0} + x;
}

INLINE vec select_vec(ivec mask, vec yes, vec no)
{
    return (vec)((mask & (ivec)yes) | (~mask & (ivec)no));
}

/* Of two that do not compare, b. */
INLINE vec max_vec(vec a, vec b)
{
#if LANES == 16
    return (vec)_mm512_max_ps((__m512)a, (__m512)b);
#elif LANES == 8
    return (vec)_mm256_max_ps((__m256)a, (__m256)b);
#else
    return select_vec(a > b, a, b);
#endif
}

INLINE vec min_vec(vec a, vec b)
{
#if LANES == 16
    return (vec)_mm512_min_ps((__m512)a, (__m512)b);
#elif LANES == 8
    return (vec)_mm256_min_ps((__m256)a, (__m256)b);
#else
    return select_vec(a < b, a, b);
#endif
}

INLINE vec abs_vec(vec a)
{
    return (vec)((ivec)a & 0x7fffffff);
}

/* The lanes of a shuffle, spelled by a macro f(l, w) of the lane. */
#define FOUR_LANES(f, l, w) f(l, w), f((l) + 1, w), f((l) + 2, w), f((l) + 3, w)
#if LANES == 4
#define EVERY_LANE(f, w) FOUR_LANES(f, 0, w)
#elif LANES == 8
#define EVERY_LANE(f, w) FOUR_LANES(f, 0, w), FOUR_LANES(f, 4, w)
#else
#define EVERY_LANE(f, w) FOUR_LANES(f, 0, w), FOUR_LANES(f, 4, w), FOUR_LANES(f, 8, w), FOUR_LANES(f, 12, w)
#endif
#define SHUFFLE(a, b, lanes) __builtin_shufflevector(a, b, lanes)

#define LANE_AHEAD(l, w) (((l) + (w)) % LANES)
#define AHEAD(v, w) SHUFFLE(v, v, EVERY_LANE(LANE_AHEAD, w))

/* Pairwise, in a fixed order. */
INLINE float reduce_sum(vec v)
{
#if LANES > 8
    v += AHEAD(v, 8);
#endif
#if LANES > 4
    v += AHEAD(v, 4);
#endif
    v += AHEAD(v, 2);
    v += AHEAD(v, 1);
    return v[0];
}

/* Of two vectors of blocks of 2w lanes: the first and the second halves of the blocks, a's and b's in turn. */
#define FIRST_HALF(l, w) ((l) / (w) % 2 * LANES + (l) / (2 * (w)) * 2 * (w) + (l) % (w))
#define SECOND_HALF(l, w) (FIRST_HALF(l, w) + (w))
#define FOLD(a, b, w) (SHUFFLE(a, b, EVERY_LANE(FIRST_HALF, w)) + SHUFFLE(a, b, EVERY_LANE(SECOND_HALF, w)))

/* The sums of LANES vectors: lane i is that of v[i], and added up in the order of reduce_sum. v is destroyed. */
INLINE vec reduce_each(vec *v)
{
#if LANES > 8
    for (int i = 0; i < 8; i++)
        v[i] = FOLD(v[i], v[i + 8], 8);
#endif
#if LANES > 4
    for (int i = 0; i < 4; i++)
        v[i] = FOLD(v[i], v[i + 4], 4);
#endif
    for (int i = 0; i < 2; i++)
        v[i] = FOLD(v[i], v[i + 2], 2);
    return FOLD(v[0], v[1], 1);
}

INLINE float reduce_max(vec v)
{
#if LANES > 8
    v = max_vec(v, AHEAD(v, 8));
#endif
#if LANES > 4
    v = max_vec(v, AHEAD(v, 4));
#endif
    v = max_vec(v, AHEAD(v, 2));
    v = max_vec(v, AHEAD(v, 1));
    return v[0];
}

/* The bfloat16 of a number, rounded to nearest, ties to even; NaN stays NaN. */
INLINE uint16_t bf16_round(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16, quiet = bits >> 16 | 0x40;
    return (uint16_t)((bits & 0x7fffffff) > 0x7f800000 ? quiet : rounded);
}

/* exp(x) within 2 units in the last place for -87 <= x <= 88; below that it is 0 or tiny, above it is capped. Cody-Waite
 * reduction to |r| <= ln(2)/2 and a polynomial of degree 6 (Taylor coefficients with the last ones adjusted by the degree being
 * ample for float). NaN goes through. */
INLINE vec exp_vec(vec x)
{
    vec clamped = min_vec(max_vec(x, splat(-87.3f)), splat(88.3f));
    vec scaled = clamped * 1.44269504088896341f;
    vec magic = splat(12582912.0f); /* 1.5 * 2^23: adding it rounds to an integer in the low bits */
    vec rounded = (scaled + magic) - magic;
    vec r = clamped - rounded * 0.693359375f;
    r = r - rounded * -2.12194440e-4f;
    vec p = splat(1.0f / 5040);
    p = p * r + 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    ivec exponent = (__builtin_convertvector(rounded, ivec) + 127) << 23;
    vec result = p * (vec)exponent;
    result = select_vec(x < -87.3f, splat(0), result);
    return select_vec(x == x, result, x);
}

/* Phi(x), the standard normal distribution, and its density phi(x).
 *
 * With 16 lanes both come from a table of polynomials: the tail Phi(-|x|) is one of NORMAL_PIECES polynomials, whose coefficients a
 * register shuffle looks up, and phi its derivative (normal.c fits them; absolute error of Phi below 1e-7, of phi below 2e-7). Shuffles
 * of 8 lanes cost more than what they spare: there Phi(x) - 1/2 is x times a rational function of x^2, nearest in the maximum norm
 * (within 8e-9 up to NORMAL_END, and capped behind it), and phi takes an exponential. */
#if LANES == 16
#define NORMAL_PIECES 16
#define NORMAL_DEGREE 6
#define NORMAL_END 6.0f /* beyond it both are 0: they are below 1e-8 */
extern float VARIANT_NAME(normal_tail)[NORMAL_DEGREE + 1][NORMAL_PIECES];

INLINE vec normal_coefficient(int power, ivec piece)
{
    return (vec)_mm512_permutexvar_ps((__m512i)piece, (__m512)load(VARIANT_NAME(normal_tail)[power]));
}

INLINE void normal_vec(vec x, vec *distribution, vec *density)
{
    const float scale = NORMAL_PIECES / NORMAL_END;
    vec far = abs_vec(x) * scale, place = min_vec(far, splat(NORMAL_PIECES - 1e-5f));
    ivec piece = __builtin_convertvector(place, ivec);
    vec t = place - __builtin_convertvector(piece, vec) - 0.5f; /* -1/2 .. 1/2 in the piece */
    vec tail = normal_coefficient(NORMAL_DEGREE, piece), slope = splat(0);
#pragma GCC unroll 8
    for (int k = NORMAL_DEGREE - 1; k >= 0; k--) {
        slope = slope * t + tail;
        tail = tail * t + normal_coefficient(k, piece);
    }
    tail = select_vec(far < (float)NORMAL_PIECES, tail, splat(0));
    slope = select_vec(far < (float)NORMAL_PIECES, slope, splat(0));
    *distribution = select_vec(x < 0, tail, 1.0f - tail);
    *density = slope * -scale;
}
#else
#define NORMAL_END 5.5f /* 1/2 - Phi(-x) is 1/2 to within 2e-8 from there on */

INLINE void normal_vec(vec x, vec *distribution, vec *density)
{
    vec square = x * x, u = min_vec(square, splat(NORMAL_END * NORMAL_END));
    vec p = splat(2.27501317379e-8f), q = splat(1.19749765879e-6f);
    p = p * u + 6.35173087292e-6f;
    p = p * u + 1.68798108472e-4f;
    p = p * u + 4.67709227032e-3f;
    p = p * u + 3.38501493052e-2f;
    p = p * u + 0.398942234953f;
    q = q * u + 7.36376030988e-5f;
    q = q * u + 1.88429061246e-3f;
    q = q * u + 2.86444016975e-2f;
    q = q * u + 0.251515663432f;
    q = q * u + 1.0f;
    vec half = x * p / q;
    *distribution = 0.5f + max_vec(splat(-0.5f), min_vec(splat(0.5f), half)); /* NaN goes through */
    *density = exp_vec(-0.5f * square) * 0.39894228040143268f;
}
#endif

INLINE vec gelu_vec(vec x)
{
    vec distribution, density;
    normal_vec(x, &distribution, &density);
    return x * distribution;
}

/* gelu and its slope for results that are rounded to bfloat16 next: absolute errors below 2e-5 and 5e-4. The tail
 * T(a) = a Phi(-a) = relu(x) - gelu(x), a = |x|, is a cubic in each piece of width GELU_PIECE around its multiples. */
#define GELU_DEGREE 3
#define GELU_PIECE 0.3125f
#define GELU_END (15.5f * GELU_PIECE - 1e-5f) /* T(a) is below 4e-6 from there on and taken as T(GELU_END) */
#define GELU_PIECES 16
extern float VARIANT_NAME(gelu_tail)[GELU_DEGREE + 1][GELU_PIECES];

#if LANES == GELU_PIECES
INLINE vec gelu_coefficient(int power, ivec piece)
{
    return (vec)_mm512_permutexvar_ps((__m512i)piece, (__m512)load(VARIANT_NAME(gelu_tail)[power]));
}

INLINE vec gelu_near(vec x, vec *slope)
{
    vec a = min_vec(splat(GELU_END), abs_vec(x));
    ivec piece =
        (ivec)(a * (1 / GELU_PIECE) + 12582912.0f); /* 1.5 * 2^23: rounds, and leaves the piece in the low bits */
    vec c3 = gelu_coefficient(3, piece), second = c3 * a + gelu_coefficient(2, piece);
    vec first = second * a + gelu_coefficient(1, piece), tail = first * a + gelu_coefficient(0, piece);
    if (slope) {
        vec down = (c3 * a + second) * a + first;
        *slope = (vec)_mm512_mask_sub_ps((__m512)down, _mm512_cmp_ps_mask((__m512)x, (__m512)splat(0), _CMP_GT_OQ),
                                         (__m512)splat(1), (__m512)down);
    }
    return max_vec(splat(0), x) - tail; /* NaN goes through */
}
#else
INLINE vec gelu_near(vec x, vec *slope)
{
    vec distribution, density;
    normal_vec(x, &distribution, &density);
    if (slope)
        *slope = distribution + x * density;
    return x * distribution;
}
#endif

#endif
