/* Pictures by gnuplot, as SVG. */
#ifndef LMU_STUDY_GNUPLOT_H
#define LMU_STUDY_GNUPLOT_H

#include <stddef.h>
#include <stdio.h>

#include "base/error.h"

/* What gnuplot draws of the script that `script` writes of `of`, data in it; the script must set an SVG terminal. *svg is
 * malloc'ed. LMU_IO: gnuplot is missing (the message says how to get it), or what it complains of. Nothing is left behind. */
typedef void GnuplotScript(FILE *out, const void *of);
lmu_status gnuplot_draw(GnuplotScript *script, const void *of, char **svg, size_t *size);

/* A string in gnuplot's double quotes, of whatever bytes it is; with `noenhanced` after it every character stands for itself. */
void gnuplot_quote(FILE *out, const char *text);
/* The same for the label of a tick, which gnuplot takes for a format of the tick's place. */
void gnuplot_quote_tick(FILE *out, const char *text);

#endif
