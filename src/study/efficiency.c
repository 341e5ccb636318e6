#include "study/efficiency.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const cost_names[COSTS] = {"tokens", "flops", "seconds"};
const int64_t headline_budgets[HEADLINE_BUDGETS] = {1000000, 2000000, 3000000};

Interval curve_reach(const double *x, const double *loss, size_t n, double target)
{
    if (loss[0] < target)
        return (Interval){0, x[0]};
    double before = loss[0]; /* the lowest up to point i - 1 */
    if (before == target)
        return (Interval){x[0], x[0]};
    for (size_t i = 1; i < n; i++) {
        if (loss[i] <= target) {
            double part = log(before / target) / log(before / loss[i]);
            double found = x[i - 1] * pow(x[i] / x[i - 1], part);
            return (Interval){found, found};
        }
        before = fmin(before, loss[i]);
    }
    return (Interval){x[n - 1], INFINITY};
}

/* -- of two series -- */

static double cell_cost(const SeriesCell *cell, Cost cost)
{
    return cost == COST_TOKENS ? cell->tokens : cost == COST_FLOPS ? cell->flops : cell->seconds;
}

/* The curve of B in one resource: its points in the order of rising cost, which need not be that of the budgets. */
typedef struct Curve {
    size_t n, *index;
    double *x, *loss;
} Curve;

static lmu_status curve_open(Arena *arena, const Pair *pair, Cost cost, Curve *curve)
{
    curve->n = 0;
    curve->index = arena_alloc(arena, pair->points, sizeof *curve->index);
    curve->x = arena_alloc(arena, pair->points, sizeof *curve->x);
    curve->loss = arena_alloc(arena, pair->points, sizeof *curve->loss);
    if (!curve->index || !curve->x || !curve->loss)
        return LMU_MEMORY;
    for (size_t i = 0; i < pair->points; i++) {
        double x = cell_cost(&pair->curve[i], cost);
        size_t at = curve->n++;
        for (; at > 0 && curve->x[at - 1] > x; at--) {
            curve->x[at] = curve->x[at - 1];
            curve->index[at] = curve->index[at - 1];
        }
        curve->x[at] = x;
        curve->index[at] = i;
    }
    return LMU_OK;
}

/* resample < 0: the losses as measured */
static double cell_loss(const SeriesCell *cell, int64_t resample)
{
    return resample < 0 ? cell->loss : cell->draw[resample];
}

/* The ratio at each budget of A, by the losses of one resample. */
static void ratios_of(const Pair *pair, Curve *curve, Cost cost, int64_t resample, Interval *out)
{
    for (size_t i = 0; i < curve->n; i++)
        curve->loss[i] = cell_loss(&pair->curve[curve->index[i]], resample);
    for (size_t i = 0; i < pair->ratios; i++) {
        const SeriesCell *a = pair->ratio[i].a;
        Interval needed = curve_reach(curve->x, curve->loss, curve->n, cell_loss(a, resample));
        double own = cell_cost(a, cost);
        out[i] = (Interval){needed.low / own, needed.high / own};
    }
}

static int headline_place(int64_t budget)
{
    for (int i = 0; i < HEADLINE_BUDGETS; i++)
        if (headline_budgets[i] == budget)
            return i;
    return -1;
}

/* What a ratio is ordered by: itself, or the bound that is known. */
static double known_end(Interval ratio)
{
    return isinf(ratio.high) ? ratio.low : ratio.high;
}

static Interval headline_of(const Pair *pair, const Interval *value, Interval *least, Interval *most)
{
    Interval in[HEADLINE_BUDGETS];
    size_t count = 0;
    *least = *most = INTERVAL_NONE;
    for (size_t i = 0; i < pair->ratios; i++) {
        if (headline_place(pair->ratio[i].a->budget) < 0)
            continue;
        in[count++] = value[i];
        if (count == 1 || known_end(value[i]) < known_end(*least))
            *least = value[i];
        if (count == 1 || known_end(value[i]) > known_end(*most))
            *most = value[i];
    }
    return interval_geometric_mean(in, count);
}

