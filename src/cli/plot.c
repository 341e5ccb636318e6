/* lmu plot: the loss curve of a run, drawn by gnuplot as SVG. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "cli/command.h"
#include "study/gnuplot.h"

typedef struct PlotOptions {
    char *run, *out, *title;
    double smooth;
} PlotOptions;

static const Field plot_fields[] = {
    {.name = "run",
     .type = FIELD_STRING,
     .offset = offsetof(PlotOptions, run),
     .unit = "RUN",
     .help = "directory that lmu train wrote: its metrics.jsonl is drawn, and its ngram.json where there is one",
     .positional = true,
     .required = true},
    FIELD_STRING_OF(PlotOptions, out, NULL, "FILE", "where the SVG is written; without it, RUN/loss.svg"),
    FIELD_STRING_OF(PlotOptions, title, NULL, "TEXT", "heading of the picture; without it, the name of the run"),
    FIELD_REAL_OF(PlotOptions, smooth, "10", 0, 10000, "steps",
                  "training loss is averaged over about so many logged steps; 0 draws every one as it is"),
};
static const FieldTable plot_table = {"Options", plot_fields, sizeof plot_fields / sizeof *plot_fields};

typedef struct Point {
    double tokens, loss;
} Point;

typedef struct Series {
    Point *point;
    size_t count, capacity;
} Series;

typedef struct Curve {
    const char *title;
    Series train, valid;
    double ngram_loss; /* NaN: none */
    int64_t ngram_order;
} Curve;

static void curve_free(Curve *curve)
{
    free(curve->train.point);
    free(curve->valid.point);
}

static lmu_status series_add(Series *series, double tokens, double loss)
{
    /* A resumed run repeats what came after its checkpoint: the later line counts. */
    while (series->count && series->point[series->count - 1].tokens >= tokens)
        series->count--;
    TRY(memory_grow(&series->point, &series->capacity, series->count + 1, sizeof *series->point, "the loss curve"));
    series->point[series->count++] = (Point){tokens, loss};
    return LMU_OK;
}

static lmu_status curve_line(Curve *curve, const char *origin, const char *line, size_t length)
{
    json_t *object;
    const char *kind;
    double tokens, loss;
    TRY(json_read_text(origin, line, length, &object));
    lmu_status status;
    ATTEMPT(json_get_string(origin, object, "kind", &kind));
    bool train = !strcmp(kind, "train");
    if (!train && strcmp(kind, "valid") != 0)
        goto done; /* other kinds of line are none of ours */
    ATTEMPT(json_get_real(origin, object, "tokens", &tokens));
    ATTEMPT(json_get_real(origin, object, "loss", &loss));
    ATTEMPT(series_add(train ? &curve->train : &curve->valid, tokens, loss));
done:
    json_decref(object);
    return status;
}

/* The last line may be half written while the run goes on: without its line end it is left out. */
static lmu_status curve_read_metrics(Curve *curve, const char *path)
{
    FileMap map;
    TRY(file_map(path, &map));
    const char *text = (const char *)map.data, *end = text + map.size;
    lmu_status status = LMU_OK;
    for (size_t number = 1; text < end && status == LMU_OK; number++) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));
        if (!stop)
            break;
        char origin[4200];
        snprintf(origin, sizeof origin, "%s:%zu", path, number);
        if (stop > text)
            status = curve_line(curve, origin, text, (size_t)(stop - text));
        text = stop + 1;
    }
    file_unmap(&map);
    if (status == LMU_OK && curve->train.count + curve->valid.count == 0)
        status = error_set(LMU_FORMAT, "%s: holds no training or validation loss yet", path);
    return status;
}

static lmu_status curve_read_ngram(Curve *curve, const char *path)
{
    json_t *object;
    curve->ngram_loss = NAN;
    if (!file_exists(path))
        return LMU_OK;
    TRY(json_read_file(path, &object));
    lmu_status status;
    ATTEMPT(json_get_integer(path, object, "order", 1, 100, &curve->ngram_order));
    ATTEMPT(json_get_real(path, object, "loss", &curve->ngram_loss));
done:
    json_decref(object);
    return status;
}

static lmu_status curve_read(Curve *curve, const char *run)
{
    if (!file_is_directory(run))
        return error_set(LMU_IO, "%s: is no directory; a run that lmu train wrote is expected", run);
    char *metrics = NULL, *ngram = NULL;
    lmu_status status;
    ATTEMPT(path_join(run, "metrics.jsonl", &metrics));
    ATTEMPT(path_join(run, "ngram.json", &ngram));
    status =
        file_exists(metrics)
            ? curve_read_metrics(curve, metrics)
            : error_set(LMU_IO, "%s: is missing; %s is no run that lmu train wrote, or has not begun", metrics, run);
    ATTEMPT(status);
    status = curve_read_ngram(curve, ngram);
done:
    free(metrics);
    free(ngram);
    return status;
}

/* Exponential average with a memory of `steps` points, corrected for its start as Adam's moments are. */
static void series_smooth(Series *series, double steps)
{
    double keep = steps > 1 ? 1 - 1 / steps : 0, sum = 0, weight = 0;
    for (size_t i = 0; i < series->count; i++) {
        sum = keep * sum + (1 - keep) * series->point[i].loss;
        weight = keep * weight + (1 - keep);
        series->point[i].loss = sum / weight;
    }
}

