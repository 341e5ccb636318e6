/* Activations on vectors: f(x) and f'(x). */
#ifndef LMU_KERNEL_SIMD_ACTIVATION_H
#define LMU_KERNEL_SIMD_ACTIVATION_H

#include <stdbool.h>

#include "kernel/kernels.h"
#include "kernel/simd/vector.h"

/* `near`: to within what bfloat16 can tell. */
INLINE vec value_vec(Activation kind, bool near, vec x)
{
    switch (kind) {
    case ACTIVATION_GELU:
        return near ? gelu_near(x, NULL) : gelu_vec(x);
    case ACTIVATION_RELU:
        return select_vec(x > 0, x, splat(0));
    case ACTIVATION_RELU2:
        return select_vec(x > 0, x * x, splat(0));
    case ACTIVATION_SILU:
        return x / (1.0f + exp_vec(-x));
    case ACTIVATION_NONE:
        return x;
    }
    return x;
}

INLINE vec slope_vec(Activation kind, bool near, vec x)
{
    vec distribution, density, sigmoid;
    switch (kind) {
    case ACTIVATION_GELU:
        if (near) {
            gelu_near(x, &density);
            return density;
        }
        normal_vec(x, &distribution, &density);
        return distribution + x * density;
    case ACTIVATION_RELU:
        return select_vec(x > 0, splat(1), splat(0));
    case ACTIVATION_RELU2:
        return select_vec(x > 0, 2.0f * x, splat(0));
    case ACTIVATION_SILU:
        sigmoid = 1.0f / (1.0f + exp_vec(-x));
        return sigmoid * (1.0f + x * (1.0f - sigmoid));
    case ACTIVATION_NONE:
        return splat(1);
    }
    return x;
}

/* Value and slope at once. */
INLINE vec value_and_slope_vec(Activation kind, bool near, vec x, vec *slope)
{
    vec distribution, density;
    if (kind != ACTIVATION_GELU) {
        *slope = slope_vec(kind, near, x);
        return value_vec(kind, near, x);
    }
    if (near)
        return gelu_near(x, slope);
    normal_vec(x, &distribution, &density);
    *slope = distribution + x * density;
    return x * distribution;
}

/* Calls a macro with the kind as a constant, so that the choice is made outside of loops. */
#define BY_ACTIVATION(kind, call)                                                                                      \
    switch (kind) {                                                                                                    \
    case ACTIVATION_GELU:                                                                                              \
        call(ACTIVATION_GELU);                                                                                         \
        break;                                                                                                         \
    case ACTIVATION_RELU:                                                                                              \
        call(ACTIVATION_RELU);                                                                                         \
        break;                                                                                                         \
    case ACTIVATION_RELU2:                                                                                             \
        call(ACTIVATION_RELU2);                                                                                        \
        break;                                                                                                         \
    case ACTIVATION_SILU:                                                                                              \
        call(ACTIVATION_SILU);                                                                                         \
        break;                                                                                                         \
    case ACTIVATION_NONE:                                                                                              \
        call(ACTIVATION_NONE);                                                                                         \
        break;                                                                                                         \
    }

#endif
