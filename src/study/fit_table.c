/* The tables of a fit. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/format.h"
#include "study/table.h"

static lmu_status table_open(const StudyFit *fit, const char *title, const char *corpus, Table *out)
{
    *out =
        (Table){.title = fit->series.corpus_count > 1 ? arena_printf(fit->series.arena, "%s: corpus %s", title, corpus)
                                                      : title};
    return out->title ? LMU_OK : LMU_MEMORY;
}

/* Adds the row whose cells are in `cell`; one that is NULL had no memory. */
static lmu_status row_add(Table *table, const char *const *cell)
{
    TRY(memory_grow(&table->row, &table->capacity, table->rows + 1, sizeof *table->row, "a table"));
    for (size_t i = 0; i < table->columns; i++) {
        if (!cell[i])
            return LMU_MEMORY;
        table->row[table->rows][i] = cell[i];
    }
    table->rows++;
    return LMU_OK;
}

static void headings(Table *table, size_t left, size_t columns, const char *const *heading)
{
    table->left = left;
    table->columns = columns;
    memcpy(table->heading, heading, columns * sizeof *heading);
}

#define HEADINGS(table, left, ...)                                                                                     \
    do {                                                                                                               \
        static const char *const names_[] = {__VA_ARGS__};                                                             \
        headings(table, left, sizeof names_ / sizeof *names_, names_);                                                 \
    } while (0)

static const char *size_text(const char *size)
{
    return *size ? size : "–";
}

static const char *loss_text(Arena *arena, double loss)
{
    return isnan(loss) ? "–" : arena_printf(arena, "%.4f", loss);
}

static const char *seconds_text(Arena *arena, double seconds)
{
    char text[32];
    return arena_string(arena, format_duration(seconds, text, sizeof text));
}

static const char *machine_text(Arena *arena, const Result *run)
{
    return arena_printf(arena, "%s, %d threads, %s", run->cpu, run->threads, run->compute);
}

static lmu_status cell_row(Arena *arena, const Series *series, const SeriesCell *cell, Table *out)
{
    const Result *run = cell->run[0];
    bool counts = series->counts;
    return row_add(out, (const char *[]){
                            series->label,
                            size_text(cell->size),
                            counts ? "–" : count_text(arena, (double)run->non_embedding),
                            count_text(arena, (double)run->parameters),
                            counts ? "–" : count_text(arena, run->flops_token),
                            count_text(arena, (double)cell->budget),
                            count_text(arena, cell->tokens),
                            arena_printf(arena, "%zu", cell->runs),
                            loss_text(arena, cell->loss),
                            interval_text(arena, cell->text, "%.4f"),
                            loss_text(arena, cell->carried),
                            loss_text(arena, cell->nats),
                        });
}

lmu_status table_of_cells(const StudyFit *fit, const char *corpus, Table *out)
{
    TRY(table_open(fit, "Loss on the held-out text", corpus, out));
    HEADINGS(out, 2, "series", "size", "non-emb. param.", "parameters", "FLOPs/token", "budget", "tokens", "seeds",
             "bits per byte", "95% interval", "carried", "nats/token");
    out->about =
        "Parameters of counts are n-grams. FLOPs/token: model FLOPs of training. Bits per byte in windows of the "
        "training length; carried: bits per byte in one pass, state carried. The interval is a bootstrap over "
        "parts of the held-out text, and over seeds where there are several.";
    for (size_t i = 0; i < fit->series.count; i++) {
        const Series *series = &fit->series.list[i];
        for (size_t j = 0; strcmp(series->corpus, corpus) == 0 && j < series->cells; j++)
            TRY(cell_row(fit->series.arena, series, &series->cell[j], out));
    }
    return LMU_OK;
}

