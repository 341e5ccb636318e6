#include "study/bootstrap.h"

#include <gsl/gsl_cdf.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"

static double run_bytes(const Result *run)
{
    double sum = 0;
    for (int i = 0; i < run->parts; i++)
        sum += run->part_bytes[i];
    return sum;
}

/* Paired draws need one text: as many parts, and as many bytes. Windows of another length may score a few bytes more. */
static lmu_status text_check(const Result *run, const Result *other)
{
    double bytes = run_bytes(run), expected = run_bytes(other);
    if (run->parts == other->parts && fabs(bytes - expected) <= 0.01 * expected)
        return LMU_OK;
    return error_set(
        LMU_FORMAT,
        "runs %s and %s are both on corpus '%s', but were scored on other held-out texts: %d parts of %.0f "
        "bytes and %d of %.0f; choose grids with --grid",
        other->id, run->id, run->corpus, other->parts, expected, run->parts, bytes);
}

/* Bits per byte of the drawn parts. */
static double run_loss(const Result *run, const uint8_t *part)
{
    double nats = 0, bytes = 0;
    for (int i = 0; i < run->parts; i++) {
        nats += run->part_nats[part[i]];
        bytes += run->part_bytes[part[i]];
    }
    return nats / bytes / M_LN2;
}

/* -- seeds -- */

/* The seeds of one series and size: those that any of its budgets has. */
typedef struct SeedSet {
    int64_t *seed;
    size_t count;
    double deviation; /* of the logarithm of a budget's loss with one seed, stretched; 0: no budget has several */
    uint64_t key;
} SeedSet;

/* How far the mean of drawn seeds is from the mean of all is stretched to what Student's distribution asks for: few seeds tell little
 * of how much seeds differ. */
static double seeds_stretch(size_t runs)
{
    return gsl_cdf_tdist_Pinv(0.975, (double)(runs - 1)) / gsl_cdf_ugaussian_Pinv(0.975);
}

/* What one seed leaves open is known from the budgets that have several. They share them, so that many budgets tell no more of how much
 * seeds differ than the one that has most. */
static double seeds_deviation(const SeriesCell *cell, size_t cells)
{
    double squares = 0;
    size_t freedoms = 0, most = 1;
    for (size_t i = 0; i < cells; i++) {
        for (size_t j = 0; j < cell[i].runs; j++)
            squares += pow(log(cell[i].run[j]->bits_per_byte / cell[i].loss), 2);
        freedoms += cell[i].runs - 1;
        most = cell[i].runs > most ? cell[i].runs : most;
    }
    return freedoms > 0 ? sqrt(squares / (double)freedoms) * seeds_stretch(most) : 0;
}

static lmu_status seeds_collect(Arena *arena, const SeriesCell *cell, size_t cells, uint64_t key, SeedSet *out)
{
    size_t runs = 0;
    for (size_t i = 0; i < cells; i++)
        runs += cell[i].runs;
    *out = (SeedSet){
        .seed = arena_alloc(arena, runs, sizeof *out->seed), .deviation = seeds_deviation(cell, cells), .key = key};
    if (!out->seed)
        return LMU_MEMORY;
    for (size_t i = 0; i < cells; i++)
        for (size_t j = 0; j < cell[i].runs; j++) {
            size_t k = 0;
            while (k < out->count && out->seed[k] != cell[i].run[j]->seed)
                k++;
            if (k == out->count)
                out->seed[out->count++] = cell[i].run[j]->seed;
        }
    return LMU_OK;
}

/* The cell's loss on drawn parts, by drawn seeds. One sequence of seeds is drawn for all budgets of a series and size, and each
 * takes the first n - 1 that it has a run of: the same ones, where no run is missing. Budgets of one seed deviate together. loss: room
 * for the runs. */
static double cell_loss(const SeriesCell *cell, const uint8_t *part, const SeedSet *seeds, size_t resample,
                        double stretch, double *loss)
{
    uint64_t key = random_key(seeds->key, "resample", resample, 0);
    double all = 0, drawn = 0;
    for (size_t i = 0; i < cell->runs; i++)
        all += loss[i] = run_loss(cell->run[i], part);
    all /= (double)cell->runs;
    if (cell->runs < 2)
        return all * exp(seeds->deviation * random_normal(key, 0));
    for (uint64_t draw = 0, taken = 0; taken + 1 < cell->runs; draw++) {
        int64_t seed = seeds->seed[random_below(key, draw, seeds->count)];
        for (size_t i = 0; i < cell->runs; i++)
            if (cell->run[i]->seed == seed) {
                drawn += loss[i] / (double)(cell->runs - 1);
                taken++;
            }
    }
    return all * pow(drawn / all, stretch);
}

