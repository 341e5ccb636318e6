/* Ratios whose value is known: B's curve is A's, moved by a factor in tokens. */
#include "study/efficiency.h"

#include "base/random.h"
#include "study/bootstrap.h"
#include "study/study_testing.h"

static const int64_t million = 1000000;

/* A straight line in the logarithms, which interpolation between its points follows. */
static double law(double tokens)
{
    return 60 * pow(tokens, -0.2);
}

static void reach(void **state)
{
    (void)state;
    const double x[] = {1, 4, 16, 64}, loss[] = {8, 4, 5, 2};
    Interval found = curve_reach(x, loss, 4, 4 * sqrt(2));
    assert_near(found.low, 2, 1e-12); /* half of the way in the logarithms */
    assert_near(found.high, 2, 1e-12);
    found = curve_reach(x, loss, 4, 4);
    assert_near(found.low, 4, 1e-12);
    found = curve_reach(x, loss, 4, 2 * sqrt(2)); /* the third point counts as 4 */
    assert_near(found.low, 32, 1e-12);
    found = curve_reach(x, loss, 4, 8);
    assert_near(found.high, 1, 1e-12);
    found = curve_reach(x, loss, 4, 9);
    assert_true(found.low == 0 && found.high == 1);
    found = curve_reach(x, loss, 4, 1.9);
    assert_true(found.low == 64 && isinf(found.high));
    found = curve_reach(x, loss, 1, 8);
    assert_true(found.low == 1 && found.high == 1);
}

/* A's loss at D is B's at `factor` D; both have runs at budgets of first, first * 2, ... */
static void add_pair(Results *results, double factor, int a_runs, int b_runs)
{
    for (int i = 0; i < a_runs; i++)
        add_run(results, "lmu", "small", million * (i + 1), 0, law((double)million * (i + 1) * factor), 0.1);
    for (int i = 0; i < b_runs; i++)
        add_run(results, "transformer", "small", million << i, 0, law((double)(million << i)), 0.1);
}

static void measure(Results *results, size_t resamples, SeriesList *series, Pair *pair)
{
    bool found;
    StringList grids = {0};
    must(series_collect(results, "results.jsonl", &grids, series));
    must(bootstrap_draw(series, resamples, 0));
    must(pair_measure(series->arena, &series->list[0], 0, &series->list[1], resamples, pair, &found));
    assert_true(found);
}

/* Where A's loss falls on a point of B's curve, the ratio is the factor to rounding. */
static void shifted(void **state)
{
    (void)state;
    Results results = {0};
    SeriesList series;
    Pair pair;
    add_pair(&results, 4, 2, 5);
    measure(&results, 200, &series, &pair);
    assert_int_equal(pair.ratios, 2);
    for (int i = 0; i < 2; i++)
        for (int cost = 0; cost < COSTS; cost++) {
            assert_near(pair.ratio[i].value[cost].low, 4, 1e-9);
            assert_near(pair.ratio[i].value[cost].high, 4, 1e-9);
        }
    /* Every run has the same parts but for a factor, so that paired draws leave the ratio as it is; the loss itself varies. */
    assert_near(pair.headline[COST_TOKENS].interval.low, 4, 1e-6);
    assert_near(pair.headline[COST_TOKENS].interval.high, 4, 1e-6);
    assert_true(pair.ratio[0].a->text.high > 1.05 * pair.ratio[0].a->text.low);
    assert_true(pair.has_budget[0] && pair.has_budget[1] && !pair.has_budget[2]);
    series_free(&series);
    results_free(&results);
}

static void between_points(void **state)
{
    (void)state;
    Results results = {0};
    SeriesList series;
    Pair pair;
    add_pair(&results, 3, 3, 5); /* 3, 6 and 9 million: between B's points */
    measure(&results, 0, &series, &pair);
    for (int i = 0; i < 3; i++)
        assert_near(pair.ratio[i].value[COST_TOKENS].low, 3, 1e-9);
    assert_near(pair.headline[COST_TOKENS].value.low, 3, 1e-9);
    assert_true(interval_is_none(pair.headline[COST_TOKENS].interval));
    series_free(&series);
    results_free(&results);
}