lmu_status table_of_seeds(const StudyFit *fit, const char *corpus, Table *out)
{
    Arena *arena = fit->series.arena;
    TRY(table_open(fit, "Seeds", corpus, out));
    HEADINGS(out, 2, "series", "size", "budget", "seeds", "mean bits per byte", "standard deviation",
             "95% t-interval of the mean");
    for (size_t i = 0; i < fit->series.count; i++) {
        const Series *series = &fit->series.list[i];
        for (size_t j = 0; strcmp(series->corpus, corpus) == 0 && j < series->cells; j++) {
            const SeriesCell *cell = &series->cell[j];
            if (cell->runs < 2)
                continue;
            TRY(row_add(out,
                        (const char *[]){series->label, size_text(cell->size), count_text(arena, (double)cell->budget),
                                         arena_printf(arena, "%zu", cell->runs), loss_text(arena, cell->loss),
                                         arena_printf(arena, "%.5f", cell->deviation),
                                         interval_text(arena, cell->seeds, "%.4f")}));
        }
    }
    return LMU_OK;
}

/* -- power laws -- */

static const char *error_text(Arena *arena, double value, double error)
{
    return arena_printf(arena, "%.4g ± %.2g", value, error);
}

static lmu_status law_row(Arena *arena, const LawFit *law, int floor, Table *out)
{
    static const char *const names[LAW_KINDS] = {"L(D), tokens", "L(N), parameters", "L(C), FLOPs"};
    const PowerLaw *fit = &law->bits[floor];
    bool fitted = !fit->refusal;
    return row_add(out, (const char *[]){
                            law->series->label,
                            names[law->kind],
                            law->size     ? size_text(law->size)
                            : law->budget ? arena_printf(arena, "%s tokens", count_text(arena, (double)law->budget))
                                          : "envelope",
                            floor ? "L∞ + a x^-b" : "a x^-b",
                            arena_printf(arena, "%zu", law->cells),
                            fitted ? error_text(arena, fit->a, fit->a_error) : "–",
                            fitted ? error_text(arena, fit->b, fit->b_error) : "–",
                            fitted && floor ? error_text(arena, fit->floor, fit->floor_error) : "–",
                            fitted ? arena_printf(arena, "%.2f%%", 100 * fit->deviation) : fit->refusal,
                        });
}

lmu_status table_of_laws(const StudyFit *fit, const char *corpus, Table *out)
{
    size_t single = 0;
    TRY(table_open(fit, "Power laws of the loss in bits per byte", corpus, out));
    HEADINGS(out, 4, "series", "law", "at", "form", "points", "a", "b", "L∞ (bits per byte)", "deviation");
    for (size_t i = 0; i < fit->laws; i++) {
        const LawFit *law = &fit->law[i];
        if (strcmp(law->series->corpus, corpus) != 0)
            continue;
        single += law->cells < 2;
        for (int floor = 0; law->cells > 1 && floor < 2; floor++)
            TRY(law_row(fit->series.arena, law, floor, out));
    }
    out->about = arena_printf(
        fit->series.arena,
        "x is tokens trained on (D), non-embedding parameters (N) or model FLOPs of training (C); L(C) is fitted to "
        "the "
        "lower envelope of all sizes and budgets. ± is the standard error; deviation is the root mean square of "
        "log(measured/law). Curves of a single point, of which no law is fitted, are left out: %zu.",
        single);
    return out->about ? LMU_OK : LMU_MEMORY;
}

/* -- ratios -- */

static const char *budgets_text(Arena *arena, const Pair *pair)
{
    const char *text = "";
    for (int i = 0; text && i < HEADLINE_BUDGETS; i++)
        if (pair->has_budget[i])
            text = arena_printf(arena, "%s%s%" PRId64 "M", text, *text ? ", " : "", headline_budgets[i] / 1000000);
    return text && !*text ? "none" : text;
}

static void widen(int64_t span[2], const SeriesCell *cell)
{
    int64_t count = cell->run[0]->non_embedding;
    span[0] = count < span[0] ? count : span[0];
    span[1] = count > span[1] ? count : span[1];
}

