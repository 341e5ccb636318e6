/* Series, seeds and parts: which runs are taken, and whether intervals are as wide as they should be. */
#include "study/bootstrap.h"

#include "base/random.h"
#include "study/study_testing.h"

static void collect(const Results *results, SeriesList *series)
{
    StringList grids = {0};
    must(series_collect(results, "results.jsonl", &grids, series));
}

static void which_runs(void **state)
{
    (void)state;
    Results results = {0};
    SeriesList series;
    add_run(&results, "lmu", "small", 2000, 0, 3, 0);
    add_run(&results, "lmu", "small", 1000, 0, 4, 0);
    add_run(&results, "lmu", "small", 1000, 1, 9, 0);
    add_run(&results, "lmu", "small", 1000, 1, 4.2, 0); /* a newer one of one seed */
    Result *tuning = add_run(&results, "lmu", "small", 1000, 2, 9, 0);
    free(tuning->grid);
    tuning->grid = strdup("tuning-rate");
    Result *variant = add_run(&results, "lmu", "small", 1000, 0, 5, 0);
    free(variant->variant);
    variant->variant = strdup("theta");
    Result *shared = add_run(&results, "lmu", "small", 2000, 0, 3.1, 0); /* the first run, in another grid, made anew */
    strcpy(shared->id, "run0");
    add_run(&results, "lmu", "small", 4000, 0, INFINITY, 0); /* diverged */
    collect(&results, &series);
    assert_int_equal(series.count, 2);
    assert_int_equal(series.runs, 4);
    assert_int_equal(series.notes.count, 3);
    assert_non_null(strstr(series.notes.value[0],
                           "run run2 (grid main) is left out: lmu/adamw, size 'small', 1000 tokens, "
                           "seed 1 is the newer run run3 (grid main)"));
    assert_non_null(strstr(series.notes.value[1], "run run7 of grid main diverged"));
    assert_string_equal(series.list[1].label, "lmu/adamw/theta");
    const SeriesCell *cell = series.list[0].cell;
    assert_int_equal(series.list[0].cells, 2);
    assert_int_equal(cell[0].budget, 1000);
    assert_int_equal(cell[0].runs, 2);
    assert_near(cell[0].loss, 4.1, 1e-12);
    assert_near(cell[0].deviation, 0.2 / sqrt(2), 1e-9);
    assert_near(cell[0].seeds.high, 4.1 + 12.7062047 * 0.1, 1e-8); /* t at one degree of freedom */
    assert_true(interval_is_none(cell[1].seeds));
    assert_near(cell[1].loss, 3.1, 1e-12);
    assert_true(series_is_named(&series.list[1], "lmu") && series_is_named(&series.list[1], "lmu/adamw"));
    assert_false(series_is_named(&series.list[1], "lm") || series_is_named(&series.list[0], "lmu/adamw/theta"));
    series_free(&series);
    char *chosen[] = {"tuning-rate"};
    StringList grids = {.count = 1, .value = chosen};
    must(series_collect(&results, "results.jsonl", &grids, &series));
    assert_int_equal(series.runs, 1);
    series_free(&series);
    results_free(&results);
}

static void set(Result *run, const char *settings)
{
    json_decref(run->settings);
    run->settings = json_loads(settings, 0, NULL);
    assert_non_null(run->settings);
}

