/* Tables of words and numbers, for a terminal and for a page. */
#ifndef LMU_STUDY_TABLE_H
#define LMU_STUDY_TABLE_H

#include <stdio.h>

#include "study/fit.h"

#define TABLE_COLUMNS 16

typedef struct Table {
    const char *title, *about; /* about: a sentence or two on what is in it; may be NULL */
    const char *heading[TABLE_COLUMNS];
    size_t columns, left; /* the first `left` columns hold words and are set to the left */
    const char *(*row)[TABLE_COLUMNS];
    size_t rows, capacity;
} Table;

void table_free(Table *table);
void table_print(FILE *out, const Table *table);
void table_html(FILE *out, const Table *table);
void html_escape(FILE *out, const char *text);

/* What a fit says of one corpus. Strings live in the fit's arena. */
lmu_status table_of_cells(const StudyFit *fit, const char *corpus, Table *out); /* loss of each size and budget */
lmu_status table_of_seeds(const StudyFit *fit, const char *corpus, Table *out); /* where there are several */
lmu_status table_of_laws(const StudyFit *fit, const char *corpus, Table *out);
lmu_status table_of_headlines(const StudyFit *fit, const char *corpus, Table *out);
lmu_status table_of_ratios(const StudyFit *fit, const char *corpus, Table *out);
lmu_status table_of_times(const StudyFit *fit, const char *corpus, Table *out); /* seconds a token, and their spread */
lmu_status table_of_runs(const StudyFit *fit, const char *corpus, Table *out);  /* every run, with its machine */

/* 1048576 as "1.049 M"; exact powers come out short: "2 M". Into the arena; NULL when there is no memory. */
const char *count_text(Arena *arena, double value);
/* A ratio and what is known of it: "2.31", "more than 1.9", "less than 0.5", "not determined", "–" for none. */
const char *ratio_text(Arena *arena, Interval ratio, const char *more, const char *less);
/* "1.234 to 1.301"; "1.9 or more"; "–" for none. */
const char *interval_text(Arena *arena, Interval interval, const char *format);

#endif
