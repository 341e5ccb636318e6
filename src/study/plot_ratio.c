/* Token-efficiency ratios at one size: a line a pair of models. */
#include <math.h>
#include <string.h>

#include "study/gnuplot.h"
#include "study/plot_internal.h"

static bool is_drawn(const Picture *picture, const Pair *pair)
{
    Interval value = pair->headline[COST_TOKENS].value;
    return strcmp(pair->a->corpus, picture->corpus) == 0 && strcmp(pair->size, picture->size) == 0 &&
           !interval_is_none(value) && !(value.low == 0 && isinf(value.high));
}

size_t ratios_drawn(const Picture *picture)
{
    size_t count = 0;
    for (size_t i = 0; i < picture->fit->pairs; i++)
        count += is_drawn(picture, &picture->fit->pair[i]);
    return count;
}

/* One pair: mark and interval. An interval without an end is an arrow to the border. */
static void ratio_data(FILE *out, const Picture *picture, const Pair *pair, int y, Extent extent)
{
    const Headline *headline = &pair->headline[COST_TOKENS];
    Style style = style_of(picture->fit, pair->a);
    Interval value = headline->value, ends = headline->interval;
    double known = value.low > 0 ? value.low : value.high;
    if (interval_is_none(ends))
        ends = value;
    bool below = !(ends.low > 0), above = isinf(ends.high);
    fprintf(out, "set arrow from first %.9g,%d to first %.9g,%d %s size graph 0.015,25 linewidth 1.4 linecolor '%s'\n",
            below ? extent.low : ends.low, y, above ? extent.high : ends.high, y,
            below && above ? "heads filled"
            : above        ? "head filled"
            : below        ? "backhead filled"
                           : "nohead",
            style.colour);
    fprintf(out, "set label point pointtype %d pointsize 0.8 linecolor '%s' at first %.9g,%d\n",
            value.low == value.high ? style.mark : style.mark - 1, style.colour, known, y);
}

/* The extent that is shown: all that is known, and 1. */
static Extent ratios_extent(const Picture *picture)
{
    Extent extent = {1, 1};
    for (size_t i = 0; i < picture->fit->pairs; i++) {
        const Headline *headline = &picture->fit->pair[i].headline[COST_TOKENS];
        if (!is_drawn(picture, &picture->fit->pair[i]))
            continue;
        extent_take(&extent, headline->value.low);
        extent_take(&extent, headline->value.high);
        extent_take(&extent, headline->interval.low);
        extent_take(&extent, headline->interval.high);
    }
    return (Extent){extent.low / 1.15, extent.high * 1.25};
}

#define DRAWING 440 /* width beside the labels */

/* 1 and what lies far enough from it and from each other to be read. */
static void ratio_ticks(FILE *out, Extent extent)
{
    static const double ticks[] = {0.1, 0.125, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4, 6, 8, 12, 16, 32, 64};
    const double room = 0.09 * log(extent.high / extent.low);
    double last = 0;
    for (size_t i = 0; i < sizeof ticks / sizeof *ticks; i++) {
        double value = ticks[i];
        if (value < extent.low || value > extent.high ||
            (value != 1 && (fabs(log(value)) < room || (last > 0 && log(value / last) < room))))
            continue;
        fprintf(out, "%s'%g×' %g", last > 0 ? ", " : "", value, value);
        last = value;
    }
}

void ratios_script(FILE *out, const void *of)
{
    const Picture *picture = of;
    const StudyFit *fit = picture->fit;
    Extent extent = ratios_extent(picture);
    int lines = (int)ratios_drawn(picture), widest = 0, y = 0;
    for (size_t i = 0; i < fit->pairs; i++)
        if (is_drawn(picture, &fit->pair[i])) {
            int width = text_extent(fit->pair[i].a->label) + text_extent(fit->pair[i].b->label) + text_extent(" over ");
            widest = width > widest ? width : widest;
        }
    int left = widest + 20, width = left + DRAWING + 30;
    picture_begin(out, width, 110 + 21 * lines, picture->title, 1);
    fprintf(out,
            "set lmargin at screen %g\nset rmargin at screen %g\nset key off\nset logscale x\nunset grid\nset grid "
            "xtics linecolor '#dddddd'\nset border 1\nset xrange "
            "[%.9g:%.9g]\n"
            "set yrange [%g:-0.4]\nset xtics (",
            (double)left / width, (double)(left + DRAWING) / width, extent.low, extent.high, -lines - 0.6);
    ratio_ticks(out, extent);
    fprintf(out, ")\nset ytics noenhanced scale 0 (");
    for (size_t i = 0; i < fit->pairs; i++)
        if (is_drawn(picture, &fit->pair[i])) {
            const char *text =
                arena_printf(fit->series.arena, "%s over %s", fit->pair[i].a->label, fit->pair[i].b->label);
            fprintf(out, "%s", y ? ", " : "");
            gnuplot_quote_tick(
                out, text ? text : ""); /* a name that found no memory is left out: a picture is only for the eye */
            fprintf(out, " %d", --y);
        }
    fprintf(out, ")\nset xlabel 'ratio of tokens at equal loss' offset 0,0.5 "
                 "textcolor '#222222'\n"
                 "set arrow from first 1,graph 0 to first 1,graph 1 nohead linewidth 1.4 linecolor '#666666'\n");
    y = 0;
    for (size_t i = 0; i < fit->pairs; i++)
        if (is_drawn(picture, &fit->pair[i]))
            ratio_data(out, picture, &fit->pair[i], --y, extent);
    fprintf(out, "plot NaN notitle\n");
}
