/* Token-efficiency ratios: a line a pair of models, in groups of one size. */
#include <math.h>
#include <string.h>

#include "study/gnuplot.h"
#include "study/plot_internal.h"

static bool is_drawn(const Picture *picture, const Pair *pair)
{
    Interval value = pair->headline[COST_TOKENS].value;
    return strcmp(pair->a->corpus, picture->corpus) == 0 && !interval_is_none(value) &&
           !(value.low == 0 && isinf(value.high));
}

size_t ratios_drawn(const Picture *picture)
{
    size_t count = 0;
    for (size_t i = 0; i < picture->fit->pairs; i++)
        count += is_drawn(picture, &picture->fit->pair[i]);
    return count;
}

/* Whether pair i is the first drawn of its size. */
static bool is_first(const Picture *picture, size_t i)
{
    for (size_t j = 0; j < i; j++)
        if (is_drawn(picture, &picture->fit->pair[j]) &&
            strcmp(picture->fit->pair[j].size, picture->fit->pair[i].size) == 0)
            return false;
    return is_drawn(picture, &picture->fit->pair[i]);
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
            value.low == value.high ? style.mark : 6, style.colour, known, y);
}

/* A name that found no memory is left out, as a picture is only for the eye. */
static const char *or_empty(const char *text)
{
    return text ? text : "";
}

static void tick(FILE *out, bool *some, int y, const char *text)
{
    fprintf(out, "%s", *some ? ", " : "");
    gnuplot_quote_tick(out, text);
    fprintf(out, " %d", y);
    *some = true;
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

/* Marks and arrows when `draw`, else the labels of the lines. Returns how many lines there are. */
static int ratios_lines(FILE *out, const Picture *picture, bool draw, Extent extent)
{
    const StudyFit *fit = picture->fit;
    int y = 0;
    bool some = false;
    for (size_t i = 0; i < fit->pairs; i++) {
        if (!is_first(picture, i))
            continue;
        y--;
        if (draw) {
            fprintf(out, "set arrow from graph 0,first %d to graph 1,first %d nohead linecolor '#bbbbbb'\nset label ",
                    y, y);
            gnuplot_quote(out, or_empty(arena_printf(fit->series.arena, "size %s", fit->pair[i].size)));
            fprintf(out,
                    " at graph 0,first %d right offset -1,0 noenhanced font 'Helvetica,Arial,sans-serif:Bold,15'\n", y);
        }
        for (size_t j = i; j < fit->pairs; j++) {
            const Pair *pair = &fit->pair[j];
            if (!is_drawn(picture, pair) || strcmp(pair->size, fit->pair[i].size) != 0)
                continue;
            y--;
            if (draw)
                ratio_data(out, picture, pair, y, extent);
            else
                tick(out, &some, y,
                     or_empty(arena_printf(fit->series.arena, "%s over %s", pair->a->label, pair->b->label)));
        }
    }
    return -y;
}

void ratios_script(FILE *out, const void *of)
{
    const Picture *picture = of;
    Extent extent = ratios_extent(picture);
    int lines = (int)ratios_drawn(picture);
    for (size_t i = 0; i < picture->fit->pairs; i++)
        lines += is_first(picture, i);
    picture_begin(out, 800, 110 + 21 * lines, picture->title);
    fprintf(out,
            "set key off\nset logscale x\nunset grid\nset grid xtics linecolor '#dddddd'\nset border 1\nset xrange "
            "[%.9g:%.9g]\n"
            "set yrange [%g:-0.4]\nset xtics (",
            extent.low, extent.high, -lines - 0.6);
    static const double ticks[] = {0.1, 0.125, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4, 6, 8, 12, 16, 32, 64};
    bool some = false;
    for (size_t i = 0; i < sizeof ticks / sizeof *ticks; i++)
        if (ticks[i] >= extent.low && ticks[i] <= extent.high) {
            fprintf(out, "%s'%g×' %g", some ? ", " : "", ticks[i], ticks[i]);
            some = true;
        }
    fprintf(out, ")\nset ytics noenhanced scale 0 (");
    ratios_lines(out, picture, false, extent);
    fprintf(out, ")\nset xlabel 'ratio of tokens at equal loss' offset 0,0.5 "
                 "textcolor '#222222'\n"
                 "set arrow from first 1,graph 0 to first 1,graph 1 nohead linewidth 1.4 linecolor '#666666'\n");
    ratios_lines(out, picture, true, extent);
    fprintf(out, "plot NaN notitle\n");
}
