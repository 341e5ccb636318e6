#include "study/table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void table_free(Table *table)
{
    free(table->row);
    memset(table, 0, sizeof *table);
}

/* -- a terminal -- */

/* Characters, of which UTF-8 may take several bytes. */
static size_t text_width(const char *text)
{
    size_t width = 0;
    for (; *text; text++)
        width += (*text & 0xC0) != 0x80;
    return width;
}

/* Words in lines of at most 110 characters. */
static void paragraph_print(FILE *out, const char *text)
{
    size_t column = 0;
    while (*text) {
        size_t length = strcspn(text, " ");
        char word[160];
        snprintf(word, sizeof word, "%.*s", (int)length, text);
        size_t width = text_width(word);
        bool breaks = column && column + 1 + width > 110;
        fprintf(out, "%s%s", breaks ? "\n" : column ? " " : "", word);
        column = width + (breaks || !column ? 0 : column + 1);
        text += length + strspn(text + length, " ");
    }
    fputc('\n', out);
}

static void row_print(FILE *out, const Table *table, const char *const *cell, const size_t *width)
{
    size_t pending = 0; /* spaces that only a further word makes needed */
    for (size_t i = 0; i < table->columns; i++) {
        size_t space = width[i] - text_width(cell[i]);
        fprintf(out, "%*s%s", (int)(pending + (i < table->left ? 0 : space)), "", cell[i]);
        pending = 2 + (i < table->left ? space : 0);
    }
    fputc('\n', out);
}

void table_print(FILE *out, const Table *table)
{
    size_t width[TABLE_COLUMNS];
    if (!table->rows)
        return;
    for (size_t i = 0; i < table->columns; i++) {
        width[i] = text_width(table->heading[i]);
        for (size_t j = 0; j < table->rows; j++)
            if (text_width(table->row[j][i]) > width[i])
                width[i] = text_width(table->row[j][i]);
    }
    fprintf(out, "\n%s\n", table->title);
    if (table->about)
        paragraph_print(out, table->about);
    fputc('\n', out);
    row_print(out, table, table->heading, width);
    for (size_t j = 0; j < table->rows; j++)
        row_print(out, table, table->row[j], width);
}

/* -- a page -- */

void html_escape(FILE *out, const char *text)
{
    for (; *text; text++)
        switch (*text) {
        case '&':
            fputs("&amp;", out);
            break;
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        case '\n':
            fputc(' ', out);
            break;
        default:
            if ((unsigned char)*text >= ' ')
                fputc(*text, out);
        }
}

static void row_html(FILE *out, const Table *table, const char *const *cell, const char *tag)
{
    fputs("<tr>", out);
    for (size_t i = 0; i < table->columns; i++) {
        fprintf(out, "<%s%s>", tag, i < table->left ? " class=\"word\"" : "");
        html_escape(out, cell[i]);
        fprintf(out, "</%.2s>", tag);
    }
    fputs("</tr>\n", out);
}

void table_html(FILE *out, const Table *table)
{
    if (!table->rows)
        return;
    fputs("<section>\n<h2>", out);
    html_escape(out, table->title);
    fputs("</h2>\n", out);
    if (table->about) {
        fputs("<p>", out);
        html_escape(out, table->about);
        fputs("</p>\n", out);
    }
    fputs("<div class=\"table\" tabindex=\"0\">\n<table>\n<thead>\n", out);
    row_html(out, table, table->heading, "th scope=\"col\"");
    fputs("</thead>\n<tbody>\n", out);
    for (size_t j = 0; j < table->rows; j++)
        row_html(out, table, table->row[j], "td");
    fputs("</tbody>\n</table>\n</div>\n</section>\n", out);
}

/* -- numbers -- */

const char *count_text(Arena *arena, double value)
{
    static const char *const units[] = {"", " k", " M", " G", " T", " P", " E"};
    size_t unit = 0;
    while (value >= 999.95 && unit + 1 < sizeof units / sizeof *units) {
        value /= 1000;
        unit++;
    }
    return arena_printf(arena, "%.4g%s", value, units[unit]);
}

const char *ratio_text(Arena *arena, Interval ratio, const char *more, const char *less)
{
    if (interval_is_none(ratio))
        return "–";
    if (ratio.low == ratio.high)
        return arena_printf(arena, "%.3g", ratio.low);
    if (ratio.low == 0)
        return isinf(ratio.high) ? "not determined" : arena_printf(arena, "%s %.3g", less, ratio.high);
    if (isinf(ratio.high))
        return arena_printf(arena, "%s %.3g", more, ratio.low);
    return arena_printf(arena, "%.3g to %.3g", ratio.low, ratio.high);
}

const char *interval_text(Arena *arena, Interval interval, const char *format)
{
    char low[40], high[40];
    if (interval_is_none(interval))
        return "–";
    snprintf(low, sizeof low, format, interval.low); /* NOLINT: the formats are ours */
    snprintf(high, sizeof high, format, interval.high);
    if (interval.low == 0)
        return isinf(interval.high) ? "open" : arena_printf(arena, "up to %s", high);
    return isinf(interval.high) ? arena_printf(arena, "%s or more", low) : arena_printf(arena, "%s to %s", low, high);
}