static lmu_status cell_draw(SeriesList *series, SeriesCell *cell, const uint8_t *parts, size_t resamples,
                            const SeedSet *seeds)
{
    double *sorted, stretch = cell->runs > 1 ? seeds_stretch(cell->runs) : 1;
    double *loss = arena_alloc(series->arena, cell->runs, sizeof *loss);
    cell->draw = arena_alloc(series->arena, resamples, sizeof *cell->draw);
    if (!cell->draw || !loss)
        return LMU_MEMORY;
    TRY(memory_new(&sorted, resamples, sizeof *sorted, "the bootstrap"));
    for (size_t r = 0; r < resamples; r++)
        sorted[r] = cell->draw[r] = cell_loss(cell, parts + r * RESULT_PARTS, seeds, r, stretch, loss);
    cell->text = interval_percentile(sorted, sorted, resamples);
    free(sorted);
    return LMU_OK;
}

/* -- texts -- */

/* The first run on the corpus that has parts; NULL: none. */
static const Result *corpus_first(const SeriesList *series, const char *corpus)
{
    for (size_t i = 0; i < series->count; i++)
        for (size_t j = 0; strcmp(series->list[i].corpus, corpus) == 0 && j < series->list[i].cells; j++)
            for (size_t k = 0; k < series->list[i].cell[j].runs; k++)
                if (series->list[i].cell[j].run[k]->parts > 0)
                    return series->list[i].cell[j].run[k];
    return NULL;
}

/* *whole: every run of the cell has parts. */
static lmu_status cell_check(SeriesList *series, const Series *of, const SeriesCell *cell, const Result *first,
                             bool *whole)
{
    *whole = true;
    for (size_t i = 0; i < cell->runs; i++) {
        if (cell->run[i]->parts > 0) {
            TRY(text_check(cell->run[i], first));
            continue;
        }
        *whole = false;
        TRY(series_note(series, "%s, size '%s', %" PRId64 " tokens: no interval, as run %s has no parts", of->label,
                        cell->size, cell->budget, cell->run[i]->id));
    }
    return LMU_OK;
}

/* The cells of one size, [first, end). */
static lmu_status size_draw(SeriesList *series, Series *of, size_t first, const Result *like, const uint8_t *parts,
                            size_t resamples, uint64_t key)
{
    size_t end = series_size_end(of, first);
    SeedSet seeds;
    TRY(seeds_collect(series->arena, of->cell + first, end - first, key, &seeds));
    for (size_t i = first; i < end; i++) {
        bool whole;
        TRY(cell_check(series, of, &of->cell[i], like, &whole));
        if (whole)
            TRY(cell_draw(series, &of->cell[i], parts, resamples, &seeds));
    }
    return LMU_OK;
}

static lmu_status corpus_draw(SeriesList *series, const char *corpus, uint8_t *parts, size_t resamples, uint64_t seed)
{
    const Result *first = corpus_first(series, corpus);
    if (!first)
        return series_note(series, "corpus %s: no intervals, as no run has parts of the held-out text", corpus);
    for (size_t r = 0; r < resamples; r++)
        for (int i = 0; i < first->parts; i++)
            parts[r * RESULT_PARTS + (size_t)i] =
                (uint8_t)random_below(random_key(seed, "bootstrap parts", r, 0), (uint64_t)i, (uint64_t)first->parts);
    for (size_t i = 0; i < series->count; i++) {
        Series *of = &series->list[i];
        for (size_t j = 0; strcmp(of->corpus, corpus) == 0 && j < of->cells; j = series_size_end(of, j))
            TRY(size_draw(series, of, j, first, parts, resamples, random_key(seed, "bootstrap seeds", i, j)));
    }
    return LMU_OK;
}

lmu_status bootstrap_draw(SeriesList *series, size_t resamples, uint64_t seed)
{
    uint8_t *parts; /* [resamples][RESULT_PARTS] */
    if (!resamples)
        return LMU_OK;
    TRY(memory_new(&parts, resamples * RESULT_PARTS, sizeof *parts, "the bootstrap"));
    lmu_status status = LMU_OK;
    for (size_t i = 0; i < series->corpus_count && status == LMU_OK; i++)
        status = corpus_draw(series, series->corpora[i], parts, resamples, seed);
    free(parts);
    return status;
}
