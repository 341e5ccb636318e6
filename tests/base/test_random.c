#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.c" /* the known answers need the upper half of the counter, which the header does not offer */

/* Known answers published with Random123 (Salmon et al. 2011), philox4x32 with 10 rounds. */
static void test_known_answers(void **state)
{
    (void)state;
    static const struct {
        uint64_t key, low, high;
        uint32_t expected[4];
    } vectors[] = {
        {0, 0, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {UINT64_MAX, UINT64_MAX, UINT64_MAX, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {0x299f31d0a4093822, 0x85a308d3243f6a88, 0x0370734413198a2e, {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        uint32_t out[4];
        philox(vectors[i].key, vectors[i].low, vectors[i].high, out);
        assert_memory_equal(out, vectors[i].expected, sizeof out);
    }
    uint32_t block[4];
    random_block(0, 0, block);
    assert_memory_equal(block, vectors[0].expected, sizeof block);
}

static void test_keys_differ(void **state)
{
    (void)state;
    uint64_t keys[] = {
        random_key(0, "windows", 0, 0), random_key(1, "windows", 0, 0), random_key(0, "dropout", 0, 0),
        random_key(0, "windows", 1, 0), random_key(0, "windows", 0, 1), random_key(0, "", 0, 0),
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        for (size_t j = 0; j < i; j++)
            assert_true(keys[i] != keys[j]);
    assert_true(random_key(7, "x", 1, 2) == random_key(7, "x", 1, 2));
}

/* Chi-square over 64 equal cells, 64,000 draws: 63 degrees of freedom, above 120 once in 100,000 keys. */
static void test_uniform_cells(void **state)
{
    (void)state;
    double sum = 0, chi = 0;
    int cells[64] = {0};
    for (uint64_t i = 0; i < 64000; i++) {
        double u = random_uniform(11, i);
        assert_true(u >= 0 && u < 1);
        sum += u;
        cells[(int)(64 * u)]++;
    }
    for (int i = 0; i < 64; i++)
        chi += (cells[i] - 1000.0) * (cells[i] - 1000.0) / 1000;
    assert_true(fabs(sum / 64000 - 0.5) < 0.005);
    assert_true(chi < 120);
}

static void test_normal_moments(void **state)
{
    (void)state;
    double moment[5] = {0};
    const int n = 100000;
    for (int i = 0; i < n; i++) {
        double x = random_normal(3, (uint64_t)i), power = 1;
        assert_true(isfinite(x));
        for (int k = 1; k <= 4; k++)
            moment[k] += power *= x;
    }
    assert_true(fabs(moment[1] / n) < 0.02);
    assert_true(fabs(moment[2] / n - 1) < 0.03);
    assert_true(fabs(moment[3] / n) < 0.06);
    assert_true(fabs(moment[4] / n - 3) < 0.2);
}

static void test_below(void **state)
{
    (void)state;
    int cells[7] = {0};
    for (uint64_t i = 0; i < 70000; i++)
        cells[random_below(5, i, 7)]++;
    for (int i = 0; i < 7; i++)
        assert_true(abs(cells[i] - 10000) < 500);
    assert_int_equal(random_below(5, 9, 1), 0);
    /* With this bound nearly half of all draws are drawn anew. */
    uint64_t bound = (UINT64_MAX / 2) + 2;
    int high = 0;
    for (uint64_t i = 0; i < 1000; i++) {
        uint64_t value = random_below(5, i, bound);
        assert_true(value < bound);
        high += value > bound / 2;
    }
    assert_true(abs(high - 500) < 80);
}

static void test_permute_is_a_bijection(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {1, 2, 3, 5, 7, 8, 9, 31, 33, 127, 1000, 4095, 4097, 65537};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (uint64_t key = 0; key < 3; key++) {
            char *seen = calloc(sizes[s], 1);
            for (uint64_t i = 0; i < sizes[s]; i++) {
                uint64_t image = random_permute(key, sizes[s], i);
                assert_true(image < sizes[s]);
                assert_false(seen[image]);
                seen[image] = 1;
            }
            free(seen);
        }
    assert_true(random_permute(1, UINT64_MAX, 5) < UINT64_MAX);
}

/* A permutation that keeps neighbours together would not shuffle: the mean distance of images is n/3, and two keys agree
 * in about one place. */
static void test_permute_shuffles(void **state)
{
    (void)state;
    const uint64_t n = 10007;
    double distance = 0;
    int fixed = 0, agreed = 0;
    for (uint64_t i = 0; i + 1 < n; i++) {
        uint64_t a = random_permute(1, n, i), b = random_permute(1, n, i + 1);
        distance += fabs((double)a - (double)b);
        fixed += a == i;
        agreed += a == random_permute(2, n, i);
    }
    assert_true(fabs(distance / (double)n / (double)n - 1.0 / 3) < 0.01);
    assert_true(fixed < 10);
    assert_true(agreed < 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answers),
        cmocka_unit_test(test_keys_differ),
        cmocka_unit_test(test_uniform_cells),
        cmocka_unit_test(test_normal_moments),
        cmocka_unit_test(test_below),
        cmocka_unit_test(test_permute_is_a_bijection),
        cmocka_unit_test(test_permute_shuffles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
