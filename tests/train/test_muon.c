/* Muon against an implementation of its own in double, the singular values of what it makes, which parameters it moves, and when. */
#include <math.h>

#include "base/random.h"
#include "train/optimiser.h"
#include "training.h"

static const int64_t shapes[][2] = {{1, 1},    {1, 37},   {37, 1},    {3, 2},     {13, 13}, {17, 70}, {70, 17},
                                    {64, 256}, {192, 64}, {131, 131}, {150, 301}, {39, 17}, {28, 3}};
#define SHAPES (sizeof shapes / sizeof *shapes)

/* Several maps one above another are matrices of their own. */
static int maps_of(size_t shape)
{
    return shape == SHAPES - 2 ? 3 : shape == SHAPES - 1 ? 4 : 1;
}

static Params *matrices(Backend *backend)
{
    Params *params;
    Param *param;
    assert_done(params_open(backend, &params));
    for (size_t i = 0; i < SHAPES; i++) {
        char name[32];
        snprintf(name, sizeof name, "matrix%zu", i);
        assert_done(params_get(params, name, 2, shapes[i], (Init){INIT_NORMAL, 0.5}, PARAM_MATRIX, &param));
        param->maps = maps_of(i);
    }
    assert_done(params_seal(params, 3));
    assert_done(params_train(params));
    return params;
}

static void draw_gradients(Params *params, double *gradients, int step)
{
    memset(gradients, 0, (size_t)params->length * sizeof *gradients);
    for (size_t p = 0; p < params->count; p++)
        for (int64_t i = params->list[p]->offset, end = i + params->list[p]->size; i < end; i++)
            gradients[i] = (float)(1e-4 * random_normal(random_key(1, "gradient", (uint64_t)step, 0), (uint64_t)i));
    KERNEL(params->backend, put_f64, params->length, gradients, params->gradients);
}

/* z [rows x columns] = x [rows x inner] y, or with y [columns x inner] transposed. */
static void multiply(int64_t rows, int64_t inner, int64_t columns, const double *x, const double *y, bool transposed,
                     double *z)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++) {
            double total = 0;
            for (int64_t k = 0; k < inner; k++)
                total += x[i * inner + k] * (transposed ? y[j * inner + k] : y[k * columns + j]);
            z[i * columns + j] = total;
        }
}

/* Jordan et al. 2024 as it stands there, but with other polynomials, in double and without the transposition of tall matrices, which
 * alters nothing: (a I + b X X^T + c (X X^T)^2) X is the same from either side. */
static void reference_orthogonal(int64_t rows, int64_t columns, double *x)
{
    double *gram = calloc((size_t)(rows * rows), sizeof *gram), *square = calloc((size_t)(rows * rows), sizeof *square);
    double *next = calloc((size_t)(rows * columns), sizeof *next), norm = 0;
    static const double polynomials[][3] = {
        {7.6323, -20.1338, 13.4745}, {3.4047, -2.3235, 0.4207}, {2.6225, -1.9736, 0.4647}};
    for (int64_t i = 0; i < rows * columns; i++)
        norm += x[i] * x[i];
    for (int64_t i = 0; i < rows * columns; i++)
        x[i] /= sqrt(norm);
    for (int iteration = 0; iteration < 3; iteration++) {
        const double *p = polynomials[iteration];
        multiply(rows, columns, rows, x, x, true, gram);
        multiply(rows, rows, rows, gram, gram, false, square);
        if (iteration == 0) { /* X / s, and so A / s^2 and A A / s^4 */
            double fourths = 0;
            for (int64_t i = 0; i < rows * rows; i++)
                fourths += square[i] * square[i];
            double s = sqrt(sqrt(sqrt(fourths)));
            for (int64_t i = 0; i < rows * columns; i++)
                x[i] /= s;
            for (int64_t i = 0; i < rows * rows; i++) {
                gram[i] /= s * s;
                square[i] /= pow(s, 4);
            }
        }
        for (int64_t i = 0; i < rows * rows; i++)
            square[i] = p[2] * square[i] + p[1] * gram[i] + (i % (rows + 1) ? 0 : p[0]);
        multiply(rows, rows, columns, square, x, false, next);
        memcpy(x, next, (size_t)(rows * columns) * sizeof *x);
    }
    free(gram);
    free(square);
    free(next);
}

