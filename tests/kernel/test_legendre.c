/* The Legendre delay system: its discretisation, what it remembers, and its two forms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <math.h>

#include <cmocka.h>

#include "base/random.h"
#include "kernel/kernels.h"

#define Q_LIMIT 64

static double abar[Q_LIMIT * Q_LIMIT], bbar[Q_LIMIT];

static void discretise(int64_t order, double theta, bool scaled)
{
    assert_true(order <= Q_LIMIT);
    assert_int_equal(legendre_discretise(order, theta, scaled, abar, bbar), LMU_OK);
}

/* m = Abar m + Bbar x */
static void step(int64_t order, double *m, double x)
{
    double next[Q_LIMIT];
    for (int64_t i = 0; i < order; i++) {
        next[i] = bbar[i] * x;
        for (int64_t j = 0; j < order; j++)
            next[i] += abar[i * order + j] * m[j];
    }
    memcpy(m, next, (size_t)order * sizeof *m);
}

/* -- the matrix exponential ---------------------------------------------------------------------------------------- */

static void assert_exponential(int64_t n, const double *x, const double *wanted, double limit)
{
    double e[16];
    assert_int_equal(matrix_exponential(n, x, e), LMU_OK);
    for (int64_t i = 0; i < n * n; i++)
        assert_true(fabs(e[i] - wanted[i]) <= limit * fmax(1, fabs(wanted[i])));
}

static void known_exponentials(void **state)
{
    (void)state;
    assert_exponential(2, (double[]){0, 0, 0, 0}, (double[]){1, 0, 0, 1}, 0);
    assert_exponential(2, (double[]){0, 1, 0, 0}, (double[]){1, 1, 0, 1}, 1e-15);
    assert_exponential(1, (double[]){-40}, (double[]){exp(-40)}, 1e-15);
    assert_exponential(2, (double[]){1, 0, 0, -2}, (double[]){exp(1), 0, 0, exp(-2)}, 1e-15);
    for (double angle = 0.1; angle < 200; angle *= 3) /* a rotation: small angles need no squaring, large ones many */
        assert_exponential(2, (double[]){0, -angle, angle, 0},
                           (double[]){cos(angle), -sin(angle), sin(angle), cos(angle)}, 1e-15 * fmax(10, angle));
    assert_exponential(3, (double[]){0, 2, 3, 0, 0, 4, 0, 0, 0}, (double[]){1, 2, 7, 0, 1, 4, 0, 0, 1}, 1e-14);
}

static void exponentials_of_opposites_are_inverse(void **state)
{
    (void)state;
    enum { N = 20 };
    double x[N * N], negative[N * N], a[N * N], b[N * N];
    for (int i = 0; i < N * N; i++)
        negative[i] = -(x[i] = random_normal(3, (uint64_t)i));
    assert_int_equal(matrix_exponential(N, x, a), LMU_OK);
    assert_int_equal(matrix_exponential(N, negative, b), LMU_OK);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            double total = 0, size = 0;
            for (int k = 0; k < N; k++) {
                total += a[i * N + k] * b[k * N + j];
                size += fabs(a[i * N + k] * b[k * N + j]);
            }
            assert_true(fabs(total - (i == j)) <= 1e-13 * size);
        }
}

/* -- the system ---------------------------------------------------------------------------------------------------- */