static void open_ends(void **state)
{
    (void)state;
    Results results = {0};
    SeriesList series;
    Pair pair;
    add_pair(&results, 4, 3, 4); /* B ends at 8 million; A's third budget would be 12 */
    measure(&results, 100, &series, &pair);
    const Headline *headline = &pair.headline[COST_TOKENS];
    assert_near(pair.ratio[2].value[COST_TOKENS].low, 8.0 / 3, 1e-9);
    assert_true(isinf(pair.ratio[2].value[COST_TOKENS].high));
    assert_near(headline->value.low, cbrt(4 * 4 * 8.0 / 3), 1e-9);
    assert_true(isinf(headline->value.high) && isinf(headline->interval.high));
    assert_near(headline->least.low, 8.0 / 3, 1e-9);
    assert_near(headline->most.low, 4, 1e-9);
    series_free(&series);
    results_free(&results);

    add_pair(&results, 0.5, 3, 4); /* A's first loss is above B's first */
    measure(&results, 100, &series, &pair);
    headline = &pair.headline[COST_TOKENS];
    assert_true(pair.ratio[0].value[COST_TOKENS].low == 0 && pair.ratio[0].value[COST_TOKENS].high == 1);
    assert_true(headline->value.low == 0);
    assert_near(headline->value.high, cbrt(0.5 * 0.5), 1e-9);
    assert_true(headline->interval.low == 0);
    series_free(&series);
    results_free(&results);
}

/* Both ways at once: nothing is known of the mean. */
static void not_determined(void **state)
{
    (void)state;
    Results results = {0};
    SeriesList series;
    Pair pair;
    add_run(&results, "lmu", "small", million, 0, 4, 0);
    add_run(&results, "lmu", "small", 2 * million, 0, 1, 0);
    add_run(&results, "lmu", "small", 4 * million, 0, 2.5, 0); /* no budget of the headline */
    add_run(&results, "transformer", "small", million, 0, 3, 0);
    add_run(&results, "transformer", "small", 2 * million, 0, 2, 0);
    measure(&results, 0, &series, &pair);
    const Interval value = pair.headline[COST_TOKENS].value;
    assert_true(value.low == 0 && isinf(value.high));
    assert_false(pair.has_budget[2]);
    series_free(&series);
    results_free(&results);
}

static void other_machine(void **state)
{
    (void)state;
    Results results = {0};
    SeriesList series;
    Pair pair;
    add_pair(&results, 4, 2, 5);
    results.list[1].threads = 2;
    measure(&results, 0, &series, &pair);
    assert_ptr_equal(pair.untimed, untimed_machines);
    assert_true(interval_is_none(pair.ratio[0].value[COST_SECONDS]));
    assert_false(interval_is_none(pair.ratio[0].value[COST_FLOPS]));
    series_free(&series);
    results_free(&results);
}

/* Seconds a token that differ by a factor of 1.5 withhold the ratio of times, whichever of the two they are of. */
static void busy_machine(void **state)
{
    (void)state;
    static const char *const label[] = {"lmu/adamw", "transformer/adamw"};
    for (int which = 0; which < 2; which++)
        for (int busy = 0; busy < 2; busy++) {
            Results results = {0};
            SeriesList series;
            Pair pair;
            add_pair(&results, 4, 2, 5);
            results.list[which ? 4 : 1].seconds *= busy ? 1.5 : 1.2;
            measure(&results, 0, &series, &pair);
            assert_near(pair.pace[which].most, (busy ? 1.5 : 1.2) * 1e-5, 1e-9);
            assert_near(pair.pace[which].least, 1e-5, 1e-9);
            assert_int_equal(pair.pace[which].runs, which ? 5 : 2);
            assert_int_equal(interval_is_none(pair.headline[COST_SECONDS].value), busy);
            assert_true(busy ? strstr(pair.untimed, label[which]) &&
                                   strstr(pair.untimed, "a factor of 1.5 where 1.25 is")
                             : !pair.untimed);
            assert_false(interval_is_none(pair.headline[COST_TOKENS].value));
            series_free(&series);
            results_free(&results);
        }
}

/* Another shape at another budget, as tuning may choose it, may take another time. */
static void changed_shape(void **state)
{
    (void)state;
    Results results = {0};
    SeriesList series;
    Pair pair;
    add_pair(&results, 4, 2, 5);
    results.list[1].seconds *= 1.5;
    results.list[1].flops_token *= 1.4;
    measure(&results, 0, &series, &pair);
    assert_null(pair.untimed);
    assert_int_equal(pair.pace[0].runs, 1);
    series_free(&series);
    results_free(&results);
}

static void other_size(void **state)
{
    (void)state;
    Results results = {0};
    SeriesList series;
    Pair pair;
    bool found = true;
    StringList grids = {0};
    add_run(&results, "lmu", "small", million, 0, 4, 0);
    add_run(&results, "transformer", "large", million, 0, 3, 0);
    must(series_collect(&results, "results.jsonl", &grids, &series));
    must(pair_measure(series.arena, &series.list[0], 0, &series.list[1], 0, &pair, &found));
    assert_false(found);
    series_free(&series);
    results_free(&results);
}