typedef struct Reference {
    double *values, *momentum;
} Reference;

/* Of all maps, numbered through, every one moves where the step and its number make a multiple of the interval. */
static void reference_step(const Params *params, Reference *r, const TrainConfig *c, double rate, double scale,
                           int step, const double *gradients)
{
    int turn = step, interval = (int)c->muon_interval;
    rate *= interval;
    for (size_t p = 0; p < params->count; p++) {
        const Param *param = params->list[p];
        int64_t at = param->offset, rows = param->shape[0] / maps_of(p), columns = param->shape[1];
        double *update = calloc((size_t)param->size, sizeof *update);
        for (int64_t i = 0; i < param->size; i++) {
            r->momentum[at + i] = c->momentum * r->momentum[at + i] + scale * gradients[at + i];
            update[i] = scale * gradients[at + i] + c->momentum * r->momentum[at + i];
        }
        double size = 0.2 * sqrt((double)(rows > columns ? rows : columns));
        for (int map = 0; map < maps_of(p); map++) {
            if (turn++ % interval)
                continue;
            int64_t from = map * rows * columns;
            reference_orthogonal(rows, columns, update + from);
            for (int64_t i = from; i < from + rows * columns; i++)
                r->values[at + i] -= rate * (size * update[i] + c->weight_decay * r->values[at + i]);
        }
        free(update);
    }
}

/* Distances of whole matrices, relative to how far the steps have moved them. */
static void check_steps(BackendKind kind, Compute compute, int interval, double tolerance)
{
    enum { STEPS = 5 };
    Backend *backend;
    Muon *muon;
    assert_done(backend_open(kind, 2, false, &backend));
    assert_done(backend_compute(backend, compute));
    Params *params = matrices(backend);
    TrainConfig config = default_training();
    config.weight_decay = 0.3;
    config.optimizer = OPTIMISER_MUON;
    config.muon_interval = interval;
    assert_done(muon_open(params, &muon));
    double *start = vector_read(params, params->values), *gradients = vector_read(params, params->gradients);
    Reference reference = {vector_read(params, params->values), vector_read(params, params->first_moment)};
    for (int step = 1; step <= STEPS; step++) {
        double scale = step % 3 == 0 ? 0.25 : 1;
        draw_gradients(params, gradients, step);
        reference_step(params, &reference, &config, 0.02 * step / interval, scale, step, gradients);
        optimiser_step(params, &config, muon, 0.02 * step / interval, scale, step);
    }
    double *values = vector_read(params, params->values), *second = vector_read(params, params->second_moment);
    for (size_t p = 0; p < params->count; p++) {
        double apart = 0, moved = 0;
        for (int64_t i = params->list[p]->offset, end = i + params->list[p]->size; i < end; i++) {
            apart += pow(values[i] - reference.values[i], 2);
            moved += pow(start[i] - reference.values[i], 2);
            assert_true(second[i] == 0);
        }
        if (!(sqrt(apart) <= tolerance * sqrt(moved)))
            fail_msg("%s, %s: %s is %.3g off", backend->name, backend_compute_name(backend), params->list[p]->name,
                     sqrt(apart / moved));
    }
    free(values);
    free(second);
    free(start);
    free(gradients);
    free(reference.values);
    free(reference.momentum);
    fields_free(&train_table, &config);
    muon_close(muon);
    params_close(params);
    backend_close(backend);
}

static bool multiplies_bf16(void)
{
    Backend *backend;
    assert_done(backend_open(BACKEND_CPU, 1, false, &backend));
    bool there = backend_best_compute(backend) == COMPUTE_BF16;
    backend_close(backend);
    return there;
}

static void test_steps(void **state)
{
    (void)state;
    for (int interval = 1; interval <= 3; interval += 2) {
        check_steps(BACKEND_DOUBLE, COMPUTE_F32, interval, 1e-9);
        check_steps(BACKEND_REFERENCE, COMPUTE_F32, interval, 1e-3);
        check_steps(BACKEND_CPU, COMPUTE_F32, interval, 1e-3);
        if (multiplies_bf16())
            check_steps(BACKEND_CPU, COMPUTE_BF16, interval, 0.1);
    }
}

