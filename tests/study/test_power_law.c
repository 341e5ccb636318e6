/* Power laws whose parameters are known. */
#include "study/power_law.h"

#include "base/random.h"
#include "study/study_testing.h"

enum { POINTS = 8 };

static void make(double floor, double a, double b, double noise, uint64_t seed, double *x, double *loss)
{
    for (int i = 0; i < POINTS; i++) {
        x[i] = 5e5 * pow(2, i);
        loss[i] = (floor + a * pow(x[i], -b)) * exp(noise * random_normal(seed, (uint64_t)i));
    }
}

static void exact(void **state)
{
    (void)state;
    static const struct {
        double floor, a, b;
    } cases[] = {{0, 30, 0.2}, {0, 5, 0.05}, {1.2, 400, 0.4}, {0.3, 8, 0.1}, {2, 1e6, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double x[POINTS], loss[POINTS];
        PowerLaw law;
        make(cases[i].floor, cases[i].a, cases[i].b, 0, 0, x, loss);
        must(power_law_fit(x, loss, POINTS, cases[i].floor > 0, &law));
        assert_null(law.refusal);
        assert_near(law.a, cases[i].a, 1e-4);
        assert_near(law.b, cases[i].b, 1e-5);
        assert_true(fabs(law.floor - cases[i].floor) < 1e-4);
        assert_true(law.deviation < 1e-8 && law.b_error < 1e-5);
        assert_near(power_law_at(&law, x[3]), loss[3], 1e-8);
    }
}

/* Each number lies within three of its standard errors in all but a few of many drawings, and the errors are not idly large. */
static void noisy(void **state)
{
    (void)state;
    int misses = 0;
    double square = 0, claimed = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        double x[POINTS], loss[POINTS];
        PowerLaw law;
        make(1, 2000, 0.5, 0.002, seed, x, loss);
        must(power_law_fit(x, loss, POINTS, true, &law));
        assert_null(law.refusal);
        misses += fabs(law.b - 0.5) > 3 * law.b_error;
        misses += fabs(law.floor - 1) > 3 * law.floor_error;
        misses += fabs(log(law.a / 2000)) > 3 * law.a_error / law.a;
        square += pow(law.b - 0.5, 2) / 200;
        claimed += pow(law.b_error, 2) / 200;
        assert_true(law.deviation < 0.01);
    }
    assert_true(misses < 30); /* of 600; of Student's distribution with 5 degrees of freedom 3% lie beyond 3 */
    assert_true(claimed > square / 2 && claimed < 2 * square);
}

static void no_fit(void **state)
{
    (void)state;
    PowerLaw law;
    const double x[] = {1, 2, 4, 8, 16}, same[] = {3, 3, 3, 3, 3}, loss[] = {8, 4, 2, 1, 0.5};
    const double rising[] = {1, 2, 3, 4, 5};
    must(power_law_fit(x, loss, 2, false, &law));
    assert_string_equal(law.refusal, "too few points: 3 are needed");
    must(power_law_fit(x, loss, 3, true, &law));
    assert_string_equal(law.refusal, "too few points: 4 are needed");
    must(power_law_fit(x, loss, 0, false, &law));
    assert_non_null(law.refusal);
    must(power_law_fit(same, loss, 5, false, &law));
    assert_string_equal(law.refusal, "all points have one x");
    const double zero[] = {0, 2, 4, 8, 16};
    must(power_law_fit(zero, loss, 5, false, &law));
    assert_string_equal(law.refusal, "a point has no logarithm");
    must(power_law_fit(x, rising, 5, false, &law));
    assert_string_equal(law.refusal, "the loss does not fall as a power");
    must(power_law_fit(x, rising, 5, true, &law));
    assert_non_null(law.refusal);
    must(power_law_fit(x, loss, 5, true, &law));
    assert_string_equal(law.refusal, "the best irreducible loss is 0");
    must(power_law_fit(x, loss, 3, false, &law));
    assert_null(law.refusal);
    assert_near(law.b, 1, 1e-9);
    assert_near(law.a, 8, 1e-9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(exact), cmocka_unit_test(noisy), cmocka_unit_test(no_fit)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