/* At each budget the newest configuration counts, and it is told where a curve goes from one to another. */
static void settings_change(void **state)
{
    (void)state;
    Results results = {0};
    SeriesList series;
    set(add_run(&results, "lmu", "small", 1000, 0, 4, 0), "{\"decay\": 0.2, \"threads\": 4, \"dim\": 48}");
    set(add_run(&results, "lmu", "small", 2000, 0, 3, 0), "{\"decay\": 0.2, \"batch\": 4, \"dim\": 48}");
    set(add_run(&results, "lmu", "small", 2000, 1, 3, 0), "{\"decay\": 0.2, \"batch\": 4, \"dim\": 48}");
    set(add_run(&results, "lmu", "large", 2000, 0, 3, 0), "{\"decay\": 0.2}");
    set(add_run(&results, "lmu", "small", 1000, 0, 4.1, 0),
        "{\"decay\": 0.4, \"threads\": 2, \"window\": 0, \"dim\": 48}");
    set(add_run(&results, "lmu", "small", 4000, 0, 2.5, 0),
        "{\"decay\": 0.4, \"dim\": 48}"); /* window: 0 is the default */
    results.list[0].non_embedding++;      /* what is left out need not be of the same size */
    collect(&results, &series);
    assert_int_equal(series.runs, 5);
    assert_int_equal(series.count, 1);
    assert_non_null(series_cell(&series.list[0], "large", 2000));
    assert_near(series_cell(&series.list[0], "small", 1000)->loss, 4.1, 1e-12);
    assert_int_equal(series_cell(&series.list[0], "small", 2000)->runs, 2);
    assert_int_equal(series.notes.count, 3);
    assert_string_equal(series.notes.value[0],
                        "lmu/adamw, size 'small', 1000 tokens: runs left out because their settings are not those of "
                        "the newest run there, run4 of grid main: 1, from run0 of grid main on; decay 0.2, now 0.4");
    assert_non_null(strstr(series.notes.value[1], "settings change between 2000 and 4000 tokens: decay 0.2, now 0.4"));
    assert_non_null(strstr(series.notes.value[2], "settings change between 1000 and 2000 tokens: decay 0.4, now 0.2"));
    series_free(&series);
    results_free(&results);
}

/* A line of Muon's from before matrices waited moved them in every step, whatever is the default now. */
static void older_than_an_option(void **state)
{
    (void)state;
    Results results = {0};
    SeriesList series;
    set(add_run(&results, "lmu", "small", 1000, 0, 4, 0), "{\"optimizer\": \"muon\"}");
    set(add_run(&results, "lmu", "small", 1000, 1, 4, 0), "{\"optimizer\": \"muon\", \"muon_interval\": 1}");
    set(add_run(&results, "lmu", "small", 2000, 0, 3, 0), "{\"optimizer\": \"muon\"}");
    set(add_run(&results, "lmu", "small", 2000, 1, 3, 0), "{\"optimizer\": \"muon\", \"muon_interval\": 4}");
    collect(&results, &series);
    assert_int_equal(series_cell(&series.list[0], "small", 1000)->runs, 2);
    assert_int_equal(series_cell(&series.list[0], "small", 2000)->runs, 1);
    assert_non_null(strstr(series.notes.value[0], "muon_interval 1, now 4"));
    assert_int_equal(result_interval(&results.list[0]), 1);
    assert_int_equal(result_interval(&results.list[3]), 4);
    series_free(&series);
    results_free(&results);
}

static void refused(void **state)
{
    (void)state;
    Results results = {0};
    SeriesList series;
    StringList grids = {0};
    char *chosen[] = {"mian"};
    assert_int_equal(series_collect(&results, "r.jsonl", &grids, &series), LMU_FORMAT);
    assert_string_equal(lmu_error_message(), "r.jsonl: holds no finished run");
    add_run(&results, "lmu", "small", 1000, 0, 3, 0);
    add_run(&results, "lmu", "small", 2000, 0, 3, 0)->non_embedding += 30000;
    assert_int_equal(series_collect(&results, "r.jsonl", &grids, &series), LMU_FORMAT);
    assert_non_null(strstr(lmu_error_message(), "runs run0 and run1 are both lmu/adamw of size 'small'"));
    grids = (StringList){.count = 1, .value = chosen};
    assert_int_equal(series_collect(&results, "r.jsonl", &grids, &series), LMU_USAGE);
    assert_non_null(strstr(lmu_error_message(), "did you mean 'main'?"));
    results.list[1].non_embedding -= 30000;
    results.list[1].parts--;
    collect(&results, &series);
    assert_int_equal(bootstrap_draw(&series, 10, 0), LMU_FORMAT);
    assert_non_null(strstr(lmu_error_message(), "were scored on other held-out texts: 8 parts of 8000"));
    series_free(&series);
    results.list[1].parts = 0;
    collect(&results, &series);
    must(bootstrap_draw(&series, 10, 0));
    assert_null(series.list[0].cell[1].draw);
    assert_non_null(series.list[0].cell[0].draw);
    assert_int_equal(series.notes.count, 1);
    series_free(&series);
    results_free(&results);
}