/* Steps of 4,096 tokens and more move every matrix; of smaller ones as many as make so many tokens, but no more than 4. */
static void test_interval(void **state)
{
    (void)state;
    static const int64_t cases[][3] = {{1, 1, 4},    {1, 512, 4}, {2, 512, 4},          {3, 512, 3},
                                       {16, 256, 1}, {7, 585, 2}, {1 << 20, 1 << 24, 1}};
    TrainConfig config = default_training();
    config.optimizer = OPTIMISER_MUON;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        config.batch = cases[i][0], config.length = cases[i][1];
        assert_int_equal(optimiser_interval(&config), cases[i][2]);
    }
    config.muon_interval = 5;
    assert_int_equal(optimiser_interval(&config), 5);
    config.optimizer = OPTIMISER_ADAMW;
    assert_int_equal(optimiser_interval(&config), 1);
    fields_free(&train_table, &config);
}

/* The smallest and largest eigenvalue of a symmetric matrix, by Jacobi's rotations. */
static void eigenvalues(int64_t n, double *a, double *least, double *greatest)
{
    for (int sweep = 0; sweep < 12; sweep++)
        for (int64_t p = 0; p < n; p++)
            for (int64_t q = p + 1; q < n; q++) {
                double angle = 0.5 * atan2(2 * a[p * n + q], a[q * n + q] - a[p * n + p]), c = cos(angle),
                       s = sin(angle);
                for (int64_t k = 0; k < n; k++) {
                    double x = a[p * n + k], y = a[q * n + k];
                    a[p * n + k] = c * x - s * y;
                    a[q * n + k] = s * x + c * y;
                }
                for (int64_t k = 0; k < n; k++) {
                    double x = a[k * n + p], y = a[k * n + q];
                    a[k * n + p] = c * x - s * y;
                    a[k * n + q] = s * x + c * y;
                }
            }
    *least = INFINITY, *greatest = -INFINITY;
    for (int64_t i = 0; i < n; i++) {
        *least = fmin(*least, a[i * n + i]);
        *greatest = fmax(*greatest, a[i * n + i]);
    }
}

/* Every map of every matrix becomes one column times one row: of rank 1, with a singular value at the end of where the first polynomial
 * is made for. */
static void flatten_gradients(Params *params, double *gradients)
{
    for (size_t p = 0; p < SHAPES; p++) {
        const Param *param = params->list[p];
        int64_t rows = param->shape[0] / maps_of(p), columns = param->shape[1];
        for (int map = 0; map < maps_of(p); map++) {
            double *x = gradients + param->offset + map * rows * columns;
            for (int64_t i = rows - 1; i >= 0; i--)
                for (int64_t j = columns - 1; j >= 0; j--)
                    x[i * columns + j] = (float)(1e4 * x[i * columns] * x[j]);
        }
    }
    KERNEL(params->backend, put_f64, params->length, gradients, params->gradients);
}

/* A step of unit size from zero is minus the orthogonal matrix. Random matrices that are not square are well conditioned: all
 * their singular values come into the band. Of a square one the smallest may be too small for three iterations. */
static void check_singular_values(Compute compute, bool flat)
{
    Backend *backend;
    Muon *muon;
    assert_done(backend_open(BACKEND_CPU, 1, false, &backend));
    assert_done(backend_compute(backend, compute));
    Params *params = matrices(backend);
    assert_done(muon_open(params, &muon));
    double *gradients = vector_read(params, params->gradients);
    draw_gradients(params, gradients, 1);
    if (flat)
        flatten_gradients(params, gradients);
    KERNEL(backend, fill, params->length, 0, params->values);
    for (size_t p = 0; p < SHAPES; p++) {
        int64_t rows = shapes[p][0] / maps_of(p), columns = shapes[p][1], n = rows < columns ? rows : columns,
                k = rows + columns - n;
        muon_step(muon, params, params->list[p],
                  &(MuonStep){.rate = 5 / sqrt((double)k), .gradient_scale = 1, .interval = 1});
        double *all = vector_read(params, params->values), *x = all + params->list[p]->offset, least, greatest,
               along = 0;
        double *gram = calloc((size_t)(n * n), sizeof *gram);
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j < n; j++)
                for (int64_t l = 0; l < k; l++)
                    gram[i * n + j] +=
                        rows > columns ? x[l * n + i] * x[l * n + j] : x[i * columns + l] * x[j * columns + l];
        for (int64_t i = 0; i < rows * columns; i++)
            along -= x[i] * gradients[params->list[p]->offset + i];
        eigenvalues(n, gram, &least, &greatest);
        if (!(sqrt(greatest) < 1.26 && 0.74 < sqrt(greatest) &&
              (flat || (n == k && n > 1) || 0.74 < sqrt(fmax(least, 0))) && along > 0))
            fail_msg("%s: %lld x %lld has singular values of %g to %g, %g along the gradient",
                     backend_compute_name(backend), (long long)rows, (long long)columns, sqrt(least), sqrt(greatest),
                     along);
        free(gram);
        free(all);
    }
    free(gradients);
    muon_close(muon);
    params_close(params);
    backend_close(backend);
}