static void impossible_systems_are_refused(void **state)
{
    (void)state;
    static const struct {
        int64_t order;
        double theta;
        const char *words;
    } cases[] = {{0, 10, "the order must be 1 to 256"},
                 {-1, 10, "the order must be 1 to 256"},
                 {257, 10, "the order must be 1 to 256"},
                 {4, 0, "theta must be positive and finite"},
                 {4, -2, "theta must be positive and finite"},
                 {4, NAN, "theta must be positive and finite"},
                 {4, INFINITY, "theta must be positive and finite"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(legendre_discretise(cases[i].order, cases[i].theta, false, abar, bbar), LMU_USAGE);
        assert_non_null(strstr(lmu_error_message(), cases[i].words));
    }
}

static void a_constant_is_its_first_coefficient(void **state)
{
    (void)state;
    static const double thetas[] = {2, 4, 32, 50.5, 1000};
    for (int64_t order = 2; order <= Q_LIMIT; order = order < 8 ? order + 1 : order * 2)
        for (size_t k = 0; k < sizeof thetas / sizeof *thetas; k++) {
            double m[Q_LIMIT] = {0}, x = 0.75;
            discretise(order, thetas[k], false);
            for (int64_t t = 0; t < (int64_t)(10 * thetas[k]); t++)
                step(order, m, x);
            for (int64_t i = 0; i < order; i++)
                if (!(fabs(m[i] - (i == 0 ? x : 0)) < 1e-6))
                    fail_msg("order %d, theta %g: coefficient %d is %g", (int)order, thetas[k], (int)i, m[i]);
        }
}

/* Worst error in reading x(t-k) of a sine at delay k + shift. */
static double sine_error(int64_t order, double theta, double period, double shift)
{
    double m[Q_LIMIT] = {0}, c[Q_LIMIT], worst = 0;
    discretise(order, theta, false);
    for (int64_t t = 0; t < (int64_t)(12 * theta); t++) {
        step(order, m, sin(2 * M_PI * (double)t / period));
        for (int64_t k = 0; t >= (int64_t)(8 * theta) && (double)k + shift <= theta; k++) {
            double total = 0;
            legendre_readout(order, ((double)k + shift) / theta, c);
            for (int64_t i = 0; i < order; i++)
                total += c[i] * m[i];
            worst = fmax(worst, fabs(total - sin(2 * M_PI * (double)(t - k) / period)));
        }
    }
    return worst;
}

/* An input held for a step is, on average, half a step old. */
static void a_sine_is_read_back_half_a_step_later(void **state)
{
    (void)state;
    double half = sine_error(8, 32, 32, 0.5), none = sine_error(8, 32, 32, 0), whole = sine_error(8, 32, 32, 1);
    assert_true(half <= 0.025);
    assert_true(none > 0.09 && none < 0.12);
    assert_true(whole > 0.09);
}

static void readouts_are_legendre_polynomials(void **state)
{
    (void)state;
    double c[5];
    for (double r = 0; r <= 1; r += 0.125) {
        double x = 2 * r - 1;
        legendre_readout(5, r, c);
        const double wanted[5] = {1, x, (3 * x * x - 1) / 2, (5 * x * x * x - 3 * x) / 2,
                                  (35 * x * x * x * x - 30 * x * x + 3) / 8};
        for (int i = 0; i < 5; i++)
            assert_true(fabs(c[i] - wanted[i]) < 1e-14);
    }
    legendre_readout(1, 0.3, c);
    assert_true(c[0] == 1);
}

/* Whether limit^2 I - P^T P has a Cholesky factor, that is, whether the 2-norm of P is below `limit`. */
static bool norm_below(int64_t n, const double *p, double limit)
{
    static double f[Q_LIMIT * Q_LIMIT];
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j <= i; j++) {
            double total = i == j ? limit * limit : 0;
            for (int64_t k = 0; k < n; k++)
                total -= p[k * n + i] * p[k * n + j];
            for (int64_t k = 0; k < j; k++)
                total -= f[i * n + k] * f[j * n + k];
            if (i == j && !(total > 0))
                return false;
            f[i * n + j] = i == j ? sqrt(total) : total / f[j * n + j];
        }
    return true;
}

static void multiply_by_abar(int64_t n, double *p)
{
    static double next[Q_LIMIT * Q_LIMIT];
    memset(next, 0, sizeof next);
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < n; k++)
            for (int64_t j = 0; j < n; j++)
                next[i * n + j] += abar[i * n + k] * p[k * n + j];
    memcpy(p, next, (size_t)(n * n) * sizeof *p);
}

static void powers_in_the_scaled_basis_do_not_grow(void **state)
{
    (void)state;
    static const double thetas[] = {1, 4, 32, 50.5, 200, 1000};
    static const int64_t orders[] = {1, 2, 5, 8, 16, 32, 64};
    static double p[Q_LIMIT * Q_LIMIT];
    for (size_t o = 0; o < sizeof orders / sizeof *orders; o++)
        for (size_t k = 0; k < sizeof thetas / sizeof *thetas; k++) {
            int64_t n = orders[o], most = n < 32 ? (int64_t)(3 * thetas[k]) : 200; /* of large ones, the first */
            discretise(n, thetas[k], true);
            memcpy(p, abar, (size_t)(n * n) * sizeof *p);
            for (int64_t power = 1; power <= most; power++, multiply_by_abar(n, p))
                if (!norm_below(n, p, 1 + 1e-12))
                    fail_msg("order %d, theta %g: power %d grows", (int)n, thetas[k], (int)power);
        }
    discretise(8, 32, false); /* the check itself sees growth: the plain basis has it */
    assert_false(norm_below(8, abar, 1 + 1e-12));
}

