/* Vectors of float, by the compiler's vector extension: one source for every instruction set. The build compiles the files of
 * this folder once per variant, with VARIANT (base, avx2, avx512) and LANES (4, 8, 16) defined. */
#ifndef LMU_KERNEL_SIMD_VECTOR_H
#define LMU_KERNEL_SIMD_VECTOR_H

#include <stdint.h>
#include <string.h>

typedef float vec __attribute__((vector_size(LANES * 4)));
typedef int32_t ivec __attribute__((vector_size(LANES * 4)));

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
    vec v = {0};
    memcpy(&v, p, (size_t)n * sizeof *p);
    return v;
}

INLINE void store_part(float *p, vec v, int64_t n)
{
    memcpy(p, &v, (size_t)n * sizeof *p);
}

INLINE vec splat(float x)
{
    return (vec){0} + x;
}

INLINE vec select_vec(ivec mask, vec yes, vec no)
{
    return (vec)((mask & (ivec)yes) | (~mask & (ivec)no));
}

INLINE vec max_vec(vec a, vec b)
{
    return select_vec(a > b, a, b);
}

INLINE vec min_vec(vec a, vec b)
{
    return select_vec(a < b, a, b);
}

INLINE vec abs_vec(vec a)
{
    return (vec)((ivec)a & 0x7fffffff);
}

INLINE float reduce_sum(vec v)
{
    float lane[LANES];
    memcpy(lane, &v, sizeof v);
    for (int half = LANES / 2; half > 0; half /= 2) /* pairwise, in a fixed order */
        for (int i = 0; i < half; i++)
            lane[i] += lane[i + half];
    return lane[0];
}

INLINE float reduce_max(vec v)
{
    float top = v[0];
    for (int i = 1; i < LANES; i++)
        top = v[i] > top ? v[i] : top;
    return top;
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

/* Phi(x), the standard normal distribution, and its density phi(x) from one exponential: Abramowitz & Stegun 7.1.26, absolute
 * error of Phi below 1e-7. */
INLINE void normal_vec(vec x, vec *distribution, vec *density)
{
    vec magnitude = abs_vec(x) * 0.70710678118654752f;
    vec t = 1.0f / (1.0f + 0.3275911f * magnitude);
    vec e = exp_vec(-magnitude * magnitude);
    vec p = splat(1.061405429f);
    p = p * t + -1.453152027f;
    p = p * t + 1.421413741f;
    p = p * t + -0.284496736f;
    p = p * t + 0.254829592f;
    vec tail = 0.5f * p * t * e; /* Phi(-|x|) */
    *distribution = select_vec(x < 0, tail, 1.0f - tail);
    *density = e * 0.39894228040143268f;
}

INLINE vec gelu_vec(vec x)
{
    vec distribution, density;
    normal_vec(x, &distribution, &density);
    return x * distribution;
}

#endif