static bool has_draws(const Pair *pair)
{
    for (size_t i = 0; i < pair->ratios; i++)
        if (!pair->ratio[i].a->draw)
            return false;
    for (size_t i = 0; i < pair->points; i++)
        if (!pair->curve[i].draw)
            return false;
    return true;
}

/* Draws of ratios and of the headline: [ratios + 1][resamples], lower ends and upper ends. */
static lmu_status intervals_of(Arena *arena, Pair *pair, Curve *curve, Cost cost, size_t resamples, Interval *value)
{
    double *low = arena_alloc(arena, (pair->ratios + 1) * resamples, sizeof *low);
    double *high = arena_alloc(arena, (pair->ratios + 1) * resamples, sizeof *high);
    if (!low || !high)
        return LMU_MEMORY;
    for (size_t r = 0; r < resamples; r++) {
        Interval least, most;
        ratios_of(pair, curve, cost, (int64_t)r, value);
        value[pair->ratios] = headline_of(pair, value, &least, &most);
        for (size_t i = 0; i <= pair->ratios; i++) {
            low[i * resamples + r] = value[i].low;
            high[i * resamples + r] = value[i].high;
        }
    }
    for (size_t i = 0; i < pair->ratios; i++)
        pair->ratio[i].interval[cost] = interval_percentile(low + i * resamples, high + i * resamples, resamples);
    size_t last = pair->ratios * resamples;
    if (!interval_is_none(pair->headline[cost].value))
        pair->headline[cost].interval = interval_percentile(low + last, high + last, resamples);
    return LMU_OK;
}

static lmu_status cost_measure(Arena *keep, Arena *scratch, Pair *pair, Cost cost, size_t resamples)
{
    Curve curve;
    Headline *headline = &pair->headline[cost];
    Interval *value = arena_alloc(keep, pair->ratios + 1, sizeof *value);
    if (!value)
        return LMU_MEMORY;
    TRY(curve_open(scratch, pair, cost, &curve));
    ratios_of(pair, &curve, cost, -1, value);
    for (size_t i = 0; i < pair->ratios; i++)
        pair->ratio[i].value[cost] = value[i];
    headline->value = headline_of(pair, value, &headline->least, &headline->most);
    return resamples && has_draws(pair) ? intervals_of(scratch, pair, &curve, cost, resamples, value) : LMU_OK;
}

/* -- time -- */

const char untimed_machines[] = "not all runs of both had one CPU, number of threads and compute type";

/* Whether two runs of a series do the same work for a token: tuning may have given each budget a shape of its own. */
static bool is_alike(const Result *a, const Result *b)
{
    return a->flops_token == b->flops_token && result_interval(a) == result_interval(b) &&
           json_integer_value(json_object_get(a->settings, "batch")) ==
               json_integer_value(json_object_get(b->settings, "batch"));
}

/* Over the runs that are like this one. */
static Pace pace_like(const Result *like, const SeriesCell *cell, size_t cells)
{
    Pace pace = {INFINITY, 0, 0};
    for (size_t i = 0; i < cells; i++)
        for (size_t j = 0; j < cell[i].runs; j++) {
            const Result *run = cell[i].run[j];
            double seconds = run->seconds / (double)run->tokens;
            if (!is_alike(like, run))
                continue;
            pace.least = fmin(pace.least, seconds);
            pace.most = fmax(pace.most, seconds);
            pace.runs++;
        }
    return pace;
}

Pace pace_of(const SeriesCell *cell, size_t cells)
{
    Pace widest = {0, 0, 0};
    for (size_t i = 0; i < cells; i++)
        for (size_t j = 0; j < cell[i].runs; j++) {
            Pace pace = pace_like(cell[i].run[j], cell, cells);
            double apart = pace.most * widest.least - widest.most * pace.least;
            if (!widest.runs || apart > 0 || (apart == 0 && pace.runs > widest.runs))
                widest = pace;
        }
    return widest;
}

