#include "study/plot_axis.h"

#include <math.h>
#include <string.h>

#include "study/gnuplot.h"

void extent_take(Extent *extent, double value)
{
    if (!isfinite(value) || value <= 0)
        return;
    extent->low = fmin(extent->low, value);
    extent->high = fmax(extent->high, value);
}

/* Okabe and Ito's colours, which people with any kind of colour vision tell apart, the yellow left out: too pale on white. */
static const char *const colours[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f4f24"};
static const int marks[] = {7, 5, 9, 11, 13, 15, 3}; /* the last has no filled form: an asterisk, and a cross */
static const int count_marks[] = {2, 1, 4, 6};
static const char *const count_dashes[] = {"(5,4)", "(2,3)", "(10,4)", "(5,3,2,3)"};
static const char *const dashes[] = {"1",      "(9,4)", "(2,3)",         "(9,3,2,3)",
                                     "(16,4)", "(4,2)", "(9,3,2,3,2,3)", "(16,3,4,3)"};

static bool is_alike(const Series *a, const Series *b, bool model)
{
    if (model)
        return strcmp(a->model, b->model) == 0;
    return a->counts == b->counts && strcmp(a->optimizer, b->optimizer) == 0 && strcmp(a->variant, b->variant) == 0;
}

/* The place of the series' model among models or among counts, or of its optimizer and variant among those, as they first appear. */
static size_t place_of(const StudyFit *fit, const Series *series, bool model)
{
    size_t place = 0;
    for (const Series *other = fit->series.list; !is_alike(other, series, model); other++) {
        bool first = other->counts == series->counts;
        for (const Series *before = fit->series.list; before < other; before++)
            first &= before->counts != series->counts || !is_alike(before, other, model);
        place += first;
    }
    return place;
}

Style style_of(const StudyFit *fit, const Series *series)
{
    size_t model = place_of(fit, series, true);
    if (series->counts)
        return (Style){"#555555", count_dashes[model % (sizeof count_dashes / sizeof *count_dashes)],
                       count_marks[model % (sizeof count_marks / sizeof *count_marks)], 1.6};
    size_t dash = place_of(fit, series, false);
    return (Style){colours[model % (sizeof colours / sizeof *colours)], dashes[dash % (sizeof dashes / sizeof *dashes)],
                   marks[model % (sizeof marks / sizeof *marks)], strncmp(series->model, "lmu", 3) == 0 ? 2.4 : 1.6};
}

int text_extent(const char *text)
{
    return 8 * (int)strlen(text); /* at 14 points a letter takes 7 to 8, and one of several bytes no more than these */
}

static bool has_size(const Series *series, const char *size)
{
    for (size_t i = 0; i < series->cells; i++)
        if (strcmp(series->cell[i].size, size) == 0)
            return true;
    return false;
}

Key key_of(const Picture *picture, bool counts)
{
    int widest = 0, entries = 0;
    for (size_t i = 0; i < picture->fit->series.count; i++) {
        const Series *series = &picture->fit->series.list[i];
        bool drawn = series->counts ? counts : !picture->size || has_size(series, picture->size);
        if (!drawn || strcmp(series->corpus, picture->corpus) != 0)
            continue;
        widest = text_extent(series->label) > widest ? text_extent(series->label) : widest;
        entries++;
    }
    int columns = 2 * (widest + 60) <= PICTURE_WIDTH ? 2 : 1; /* beside each text its line */
    return (Key){columns, 22 * ((entries + columns - 1) / columns)};
}

void picture_begin(FILE *out, int width, int height, const char *title, int columns)
{
    fprintf(out,
            "set terminal svg size %d,%d dynamic enhanced font 'Helvetica,Arial,sans-serif,14' background '#ffffff'\n"
            "set title ",
            width, height);
    gnuplot_quote(out, title);
    fprintf(out,
            " noenhanced textcolor '#222222'\n"
            "set border 3 linecolor '#666666'\nset tics nomirror textcolor '#222222'\nset grid linecolor '#dddddd'\n"
            "set key bmargin center horizontal Left reverse samplen 3.5 maxcols %d width -5 textcolor '#222222'\n"
            "set bars small\n",
            columns);
}

static void axis_begin(FILE *out, char axis, Extent extent, double margin)
{
    fprintf(out, "set logscale %c\nunset m%ctics\nset %crange [%.9g:%.9g]\nset %ctics (", axis, axis, axis,
            extent.low / margin, extent.high * margin, axis);
}

static void count_label(FILE *out, double value)
{
    static const char *const units[] = {"", "k", "M", "G", "T"};
    int unit = 0;
    for (; value >= 999.5 && unit < 4; unit++)
        value /= 1000;
    fprintf(out, "%.4g%s", value, units[unit]);
}

/* Of nothing that can be drawn some extent must do. */
static Extent extent_sane(Extent extent)
{
    return extent.high > 0 ? extent : (Extent){1, 10};
}

/* A million, doubled and halved, as far as there is room; where the extent holds none of these its middle. */
void axis_counts(FILE *out, char axis, Extent extent)
{
    const double margin = 1.12;
    extent = extent_sane(extent);
    double low = extent.low / margin, high = extent.high * margin;
    int first = (int)ceil(log2(low / 1e6) - 1e-9), last = (int)floor(log2(high / 1e6) + 1e-9);
    int step = 1 + (last - first) / 8, printed = 0;
    axis_begin(out, axis, extent, margin);
    for (int i = first; i <= last; i++) {
        if (i % step)
            continue;
        double value = 1e6 * exp2(i);
        fprintf(out, "%s'", printed++ ? ", " : "");
        count_label(out, value);
        fprintf(out, "' %.9g", value);
    }
    if (!printed) {
        fputc('\'', out);
        count_label(out, sqrt(low * high));
        fprintf(out, "' %.9g", sqrt(low * high));
    }
    fprintf(out, ")\n");
}

void axis_powers(FILE *out, char axis, Extent extent)
{
    const double margin = 1.3;
    extent = extent_sane(extent);
    double low = extent.low / margin, high = extent.high * margin;
    int first = (int)floor(log10(low)), last = (int)ceil(log10(high)), printed = 0;
    bool wide = log10(high / low) > 2.5;
    axis_begin(out, axis, extent, margin);
    for (int power = first; power <= last; power++)
        for (int lead = 1; lead <= (wide ? 1 : 5); lead += lead == 1 ? 1 : 3) {
            double value = lead * pow(10, power);
            if (value < low || value > high)
                continue;
            fprintf(out, "%s'", printed++ ? ", " : "");
            fprintf(out, lead == 1 ? "10^{%d}" : "%d·10^{%d}", lead == 1 ? power : lead, power);
            fprintf(out, "' %.9g", value);
        }
    if (!printed)
        fprintf(out, "'%.1f·10^{%d}' %.9g", sqrt(low * high) / pow(10, first), first, sqrt(low * high));
    fprintf(out, ")\n");
}

/* About six even steps of 1, 2 or 5 times a power of ten. */
void axis_losses(FILE *out, char axis, Extent extent)
{
    const double margin = 1.02;
    extent = extent_sane(extent);
    double low = extent.low / margin, high = extent.high * margin, rough = (high - low) / 6;
    double power = pow(10, floor(log10(rough))), lead = rough / power;
    double step = power * (lead < 1.5 ? 1 : lead < 3.5 ? 2 : lead < 7.5 ? 5 : 10);
    int printed = 0;
    axis_begin(out, axis, extent, margin);
    for (double value = ceil(low / step) * step; value <= high; value += step)
        fprintf(out, "%s'%.*f' %.9g", printed++ ? ", " : "", step < 0.0995 ? 2 : step < 1 ? 1 : 0, value, value);
    fprintf(out, ")\n");
}
