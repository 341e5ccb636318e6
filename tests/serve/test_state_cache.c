/* The cache of states against a list that does the same slowly. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "serve/state_cache.h"

#define SOME 40 /* keys */

static StateKey key_of(uint64_t number)
{
    StateKey key;
    memset(&key, 0, sizeof key);
    memcpy(key.byte, &number, sizeof number); /* small numbers meet in few buckets */
    return key;
}

static void put(StateCache *cache, uint64_t number, size_t size, bool expected)
{
    char *data = malloc(size + 1);
    bool kept;
    StateKey key = key_of(number);
    assert_non_null(data);
    memset(data, (int)(number & 0xff), size);
    state_cache_put(cache, &key, data, size, &kept);
    assert_int_equal(kept, expected);
}

static bool get(StateCache *cache, uint64_t number, size_t size)
{
    size_t got;
    StateKey key = key_of(number);
    const char *data = state_cache_get(cache, &key, &got);
    assert_int_equal(state_cache_has(cache, &key), data != NULL);
    if (!data)
        return false;
    assert_int_equal(got, size);
    for (size_t i = 0; i < got; i++)
        assert_int_equal((unsigned char)data[i], number & 0xff);
    return true;
}

static void test_oldest_goes_first(void **state)
{
    (void)state;
    StateCache *cache;
    assert_int_equal(state_cache_open(4000, &cache), LMU_OK);
    put(cache, 1, 1000, true);
    put(cache, 2, 1000, true);
    put(cache, 3, 1000, true);
    assert_true(get(cache, 1, 1000)); /* 2 is the oldest now */
    put(cache, 4, 1000, true);
    assert_true(get(cache, 1, 1000) && get(cache, 3, 1000) && get(cache, 4, 1000));
    assert_false(get(cache, 2, 1000));
    put(cache, 5, 3000, true); /* takes the place of several */
    assert_true(get(cache, 5, 3000));
    assert_false(get(cache, 1, 1000) || get(cache, 3, 1000));
    assert_int_equal(state_cache_figures(cache).entries, 1);
    assert_int_equal(state_cache_figures(cache).evictions, 4);
    put(cache, 6, 4001, false); /* larger than all: nothing had to go for it */
    assert_true(get(cache, 5, 3000));
    put(cache, 5, 10, true); /* in the place of what was there */
    assert_true(get(cache, 5, 10));
    state_cache_close(cache);
}

static void test_nothing_fits(void **state)
{
    (void)state;
    StateCache *cache;
    assert_int_equal(state_cache_open(0, &cache), LMU_OK);
    put(cache, 1, 0, false);
    assert_false(get(cache, 1, 0));
    assert_int_equal(state_cache_figures(cache).bytes, 0);
    state_cache_close(cache);
    state_cache_close(NULL);
}

/* Thousands of puts and gets: what the list has, the cache has, and never more bytes than the limit. */
static void test_against_a_list(void **state)
{
    (void)state;
    StateCache *cache;
    uint64_t order[SOME], count = 0, random = random_key(1, "cache", 0, 0);
    assert_int_equal(state_cache_open(20 * 2000, &cache), LMU_OK);
    for (uint64_t step = 0; step < 20000; step++) {
        uint64_t number = random_below(random, 2 * step, SOME), place = 0;
        while (place < count && order[place] != number)
            place++;
        if (random_below(random, 2 * step + 1, 2)) {
            put(cache, number, 1800, true);
            if (place == count)
                order[count++] = number;
        } else if (!get(cache, number, 1800))
            continue;
        memmove(&order[1], &order[0], (place < count ? place : count - 1) * sizeof *order);
        order[0] = number;
        count = state_cache_figures(cache).entries; /* the list's end is what the cache let go */
        assert_true(state_cache_figures(cache).bytes <= 20 * 2000);
        for (uint64_t i = 0; i < count; i++) {
            StateKey key = key_of(order[i]);
            assert_true(state_cache_has(cache, &key));
        }
    }
    assert_true(count >= 20);
    state_cache_close(cache);
}

/* More entries than the first table has room for. */
static void test_growth(void **state)
{
    (void)state;
    StateCache *cache;
    assert_int_equal(state_cache_open((size_t)1 << 24, &cache), LMU_OK);
    for (uint64_t i = 0; i < 5000; i++)
        put(cache, i, 7, true);
    for (uint64_t i = 0; i < 5000; i++)
        assert_true(get(cache, i, 7));
    assert_int_equal(state_cache_figures(cache).entries, 5000);
    state_cache_close(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_oldest_goes_first),
        cmocka_unit_test(test_nothing_fits),
        cmocka_unit_test(test_against_a_list),
        cmocka_unit_test(test_growth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
