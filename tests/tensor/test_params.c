/* The parameter store: what is drawn, what is counted, what is refused, and when derived forms are built again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <math.h>

#include <cmocka.h>

#include "tensor/params.h"

static const Init normal = {INIT_NORMAL, 0.5}, uniform = {INIT_UNIFORM, 0.25}, ones = {INIT_ONES, 0},
                  zeros = {INIT_ZEROS, 0};

typedef struct Store {
    Backend *backend;
    Params *params;
} Store;

static Store store_open(BackendKind kind)
{
    Store s;
    assert_int_equal(backend_open(kind, 1, true, &s.backend), LMU_OK);
    assert_int_equal(params_open(s.backend, &s.params), LMU_OK);
    return s;
}

static void store_close(Store *s)
{
    params_close(s->params);
    backend_close(s->backend);
}

static Param *add(Store *s, const char *name, int64_t rows, int64_t columns, Init init, ParamRole role)
{
    Param *param;
    int64_t shape[2] = {rows, columns};
    assert_int_equal(params_get(s->params, name, columns ? 2 : 1, shape, init, role, &param), LMU_OK);
    return param;
}

static double *values_of(const Store *s, const char *name)
{
    const Param *param = params_find(s->params, name);
    assert_non_null(param);
    double *values = malloc((size_t)param->size * sizeof *values);
    assert_non_null(values);
    KERNEL(s->backend, get_f64, param->size, real_at(s->backend, s->params->values, param->offset), values);
    return values;
}

static void draws_do_not_depend_on_order(void **state)
{
    (void)state;
    Store a = store_open(BACKEND_DOUBLE), b = store_open(BACKEND_DOUBLE), c = store_open(BACKEND_DOUBLE);
    add(&a, "table", 11, 7, normal, PARAM_TABLE);
    add(&a, "layer.0.weight", 19, 33, uniform, PARAM_MATRIX);
    add(&b, "layer.0.weight", 19, 33, uniform, PARAM_MATRIX);
    add(&b, "something else", 5, 0, normal, PARAM_VECTOR);
    add(&b, "table", 11, 7, normal, PARAM_TABLE);
    add(&c, "table", 11, 7, normal, PARAM_TABLE);
    assert_int_equal(params_seal(a.params, 3), LMU_OK);
    assert_int_equal(params_seal(b.params, 3), LMU_OK);
    assert_int_equal(params_seal(c.params, 4), LMU_OK);
    double *table_a = values_of(&a, "table"), *table_b = values_of(&b, "table"), *table_c = values_of(&c, "table");
    double *weight_a = values_of(&a, "layer.0.weight"), *weight_b = values_of(&b, "layer.0.weight");
    assert_memory_equal(table_a, table_b, 77 * sizeof *table_a);
    assert_memory_equal(weight_a, weight_b, 19 * 33 * sizeof *weight_a);
    for (int i = 0; i < 77; i++) { /* another seed, another name: other numbers */
        assert_true(table_a[i] != table_c[i]);
        assert_true(table_a[i] != weight_a[i]);
    }
    free(table_a);
    free(table_b);
    free(table_c);
    free(weight_a);
    free(weight_b);
    store_close(&a);
    store_close(&b);
    store_close(&c);
}

static void draws_have_their_distribution(void **state)
{
    (void)state;
    enum { N = 20000 };
    Store s = store_open(BACKEND_CPU);
    add(&s, "normal", N, 0, normal, PARAM_VECTOR);
    add(&s, "uniform", N, 0, uniform, PARAM_VECTOR);
    add(&s, "ones", 3, 0, ones, PARAM_VECTOR);
    add(&s, "zeros", 3, 0, zeros, PARAM_VECTOR);
    assert_int_equal(params_seal(s.params, 1), LMU_OK);
    double *n = values_of(&s, "normal"), *u = values_of(&s, "uniform");
    double mean = 0, square = 0, low = 0, high = 0;
    for (int i = 0; i < N; i++) {
        mean += n[i] / N;
        square += n[i] * n[i] / N;
        low = fmin(low, u[i]);
        high = fmax(high, u[i]);
    }
    assert_true(fabs(mean) < 0.015 && fabs(sqrt(square) - 0.5) < 0.01);
    assert_true(low >= -0.25 && low < -0.249 && high < 0.25 && high > 0.249);
    double *one = values_of(&s, "ones"), *zero = values_of(&s, "zeros");
    for (int i = 0; i < 3; i++)
        assert_true(one[i] == 1 && zero[i] == 0);
    free(n);
    free(u);
    free(one);
    free(zero);
    store_close(&s);
}

