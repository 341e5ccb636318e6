#include "study/plot.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "study/gnuplot.h"
#include "study/plot_axis.h"
#include "study/plot_internal.h"

void figures_free(Figures *figures)
{
    for (size_t i = 0; i < figures->count; i++)
        free(figures->list[i].svg);
    free(figures->list);
    memset(figures, 0, sizeof *figures);
}

/* -- curves -- */

static bool is_drawn(const Picture *picture, const Series *series, const char *size, int64_t budget,
                     const SeriesCell *cell)
{
    return strcmp(series->corpus, picture->corpus) == 0 && (!size || series->counts || strcmp(cell->size, size) == 0) &&
           (!budget || cell->budget == budget);
}

/* The block $sN of series N: x, loss and its interval, which is the loss itself where there is none. */
static size_t curve_data(FILE *out, const Picture *picture, size_t n, LawKind kind, int64_t budget, Extent *x,
                         Extent *y)
{
    const Series *series = &picture->fit->series.list[n];
    size_t points = 0;
    fprintf(out, "$s%zu << EOD\n", n);
    for (size_t i = 0; i < series->cells; i++) {
        const SeriesCell *cell = &series->cell[i];
        if (!is_drawn(picture, series, picture->size, budget, cell))
            continue;
        Interval ends = interval_is_none(cell->text) ? (Interval){cell->loss, cell->loss} : cell->text;
        fprintf(out, "%.9g %.9g %.9g %.9g\n", law_x(kind, cell), cell->loss, ends.low, ends.high);
        extent_take(x, law_x(kind, cell));
        extent_take(y, ends.low);
        extent_take(y, ends.high);
        points++;
    }
    fprintf(out, "EOD\n");
    return points;
}

/* Line with marks, then the intervals: these without dashes. */
static void curve_plot(FILE *out, const Picture *picture, size_t n, const char **separator, bool keyed)
{
    const Series *series = &picture->fit->series.list[n];
    Style style = style_of(picture->fit, series);
    fprintf(out, "%s$s%zu using 1:3:(0):($4-$3) with vectors nohead linewidth 1 linecolor '%s' notitle", *separator, n,
            style.colour);
    fprintf(out,
            ", $s%zu using 1:2 with linespoints linewidth %g linecolor '%s' dashtype %s pointtype %d pointsize 0.5 ", n,
            style.width, style.colour, style.dash, style.mark);
    if (keyed) {
        fprintf(out, "title ");
        gnuplot_quote(out, series->label);
        fprintf(out, " noenhanced");
    } else {
        fprintf(out, "notitle");
    }
    *separator = ", ";
}

static void tokens_script(FILE *out, const void *of)
{
    const Picture *picture = of;
    const StudyFit *fit = picture->fit;
    Extent x = {INFINITY, 0}, y = {INFINITY, 0};
    const char *separator = "plot ";
    Key key = key_of(picture, true);
    bool *has = calloc(fit->series.count, sizeof *has);
    for (size_t i = 0; has && i < fit->series.count; i++)
        has[i] = curve_data(out, picture, i, LAW_TOKENS, 0, &x, &y) > 0;
    picture_begin(out, PICTURE_WIDTH, 450 + key.height, picture->title, key.columns);
    axis_counts(out, 'x', x);
    axis_losses(out, 'y', y);
    fprintf(out, "set xlabel 'training text (tokens)' offset 0,0.7 textcolor '#222222'\n"
                 "set ylabel 'held-out loss (bits per byte)' textcolor '#222222'\n");
    for (size_t i = 0; has && i < fit->series.count; i++)
        if (has[i])
            curve_plot(out, picture, i, &separator, true);
    fputc('\n', out);
    free(has);
}

/* Only models: counts have no parameters and no FLOPs. */
static size_t models_of(const Picture *picture)
{
    size_t count = 0;
    for (size_t i = 0; i < picture->fit->series.count; i++) {
        const Series *series = &picture->fit->series.list[i];
        count += !series->counts && strcmp(series->corpus, picture->corpus) == 0;
    }
    return count;
}

