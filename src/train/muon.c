/* Newton-Schulz iterations of degree 5: X <- (a I + b A + c A A) X with A = X X^T of the shorter side. A tall matrix keeps its layout:
 * A = X^T X, and X is multiplied from the right. What is made of A alone commutes, so that factors may be gathered before they are
 * multiplied with X. */
#include "train/muon.h"

#include <math.h>
#include <stdlib.h>

#include "base/memory.h"

#define TINY 1e-30 /* a momentum of a smaller norm is no direction, and makes no step */

/* Found as by Amsel et al. 2025 (Polar Express): each the best polynomial for where the one before leaves singular values of 0.012 to 1, which
 * come to 1 +- 0.25; smaller ones become 68 times what they were. All but the last are those of x / 1.05, because from a
 * value just past its interval, where rounding may put it, such a polynomial leads away. */
static const NewtonSchulz polar[] = {{7.6323, -20.1338, 13.4745}, {3.4047, -2.3235, 0.4207}, {2.6225, -1.9736, 0.4647}};
#define ITERATIONS ((int)(sizeof polar / sizeof *polar))

struct Muon {
    Backend *backend;
    Real *direction; /* [rows x columns] the Nesterov momentum, then the orthogonal matrix */
    Array x[2];      /* [rows x columns] iterates by turns */
    Array gram;      /* [least x least] A */
    Real *square;    /* [least x least] A A */
    Array factor[2]; /* [least x least] a I + b A + c A A */
    Array between;   /* [least x least] products of the two above */
};

static int64_t least_side(const Param *param)
{
    return param->shape[0] < param->shape[1] ? param->shape[0] : param->shape[1];
}

static int64_t greatest_side(const Param *param)
{
    return param->shape[0] > param->shape[1] ? param->shape[0] : param->shape[1];
}

/* One of the maps that a matrix holds, as a parameter of its own. */
static Param map_of(const Param *param, int64_t map)
{
    Param one = *param;
    one.shape[0] /= param->maps;
    one.size /= param->maps;
    one.offset += map * one.size;
    return one;
}

bool muon_moves(const Param *param)
{
    return (param->role == PARAM_MATRIX || param->role == PARAM_BRANCH) && param->rank == 2;
}

void muon_close(Muon *muon)
{
    if (!muon)
        return;
    void *const memory[] = {muon->direction, muon->square,         muon->x[0].data,      muon->x[1].data,
                            muon->gram.data, muon->factor[0].data, muon->factor[1].data, muon->between.data};
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
        backend_free(muon->backend, memory[i]);
    free(muon);
}

static lmu_status open_array(Backend *backend, int64_t numbers, Array *out)
{
    out->half = backend->compute == COMPUTE_BF16;
    size_t bytes = (size_t)numbers * (out->half ? sizeof(uint16_t) : backend->real_size);
    return backend_alloc(backend, bytes, &out->data);
}

static lmu_status reserve_memory(Muon *muon, const Params *params)
{
    Backend *b = muon->backend;
    int64_t size = 1, least = 1;
    for (size_t i = 0; i < params->count; i++) {
        if (!muon_moves(params->list[i]))
            continue;
        Param map = map_of(params->list[i], 0);
        int64_t n = least_side(&map);
        size = map.size > size ? map.size : size;
        least = n > least ? n : least;
        TRY(backend_reserve(b, b->kernels->product_workspace(b, n, greatest_side(&map), n)));
    }
    TRY(backend_alloc(b, (size_t)size * b->real_size, &muon->direction));
    TRY(backend_alloc(b, (size_t)(least * least) * b->real_size, &muon->square));
    TRY(open_array(b, size, &muon->x[0]));
    TRY(open_array(b, size, &muon->x[1]));
    TRY(open_array(b, least * least, &muon->gram));
    TRY(open_array(b, least * least, &muon->factor[0]));
    TRY(open_array(b, least * least, &muon->factor[1]));
    return open_array(b, least * least, &muon->between);
}

lmu_status muon_open(const Params *params, Muon **out)
{
    Muon *muon;
    TRY(memory_new(&muon, 1, sizeof *muon, "the optimiser"));
    muon->backend = params->backend;
    lmu_status status = reserve_memory(muon, params);
    if (status != LMU_OK)
        muon_close(muon);
    else
        *out = muon;
    return status;
}

/* The polynomial of X / s, with s the fourth root of |A A|_F, no less than the largest singular value of X and much nearer to it than
 * |X|_F: the range in which small ones grow begins that much lower, for the price of a norm. */
static NewtonSchulz rescaled(Muon *muon, int64_t n, NewtonSchulz p)
{
    double squares;
    KERNEL(muon->backend, sum_squares, n * n, muon->square, &squares);
    double s = squares > 0 ? pow(squares, 0.125) : 1;
    return (NewtonSchulz){p.a / s, p.b / pow(s, 3), p.c / pow(s, 5)};
}