static void layout_is_aligned_and_padded_with_zeros(void **state)
{
    (void)state;
    Store s = store_open(BACKEND_CPU);
    const Param *a = add(&s, "a", 5, 7, ones, PARAM_MATRIX), *b = add(&s, "b", 1, 0, ones, PARAM_VECTOR);
    const Param *c = add(&s, "c", 16, 0, ones, PARAM_VECTOR), *d = add(&s, "d", 2, 0, ones, PARAM_VECTOR);
    assert_int_equal(a->offset, 0);
    assert_int_equal(b->offset, 48);
    assert_int_equal(c->offset, 64);
    assert_int_equal(d->offset, 80);
    assert_int_equal(s.params->length, 96);
    assert_int_equal(params_seal(s.params, 1), LMU_OK);
    assert_int_equal(params_train(s.params), LMU_OK);
    double values[96], total = 0, moments[96];
    KERNEL(s.backend, get_f64, 96, s.params->values, values);
    for (int i = 0; i < 96; i++)
        total += values[i];
    assert_true(total == 35 + 1 + 16 + 2);
    const Real *vectors[3] = {s.params->gradients, s.params->first_moment, s.params->second_moment};
    for (int k = 0; k < 3; k++) {
        KERNEL(s.backend, get_f64, 96, vectors[k], moments);
        for (int i = 0; i < 96; i++)
            assert_true(moments[i] == 0);
    }
    store_close(&s);
}

/* Gradients and moments have no counts: these go to the end, whoever named them first. */
static void counts_stand_last(void **state)
{
    (void)state;
    Store s = store_open(BACKEND_CPU);
    const Param *counts = add(&s, "counts", 3, 7, zeros, PARAM_COUNTS), *a = add(&s, "a", 5, 7, ones, PARAM_MATRIX);
    const Param *b = add(&s, "b", 1, 0, ones, PARAM_VECTOR);
    assert_int_equal(params_seal(s.params, 1), LMU_OK);
    assert_int_equal(a->offset, 0);
    assert_int_equal(b->offset, 48);
    assert_int_equal(counts->offset, 64);
    assert_int_equal(s.params->learnt, 64);
    assert_int_equal(s.params->length, 96);
    assert_int_equal(s.params->learnt_count, 2);
    assert_true(s.params->list[2] == counts && params_find(s.params, "counts") == counts);
    assert_int_equal(params_total(s.params), 21 + 35 + 1);
    assert_int_equal(params_non_embedding(s.params), 35 + 1);
    store_close(&s);
}

static void parameters_are_counted(void **state)
{
    (void)state;
    Store s = store_open(BACKEND_CPU);
    add(&s, "table", 11, 7, normal, PARAM_TABLE);
    add(&s, "weight", 5, 7, normal, PARAM_MATRIX);
    add(&s, "bias", 5, 0, zeros, PARAM_VECTOR);
    add(&s, "table", 11, 7, normal, PARAM_TABLE); /* asked for again, as a head */
    assert_int_equal(params_total(s.params), 77 + 35 + 5);
    assert_int_equal(params_non_embedding(s.params), 35 + 5);
    store_close(&s);
}

static void assert_refused(Store *s, const char *name, int rank, const int64_t *shape, lmu_status status,
                           const char *words)
{
    Param *param = NULL;
    assert_int_equal(params_get(s->params, name, rank, shape, normal, PARAM_MATRIX, &param), status);
    if (!strstr(lmu_error_message(), words))
        fail_msg("\"%s\" does not say \"%s\"", lmu_error_message(), words);
    assert_null(param);
}

static void stores_refuse(void **state)
{
    (void)state;
    Store s = store_open(BACKEND_CPU);
    Param *first = add(&s, "weight", 5, 7, normal, PARAM_MATRIX);
    assert_refused(&s, "weight", 2, (int64_t[]){7, 5}, LMU_MISMATCH, "parameter weight is asked for with a shape");
    assert_refused(&s, "weight", 1, (int64_t[]){5}, LMU_MISMATCH, "parameter weight is asked for with a shape");
    assert_refused(&s, "empty", 2, (int64_t[]){7, 0}, LMU_USAGE, "parameter empty: a dimension of 0");
    assert_refused(&s, "negative", 1, (int64_t[]){-3}, LMU_USAGE, "a dimension of -3");
    assert_refused(&s, "huge", 2, (int64_t[]){INT64_C(1) << 40, INT64_C(1) << 40}, LMU_USAGE, "too large");
    assert_int_equal(s.params->count, 1);
    assert_int_equal(params_seal(s.params, 1), LMU_OK);
    assert_refused(&s, "late", 1, (int64_t[]){3}, LMU_MISMATCH, "the model has no parameter late");
    assert_ptr_equal(add(&s, "weight", 5, 7, normal, PARAM_MATRIX), first);
    assert_null(params_find(s.params, "late"));
    store_close(&s);
}

static int built;

static void build_double(Backend *backend, const Param *param, const Real *values, void *form)
{
    KERNEL(backend, sum, param->size, values, values, form);
    built++;
}

static void build_copy(Backend *backend, const Param *param, const Real *values, void *form)
{
    KERNEL(backend, copy, param->size, values, form, false);
}

static double first_number(Store *s, Derived *derived)
{
    double value;
    derived_want(derived);
    assert_int_equal(params_reserve(s->params), LMU_OK);
    const Real *form = derived_form(s->params, derived);
    KERNEL(s->backend, get_f64, 1, form, &value);
    return value;
}