static void test_singular_values(void **state)
{
    (void)state;
    for (int flat = 0; flat < 2; flat++) {
        check_singular_values(COMPUTE_F32, flat);
        if (multiplies_bf16())
            check_singular_values(COMPUTE_BF16, flat);
    }
}

static bool name_ends(const char *name, const char *end)
{
    size_t length = strlen(name), tail = strlen(end);
    return length >= tail && strcmp(name + length - tail, end) == 0;
}

/* By name: whatever is new in an architecture has to be put here by hand. Those that are no part of a block are not hidden. */
static bool moved_by_name(const char *name)
{
    static const char *const ends[] = {".attention.qkv.weight", ".attention.zv.weight", ".input.weight",
                                       ".recurrent.weight",     ".out.weight",          ".up.weight",
                                       ".gate.weight",          ".down.weight"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (name_ends(name, ends[i]))
            return true;
    return false;
}

/* So are the maps that a matrix holds. */
static int maps_by_name(const char *name)
{
    if (name_ends(name, ".attention.qkv.weight"))
        return 3;
    if (name_ends(name, ".attention.zv.weight"))
        return 2;
    return name_ends(name, ".input.weight") || name_ends(name, ".recurrent.weight") ? 4 : 1;
}

/* Under Muon matrices keep no second moment; everything else does. Then gradients of zero: what decays is halved, and no number is
 * anything else than it was. */
static void test_moved_by_name(void **state)
{
    (void)state;
    Backend *backend;
    assert_done(backend_open(BACKEND_CPU, 1, false, &backend));
    TrainConfig config = default_training();
    config.weight_decay = 0.5;
    config.optimizer = OPTIMISER_MUON;
    for (int a = 0; architectures[a]; a++) {
        Muon *muon;
        Model *model = small_model(backend, architectures[a]->name, 0);
        Params *params = model->params;
        size_t moved = 0;
        assert_done(params_train(params));
        assert_done(muon_open(params, &muon));
        KERNEL(backend, fill, params->length, 1, params->gradients);
        optimiser_step(params, &config, muon, 0, 1, 1);
        double *second = vector_read(params, params->second_moment);
        KERNEL(backend, fill, params->length, 0, params->gradients);
        KERNEL(backend, fill, params->length, 0, params->first_moment);
        KERNEL(backend, fill, params->length, 1, params->values);
        optimiser_step(params, &config, muon, 1, 1, 2);
        double *values = vector_read(params, params->values);
        for (size_t p = 0; p < params->count; p++) {
            const Param *param = params->list[p];
            bool moves = moved_by_name(param->name);
            assert_int_equal(param->maps, maps_by_name(param->name));
            bool decays = param->role != PARAM_VECTOR && param->role != PARAM_MEMORY;
            moved += moves;
            for (int64_t i = param->offset, end = i + param->size; i < end; i++)
                if ((second[i] == 0) != moves || values[i] != (decays ? 0.5 : 1))
                    fail_msg("%s: %s is %s by Muon, and became %g", architectures[a]->name, param->name,
                             second[i] == 0 ? "moved" : "not moved", values[i]);
        }
        assert_true(moved > 0 && moved < params->count && muon_flops(params) > 0);
        free(second);
        free(values);
        muon_close(muon);
        model_close(model);
    }
    fields_free(&train_table, &config);
    backend_close(backend);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_interval),
        cmocka_unit_test(test_singular_values),
        cmocka_unit_test(test_moved_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