/* a I + b A + c A A of gram A, of an iteration */
static void polynomial(Muon *muon, int64_t n, int iteration, Array factor)
{
    Backend *b = muon->backend;
    Product square = {.symmetric = true, .m = n, .n = n, .k = n};
    KERNEL(b, product, &square, muon->gram, muon->gram, NULL, array_of(muon->square));
    NewtonSchulz p = iteration > 0 ? polar[iteration] : rescaled(muon, n, polar[0]);
    KERNEL(b, newton_schulz, n, &p, muon->gram, muon->square, factor);
}

/* An iteration from x to y, or this and the next: with Q the first one's factor, the second has A' = Q A Q, so that the long side is
 * multiplied once for both. */
static void iterate(Muon *muon, const Param *param, int iteration, bool twice, Array x, Array y)
{
    Backend *b = muon->backend;
    int64_t rows = param->shape[0], columns = param->shape[1], n = least_side(param);
    bool tall = rows > columns;
    Product gram = {
        .transpose_a = tall, .transpose_b = !tall, .symmetric = true, .m = n, .n = n, .k = greatest_side(param)};
    Product small = {.symmetric = true, .m = n, .n = n, .k = n}, next = {.m = rows, .n = columns, .k = n};
    Array factor = muon->factor[0];
    KERNEL(b, product, &gram, x, x, NULL, muon->gram);
    polynomial(muon, n, iteration, muon->factor[0]);
    if (twice) {
        KERNEL(b, product, &small, muon->factor[0], muon->gram, NULL, muon->between);
        KERNEL(b, product, &small, muon->between, muon->factor[0], NULL, muon->gram);
        polynomial(muon, n, iteration + 1, muon->factor[1]);
        KERNEL(b, product, &small, muon->factor[1], muon->factor[0], NULL, factor = muon->between);
    }
    KERNEL(b, product, &next, tall ? x : factor, tall ? factor : x, NULL, y);
}

/* Whether two iterations in one take fewer operations: 4 n^2 k + 10 n^3 for 8 n^2 k + 4 n^3, symmetric products made whole. */
static bool by_twos(const Param *param)
{
    return 2 * greatest_side(param) > 3 * least_side(param);
}

/* direction becomes its nearest matrix of orthonormal rows or columns, about. */
static void orthogonalise(Muon *muon, const Param *param)
{
    Backend *b = muon->backend;
    double squares;
    KERNEL(b, sum_squares, param->size, muon->direction, &squares);
    double norm = sqrt(squares);
    KERNEL(b, scale, param->size, norm > TINY ? 1 / norm : 0, muon->direction);
    if (muon->x[0].half)
        KERNEL(b, to_bf16, param->size, muon->direction, muon->x[0].data);
    else
        KERNEL(b, copy, param->size, muon->direction, muon->x[0].data, false);
    Array x = muon->x[0], y = muon->x[1];
    for (int done = 0, next; done < ITERATIONS; done = next) {
        bool twice = by_twos(param) && done + 1 < ITERATIONS;
        next = done + (twice ? 2 : 1);
        iterate(muon, param, done, twice, x, next < ITERATIONS ? y : array_of(muon->direction));
        Array last = x;
        x = y;
        y = last;
    }
}

static void step_map(Muon *muon, Params *params, const Param *param, const MuonStep *step, bool moves)
{
    Backend *b = muon->backend;
    Real *gradient = real_at(b, params->gradients, param->offset);
    Real *momentum = real_at(b, params->first_moment, param->offset);
    KERNEL(b, momentum, param->size, step->momentum, step->gradient_scale, gradient, momentum, muon->direction);
    if (!moves)
        return;
    orthogonalise(muon, param);
    /* Liu et al. 2025, section 2.2: the root mean square of AdamW's updates, so that its rate and decay serve here too. */
    double size = 0.2 * sqrt((double)greatest_side(param)), rate = step->rate * (double)step->interval;
    KERNEL(b, descend, param->size, 1 - rate * step->decay, rate * size, muon->direction,
           real_at(b, params->values, param->offset));
}

void muon_step(Muon *muon, Params *params, const Param *param, const MuonStep *step)
{
    for (int64_t i = 0; i < param->maps; i++) {
        Param map = map_of(param, i);
        step_map(muon, params, &map, step, (step->turn + i) % step->interval == 0);
    }
}

double muon_flops(const Params *params)
{
    double flops = 0;
    for (size_t i = 0; i < params->count; i++)
        if (muon_moves(params->list[i])) {
            Param map = map_of(params->list[i], 0);
            double n = (double)least_side(&map), k = (double)greatest_side(&map);
            double one = 2 * n * n * (2 * k + n), two = 2 * n * n * (2 * k + 5 * n);
            flops += map.maps * (by_twos(&map) ? ITERATIONS / 2 * two + ITERATIONS % 2 * one : ITERATIONS * one);
        }
    return flops;
}