/* Texts of 8 parts drawn from one source: their intervals hold the source's mean about as often as percentiles of 8 do. */
static void covers(void **state)
{
    (void)state;
    int held = 0, texts = 400;
    double width = 0;
    for (int text = 0; text < texts; text++) {
        Results results = {0};
        SeriesList series;
        Result *run = add_run(&results, "lmu", "small", 1000, 0, 4, 0);
        for (int i = 0; i < 8; i++)
            run->part_nats[i] =
                1000 * M_LN2 * (4 + 0.2 * random_normal(random_key(1, "text", 0, 0), (uint64_t)(text * 8 + i)));
        collect(&results, &series);
        must(bootstrap_draw(&series, 300, (uint64_t)text));
        const SeriesCell *cell = series.list[0].cell;
        held += cell->text.low <= 4 && 4 <= cell->text.high;
        width += (cell->text.high - cell->text.low) / texts;
        series_free(&series);
        results_free(&results);
    }
    assert_true(held > 0.84 * texts && held < 0.97 * texts);
    assert_near(width, 2 * 1.96 * 0.2 / sqrt(8), 0.15);
}

/* Without spread over parts the mean of seeds varies by their deviation over the root of their number. */
static void seeds_vary(void **state)
{
    (void)state;
    static const double loss[] = {3.9, 4.0, 4.05, 4.2};
    Results results = {0};
    SeriesList series;
    for (int i = 0; i < 4; i++)
        add_run(&results, "lmu", "small", 1000, i, loss[i], 0);
    collect(&results, &series);
    must(bootstrap_draw(&series, 4000, 0));
    const SeriesCell *cell = series.list[0].cell;
    double mean = 0, squares = 0;
    for (int r = 0; r < 4000; r++)
        mean += cell->draw[r] / 4000;
    for (int r = 0; r < 4000; r++)
        squares += pow(cell->draw[r] - mean, 2) / 4000;
    assert_near(mean, cell->loss, 1e-3);
    assert_near(sqrt(squares), 3.18244631 / 1.95996398 * cell->deviation / 2, 0.05); /* t at three degrees of freedom */
    series_free(&series);
    results_free(&results);
}

/* Budgets of one seed vary as much as those do that have several, and all alike; of another size, or of a series without, not at all. */
static void seeds_lent(void **state)
{
    (void)state;
    static const double loss[] = {3.9, 4.0, 4.1};
    Results results = {0};
    SeriesList series;
    for (int i = 0; i < 3; i++)
        add_run(&results, "lmu", "small", 1000, i, loss[i], 0);
    add_run(&results, "lmu", "small", 2000, 0, 3.8, 0);
    add_run(&results, "lmu", "small", 4000, 0, 3.5, 0);
    add_run(&results, "lmu", "large", 4000, 0, 3, 0)->non_embedding *= 8;
    collect(&results, &series);
    must(bootstrap_draw(&series, 4000, 0));
    const SeriesCell *two = series_cell(series.list, "small", 2000), *four = series_cell(series.list, "small", 4000);
    const SeriesCell *large = series_cell(series.list, "large", 4000);
    double squares = 0;
    for (int r = 0; r < 4000; r++) {
        squares += pow(log(two->draw[r] / two->loss), 2) / 4000;
        assert_near(two->draw[r] / two->loss, four->draw[r] / four->loss, 1e-12);
        assert_near(large->draw[r], large->loss, 1e-12);
    }
    assert_near(sqrt(squares), 4.30265273 / 1.95996398 * 0.025, 0.05); /* t at two degrees of freedom */
    series_free(&series);
    results_free(&results);
}

static void reproducible(void **state)
{
    (void)state;
    Results results = {0};
    SeriesList one, two;
    add_run(&results, "lmu", "small", 1000, 0, 3, 0.1);
    add_run(&results, "lmu", "small", 1000, 1, 3.1, 0.1);
    collect(&results, &one);
    collect(&results, &two);
    must(bootstrap_draw(&one, 50, 7));
    must(bootstrap_draw(&two, 50, 7));
    assert_memory_equal(one.list[0].cell->draw, two.list[0].cell->draw, 50 * sizeof(double));
    series_free(&two);
    collect(&results, &two);
    must(bootstrap_draw(&two, 50, 8));
    assert_memory_not_equal(one.list[0].cell->draw, two.list[0].cell->draw, 50 * sizeof(double));
    series_free(&one);
    series_free(&two);
    results_free(&results);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(which_runs), cmocka_unit_test(settings_change), cmocka_unit_test(older_than_an_option),
        cmocka_unit_test(refused),    cmocka_unit_test(covers),          cmocka_unit_test(seeds_vary),
        cmocka_unit_test(seeds_lent), cmocka_unit_test(reproducible),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
