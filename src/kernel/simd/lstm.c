/* Long short-term memory, vectors along gates and hidden channels; the formulas stand in reference/lstm.h.
 *
 * Rows are shared among the threads in groups of ROWS. A group takes its steps together: one small product of its h_{t-1} with
 * R^T a step, in which every number is summed in the same order whatever the number of rows. The gradient of R is one large product
 * over all tokens at the end. Hidden channels are padded to whole vectors in scratch memory (Hp), with zeros. */
#include <omp.h>

#include "kernel/simd/array.h"
#include "kernel/simd/tile.h"

#define ROWS 8

static int64_t padded(int64_t h)
{
    return (h + LANES - 1) / LANES * LANES;
}

INLINE vec sigmoid(vec x)
{
    return 1.0f / (1.0f + exp_vec(-x));
}

INLINE vec tanh_vec(vec x)
{
    return 1.0f - 2.0f / (1.0f + exp_vec(2.0f * x));
}

/* One group's scratch memory, rows padded: of 4 gates each Hp, or of Hp. */
typedef struct Scratch {
    float *hidden; /* [ROWS x Hp] h_{t-1}; in the backward pass dh */
    float *cell;   /* [ROWS x Hp] c_{t-1}; in the backward pass its gradient */
    float *gate;   /* [ROWS x 4 Hp] */
} Scratch;

/* R in the layout of products, behind the groups': transposed [Hp x 4 Hp] in the forward pass, [4 Hp x Hp] in the backward. */
static int64_t recurrent_numbers(int64_t h)
{
    return 4 * padded(h) * padded(h);
}

static int64_t scratch_numbers(int64_t h)
{
    return 6 * ROWS * padded(h);
}

static Scratch scratch_lay(Backend *b, int64_t h)
{
    Scratch o;
    o.hidden = (float *)b->workspace + recurrent_numbers(h) + omp_get_thread_num() * scratch_numbers(h);
    o.cell = o.hidden + ROWS * padded(h);
    o.gate = o.cell + ROWS * padded(h);
    return o;
}

static size_t lstm_workspace(Backend *b, int64_t tokens, int64_t h)
{
    size_t own = (size_t)(recurrent_numbers(h) + b->threads * scratch_numbers(h) + tokens * (4 * h + h));
    return own * sizeof(float) + 64 + b->kernels->product_workspace(b, tokens, 4 * h, h);
}

/* The rows of a group that have a token at `step` of the run. */
static int group_rows(const Rows *rows, int first, int count, int64_t step, int *list)
{
    int found = 0;
    for (int r = first; r < first + count; r++)
        if (rows->offset[r] + step < rows->offset[r + 1])
            list[found++] = r;
    return found;
}

static int64_t group_steps(const Rows *rows, int first, int count)
{
    int64_t most = 0;
    for (int r = first; r < first + count; r++)
        if (rows->offset[r + 1] - rows->offset[r] > most)
            most = rows->offset[r + 1] - rows->offset[r];
    return most;
}

/* -- forward -- */

/* Gates, cell and output of one token from the sums R h_{t-1} in `sum` [4 Hp]. */
static void step_forward(int64_t h, const float *z, const float *sum, const float *cell_before, float *gate,
                         float *cell, float *y)
{
    int64_t hp = padded(h);
    for (int64_t j = 0; j < h; j += LANES) {
        int64_t n = lanes_left(h - j);
        vec i = sigmoid(load_part(z + j, n) + load(sum + j));
        vec f = sigmoid(load_part(z + h + j, n) + load(sum + hp + j) + 1.0f);
        vec g = tanh_vec(load_part(z + 2 * h + j, n) + load(sum + 2 * hp + j));
        vec o = sigmoid(load_part(z + 3 * h + j, n) + load(sum + 3 * hp + j));
        vec c = f * load_part(cell_before + j, n) + i * g;
        store_part(gate + j, i, n);
        store_part(gate + h + j, f, n);
        store_part(gate + 2 * h + j, g, n);
        store_part(gate + 3 * h + j, o, n);
        store_part(cell + j, c, n);
        store_part(y + j, o * tanh_vec(c), n);
    }
}