static const char *span_text(Arena *arena, const int64_t span[2])
{
    const char *low = count_text(arena, (double)span[0]), *high = count_text(arena, (double)span[1]);
    if (!low || !high || strcmp(low, high) == 0)
        return low && high ? low : NULL;
    return arena_printf(arena, "%s to %s", low, high);
}

/* Of one size's name the widths are the nearest that there are, and the models differ a little, as do a model's budgets. */
static const char *parameters_text(Arena *arena, const Pair *pair)
{
    int64_t of_a[2] = {INT64_MAX, 0}, of_b[2] = {INT64_MAX, 0};
    for (size_t i = 0; i < pair->ratios; i++)
        widen(of_a, pair->ratio[i].a);
    for (size_t i = 0; i < pair->points; i++)
        widen(of_b, &pair->curve[i]);
    const char *a = span_text(arena, of_a), *b = span_text(arena, of_b);
    return a && b ? arena_printf(arena, "%s, %s", a, b) : NULL;
}

static const char *cost_text(Arena *arena, const Pair *pair, int cost, Interval ratio, const char *more,
                             const char *less)
{
    return cost == COST_SECONDS && pair->untimed ? "withheld" : ratio_text(arena, ratio, more, less);
}

static lmu_status headline_row(Arena *arena, const Pair *pair, Table *out)
{
    const Headline *tokens = &pair->headline[COST_TOKENS];
    const char *cell[TABLE_COLUMNS] = {size_text(pair->size), pair->a->label, pair->b->label,
                                       parameters_text(arena, pair), budgets_text(arena, pair)};
    size_t n = 5;
    for (int cost = 0; cost < COSTS; cost++) {
        cell[n++] = cost_text(arena, pair, cost, pair->headline[cost].value, "at least", "at most");
        cell[n++] = interval_text(arena, pair->headline[cost].interval, "%.3g");
        if (cost == COST_TOKENS) {
            cell[n++] = ratio_text(arena, tokens->least, "more than", "less than");
            cell[n++] = ratio_text(arena, tokens->most, "more than", "less than");
        }
    }
    return row_add(out, cell);
}

lmu_status table_of_headlines(const StudyFit *fit, const char *corpus, Table *out)
{
    TRY(table_open(fit, "Token efficiency", corpus, out));
    HEADINGS(out, 5, "size", "model", "baseline", "parameters of both", "budgets", "tokens", "95% interval", "least",
             "most", "FLOPs", "95% interval", "time", "95% interval");
    out->about =
        "What the baseline needs to reach the model's loss, over what the model needed: 2 means that the model "
        "learned as much from half. Geometric mean over the model's budgets of 1, 2 and 3 million tokens, as far "
        "as it has them. Parameters: non-embedding, of the model and of the baseline; a size is what comes nearest to "
        "its name. Time is the clock's, and no better than the machine was idle: see Time.";
    for (size_t i = 0; i < fit->pairs; i++)
        if (strcmp(fit->pair[i].a->corpus, corpus) == 0)
            TRY(headline_row(fit->series.arena, &fit->pair[i], out));
    return LMU_OK;
}

lmu_status table_of_ratios(const StudyFit *fit, const char *corpus, Table *out)
{
    Arena *arena = fit->series.arena;
    TRY(table_open(fit, "Token efficiency at each budget", corpus, out));
    HEADINGS(out, 4, "size", "model", "baseline", "parameters of both", "budget", "bits per byte", "tokens",
             "95% interval", "FLOPs", "95% interval", "time", "95% interval");
    out->about =
        "Read off the baseline's measured curve (linear in the logarithms, made monotone) and never beyond it. "
        "Parameters: non-embedding, of the model and of the baseline. Time: see Time.";
    for (size_t i = 0; i < fit->pairs; i++)
        for (size_t j = 0; strcmp(fit->pair[i].a->corpus, corpus) == 0 && j < fit->pair[i].ratios; j++) {
            const Pair *pair = &fit->pair[i];
            const Ratio *ratio = &pair->ratio[j];
            const char *cell[TABLE_COLUMNS] = {size_text(pair->size),
                                               pair->a->label,
                                               pair->b->label,
                                               parameters_text(arena, pair),
                                               count_text(arena, (double)ratio->a->budget),
                                               loss_text(arena, ratio->a->loss)};
            for (int cost = 0; cost < COSTS; cost++) {
                cell[6 + 2 * cost] = cost_text(arena, pair, cost, ratio->value[cost], "more than", "less than");
                cell[7 + 2 * cost] = interval_text(arena, ratio->interval[cost], "%.3g");
            }
            TRY(row_add(out, cell));
        }
    return LMU_OK;
}