/* Shapes may differ from budget to budget, and with them parameters a little: budgets of a size stay together, in order. */
static void other_shapes(void **state)
{
    (void)state;
    Results results = {0};
    SeriesList series;
    StringList grids = {0};
    add_run(&results, "lmu", "small", million, 0, 4, 0)->non_embedding = 108000;
    add_run(&results, "lmu", "small", 4 * million, 0, 3, 0)->non_embedding = 96000;
    add_run(&results, "lmu", "small", 2 * million, 0, 3.5, 0);
    add_run(&results, "lmu", "like it", million, 0, 4, 0)->non_embedding = 98000;
    must(series_collect(&results, "results.jsonl", &grids, &series));
    const SeriesCell *cell = series.list[0].cell;
    for (int i = 0; i < 3; i++) {
        assert_string_equal(cell[i].size, "small");
        assert_int_equal(cell[i].budget, million << i);
    }
    assert_string_equal(cell[3].size, "like it");
    assert_int_equal(series_size_end(&series.list[0], 0), 3);
    series_free(&series);

    results.list[1].non_embedding = 80000;
    assert_int_equal(series_collect(&results, "results.jsonl", &grids, &series), LMU_FORMAT);
    assert_non_null(strstr(lmu_error_message(), "of size 'small', but have 108000 and 80000 non-embedding parameters"));
    results.list[1].non_embedding = 99000;
    results.list[1].budget = million; /* of another seed */
    results.list[1].seed = 1;
    assert_int_equal(series_collect(&results, "results.jsonl", &grids, &series), LMU_FORMAT);
    results_free(&results);
}

/* How seeds make the losses of the simulated runs vary, and which runs there are. */
typedef struct Seeds {
    int count;
    bool shared;  /* all runs of one seed alike, as they branch off from one training; else each run by itself */
    bool missing; /* the last seed lacks A's first budget and B's last two */
    double model, baseline; /* standard deviations of log loss */
} Seeds;

static void add_simulated(Results *results, const Seeds *seeds, uint64_t trial)
{
    uint64_t key = random_key(3, "effects", trial, 0);
    for (int seed = 0; seed < seeds->count; seed++)
        for (int i = 0; i < 8; i++) {
            bool is_model = i < 3, lacks = seeds->missing && seed == seeds->count - 1 && (i == 0 || i > 5);
            int64_t budget = is_model ? million * (i + 1) : million << (i - 3);
            double effect = (is_model ? seeds->model : seeds->baseline) *
                            random_normal(key, (uint64_t)(seed * 8 + (seeds->shared ? is_model : i)));
            if (!lacks)
                add_run(results, is_model ? "lmu" : "transformer", "small", budget, seed,
                        law((double)budget * (is_model ? 2 : 1)) * exp(effect), 0);
        }
}

/* The share of 200 headlines whose 95% interval holds the true ratio, 2. */
static double coverage(const Seeds *seeds)
{
    int held = 0, trials = 200;
    for (int trial = 0; trial < trials; trial++) {
        Results results = {0};
        SeriesList series;
        Pair pair;
        add_simulated(&results, seeds, (uint64_t)trial);
        measure(&results, 200, &series, &pair);
        Interval interval = pair.headline[COST_TOKENS].interval;
        held += interval.low <= 2 && 2 <= interval.high;
        series_free(&series);
        results_free(&results);
    }
    return (double)held / trials;
}

static void covers(void **state)
{
    (void)state;
    static const Seeds cases[] = {
        {2, true, false, 0.01, 0.01},  {3, true, false, 0.01, 0.01},  {5, true, false, 0.01, 0.01},
        {2, false, false, 0.01, 0.01}, {3, false, false, 0.01, 0.01}, {5, false, false, 0.01, 0.01},
        {3, true, true, 0.01, 0.01},   {5, true, true, 0.01, 0.01},   {5, false, true, 0.01, 0.01},
        {3, true, false, 0.01, 0},     {5, true, false, 0, 0.01},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double share = coverage(&cases[i]);
        if (share < 0.91 || share == 1)
            fail_msg("case %zu: 95%% intervals hold the ratio %g of the time", i, share);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reach),        cmocka_unit_test(shifted),        cmocka_unit_test(between_points),
        cmocka_unit_test(open_ends),    cmocka_unit_test(not_determined), cmocka_unit_test(other_machine),
        cmocka_unit_test(busy_machine), cmocka_unit_test(other_size),     cmocka_unit_test(covers),
        cmocka_unit_test(other_shapes), cmocka_unit_test(changed_shape),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