static void group_forward(const Rows *rows, int first, int count, int64_t h, const float *z, const float *recurrent,
                          const float *start, float *gates, float *cell, float *y, const Scratch *o)
{
    int64_t hp = padded(h), steps = group_steps(rows, first, count);
    int list[ROWS];
    memset(o->hidden, 0, (size_t)(ROWS * hp) * sizeof(float));
    for (int64_t step = 0; step < steps; step++) {
        int active = group_rows(rows, first, count, step, list);
        for (int k = 0; k < active; k++) {
            int64_t t = rows->offset[list[k]] + step;
            memcpy(o->hidden + k * hp, step ? y + (t - 1) * h : start + list[k] * 2 * h, (size_t)h * sizeof(float));
        }
        tile_product(active, 4 * hp, h, (TileOperand){o->hidden, hp, 1}, recurrent, 4 * hp, o->gate, 4 * hp, false);
        for (int k = 0; k < active; k++) {
            int64_t t = rows->offset[list[k]] + step;
            step_forward(h, z + t * 4 * h, o->gate + k * 4 * hp,
                         step ? cell + (t - 1) * h : start + list[k] * 2 * h + h, gates + t * 4 * h, cell + t * h,
                         y + t * h);
        }
    }
}

/* recurrent [Hp x 4 Hp]: R, from either of its forms, transposed, gate by gate. */
static void transpose_recurrent(int64_t h, const float *r, const Int8Matrix *bytes, float *recurrent)
{
    int64_t hp = padded(h);
    memset(recurrent, 0, (size_t)recurrent_numbers(h) * sizeof *recurrent);
    for (int64_t j = 0; j < 4 * h; j++)
        for (int64_t k = 0; k < h; k++)
            recurrent[k * 4 * hp + j / h * hp + j % h] = bytes ? int8_weight(bytes, j, k) : r[j * h + k];
}

static void lstm(Backend *b, const Rows *rows, int64_t h, const Real *Z, const Real *R, const Int8Matrix *bytes,
                 Real *STATE, Real *START, Real *GATES, Real *CELL, Real *Y)
{
    float *start = (float *)START, *state = (float *)STATE, *cell = (float *)CELL, *y = (float *)Y;
    float *recurrent = b->workspace;
    int groups = (rows->count + ROWS - 1) / ROWS;
    if (groups < b->threads)
        groups = rows->count < b->threads ? rows->count : b->threads;
    transpose_recurrent(h, (const float *)R, bytes, recurrent);
    for (int r = 0; r < rows->count; r++)
        if (state)
            memcpy(start + r * 2 * h, state + rows->slot[r] * 2 * h, (size_t)(2 * h) * sizeof *start);
        else
            memset(start + r * 2 * h, 0, (size_t)(2 * h) * sizeof *start);
    PARALLEL_FOR(rows->tokens * 4 * h * h)
    for (int k = 0; k < groups; k++) {
        int first = rows->count * k / groups, count = rows->count * (k + 1) / groups - first;
        Scratch o = scratch_lay(b, h);
        group_forward(rows, first, count, h, (const float *)Z, recurrent, start, (float *)GATES, cell, y, &o);
    }
    for (int r = 0; state && r < rows->count; r++)
        if (rows->offset[r + 1] > rows->offset[r]) {
            int64_t last = rows->offset[r + 1] - 1;
            memcpy(state + rows->slot[r] * 2 * h, y + last * h, (size_t)h * sizeof *state);
            memcpy(state + rows->slot[r] * 2 * h + h, cell + last * h, (size_t)h * sizeof *state);
        }
}

/* -- backward -- */

/* da [4 Hp] of one token from dh and dcell [Hp], which becomes the gradient of the cell before. */
static void step_back(int64_t h, const float *gate, const float *cell, const float *cell_before, const float *dh,
                      float *dcell, float *da)
{
    int64_t hp = padded(h);
    for (int64_t j = 0; j < h; j += LANES) {
        int64_t n = lanes_left(h - j);
        vec i = load_part(gate + j, n), f = load_part(gate + h + j, n), g = load_part(gate + 2 * h + j, n);
        vec o = load_part(gate + 3 * h + j, n), top = tanh_vec(load_part(cell + j, n)), up = load(dh + j);
        vec dc = load(dcell + j) + up * o * (1.0f - top * top);
        store(da + j, dc * g * i * (1.0f - i));
        store(da + hp + j, dc * load_part(cell_before + j, n) * f * (1.0f - f));
        store(da + 2 * hp + j, dc * i * (1.0f - g * g));
        store(da + 3 * hp + j, up * top * o * (1.0f - o));
        store(dcell + j, dc * f);
    }
}