bool cells_on_machine(const SeriesCell *cell, size_t cells, const Result *first)
{
    for (size_t i = 0; i < cells; i++)
        for (size_t j = 0; j < cell[i].runs; j++) {
            const Result *run = cell[i].run[j];
            if (strcmp(run->cpu, first->cpu) != 0 || strcmp(run->compute, first->compute) != 0 ||
                run->threads != first->threads || !(run->seconds > 0))
                return false;
        }
    return true;
}

/* Whether the times of A's cells and of B's may be compared. */
static lmu_status pair_time(Arena *arena, const SeriesCell *a, Pair *pair)
{
    const Result *first = a->run[0];
    const Series *series[] = {pair->a, pair->b};
    pair->pace[0] = pace_of(a, pair->ratios);
    pair->pace[1] = pace_of(pair->curve, pair->points);
    if (!cells_on_machine(a, pair->ratios, first) || !cells_on_machine(pair->curve, pair->points, first)) {
        pair->untimed = untimed_machines;
        return LMU_OK;
    }
    for (int i = 0; i < 2 && !pair->untimed; i++) {
        Pace pace = pair->pace[i];
        if (pace.most <= PACE_LIMIT * pace.least)
            continue;
        pair->untimed =
            arena_printf(arena,
                         "%s, size '%s', took from %.3g to %.3g s for a million tokens in %zu runs of one shape, a "
                         "factor of %.3g where %.3g is the most that is taken: something else ran beside them",
                         series[i]->label, pair->size, 1e6 * pace.least, 1e6 * pace.most, pace.runs,
                         pace.most / pace.least, PACE_LIMIT);
        if (!pair->untimed)
            return LMU_MEMORY;
    }
    return LMU_OK;
}

/* -- measuring -- */

static lmu_status pair_open(Arena *arena, const Series *a, size_t first, const Series *b, Pair *pair)
{
    size_t start = 0;
    *pair = (Pair){.a = a, .b = b, .size = a->cell[first].size, .ratios = series_size_end(a, first) - first};
    while (start < b->cells && strcmp(b->cell[start].size, pair->size) != 0)
        start++;
    pair->points = series_size_end(b, start) - start;
    if (!pair->points)
        return LMU_OK;
    pair->curve = b->cell + start;
    pair->ratio = arena_alloc(arena, pair->ratios, sizeof *pair->ratio);
    if (!pair->ratio)
        return LMU_MEMORY;
    for (int cost = 0; cost < COSTS; cost++) {
        pair->headline[cost] = (Headline){INTERVAL_NONE, INTERVAL_NONE, INTERVAL_NONE, INTERVAL_NONE};
        for (size_t i = 0; i < pair->ratios; i++)
            pair->ratio[i].value[cost] = pair->ratio[i].interval[cost] = INTERVAL_NONE;
    }
    for (size_t i = 0; i < pair->ratios; i++) {
        int place = headline_place(a->cell[first + i].budget);
        pair->ratio[i].a = &a->cell[first + i];
        if (place >= 0)
            pair->has_budget[place] = true;
    }
    return pair_time(arena, a->cell + first, pair);
}

lmu_status pair_measure(Arena *arena, const Series *a, size_t first, const Series *b, size_t resamples, Pair *out,
                        bool *found)
{
    TRY(pair_open(arena, a, first, b, out));
    *found = out->points > 0;
    if (!*found)
        return LMU_OK;
    for (Cost cost = COST_TOKENS; cost < COSTS; cost++) {
        if ((cost == COST_SECONDS && out->untimed) || (cost == COST_FLOPS && (a->counts || b->counts)))
            continue;
        Arena *scratch = arena_open();
        lmu_status status = scratch ? cost_measure(arena, scratch, out, cost, resamples) : LMU_MEMORY;
        arena_close(scratch);
        TRY(status);
    }
    return LMU_OK;
}
