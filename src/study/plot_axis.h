/* What the pictures of a study share: colours, axes, ticks. For src/study/plot*.c. */
#ifndef LMU_STUDY_PLOT_AXIS_H
#define LMU_STUDY_PLOT_AXIS_H

#include <stdio.h>

#include "study/fit.h"

/* What a picture is of. */
typedef struct Picture {
    const StudyFit *fit;
    const char *corpus, *size, *title;
    int64_t budget[4]; /* of the panels of L(N) */
    int budgets;
} Picture;

/* Smallest and largest of what is drawn; starts as {INFINITY, 0}. */
typedef struct Extent {
    double low, high;
} Extent;
void extent_take(Extent *extent, double value);

/* How a series is drawn: an architecture has a colour and a mark, an optimizer (with its variant) a dash. */
typedef struct Style {
    const char *colour, *dash;
    int mark; /* gnuplot's pointtype; the same not filled is the one before it */
    double width;
} Style;
Style style_of(const StudyFit *fit, const Series *series);

#define PICTURE_WIDTH 800

/* The key is below the drawing, in so many columns. */
void picture_begin(FILE *out, int width, int height, const char *title, int columns);

/* Width of text in a picture, about. */
int text_extent(const char *text);

/* The key of the picture's models, and of its counts if `counts`: its columns, and its height. */
typedef struct Key {
    int columns, height;
} Key;
Key key_of(const Picture *picture, bool counts);

/* Range (a little wider than the extent) and ticks of a logarithmic axis, 'x' or 'y': 500k 1M 2M 4M ...; 10^12, 10^13; losses. */
void axis_counts(FILE *out, char axis, Extent extent);
void axis_powers(FILE *out, char axis, Extent extent);
void axis_losses(FILE *out, char axis, Extent extent);

#endif