/* The key of all panels, below them: nothing but entries. */
static void panels_key(FILE *out, const Picture *picture, int columns, double height)
{
    const StudyFit *fit = picture->fit;
    fprintf(
        out,
        "set origin 0,0\nset size 1,%g\nunset title\nunset xlabel\nunset ylabel\nunset tics\nunset border\nunset grid\n"
        "unset logscale\nset xrange [0:1]\nset yrange [0:1]\nset lmargin 0\nset rmargin 0\nset tmargin 0\nset bmargin "
        "0\n"
        "set key on inside center center horizontal Left reverse samplen 3.5 maxcols %d textcolor '#222222'\nplot NaN "
        "notitle",
        height, columns);
    for (size_t i = 0; i < fit->series.count; i++) {
        const Series *series = &fit->series.list[i];
        if (series->counts || strcmp(series->corpus, picture->corpus) != 0)
            continue;
        Style style = style_of(fit, series);
        fprintf(out,
                ", keyentry with linespoints linewidth %g linecolor '%s' dashtype %s pointtype %d pointsize 0.5 title ",
                style.width, style.colour, style.dash, style.mark);
        gnuplot_quote(out, series->label);
        fprintf(out, " noenhanced");
    }
    fprintf(out, "\n");
}

static void panel(FILE *out, const Picture *picture, int number, double bottom)
{
    const StudyFit *fit = picture->fit;
    Extent ignored = {INFINITY, 0};
    const char *separator = "plot ";
    int columns = picture->budgets > 1 ? 2 : 1, rows = (picture->budgets + 1) / 2;
    double height = (0.95 - bottom) / rows;
    for (size_t i = 0; i < fit->series.count; i++)
        if (!fit->series.list[i].counts)
            curve_data(out, picture, i, LAW_PARAMETERS, picture->budget[number], &ignored, &ignored);
    fprintf(out, "set origin %g,%g\nset size %g,%g\nset title '", (double)(number % columns) / columns,
            bottom + height * (rows - 1 - number / columns), 1.0 / columns, height);
    fprintf(out, "%.4g million tokens' noenhanced textcolor '#222222'\n", (double)picture->budget[number] / 1e6);
    for (size_t i = 0; i < fit->series.count; i++) {
        size_t points = 0;
        const Series *series = &fit->series.list[i];
        for (size_t j = 0; !series->counts && j < series->cells; j++)
            points += is_drawn(picture, series, NULL, picture->budget[number], &series->cell[j]);
        if (points)
            curve_plot(out, picture, i, &separator, false);
    }
    fprintf(out, "\n");
}

static void parameters_script(FILE *out, const void *of)
{
    const Picture *picture = of;
    const StudyFit *fit = picture->fit;
    Extent x = {INFINITY, 0}, y = {INFINITY, 0};
    Key key = key_of(picture, false);
    int below = key.height + 10, height = 40 + below + 320 * ((picture->budgets + 1) / 2);
    for (int b = 0; b < picture->budgets; b++) /* one range for all panels; the data is written again for each */
        for (size_t i = 0; i < fit->series.count; i++)
            if (!fit->series.list[i].counts)
                curve_data(out, picture, i, LAW_PARAMETERS, picture->budget[b], &x, &y);
    picture_begin(out, PICTURE_WIDTH, height, "", key.columns);
    fprintf(out, "set multiplot title ");
    gnuplot_quote(out, picture->title);
    fprintf(out, " noenhanced textcolor '#222222'\nset key off\n");
    axis_counts(out, 'x', x);
    axis_losses(out, 'y', y);
    fprintf(out, "set xlabel 'non-embedding parameters' offset 0,0.7 textcolor '#222222'\n"
                 "set ylabel 'bits per byte' textcolor '#222222'\n");
    for (int b = 0; b < picture->budgets; b++)
        panel(out, picture, b, (double)below / height);
    panels_key(out, picture, key.columns, (double)below / height);
    fprintf(out, "unset multiplot\n");
}