static void derived_forms_follow_the_values(void **state)
{
    (void)state;
    Store s = store_open(BACKEND_CPU);
    const Param *param = add(&s, "weight", 5, 7, ones, PARAM_MATRIX);
    add(&s, "other", 5, 7, ones, PARAM_MATRIX);
    Derived *twice, *again, *copy;
    built = 0;
    assert_int_equal(params_derive(s.params, param, 35 * s.backend->real_size, build_double, &twice), LMU_OK);
    assert_int_equal(params_derive(s.params, param, 35 * s.backend->real_size, build_double, &again), LMU_OK);
    assert_int_equal(params_derive(s.params, param, 35 * s.backend->real_size, build_copy, &copy), LMU_OK);
    assert_ptr_equal(twice, again);
    assert_ptr_not_equal(twice, copy);
    assert_int_equal(built, 0); /* not before it is asked for */
    assert_int_equal(params_seal(s.params, 1), LMU_OK);
    derived_want(twice);
    derived_want(copy);
    derived_want(twice);
    size_t before = s.backend->allocated;
    assert_int_equal(params_reserve(s.params), LMU_OK); /* both, next to each other */
    size_t together = s.backend->allocated - before;
    assert_int_equal(params_reserve(s.params), LMU_OK);
    assert_true(together > 0 && s.backend->allocated == before + together);
    assert_true(first_number(&s, twice) == 2 && first_number(&s, copy) == 1);
    first_number(&s, twice);
    assert_int_equal(built, 1); /* not again while nothing was written */
    for (int step = 2; step < 5; step++) {
        params_write_begin(s.params);
        KERNEL(s.backend, fill, param->size, step, real_at(s.backend, s.params->values, param->offset));
        params_write_end(s.params);
        assert_true(first_number(&s, twice) == 2 * step && first_number(&s, copy) == step);
        assert_int_equal(built, step);
    }
    store_close(&s);
}

/* Matrices in bytes are in no vector, and 0 until something is put there; the rest is drawn as ever. */
static void matrices_in_bytes(void **state)
{
    (void)state;
    Store plain = store_open(BACKEND_CPU), bytes = {plain.backend, NULL};
    assert_int_equal(params_open(bytes.backend, &bytes.params), LMU_OK);
    for (int i = 0; i < 2; i++) {
        Store *s = i ? &bytes : &plain;
        add(s, "table", 11, 7, normal, PARAM_TABLE);
        add(s, "norm", 19, 0, uniform, PARAM_VECTOR);
        add(s, "weight", 19, 33, uniform, PARAM_BRANCH);
        add(s, "l", 6, 4, normal, PARAM_MEMORY);
        add(s, "counts", 5, 3, zeros, PARAM_COUNTS);
    }
    assert_int_equal(params_use_int8(bytes.params), LMU_OK);
    assert_int_equal(params_seal(plain.params, 3), LMU_OK);
    assert_int_equal(params_seal(bytes.params, 4), LMU_OK);
    assert_int_equal(bytes.params->length, 32 + 32 + 16);
    assert_int_equal(bytes.params->learnt, 32 + 32);
    assert_int_equal(bytes.params->int8_bytes, 16 * 8 + 16 * 4 + 32 * 36 + 32 * 4);
    assert_int_equal(params_total(bytes.params), params_total(plain.params));
    assert_int_equal(params_quantize(plain.params, bytes.params), LMU_OK);
    assert_int_equal(params_quantize(bytes.params, plain.params), LMU_MISMATCH);
    for (size_t i = 0; i < bytes.params->count; i++) {
        const Param *param = bytes.params->list[i], *before = params_find(plain.params, param->name);
        float x[19 * 33], piece[19 * 33];
        param_get_f32(plain.params, before, 0, before->size, x);
        double limit = param_is_int8(param) ? 0.5 / 127 * 2 : 0, worst = 0; /* numbers of up to 2 */
        for (int64_t first = 0; first < param->size; first += 10) {
            int64_t count = param->size - first < 50 ? param->size - first : 50;
            param_get_f32(bytes.params, param, first, count, piece);
            for (int64_t k = 0; k < count; k++)
                worst = fmax(worst, fabs((double)(piece[k] - x[first + k])));
        }
        assert_true(worst <= limit && (worst > 0) == param_is_int8(param));
    }
    params_close(bytes.params);
    store_close(&plain);
}

static void wide_matrices_are_not_held_in_bytes(void **state)
{
    (void)state;
    Store s = store_open(BACKEND_CPU);
    add(&s, "wide", 1, INT8_COLUMNS_MOST + 1, zeros, PARAM_MATRIX);
    assert_int_equal(params_use_int8(s.params), LMU_USAGE);
    assert_non_null(strstr(lmu_error_message(), "parameter wide has rows of 131073"));
    store_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matrices_in_bytes),
        cmocka_unit_test(wide_matrices_are_not_held_in_bytes),
        cmocka_unit_test(draws_do_not_depend_on_order),
        cmocka_unit_test(draws_have_their_distribution),
        cmocka_unit_test(layout_is_aligned_and_padded_with_zeros),
        cmocka_unit_test(counts_stand_last),
        cmocka_unit_test(parameters_are_counted),
        cmocka_unit_test(stores_refuse),
        cmocka_unit_test(derived_forms_follow_the_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
