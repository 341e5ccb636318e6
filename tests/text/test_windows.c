#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "memory_shard.h"
#include "text/windows.h"

#define TOKENS 5000

static uint16_t ids[TOKENS];

static void fill(void)
{
    for (int i = 0; i < TOKENS; i++)
        ids[i] = (uint16_t)i;
}

static void each_window_is_visited_once_a_pass(void **state)
{
    (void)state;
    fill();
    const int64_t counts[] = {2, 8, 257, 1000, TOKENS};
    const int64_t lengths[] = {1, 7, 64, 256};
    for (int c = 0; c < 5; c++)
        for (int l = 0; l < 4; l++) {
            if (counts[c] < lengths[l] + 1)
                continue;
            Shard shard = memory_shard(ids, counts[c], TOKENS);
            Windows windows;
            assert_int_equal(windows_open(&shard, lengths[l], 3, &windows), LMU_OK);
            assert_int_equal(windows.count, (counts[c] - 1) / lengths[l]);
            char *seen = calloc((size_t)windows.count, 3);
            assert_non_null(seen);
            for (int64_t s = 0; s < 3 * windows.count; s++) {
                int64_t offset = windows_offset(&windows, s);
                assert_int_equal(offset % lengths[l], 0);
                assert_in_range(offset, 0, counts[c] - lengths[l] - 1);
                char *mark = &seen[s / windows.count * windows.count + offset / lengths[l]];
                assert_false(*mark);
                *mark = 1;
            }
            free(seen);
        }
}

static void order_depends_on_seed_and_pass_alone(void **state)
{
    (void)state;
    fill();
    Shard shard = memory_shard(ids, TOKENS, TOKENS);
    Windows one, same, other;
    assert_int_equal(windows_open(&shard, 16, 1, &one), LMU_OK);
    assert_int_equal(windows_open(&shard, 16, 1, &same), LMU_OK);
    assert_int_equal(windows_open(&shard, 16, 2, &other), LMU_OK);
    int as_other = 0, as_next_pass = 0, in_place = 0;
    for (int64_t s = 0; s < one.count; s++) {
        assert_int_equal(windows_offset(&one, s), windows_offset(&same, s));
        as_other += windows_offset(&one, s) == windows_offset(&other, s);
        as_next_pass += windows_offset(&one, s) == windows_offset(&one, s + one.count);
        in_place += windows_offset(&one, s) == s * 16;
    }
    /* Of 312 windows a random order leaves one in place on average. */
    assert_in_range(as_other, 0, 10);
    assert_in_range(as_next_pass, 0, 10);
    assert_in_range(in_place, 0, 10);
}

static void a_window_reads_inputs_and_the_last_target(void **state)
{
    (void)state;
    fill();
    Shard shard = memory_shard(ids, TOKENS, TOKENS);
    Windows windows;
    assert_int_equal(windows_open(&shard, 100, 9, &windows), LMU_OK);
    int32_t out[102];
    out[101] = -7;
    for (int64_t s = 0; s < windows.count; s++) {
        windows_read(&windows, s, out);
        for (int i = 0; i <= 100; i++)
            assert_int_equal(out[i], windows_offset(&windows, s) + i);
        assert_int_equal(out[101], -7);
    }
}

static void too_little_data_is_refused(void **state)
{
    (void)state;
    fill();
    Windows windows;
    Shard shard = memory_shard(ids, 256, TOKENS);
    assert_int_equal(windows_open(&shard, 256, 0, &windows), LMU_USAGE);
    assert_string_equal(lmu_error_message(),
                        "the data holds 256 tokens, fewer than one window of 256 + 1: use more text "
                        "or a smaller length");
    assert_int_equal(windows_open(&shard, INT64_MAX, 0, &windows), LMU_USAGE);
    assert_int_equal(windows_open(&shard, 0, 0, &windows), LMU_USAGE);
    assert_string_equal(lmu_error_message(), "a window must hold at least 1 token, not 0");
    shard.count = 0;
    assert_int_equal(windows_open(&shard, 1, 0, &windows), LMU_USAGE);
    shard.count = 2;
    assert_int_equal(windows_open(&shard, 1, 0, &windows), LMU_OK);
}

/* Walks one cut and checks that targets 1 .. count-1 are scored once and in order, each with the context it is promised. */
static void check_cut(EvalCut cut, int64_t count)
{
    int64_t first, length, scored, next = 1, index = 0;
    for (; eval_window(&cut, count, index, &first, &length, &scored); index++) {
        assert_true(first >= 0 && length >= 1 && length <= cut.context && scored >= 1 && scored <= length);
        assert_true(first + length < count);
        assert_int_equal(first + length - scored + 1, next);
        if (cut.carry)
            assert_int_equal(length, scored);
        if (!cut.carry && index > 0)
            assert_true(length - scored == cut.context - cut.stride);
        next += scored;
        assert_true(index < count);
    }
    assert_int_equal(next, count > 1 ? count : 1);
    assert_false(eval_window(&cut, count, index + 1, &first, &length, &scored));
}

static void every_cut_predicts_each_token_once(void **state)
{
    (void)state;
    for (int64_t count = 0; count <= 70; count++)
        for (int64_t context = 1; context <= 33; context++) {
            for (int64_t stride = 1; stride <= context; stride++)
                check_cut((EvalCut){.context = context, .stride = stride}, count);
            check_cut((EvalCut){.context = context, .stride = 0, .carry = 1}, count);
        }
    check_cut((EvalCut){.context = INT64_MAX, .stride = INT64_MAX}, 1000);
    check_cut((EvalCut){.context = INT64_MAX, .stride = 1}, 1000);
}

static void cuts_without_sense_have_no_window(void **state)
{
    (void)state;
    int64_t first, length, scored;
    const EvalCut cuts[] = {{.context = 0, .stride = 1},
                            {.context = -1, .stride = -1},
                            {.context = 8, .stride = 0},
                            {.context = 8, .stride = 9},
                            {.context = 0, .stride = 0, .carry = 1}};
    for (int i = 0; i < 5; i++)
        assert_false(eval_window(&cuts[i], 100, 0, &first, &length, &scored));
    EvalCut good = {.context = 8, .stride = 8};
    assert_false(eval_window(&good, 100, -1, &first, &length, &scored));
    assert_false(eval_window(&good, 100, INT64_MAX, &first, &length, &scored));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_window_is_visited_once_a_pass),
        cmocka_unit_test(order_depends_on_seed_and_pass_alone),
        cmocka_unit_test(a_window_reads_inputs_and_the_last_target),
        cmocka_unit_test(too_little_data_is_refused),
        cmocka_unit_test(every_cut_predicts_each_token_once),
        cmocka_unit_test(cuts_without_sense_have_no_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
