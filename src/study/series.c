#include "study/series.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "study/choice.h"

#define SIZE_SPREAD 1.2 /* of the parameters of models that pass for one size */

void series_free(SeriesList *series)
{
    for (size_t i = 0; i < series->count; i++) {
        for (size_t j = 0; j < series->list[i].cells; j++)
            free(series->list[i].cell[j].run);
        free(series->list[i].cell);
    }
    for (size_t i = 0; i < series->notes.count; i++)
        free(series->notes.value[i]);
    free(series->notes.value);
    free(series->list);
    free(series->corpora);
    arena_close(series->arena);
    memset(series, 0, sizeof *series);
}

lmu_status series_note(SeriesList *series, const char *format, ...)
{
    StringList *notes = &series->notes;
    char text[1024];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    TRY(memory_grow(&notes->value, &notes->capacity, notes->count + 1, sizeof *notes->value, "notes"));
    notes->value[notes->count] = strdup(text);
    if (!notes->value[notes->count])
        return error_set(LMU_MEMORY, "no memory for notes");
    notes->count++;
    return LMU_OK;
}

const char *series_label(SeriesList *series, const Result *run)
{
    return arena_printf(series->arena, "%s%s%s%s%s", run->model, *run->optimizer ? "/" : "", run->optimizer,
                        *run->variant ? "/" : "", run->variant);
}

bool series_is_named(const Series *series, const char *name)
{
    size_t length = strlen(name);
    bool whole = length && name[length - 1] == '/';
    length -= whole;
    return length && strncmp(series->label, name, length) == 0 &&
           (!series->label[length] || (!whole && series->label[length] == '/'));
}

const SeriesCell *series_cell(const Series *series, const char *size, int64_t budget)
{
    for (size_t i = 0; i < series->cells; i++)
        if (series->cell[i].budget == budget && strcmp(series->cell[i].size, size) == 0)
            return &series->cell[i];
    return NULL;
}

size_t series_size_end(const Series *series, size_t first)
{
    size_t end = first;
    while (end < series->cells && strcmp(series->cell[end].size, series->cell[first].size) == 0)
        end++;
    return end;
}

/* -- series and cells -- */

static lmu_status corpus_add(SeriesList *series, const char *corpus)
{
    for (size_t i = 0; i < series->corpus_count; i++)
        if (strcmp(series->corpora[i], corpus) == 0)
            return LMU_OK;
    TRY(memory_grow(&series->corpora, &series->corpus_capacity, series->corpus_count + 1, sizeof *series->corpora,
                    "corpora"));
    series->corpora[series->corpus_count++] = corpus;
    return LMU_OK;
}

static lmu_status series_of(SeriesList *series, const Result *run, Series **out)
{
    for (size_t i = 0; i < series->count; i++) {
        Series *s = &series->list[i];
        *out = s;
        if (!strcmp(s->model, run->model) && !strcmp(s->optimizer, run->optimizer) &&
            !strcmp(s->variant, run->variant) && !strcmp(s->corpus, run->corpus))
            return LMU_OK;
    }
    TRY(memory_grow(&series->list, &series->capacity, series->count + 1, sizeof *series->list, "series"));
    TRY(corpus_add(series, run->corpus));
    const char *label = series_label(series, run);
    if (!label)
        return LMU_MEMORY;
    *out = &series->list[series->count++];
    **out = (Series){.model = run->model,
                     .optimizer = run->optimizer,
                     .variant = run->variant,
                     .corpus = run->corpus,
                     .label = label,
                     .counts = run->width == 0};
    return LMU_OK;
}

/* A size is one model at a budget, and models nearly as large at others, whose shapes tuning may have chosen: runs of other widths under
 * its name would make a mean or a curve of unlike things. */
static lmu_status size_check(const Series *series, const Result *run)
{
    for (size_t i = 0; i < series->cells; i++) {
        const Result *other = series->cell[i].run[0];
        if (strcmp(series->cell[i].size, run->size) != 0 || series->counts)
            continue;
        double ratio = (double)other->non_embedding / (double)run->non_embedding;
        if (other->budget == run->budget ? ratio != 1 : ratio > SIZE_SPREAD || ratio < 1 / SIZE_SPREAD)
            return error_set(LMU_FORMAT,
                             "runs %s and %s are both %s of size '%s', but have %" PRId64 " and %" PRId64
                             " non-embedding parameters; choose grids with --grid, or tell them apart by a variant",
                             other->id, run->id, series->label, run->size, other->non_embedding, run->non_embedding);
    }
    return LMU_OK;
}

