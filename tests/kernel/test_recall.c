/* What followed earlier occurrences, worked out by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <math.h>

#include <cmocka.h>

#include "kernel/kernels.h"

#define TOKENS 9
#define ORDERS 2
#define VOCABULARY 5

static const int32_t text[TOKENS] = {1, 2, 3, 1, 2, 4, 1, 2, -1};

/* Of `count` tokens from place `start` on, after `state` has been kept of those before. */
static void recall(Backend *b, int64_t window, int64_t start, int64_t count, Real *state, int32_t *next)
{
    int64_t offset[] = {0, count}, slot = 0, chunk[] = {0, 1};
    Rows rows = {1, count, offset, &start, &slot, &slot, chunk};
    KERNEL(b, recall, &rows, ORDERS, window, VOCABULARY, text + start, state, next);
    if (state)
        KERNEL(b, recall_keep, &rows, window, text + start, state);
}

static void check(int64_t window, const int32_t expected[TOKENS][ORDERS])
{
    Backend *b;
    int32_t next[TOKENS][ORDERS];
    void *state;
    assert_int_equal(backend_open(BACKEND_CPU, 1, false, &b), LMU_OK);
    assert_int_equal(backend_reserve(b, b->kernels->recall_workspace(b, window, TOKENS)), LMU_OK);
    assert_int_equal(backend_alloc(b, (size_t)window * b->real_size, &state), LMU_OK);
    recall(b, window, 0, TOKENS, NULL, next[0]);
    assert_memory_equal(next, expected, sizeof next);
    for (int64_t piece = 1; piece < TOKENS; piece++) {
        KERNEL(b, fill, window, 0, state);
        memset(next, 0x55, sizeof next);
        for (int64_t at = 0; at < TOKENS; at += piece)
            recall(b, window, at, at + piece < TOKENS ? piece : TOKENS - at, state, next[at]);
        assert_memory_equal(next, expected, sizeof next);
    }
    backend_free(b, state);
    backend_close(b);
}

static void what_followed_is_found(void **state)
{
    (void)state;
    check(100, (const int32_t[TOKENS][ORDERS]){
                   {-1, -1}, {-1, -1}, {-1, -1}, {2, -1}, {3, 3}, {-1, -1}, {2, -1}, {4, 4}, {-1, -1}});
}

/* The pair 1 2 began five tokens ago at its last place: its 2 is in a window of 4 with what followed, its 1 is not. */
static void a_window_hides_the_rest(void **state)
{
    (void)state;
    check(4, (const int32_t[TOKENS][ORDERS]){
                 {-1, -1}, {-1, -1}, {-1, -1}, {2, -1}, {3, -1}, {-1, -1}, {2, -1}, {4, -1}, {-1, -1}});
    check(3, (const int32_t[TOKENS][ORDERS]){
                 {-1, -1}, {-1, -1}, {-1, -1}, {-1, -1}, {-1, -1}, {-1, -1}, {-1, -1}, {-1, -1}, {-1, -1}});
}

/* A file may hold anything. */
static void a_broken_ring_gives_no_wrong_id(void **state)
{
    (void)state;
    enum { WINDOW = 8 };
    static const double wrong[] = {NAN, INFINITY, -INFINITY, -3, VOCABULARY, 1e30};
    Backend *b;
    void *ring;
    assert_int_equal(backend_open(BACKEND_CPU, 1, false, &b), LMU_OK);
    assert_int_equal(backend_reserve(b, b->kernels->recall_workspace(b, WINDOW, TOKENS)), LMU_OK);
    assert_int_equal(backend_alloc(b, WINDOW * b->real_size, &ring), LMU_OK);
    for (size_t k = 0; k < sizeof wrong / sizeof *wrong; k++) {
        int32_t next[TOKENS][ORDERS];
        KERNEL(b, fill, WINDOW, wrong[k], ring);
        recall(b, WINDOW, 5, TOKENS - 5, ring, next[0]);
        for (int i = 0; i < TOKENS - 5; i++)
            assert_true(next[i][0] >= -1 && next[i][0] < VOCABULARY && next[i][1] >= -1 && next[i][1] < VOCABULARY);
    }
    backend_free(b, ring);
    backend_close(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_followed_is_found),
        cmocka_unit_test(a_window_hides_the_rest),
        cmocka_unit_test(a_broken_ring_gives_no_wrong_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