/* -- time -- */

static lmu_status pace_row(Arena *arena, const Series *series, size_t first, Table *out)
{
    const SeriesCell *cell = series->cell + first;
    const Result *run = cell->run[0];
    size_t cells = series_size_end(series, first) - first;
    Pace pace = pace_of(cell, cells);
    bool one = cells_on_machine(cell, cells, run);
    return row_add(out, (const char *[]){
                            series->label,
                            size_text(cell->size),
                            one ? machine_text(arena, run) : "several",
                            arena_printf(arena, "%zu", pace.runs),
                            arena_printf(arena, "%.3g", 1e6 * pace.least),
                            arena_printf(arena, "%.3g", 1e6 * pace.most),
                            pace.runs > 1 && pace.least > 0 ? arena_printf(arena, "%.2f", pace.most / pace.least) : "–",
                        });
}

lmu_status table_of_times(const StudyFit *fit, const char *corpus, Table *out)
{
    TRY(table_open(fit, "Time", corpus, out));
    HEADINGS(out, 3, "series", "size", "machine", "runs", "least s per M tokens", "most", "most/least");
    out->about = arena_printf(
        fit->series.arena,
        "Seconds of training by the clock, which are only as good as the machine was idle. The runs of a series at one "
        "size and of one shape should need about the same for a token: where they differ by more than a factor of "
        "%.3g, or ran on several machines, ratios of time are withheld; of several shapes, the one whose runs are "
        "furthest apart is shown. A load that slowed all runs of a series alike does not show.",
        PACE_LIMIT);
    for (size_t i = 0; i < fit->series.count; i++) {
        const Series *series = &fit->series.list[i];
        bool skipped = series->counts || strcmp(series->corpus, corpus) != 0;
        for (size_t j = 0; !skipped && j < series->cells; j = series_size_end(series, j))
            TRY(pace_row(fit->series.arena, series, j, out));
    }
    return out->about ? LMU_OK : LMU_MEMORY;
}

/* -- runs -- */

static lmu_status run_row(Arena *arena, const Series *series, const Result *run, Table *out)
{
    return row_add(out, (const char *[]){
                            series->label,
                            size_text(run->size),
                            run->grid,
                            run->id,
                            count_text(arena, (double)run->budget),
                            arena_printf(arena, "%" PRId64, run->seed),
                            arena_printf(arena, "%" PRId64, run->width),
                            count_text(arena, (double)run->tokens),
                            loss_text(arena, run->bits_per_byte),
                            loss_text(arena, run->carried),
                            loss_text(arena, run->nats),
                            seconds_text(arena, run->seconds),
                            machine_text(arena, run),
                        });
}

lmu_status table_of_runs(const StudyFit *fit, const char *corpus, Table *out)
{
    TRY(table_open(fit, "Every run", corpus, out));
    HEADINGS(out, 4, "series", "size", "grid", "run", "budget", "seed", "channels", "tokens", "bits per byte",
             "carried", "nats/token", "training time", "machine");
    for (size_t i = 0; i < fit->series.count; i++) {
        const Series *series = &fit->series.list[i];
        for (size_t j = 0; strcmp(series->corpus, corpus) == 0 && j < series->cells; j++)
            for (size_t k = 0; k < series->cell[j].runs; k++)
                TRY(run_row(fit->series.arena, series, series->cell[j].run[k], out));
    }
    return LMU_OK;
}
