/* What src/study/plot*.c know of each other. */
#ifndef LMU_STUDY_PLOT_INTERNAL_H
#define LMU_STUDY_PLOT_INTERNAL_H

#include "study/plot_axis.h"

/* The picture of token-efficiency ratios (plot_ratio.c), and how many it would show. */
void ratios_script(FILE *out, const void *picture);
size_t ratios_drawn(const Picture *picture);

#endif
