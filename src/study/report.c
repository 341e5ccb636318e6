/* The page of a study: pictures and tables in one file that needs no other. */
#include <string.h>

#include "base/file.h"
#include "study/plot.h"
#include "study/table.h"

static const char style[] =
    ":root{color-scheme:light dark;--text:#1c1c1c;--ground:#fdfdfc;--line:#d8d8d4;--soft:#5a5a5a}\n"
    "@media(prefers-color-scheme:dark){:root{--text:#e6e6e3;--ground:#161618;--line:#3a3a3e;--soft:#a5a5a0}"
    "figure svg{filter:invert(0.91) hue-rotate(180deg)}}\n"
    "body{margin:0 auto;padding:1rem;max-width:72rem;font:16px/1.5 system-ui,sans-serif;color:var(--text);"
    "background:var(--ground)}\n"
    "h1{font-size:1.6rem;line-height:1.2}h2{font-size:1.2rem;margin-top:2.2rem}\n"
    "figure{margin:1.5rem 0}figure svg{display:block;width:100%;max-width:50rem;height:auto;border-radius:6px}\n"
    "figcaption,p{color:var(--soft);max-width:50rem}\n"
    ".table{overflow-x:auto}table{border-collapse:collapse;font-size:.85rem;font-variant-numeric:tabular-nums}\n"
    "th,td{padding:.2rem .6rem;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}\n"
    "th{vertical-align:bottom;font-weight:600}.word{text-align:left}\n"
    "tbody tr:hover{background:color-mix(in srgb,var(--text) 7%,transparent)}\n";

/* Names in a picture (id="...", "#...", url(#...)) get the picture's number: on one page they must differ. What comes before <svg is
 * of a file of its own. */
static void svg_put(FILE *out, const Figure *figure, size_t number)
{
    static const char *const before[] = {" id=\"", " id='", "href=\"#", "href='#", "url(#"};
    const char *c = strstr(figure->svg, "<svg");
    while (c && *c) {
        size_t i = 0, count = sizeof before / sizeof *before;
        while (i < count && strncmp(c, before[i], strlen(before[i])) != 0)
            i++;
        if (i == count) {
            fputc(*c++, out);
            continue;
        }
        fprintf(out, "%sf%zu-", before[i], number);
        c += strlen(before[i]);
    }
}

static void figures_put(FILE *out, const Figures *figures)
{
    for (size_t i = 0; i < figures->count; i++) {
        fputs("<figure>\n", out);
        svg_put(out, &figures->list[i], i + 1);
        fputs("<figcaption>", out);
        html_escape(out, figures->list[i].title);
        fputs(". ", out);
        html_escape(out, figures->list[i].caption);
        fputs("</figcaption>\n</figure>\n", out);
    }
}

static lmu_status tables_put(FILE *out, const StudyFit *fit, const char *corpus)
{
    static lmu_status (*const tables[])(const StudyFit *, const char *,
                                        Table *) = {table_of_headlines, table_of_ratios, table_of_times, table_of_cells,
                                                    table_of_seeds,     table_of_laws,   table_of_runs};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        Table table = {0};
        lmu_status status = tables[i](fit, corpus, &table);
        if (status == LMU_OK)
            table_html(out, &table);
        table_free(&table);
        TRY(status);
    }
    return LMU_OK;
}

static lmu_status page_put(FILE *out, const StudyFit *fit, const Figures *figures)
{
    fprintf(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>Report of a study</title>\n"
        "<style>\n%s</style>\n</head>\n<body>\n<main>\n<h1>Report of a study</h1>\n<p>%zu finished runs, %zu series. "
        "Losses are of held-out text, in bits per byte unless another unit is named; lower is better. Intervals "
        "are 95%% intervals of a bootstrap with %lld resamples.</p>\n",
        style, fit->series.runs, fit->series.count, (long long)fit->resamples);
    figures_put(out, figures);
    for (size_t i = 0; i < fit->series.corpus_count; i++)
        TRY(tables_put(out, fit, fit->series.corpora[i]));
    if (fit->series.notes.count) {
        fputs("<section>\n<h2>Notes</h2>\n<ul>\n", out);
        for (size_t i = 0; i < fit->series.notes.count; i++) {
            fputs("<li>", out);
            html_escape(out, fit->series.notes.value[i]);
            fputs("</li>\n", out);
        }
        fputs("</ul>\n</section>\n", out);
    }
    fputs("</main>\n</body>\n</html>\n", out);
    return LMU_OK;
}

lmu_status report_write(const StudyFit *fit, const Figures *figures, const char *path)
{
    FileWriter *writer;
    TRY(file_writer_open(path, &writer));
    lmu_status status = page_put(file_writer_stream(writer), fit, figures);
    if (status != LMU_OK) {
        file_writer_abort(writer);
        return status;
    }
    return file_writer_commit(writer);
}