static lmu_status cell_of(Series *series, const Result *run, SeriesCell **out)
{
    *out = (SeriesCell *)series_cell(series, run->size, run->budget);
    if (*out)
        return LMU_OK;
    TRY(memory_grow(&series->cell, &series->capacity, series->cells + 1, sizeof *series->cell, "series"));
    *out = &series->cell[series->cells++];
    (*out)->size = run->size;
    (*out)->budget = run->budget;
    return LMU_OK;
}

/* A mean without the seeds that diverged is better than the training is: the note says so. */
static lmu_status diverged_note(SeriesList *list, const Result *run)
{
    return series_note(
        list, "run %s of grid %s diverged and is in no figure: %s %s %s, size '%s', %" PRId64 " tokens, seed %" PRId64,
        run->id, run->grid, run->model, run->optimizer, run->variant, run->size, run->budget, run->seed);
}

static lmu_status run_add(SeriesList *list, const Result *run)
{
    Series *series;
    SeriesCell *cell;
    if (!isfinite(run->bits_per_byte) || !isfinite(run->nats) || !(run->bits_per_byte > 0) || !(run->nats > 0))
        return diverged_note(list, run);
    TRY(series_of(list, run, &series));
    TRY(size_check(series, run));
    TRY(cell_of(series, run, &cell));
    for (size_t i = 0; i < cell->runs; i++)
        if (cell->run[i]->seed == run->seed) { /* the same run in another grid: runs_choose leaves no other */
            cell->run[i] = run;
            return LMU_OK;
        }
    TRY(memory_grow(&cell->run, &cell->capacity, cell->runs + 1, sizeof *cell->run, "runs"));
    cell->run[cell->runs++] = run;
    list->runs++;
    return LMU_OK;
}

static int cell_order(const void *a, const void *b)
{
    const SeriesCell *x = a, *y = b;
    if (x->least != y->least)
        return x->least < y->least ? -1 : 1;
    int names = strcmp(x->size, y->size);
    return names ? names : (x->budget > y->budget) - (x->budget < y->budget);
}

static void cells_sort(Series *series)
{
    for (size_t i = 0; i < series->cells; i++) {
        SeriesCell *cell = &series->cell[i];
        cell->least = cell->run[0]->non_embedding;
        for (size_t j = 0; j < series->cells; j++) {
            const SeriesCell *other = &series->cell[j];
            if (strcmp(cell->size, other->size) == 0 && other->run[0]->non_embedding < cell->least)
                cell->least = other->run[0]->non_embedding;
        }
    }
    qsort(series->cell, series->cells, sizeof *series->cell, cell_order);
}

static void cell_summarise(SeriesCell *cell)
{
    double n = (double)cell->runs, squares = 0;
    for (size_t i = 0; i < cell->runs; i++) {
        const Result *run = cell->run[i];
        cell->tokens += (double)run->tokens / n;
        cell->flops += run->flops_token * (double)run->tokens / n;
        cell->seconds += run->seconds / n;
        cell->loss += run->bits_per_byte / n;
        cell->nats += run->nats / n;
        cell->carried += run->carried / n;
    }
    for (size_t i = 0; i < cell->runs; i++)
        squares += pow(cell->run[i]->bits_per_byte - cell->loss, 2);
    cell->deviation = cell->runs > 1 ? sqrt(squares / (n - 1)) : NAN;
    cell->seeds = interval_student(cell->loss, cell->deviation, cell->runs);
    cell->text = INTERVAL_NONE;
}

static lmu_status collect(const Results *results, const char *path, const StringList *grids, SeriesList *out)
{
    size_t aside = 0;
    const Result **run; /* NULL: left out */
    TRY(runs_choose(results, path, grids, out, &run, &aside));
    for (size_t i = 0; i < results->count; i++)
        if (run[i])
            TRY(run_add(out, run[i]));
    if (!out->runs)
        return error_set(LMU_FORMAT, "%s: holds no finished run%s", path,
                         aside ? " but of tuning, ablation or checks; --grid chooses such a grid" : "");
    if (aside)
        TRY(series_note(
            out, "runs left out because their grid's name begins with \"tuning\", \"ablation\" or \"checks\": %zu",
            aside));
    for (size_t i = 0; i < out->count; i++) {
        Series *series = &out->list[i];
        cells_sort(series);
        for (size_t j = 0; j < series->cells; j++)
            cell_summarise(&series->cell[j]);
    }
    return LMU_OK;
}

lmu_status series_collect(const Results *results, const char *path, const StringList *grids, SeriesList *out)
{
    memset(out, 0, sizeof *out);
    out->arena = arena_open();
    lmu_status status = out->arena ? collect(results, path, grids, out) : LMU_MEMORY;
    if (status != LMU_OK)
        series_free(out);
    return status;
}