static double curve_end(const Curve *curve)
{
    double end = 0;
    if (curve->train.count)
        end = curve->train.point[curve->train.count - 1].tokens;
    if (curve->valid.count)
        end = fmax(end, curve->valid.point[curve->valid.count - 1].tokens);
    return end;
}

static void series_data(FILE *out, const char *name, const Series *series, double scale)
{
    fprintf(out, "$%s << EOD\n", name);
    for (size_t i = 0; i < series->count; i++)
        if (isfinite(series->point[i].loss))
            fprintf(out, "%.9g %.9g\n", series->point[i].tokens / scale, series->point[i].loss);
    fprintf(out, "EOD\n");
}

/* The whole script, data in it. The first losses are far above the rest: the upper end of the axis is left to gnuplot. */
static void curve_script(FILE *out, const void *of)
{
    const Curve *curve = of;
    double end = curve_end(curve), scale = end >= 1e9 ? 1e9 : end >= 1e6 ? 1e6 : end >= 1e3 ? 1e3 : 1;
    const char *unit = scale == 1e9   ? "billion tokens"
                       : scale == 1e6 ? "million tokens"
                       : scale == 1e3 ? "thousand tokens"
                                      : "tokens";
    series_data(out, "train", &curve->train, scale);
    series_data(out, "valid", &curve->valid, scale);
    fprintf(out,
            "set terminal svg size 760,440 dynamic enhanced font 'Helvetica,Arial,sans-serif,14' background '#ffffff'\n"
            "set title ");
    gnuplot_quote(out, curve->title);
    fprintf(out,
            " noenhanced textcolor '#222222'\n"
            "set xlabel 'text read (%s)' textcolor '#222222'\n"
            "set ylabel 'loss (nats a token)' textcolor '#222222'\n"
            "set border 3 linecolor '#666666'\nset tics nomirror textcolor '#222222'\n"
            "set autoscale xfixmax\n"
            "set grid linecolor '#dddddd'\nset key top right textcolor '#222222'\nset xrange [0:*]\n",
            unit);
    const char *separator = "plot ";
    if (curve->train.count) {
        fprintf(out, "%s$train using 1:2 with lines linewidth 2 linecolor '#3b78b5' title 'training'", separator);
        separator = ", ";
    }
    if (curve->valid.count) {
        fprintf(out,
                "%s$valid using 1:2 with linespoints linewidth 2 pointtype 7 pointsize 0.6 linecolor '#c8552b' title "
                "'validation'",
                separator);
        separator = ", ";
    }
    if (isfinite(curve->ngram_loss))
        fprintf(out, "%s%.9g with lines linewidth 2 dashtype 2 linecolor '#555555' title 'counts of order %lld'",
                separator, curve->ngram_loss, (long long)curve->ngram_order);
    fputc('\n', out);
}

static lmu_status curve_draw(const Curve *curve, const char *path)
{
    char *svg = NULL;
    size_t size;
    lmu_status status = gnuplot_draw(curve_script, curve, &svg, &size);
    if (status == LMU_OK)
        status = file_write(path, svg, size);
    free(svg);
    return status;
}

static const char *last_part(const char *path, char *out, size_t size)
{
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    size_t start = length;
    while (start > 0 && path[start - 1] != '/')
        start--;
    snprintf(out, size, "%.*s", (int)(length - start), path + start);
    return out;
}

/* A name that promises another format would hold what its readers refuse. */
static lmu_status refuse_other_format(const char *path)
{
    char name[256];
    const char *ending = strrchr(last_part(path, name, sizeof name), '.');
    return !ending || strcmp(ending, ".svg") == 0
               ? LMU_OK
               : error_set(LMU_USAGE, "%s: the picture is SVG: choose a name that ends in .svg", path);
}

static lmu_status plot_make(const PlotOptions *options)
{
    Curve curve = {0};
    char name[256];
    const char *path = options->out;
    char *beside = NULL;
    lmu_status status;
    if (!path)
        ATTEMPT(path_join(options->run, "loss.svg", &beside));
    path = path ? path : beside;
    ATTEMPT(refuse_other_format(path));
    ATTEMPT(curve_read(&curve, options->run));
    ATTEMPT(file_writer_check(path));
    series_smooth(&curve.train, options->smooth);
    curve.title = options->title ? options->title : last_part(options->run, name, sizeof name);
    ATTEMPT(curve_draw(&curve, path));
    printf("%s: %zu training and %zu validation losses\n", path, curve.train.count, curve.valid.count);
done:
    curve_free(&curve);
    free(beside);
    return status;
}

static lmu_status plot_run(int argc, char *const *argv);

const Command plot_command = {
    .name = "plot",
    .summary = "Draw the loss curve of a run as SVG",
    .usage = "RUN [--out FILE]",
    .details =
        "Draws the training loss (smoothed) and the validation loss against the tokens read, with gnuplot. If the\n"
        "run's directory holds an ngram.json, as lmu ngram --out writes it, the loss of that model is a dashed line.\n"
        "A run that is still going may be drawn too.\n\n"
        "  lmu plot runs/first --out docs/first.svg",
    .tables = {&plot_table},
    .run = plot_run,
};

static lmu_status plot_run(int argc, char *const *argv)
{
    PlotOptions options;
    void *const values[] = {&options};
    bool help;
    TRY(command_parse(&plot_command, argc, argv, values, &help));
    if (help)
        return LMU_OK;
    lmu_status status = plot_make(&options);
    command_free(&plot_command, values);
    return status;
}