/* -- recurrent and chunked ----------------------------------------------------------------------------------------- */

#define ROWS 3

typedef struct Memory {
    Backend *backend;
    LegendreShape shape;
    Rows rows;
    int64_t offset[ROWS + 1], chunk[ROWS + 1], position[ROWS], slot[ROWS];
    Real *w, *x, *state, *start, *boundary, *m;
    float *host;
} Memory;

static Real *reals(Backend *backend, int64_t numbers)
{
    void *memory;
    assert_int_equal(backend_alloc(backend, (size_t)numbers * sizeof(float), &memory), LMU_OK);
    return memory;
}

static void put_random(Backend *backend, int64_t n, const char *purpose, Real *to, float *host)
{
    for (int64_t i = 0; i < n; i++)
        host[i] = (float)random_normal(random_key(1, purpose, 0, 0), (uint64_t)i);
    KERNEL(backend, put_f32, n, host, to);
}

static void memory_open(Memory *a, BackendKind kind, int threads, int64_t d, int64_t q, int64_t groups, double theta,
                        bool scaled, int64_t length)
{
    *a = (Memory){.shape = {d, q, groups}};
    assert_int_equal(backend_open(kind, threads, false, &a->backend), LMU_OK);
    const int64_t lengths[ROWS] = {length, 7, length / 2 + 1};
    for (int r = 0; r < ROWS; r++) {
        a->offset[r + 1] = a->offset[r] + lengths[r];
        a->chunk[r + 1] = a->chunk[r] + (lengths[r] + LEGENDRE_CHUNK - 1) / LEGENDRE_CHUNK;
        a->slot[r] = ROWS - r;
    }
    a->rows = (Rows){ROWS, a->offset[ROWS], a->offset, a->position, a->slot, a->slot, a->chunk};
    int64_t width = q + LEGENDRE_CHUNK, tokens = a->rows.tokens, size = q * d;
    a->w = reals(a->backend, groups * LEGENDRE_CHUNK * q * width);
    a->x = reals(a->backend, tokens * d);
    a->start = reals(a->backend, (ROWS + 1) * size);
    a->state = reals(a->backend, (ROWS + 1) * size);
    a->boundary = reals(a->backend, a->chunk[ROWS] * size);
    a->m = reals(a->backend, tokens * size);
    a->host = malloc((size_t)(tokens * size + (ROWS + 1) * size + tokens * d) * sizeof(float));
    assert_non_null(a->host);
    assert_int_equal(backend_reserve(a->backend, a->backend->kernels->legendre_workspace(a->backend, &a->shape, 1, 0)),
                     LMU_OK);
    assert_int_equal(backend_reserve(a->backend, a->backend->kernels->legendre_convolve_workspace(
                                                     a->backend, &a->shape, length > 7 ? length : 7)),
                     LMU_OK);
    double *w = malloc((size_t)(LEGENDRE_CHUNK * q * width) * sizeof *w);
    assert_non_null(w);
    for (int64_t g = 0; g < groups; g++) {
        discretise(q, theta * (double)(1 + 3 * g), scaled);
        legendre_chunk_matrix(q, LEGENDRE_CHUNK, abar, bbar, w);
        KERNEL(a->backend, put_f64, LEGENDRE_CHUNK * q * width, w,
               real_at(a->backend, a->w, g * LEGENDRE_CHUNK * q * width));
    }
    free(w);
    put_random(a->backend, tokens * d, "x", a->x, a->host);
    put_random(a->backend, (ROWS + 1) * size, "state", a->start, a->host);
}

static void memory_close(Memory *a)
{
    free(a->host);
    backend_close(a->backend);
}

/* All M, then the final states, into `out`. */
static void memory_run(Memory *a, LegendreForm form, float *out)
{
    int64_t size = a->shape.order * a->shape.channels, tokens = a->rows.tokens;
    KERNEL(a->backend, copy, (ROWS + 1) * size, a->start, a->state, false);
    if (form == LEGENDRE_FFT) {
        KERNEL(a->backend, legendre_convolve, &a->shape, &a->rows, a->w, a->x, a->state, a->m);
    } else {
        KERNEL(a->backend, legendre_scan, &a->shape, form, &a->rows, a->w, a->x, a->state, a->boundary);
        KERNEL(a->backend, legendre_memory, &a->shape, form, &a->rows, a->w, a->x, a->boundary, a->m);
    }
    KERNEL(a->backend, get_f32, tokens * size, a->m, out);
    KERNEL(a->backend, get_f32, (ROWS + 1) * size, a->state, out + tokens * size);
}