/* Every run a small mark, the lower envelope of a series its line. */
static void flops_script(FILE *out, const void *of)
{
    const Picture *picture = of;
    const StudyFit *fit = picture->fit;
    Extent x = {INFINITY, 0}, y = {INFINITY, 0};
    const char *separator = "plot ";
    for (size_t i = 0; i < fit->series.count; i++)
        if (!fit->series.list[i].counts)
            curve_data(out, picture, i, LAW_FLOPS, 0, &x, &y);
    for (size_t i = 0; i < fit->laws; i++) {
        if (fit->law[i].kind != LAW_FLOPS)
            continue;
        fprintf(out, "$e%zu << EOD\n", i);
        for (size_t j = 0; j < fit->law[i].cells; j++)
            fprintf(out, "%.9g %.9g\n", fit->law[i].cell[j]->flops, fit->law[i].cell[j]->loss);
        fprintf(out, "EOD\n");
    }
    Key key = key_of(picture, false);
    picture_begin(out, PICTURE_WIDTH, 450 + key.height, picture->title, key.columns);
    axis_powers(out, 'x', x);
    axis_losses(out, 'y', y);
    fprintf(out, "set xlabel 'training compute (model FLOPs)' offset 0,0.7 textcolor '#222222'\n"
                 "set ylabel 'held-out loss (bits per byte)' textcolor '#222222'\n");
    for (size_t i = 0; i < fit->laws; i++) {
        const Series *series = fit->law[i].series;
        if (fit->law[i].kind != LAW_FLOPS || strcmp(series->corpus, picture->corpus) != 0)
            continue;
        Style style = style_of(fit, series);
        fprintf(out, "%s$s%zu using 1:2 with points linecolor '#a0%s' pointtype %d pointsize 0.3 notitle", separator,
                (size_t)(series - fit->series.list), style.colour + 1, style.mark);
        fprintf(out,
                ", $e%zu using 1:2 with linespoints linewidth %g linecolor '%s' dashtype %s pointtype %d pointsize "
                "0.5 title ",
                i, style.width, style.colour, style.dash, style.mark);
        gnuplot_quote(out, series->label);
        fprintf(out, " noenhanced");
        separator = ", ";
    }
    fputc('\n', out);
}

/* -- which pictures -- */

static lmu_status figure_add(Figures *figures, const Picture *picture, GnuplotScript *script, const char *name,
                             const char *caption)
{
    TRY(memory_grow(&figures->list, &figures->capacity, figures->count + 1, sizeof *figures->list, "pictures"));
    Figure *figure = &figures->list[figures->count];
    bool several = picture->fit->series.corpus_count > 1;
    snprintf(figure->name, sizeof figure->name, "%s%s%s%s%s", several ? picture->corpus : "", several ? "-" : "", name,
             picture->size ? "-" : "", picture->size ? picture->size : "");
    for (char *c = figure->name; *c; c++) /* a name may have what a file name may not */
        *c = isalnum((unsigned char)*c) || strchr("._-", *c) ? *c : '-';
    figure->title = picture->title;
    figure->caption = caption;
    if (!picture->title)
        return LMU_MEMORY;
    TRY(gnuplot_draw(script, picture, &figure->svg, &figure->size));
    figures->count++;
    return LMU_OK;
}

static const char *picture_title(const StudyFit *fit, const char *corpus, const char *what, const char *size)
{
    return arena_printf(fit->series.arena, "%s%s%s%s%s", what, size ? ", size " : "", size ? size : "",
                        fit->series.corpus_count > 1 ? ", corpus " : "", fit->series.corpus_count > 1 ? corpus : "");
}

#define SIZES 64

