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

/* Walks some passes of one order of lanes: windows of a lane side by side, none twice in a pass, all of them in one pass or another. */
static void check_lanes(int64_t tokens, int64_t length, int64_t lanes, uint64_t seed)
{
    enum { PASSES = 12 };
    Shard shard = memory_shard(ids, tokens, TOKENS);
    Windows windows;
    int64_t all = (tokens - 1) / length, steps = all / lanes, ever = 0;
    assert_int_equal(windows_open_lanes(&shard, length, lanes, seed, &windows), LMU_OK);
    assert_int_equal(windows.count, steps * lanes);
    assert_int_equal(windows.steps, steps);
    int *reader = calloc((size_t)all, sizeof *reader); /* the last pass that read a window */
    assert_non_null(reader);
    for (int64_t s = 0; s < PASSES * windows.count; s++) {
        int64_t offset = windows_offset(&windows, s), window = offset / length, step = s % windows.count / lanes;
        int pass = (int)(s / windows.count) + 1;
        assert_int_equal(offset % length, 0);
        assert_in_range(window, 0, all - 1);
        assert_true(reader[window] < pass);
        ever += reader[window] == 0;
        reader[window] = pass;
        assert_int_equal(windows_starts(&windows, s), step == 0);
        if (step > 0)
            assert_int_equal(offset, windows_offset(&windows, s - lanes) + length);
    }
    if (all % lanes <= 1) /* one spare window stands at either end, by a coin: 12 passes read both, for these seeds */
        assert_int_equal(ever, all);
    free(reader);
}

static void lanes_are_contiguous_and_read_each_window_once(void **state)
{
    (void)state;
    fill();
    const int64_t tokens[] = {2, 8, 257, 1000, TOKENS}, lengths[] = {1, 7, 64, 256}, lanes[] = {1, 2, 3, 5, 16, 142};
    int checked = 0;
    for (int t = 0; t < 5; t++)
        for (int l = 0; l < 4; l++)
            for (int n = 0; n < 6; n++)
                if ((tokens[t] - 1) / lengths[l] >= lanes[n]) {
                    check_lanes(tokens[t], lengths[l], lanes[n], 3);
                    checked++;
                }
    assert_in_range(checked, 40, 120);
}

/* The segments of lanes are the seed's and the pass's; shuffled windows have no lanes to start. */
static void lanes_read_segments_by_seed_and_pass(void **state)
{
    (void)state;
    fill();
    Shard shard = memory_shard(ids, TOKENS, TOKENS);
    Windows one, other, fewer, shuffled;
    assert_int_equal(windows_open_lanes(&shard, 16, 52, 1, &one), LMU_OK); /* 52 lanes of 6 windows */
    assert_int_equal(windows_open_lanes(&shard, 16, 52, 2, &other), LMU_OK);
    assert_int_equal(windows_open_lanes(&shard, 16, 26, 1, &fewer), LMU_OK);
    int as_other = 0, as_next_pass = 0, in_place = 0, as_fewer = 0;
    for (int64_t lane = 0; lane < 52; lane++) {
        as_other += windows_offset(&one, lane) == windows_offset(&other, lane);
        as_next_pass += windows_offset(&one, lane) == windows_offset(&one, lane + one.count);
        in_place += windows_offset(&one, lane) == lane * 6 * 16;
        as_fewer += windows_offset(&one, lane) == windows_offset(&fewer, lane);
    }
    assert_in_range(as_other, 0, 6);
    assert_in_range(as_next_pass, 0, 6);
    assert_in_range(in_place, 0, 6);
    assert_in_range(as_fewer, 0, 6);
    assert_int_equal(windows_open(&shard, 16, 1, &shuffled), LMU_OK);
    assert_true(windows_starts(&shuffled, 0) && windows_starts(&shuffled, 100));
}

static void too_few_windows_for_lanes_are_refused(void **state)
{
    (void)state;
    fill();
    Shard shard = memory_shard(ids, 1000, TOKENS);
    Windows windows;
    assert_int_equal(windows_open_lanes(&shard, 100, 9, 0, &windows), LMU_OK);
    assert_int_equal(windows.steps, 1);
    assert_int_equal(windows_open_lanes(&shard, 100, 10, 0, &windows), LMU_USAGE);
    assert_string_equal(
        lmu_error_message(),
        "the data holds 9 windows of 100 tokens, too few for 10 lanes of them: use more text, a smaller "
        "length or fewer lanes (a smaller batch)");
    assert_int_equal(windows_open_lanes(&shard, 100, 0, 0, &windows), LMU_USAGE);
    assert_int_equal(windows_open_lanes(&shard, 1000, 1, 0, &windows), LMU_USAGE);
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
        cmocka_unit_test(lanes_are_contiguous_and_read_each_window_once),
        cmocka_unit_test(lanes_read_segments_by_seed_and_pass),
        cmocka_unit_test(too_few_windows_for_lanes_are_refused),
        cmocka_unit_test(too_little_data_is_refused),
        cmocka_unit_test(every_cut_predicts_each_token_once),
        cmocka_unit_test(cuts_without_sense_have_no_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