/* The largest difference of two forms, over the largest number. */
static double forms_differ(Memory *a, LegendreForm form, LegendreForm other)
{
    int64_t n = (a->rows.tokens + ROWS + 1) * a->shape.order * a->shape.channels;
    float *second = malloc((size_t)n * sizeof *second);
    double worst = 0, largest = 0;
    assert_non_null(second);
    memory_run(a, form, a->host);
    memory_run(a, other, second);
    for (int64_t i = 0; i < n; i++) {
        double difference = fabs((double)a->host[i] - (double)second[i]);
        worst = difference <= worst ? worst : difference; /* NaN stays */
        largest = fmax(largest, fabs((double)a->host[i]));
    }
    free(second);
    return worst / largest;
}

static void forms_agree(BackendKind kind)
{
    static const struct {
        int64_t d, q, groups;
        double theta;
        bool scaled;
        int64_t length;
    } cases[] = {{5, 1, 1, 1, false, 100},      {7, 2, 1, 4, true, 333},       {19, 8, 1, 32, false, 4096},
                 {3, 8, 1, 1000, false, 4095},  {33, 13, 1, 50.5, true, 1001}, {2, 32, 1, 32, false, 517},
                 {3, 64, 1, 1000, false, 4093}, {3, 64, 1, 1000, true, 4093},  {3, 64, 1, 10, false, 300},
                 {3, 64, 1, 1, false, 100},     {5, 64, 1, 128, false, 1025},  {1, 33, 1, 300, true, 15},
                 {15, 5, 3, 8, false, 777},     {51, 8, 3, 20, true, 129},     {4, 3, 4, 2, false, 65}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        Memory a;
        memory_open(&a, kind, 1, cases[k].d, cases[k].q, cases[k].groups, cases[k].theta, cases[k].scaled,
                    cases[k].length);
        for (LegendreForm form = LEGENDRE_CHUNKED; form <= LEGENDRE_FFT; form++) {
            if (form == LEGENDRE_FFT && kind == BACKEND_REFERENCE && cases[k].length > 1500)
                continue; /* in plain C a convolution is quadratic */
            double error = forms_differ(&a, LEGENDRE_RECURRENT, form);
            if (!(error <= 1e-5))
                fail_msg("%s, order %d, theta %g: recurrent and %s differ by %.2g of max |M|", a.backend->name,
                         (int)cases[k].q, cases[k].theta, form == LEGENDRE_FFT ? "fft" : "chunked", error);
        }
        memory_close(&a);
    }
}

/* Windows that are short, and impulse responses that have long decayed; and windows that are as long as the text. */
static void long_rows_are_convolved_right(void **state)
{
    (void)state;
    static const double thetas[] = {1, 32, 100000};
    for (size_t k = 0; k < sizeof thetas / sizeof *thetas; k++) {
        Memory a;
        memory_open(&a, BACKEND_CPU, 2, 2, 8, 1, thetas[k], thetas[k] > 1000, 100003);
        double error = forms_differ(&a, LEGENDRE_CHUNKED, LEGENDRE_FFT);
        print_message("theta %g: chunked and fft differ by %.2g of max |M|\n", thetas[k], error);
        assert_true(error <= 1e-5);
        memory_close(&a);
    }
}

static void forms_agree_in_plain_float(void **state)
{
    (void)state;
    forms_agree(BACKEND_REFERENCE);
}

static void forms_agree_on_the_cpu(void **state)
{
    (void)state;
    for (MachineIsa isa = ISA_BASE; isa <= ISA_AVX512; isa++) {
        setenv("LMU_ISA", machine_isa_name(isa), 1);
        if (machine_isa() == isa)
            forms_agree(BACKEND_CPU);
    }
    unsetenv("LMU_ISA");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_exponentials),
        cmocka_unit_test(exponentials_of_opposites_are_inverse),
        cmocka_unit_test(impossible_systems_are_refused),
        cmocka_unit_test(a_constant_is_its_first_coefficient),
        cmocka_unit_test(a_sine_is_read_back_half_a_step_later),
        cmocka_unit_test(readouts_are_legendre_polynomials),
        cmocka_unit_test(powers_in_the_scaled_basis_do_not_grow),
        cmocka_unit_test(forms_agree_in_plain_float),
        cmocka_unit_test(forms_agree_on_the_cpu),
        cmocka_unit_test(long_rows_are_convolved_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