/* The sizes that models of the corpus have, in the order of the series; their number. */
static size_t sizes_of(const StudyFit *fit, const char *corpus, const char *size[SIZES])
{
    size_t count = 0;
    for (size_t i = 0; i < fit->series.count; i++) {
        const Series *series = &fit->series.list[i];
        for (size_t j = 0; j < series->cells && !series->counts && strcmp(series->corpus, corpus) == 0; j++) {
            size_t known = 0;
            while (known < count && strcmp(size[known], series->cell[j].size) != 0)
                known++;
            if (known == count && count < SIZES)
                size[count++] = series->cell[j].size;
        }
    }
    return count;
}

/* What is drawn of a size alone: ratios, and the loss over tokens. */
static lmu_status draw_size(const StudyFit *fit, const char *corpus, const char *size, Figures *out)
{
    Picture picture = {fit, corpus, size, picture_title(fit, corpus, "Token efficiency", size), {0}, 0};
    if (ratios_drawn(&picture))
        TRY(figure_add(
            out, &picture, ratios_script, "efficiency",
            "How many times the model's tokens the baseline needs to reach the model's loss: geometric mean over "
            "budgets of 1, 2 and 3 million tokens, with the 95% interval. An open mark, or a cross, is a bound, where "
            "the "
            "baseline's measured curve does not reach; an arrow means that the interval has no end."));
    picture.title = picture_title(fit, corpus, "Loss over training text", size);
    return figure_add(
        out, &picture, tokens_script, "tokens",
        "Each mark is a finished run of that many tokens, with its 95% interval; counts of n-grams, which have "
        "no size, are dashed in grey.");
}

/* Up to four budgets at which some series has two sizes, spread over all of them. */
static void parameters_budgets(Picture *picture)
{
    const StudyFit *fit = picture->fit;
    int64_t all[64];
    int count = 0;
    for (size_t i = 0; i < fit->laws; i++) {
        const LawFit *law = &fit->law[i];
        int j = 0;
        if (law->kind != LAW_PARAMETERS || law->cells < 2 || strcmp(law->series->corpus, picture->corpus) != 0)
            continue;
        while (j < count && all[j] != law->budget)
            j++;
        if (j < count || count == 64)
            continue;
        for (count++; j > 0 && all[j - 1] > law->budget; j--)
            all[j] = all[j - 1];
        all[j] = law->budget;
    }
    picture->budgets = count < 4 ? count : 4;
    for (int i = 0; i < picture->budgets; i++)
        picture->budget[i] = all[count <= 4 ? i : (int)lround(i * (count - 1) / 3.0)];
}

static lmu_status draw_corpus(const StudyFit *fit, const char *corpus, Figures *out)
{
    Picture picture = {fit, corpus, NULL, picture_title(fit, corpus, "Loss over model size", NULL), {0}, 0};
    const char *size[SIZES];
    size_t sizes = sizes_of(fit, corpus, size);
    for (size_t i = 0; i < sizes; i++)
        TRY(draw_size(fit, corpus, size[i], out));
    if (!models_of(&picture))
        return LMU_OK;
    parameters_budgets(&picture);
    if (picture.budgets)
        TRY(figure_add(out, &picture, parameters_script, "parameters",
                       "Loss against non-embedding parameters at given budgets of training text."));
    picture.title = picture_title(fit, corpus, "Loss over training compute", NULL);
    return figure_add(out, &picture, flops_script, "flops",
                      "Small marks are all runs; a line joins those that no cheaper run of the same series beats.");
}

lmu_status study_draw(const StudyFit *fit, Figures *out)
{
    lmu_status status = LMU_OK;
    *out = (Figures){0};
    for (size_t i = 0; i < fit->series.corpus_count && status == LMU_OK; i++)
        status = draw_corpus(fit, fit->series.corpora[i], out);
    if (status != LMU_OK)
        figures_free(out);
    return status;
}
