/* Counts of what followed n-grams, worked out by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <math.h>

#include <cmocka.h>

#include "kernel/kernels.h"

enum { ORDERS = 2, WAYS = 2, SLOTS = 1000, VOCABULARY = 10 };
static const NgramShape shape = {ORDERS, WAYS, SLOTS};

typedef struct Found {
    int32_t next[ORDERS][WAYS];
    float weight[ORDERS][WAYS];
} Found;

static Backend *backend;
static Real *table;

static Rows rows_of(int64_t *offset)
{
    static const int64_t none, chunk[2];
    return (Rows){1, offset[1], offset, &none, &none, &none, chunk};
}

static void note(int64_t n, const int32_t *ids)
{
    int64_t offset[] = {0, n};
    Rows rows = rows_of(offset);
    KERNEL(backend, ngram_note, &shape, &rows, ids, table);
}

/* What is known behind the last of n ids. */
static Found find(int64_t n, const int32_t *ids)
{
    Found found[16];
    int64_t offset[] = {0, n};
    Rows rows = rows_of(offset);
    int32_t next[16 * ORDERS * WAYS];
    float weight[16 * ORDERS * WAYS];
    KERNEL(backend, ngram_find, &shape, &rows, VOCABULARY, ids, NULL, table, next, (Real *)weight);
    memcpy(found[n - 1].next, next + (n - 1) * ORDERS * WAYS, sizeof found->next);
    memcpy(found[n - 1].weight, weight + (n - 1) * ORDERS * WAYS, sizeof found->weight);
    return found[n - 1];
}

#define IDS(...)                                                                                                       \
    (int64_t)(sizeof((int32_t[]){__VA_ARGS__}) / sizeof(int32_t)), (const int32_t[])                                   \
    {                                                                                                                  \
        __VA_ARGS__                                                                                                    \
    }

static int open_table(void **state)
{
    (void)state;
    if (backend_open(BACKEND_CPU, 1, false, &backend) != LMU_OK)
        return -1;
    void *memory;
    size_t numbers = (size_t)(ORDERS * SLOTS * ngram_slot_numbers(&shape));
    if (backend_alloc(backend, numbers * backend->real_size, &memory) != LMU_OK)
        return -1;
    table = memory;
    return 0;
}

static int close_table(void **state)
{
    (void)state;
    backend_free(backend, table);
    backend_close(backend);
    return 0;
}

/* Behind 1 2 came 3 twice and 4 once; behind 0 1 2 came 3 once. */
static void what_followed_is_counted(void **state)
{
    (void)state;
    note(IDS(0, 1, 2, 3));
    note(IDS(5, 1, 2, 3));
    note(IDS(6, 1, 2, 4));
    Found found = find(IDS(0, 1, 2));
    assert_int_equal(found.next[0][0], 3);
    assert_int_equal(found.next[0][1], 4);
    assert_true(found.weight[0][0] == 2.0f / 4 && found.weight[0][1] == 1.0f / 4);
    assert_int_equal(found.next[1][0], 3);
    assert_int_equal(found.next[1][1], -1);
    assert_true(found.weight[1][0] == 0.5f && found.weight[1][1] == 0);
    found = find(IDS(2, 1)); /* never seen; and of three there are not enough */
    assert_int_equal(found.next[0][0], -1);
    assert_int_equal(found.next[1][0], -1);
}

static void the_commonest_stand_first(void **state)
{
    (void)state;
    note(IDS(1, 2, 4));
    note(IDS(1, 2, 5));
    for (int i = 0; i < 3; i++)
        note(IDS(1, 2, 6)); /* takes the place of 4, as rare as 5 and older */
    Found found = find(IDS(1, 2));
    assert_int_equal(found.next[0][0], 6);
    assert_int_equal(found.next[0][1], 5);
}

static void what_is_no_id_is_not_counted(void **state)
{
    (void)state;
    note(IDS(1, 2, -1, 3));
    assert_int_equal(find(IDS(1, 2)).next[0][0], -1);
    assert_int_equal(find(IDS(2, -1)).next[0][0], -1);
}

/* A file may hold anything. */
static void a_broken_table_gives_no_wrong_id(void **state)
{
    (void)state;
    static const double wrong[] = {NAN, INFINITY, -INFINITY, -1, 0, VOCABULARY + 1, 1e30};
    for (size_t k = 0; k < sizeof wrong / sizeof *wrong; k++) {
        KERNEL(backend, fill, ORDERS * SLOTS * ngram_slot_numbers(&shape), wrong[k], table);
        Found found = find(IDS(1, 2, 3));
        for (int order = 0; order < ORDERS; order++)
            for (int way = 0; way < WAYS; way++) {
                assert_in_range(found.next[order][way] + 1, 0, VOCABULARY);
                assert_true(isfinite(found.weight[order][way]));
            }
        note(IDS(1, 2, 3, 4));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_followed_is_counted, open_table, close_table),
        cmocka_unit_test_setup_teardown(the_commonest_stand_first, open_table, close_table),
        cmocka_unit_test_setup_teardown(what_is_no_id_is_not_counted, open_table, close_table),
        cmocka_unit_test_setup_teardown(a_broken_table_gives_no_wrong_id, open_table, close_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
