/* The pictures of a study. */
#ifndef LMU_STUDY_PLOT_H
#define LMU_STUDY_PLOT_H

#include "study/fit.h"

typedef struct Figure {
    char name[96]; /* of the file, without ".svg" */
    const char *title, *caption;
    char *svg;
    size_t size;
} Figure;

typedef struct Figures {
    Figure *list;
    size_t count, capacity;
} Figures;

/* Draws, for each corpus, what its runs allow: token-efficiency ratios; the loss over tokens, a picture a size; over parameters; over
 * FLOPs. Fails as gnuplot_draw does. */
lmu_status study_draw(const StudyFit *fit, Figures *out);
void figures_free(Figures *figures);

/* A self-contained page with the pictures and the tables. */
lmu_status report_write(const StudyFit *fit, const Figures *figures, const char *path);

#endif
