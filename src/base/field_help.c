/* Field tables as --help and as Markdown. */
#include <ctype.h>
#include <string.h>

#include "base/field_internal.h"

enum { HELP_INDENT = 2, HELP_COLUMN = 30, HELP_WIDTH = 100 };

/* What stands for the value: the unit in capitals, else a word for the type. */
static void field_placeholder(const Field *field, char *out, size_t size)
{
    static const char *const words[] = {
        [FIELD_FLAG] = "",         [FIELD_COUNT] = "N",       [FIELD_BYTES] = "BYTES",
        [FIELD_DURATION] = "TIME", [FIELD_REAL] = "X",        [FIELD_STRING] = "TEXT",
        [FIELD_CHOICE] = "",       [FIELD_REALS] = "X,X,...", [FIELD_STRINGS] = "TEXT",
    };
    if (field->type == FIELD_FLAG) {
        *out = '\0';
    } else if (field->type == FIELD_CHOICE) {
        snprintf(out, size, "%s", field->choices);
    } else {
        snprintf(out, size, "%s", field->unit ? field->unit : words[field->type]);
        for (char *c = out; *c; c++)
            *c = *c == ' ' ? '-' : (char)toupper((unsigned char)*c);
    }
}

/* "--weight-decay X", "--[no-]shuffle", "RUN", "INPUT..." */
static void field_heading(const Field *field, char *out, size_t size)
{
    char placeholder[128], name[64];
    field_placeholder(field, placeholder, sizeof placeholder);
    snprintf(name, sizeof name, "%s", field->name);
    for (char *c = name; *c; c++)
        if (*c == '_')
            *c = '-';
    const char *many = field->type == FIELD_STRINGS ? "..." : "";
    if (field->positional)
        snprintf(out, size, "%s%s", placeholder, many);
    else if (field->type == FIELD_FLAG)
        snprintf(out, size, "%s%s", field->initial && !strcmp(field->initial, "true") ? "--[no-]" : "--", name);
    else
        snprintf(out, size, "--%s %s%s", name, placeholder, many);
}

static bool field_has_range(const Field *field)
{
    return field->type != FIELD_FLAG && field->type != FIELD_CHOICE && field->type != FIELD_STRING &&
           field->type != FIELD_STRINGS && field_is_bounded(field);
}

/* "1 to 8"; "at least 1" where the upper end is out of sight. */
static void field_range(const Field *field, char *out, size_t size)
{
    char low[32], high[32];
    *out = '\0';
    if (!field_has_range(field))
        return;
    field_bound_format(field->low, low, sizeof low);
    field_bound_format(field->high, high, sizeof high);
    if (field->high >= 1e12)
        snprintf(out, size, "at least %s", low);
    else
        snprintf(out, size, "%s to %s", low, high);
}

/* "(required)", "(tokens; default 20M; 1 to 8)" or nothing. */
static void field_notes(const Field *field, char *out, size_t size)
{
    char range[80];
    const char *separator = "";
    size_t used = 0;
    field_range(field, range, sizeof range);
    *out = '\0';
#define NOTE(...) used += (size_t)snprintf(out + used, used < size ? size - used : 0, __VA_ARGS__), separator = "; "
    if (field->required)
        NOTE("%srequired", separator);
    if (field->initial && field->type != FIELD_FLAG)
        NOTE("%sdefault %s", separator, field->initial);
    if (*range)
        NOTE("%s%s", separator, range);
#undef NOTE
}

/* Words of `text` from `column` on, wrapped; returns the column after the last. */
static int help_wrap(FILE *out, const char *text, int column)
{
    for (const char *word = text; *word;) {
        int length = (int)strcspn(word, " ");
        if (column + 1 + length > HELP_WIDTH && column > HELP_COLUMN)
            fprintf(out, "\n%*s", column = HELP_COLUMN, "");
        else if (column > HELP_COLUMN)
            column += fprintf(out, " ");
        column += fprintf(out, "%.*s", length, word);
        word += length;
        word += *word == ' ';
    }
    return column;
}

static void field_help(FILE *out, const Field *field)
{
    char heading[256], notes[256], bracketed[260];
    field_heading(field, heading, sizeof heading);
    field_notes(field, notes, sizeof notes);
    int column = fprintf(out, "%*s%s", HELP_INDENT, "", heading);
    if (column > HELP_COLUMN - 2) {
        fputc('\n', out);
        column = 0;
    }
    fprintf(out, "%*s", HELP_COLUMN - column, "");
    column = help_wrap(out, field->help, HELP_COLUMN);
    if (*notes) {
        snprintf(bracketed, sizeof bracketed, "(%s)", notes);
        help_wrap(out, bracketed, column);
    }
    fputc('\n', out);
}

void fields_help(FILE *out, const FieldGroup *groups, size_t count)
{
    for (size_t g = 0; g < count; g++) {
        const FieldTable *table = groups[g].table;
        if (table->count)
            fprintf(out, "%s%s:\n", g ? "\n" : "", table->title);
        for (size_t i = 0; i < table->count; i++)
            field_help(out, &table->fields[i]);
    }
}

/* Text of a table cell: a bar would end it. */
static void markdown_cell(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '|')
            fputc('\\', out);
        fputc(*text, out);
    }
}

void fields_markdown(FILE *out, const FieldGroup *groups, size_t count)
{
    char text[256];
    for (size_t g = 0; g < count; g++) {
        const FieldTable *table = groups[g].table;
        if (!table->count)
            continue;
        fprintf(out, "%s**%s**\n\n| option | default | range | meaning |\n|---|---|---|---|\n", g ? "\n" : "",
                table->title);
        for (size_t i = 0; i < table->count; i++) {
            const Field *field = &table->fields[i];
            field_heading(field, text, sizeof text);
            fputs("| `", out);
            markdown_cell(out, text);
            fputs("` | ", out);
            if (field->required)
                fputs("required", out);
            else if (field->initial && field->type != FIELD_FLAG)
                markdown_cell(out, field->initial);
            else if (field->type == FIELD_FLAG)
                fputs(field->initial && !strcmp(field->initial, "true") ? "on" : "off", out);
            field_range(field, text, sizeof text);
            fprintf(out, " | %s | ", text);
            markdown_cell(out, field->help);
            fputs(" |\n", out);
        }
    }
}
