#include "study/bootstrap.h"

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

static double cell_loss(const SeriesCell *cell, const uint8_t *part, uint64_t key, size_t resample)
{
    size_t draws = cell->runs > 1 ? cell->runs - 1 : 1;
    double sum = 0;
    for (size_t i = 0; i < draws; i++) {
        size_t which = cell->runs > 1 ? random_below(key, resample * draws + i, cell->runs) : 0;
        sum += run_loss(cell->run[which], part);
    }
    return sum / (double)draws;
}

static lmu_status cell_draw(SeriesList *series, SeriesCell *cell, const uint8_t *parts, size_t resamples, uint64_t key)
{
    double *sorted;
    cell->draw = arena_alloc(series->arena, resamples, sizeof *cell->draw);
    if (!cell->draw)
        return LMU_MEMORY;
    TRY(memory_new(&sorted, resamples, sizeof *sorted, "the bootstrap"));
    for (size_t r = 0; r < resamples; r++)
        sorted[r] = cell->draw[r] = cell_loss(cell, parts + r * RESULT_PARTS, key, r);
    cell->text = interval_percentile(sorted, sorted, resamples);
    free(sorted);
    return LMU_OK;
}

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
        for (size_t j = 0; strcmp(of->corpus, corpus) == 0 && j < of->cells; j++) {
            bool whole;
            TRY(cell_check(series, of, &of->cell[j], first, &whole));
            if (whole)
                TRY(cell_draw(series, &of->cell[j], parts, resamples, random_key(seed, "bootstrap seeds", i, j)));
        }
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