/* What a group's backward pass reads, and da [N x 4H], which it writes. */
typedef struct Backward {
    const float *recurrent, *start, *gates, *cell, *dy;
    float *da;
} Backward;

static void group_back(const Rows *rows, int first, int count, int64_t h, const Backward *a, const Scratch *o)
{
    int64_t hp = padded(h), steps = group_steps(rows, first, count);
    memset(o->gate, 0, (size_t)(4 * ROWS * hp) * sizeof(float)); /* da of the step after: none yet */
    memset(o->cell, 0, (size_t)(ROWS * hp) * sizeof(float));
    for (int64_t step = steps - 1; step >= 0; step--) {
        tile_product(count, hp, 4 * hp, (TileOperand){o->gate, 4 * hp, 1}, a->recurrent, hp, o->hidden, hp, false);
        for (int k = 0; k < count; k++) {
            int64_t t = rows->offset[first + k] + step;
            if (t >= rows->offset[first + k + 1])
                continue;
            float *dh = o->hidden + k * hp, *da = o->gate + k * 4 * hp;
            for (int64_t j = 0; j < h; j++)
                dh[j] += a->dy[t * h + j];
            const float *before = step ? a->cell + (t - 1) * h : a->start + (first + k) * 2 * h + h;
            step_back(h, a->gates + t * 4 * h, a->cell + t * h, before, dh, o->cell + k * hp, da);
            for (int gate = 0; gate < 4; gate++)
                memcpy(a->da + t * 4 * h + gate * h, da + gate * hp, (size_t)h * sizeof(float));
        }
    }
}

/* recurrent [4 Hp x Hp]: R padded. */
static void pad_recurrent(int64_t h, const float *r, float *recurrent)
{
    int64_t hp = padded(h);
    memset(recurrent, 0, (size_t)recurrent_numbers(h) * sizeof *recurrent);
    for (int64_t j = 0; j < 4 * h; j++)
        memcpy(recurrent + (j / h * hp + j % h) * hp, r + j * h, (size_t)h * sizeof *recurrent);
}

static void lstm_back(Backend *b, const Rows *rows, int64_t h, const Real *R, const Real *START, const Real *GATES,
                      const Real *CELL, const Real *Y, const Real *DY, Real *DZ, bool add, Real *DR, bool add_r)
{
    size_t product = b->kernels->product_workspace(b, rows->tokens, 4 * h, h);
    float *recurrent = b->workspace; /* lies where the product's workspace will: the product comes last */
    float *space = (float *)b->workspace + recurrent_numbers(h) + b->threads * scratch_numbers(h);
    if ((char *)space < (char *)b->workspace + product)
        space = (float *)((char *)b->workspace + (product + 63) / 64 * 64);
    float *before = space + rows->tokens * 4 * h;
    Backward a = {recurrent, (const float *)START, (const float *)GATES, (const float *)CELL, (const float *)DY, space};
    int groups = (rows->count + ROWS - 1) / ROWS;
    if (groups < b->threads)
        groups = rows->count < b->threads ? rows->count : b->threads;
    pad_recurrent(h, (const float *)R, recurrent);
    PARALLEL_FOR(rows->tokens * 8 * h * h)
    for (int k = 0; k < groups; k++) {
        int first = rows->count * k / groups, count = rows->count * (k + 1) / groups - first;
        Scratch o = scratch_lay(b, h);
        group_back(rows, first, count, h, &a, &o);
    }
    if (DZ)
        b->kernels->copy(b, rows->tokens * 4 * h, (const Real *)space, DZ, add);
    if (!DR)
        return;
    for (int r = 0; r < rows->count; r++)
        for (int64_t t = rows->offset[r]; t < rows->offset[r + 1]; t++)
            memcpy(before + t * h, t == rows->offset[r] ? a.start + r * 2 * h : (const float *)Y + (t - 1) * h,
                   (size_t)h * sizeof *before);
    Product p = {.transpose_a = true, .add = add_r, .m = 4 * h, .n = h, .k = rows->tokens};
    b->kernels->product(b, &p, array_of((const Real *)space), array_of((const Real *)before), NULL, array_of(DR));
}

void VARIANT_NAME(simd_lstm)(Kernels *table)
{
    table->lstm = lstm;
    table->lstm_back = lstm_back;
    table->lstm_workspace = lstm_workspace;
}
