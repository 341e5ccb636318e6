#include "study/gnuplot.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/memory.h"

/* Inside double quotes gnuplot runs what stands in backquotes, and reads backslashes, macros and, in labels of ticks, formats: what is no
 * letter, digit or space is written as its octal number, which none of these readers takes for anything. Of such a number gnuplot
 * reads all octal digits that follow, so that a digit behind one is written likewise. */
static void quoted_put(FILE *out, const char *text, bool format)
{
    bool escaped = false;
    fputc('"', out);
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < ' ' || c == 127)
            c = ' ';
        escaped = c < 128 && !isalpha(c) && c != ' ' && (escaped || !isdigit(c)); /* from 128 on: parts of UTF-8 */
        fprintf(out, escaped ? "\\%03o" : "%c", c);
        if (format && c == '%')
            fputs("\\045", out);
    }
    fputc('"', out);
}

void gnuplot_quote(FILE *out, const char *text)
{
    quoted_put(out, text, false);
}

void gnuplot_quote_tick(FILE *out, const char *text)
{
    quoted_put(out, text, true);
}

/* Reads what gnuplot prints to the end; a picture of more than 64 MiB is none. */
static lmu_status stream_read(FILE *in, char **text, size_t *size)
{
    size_t capacity = 0, got;
    *size = 0;
    do {
        TRY(memory_grow(text, &capacity, *size + 65536, 1, "the picture"));
        got = fread(*text + *size, 1, capacity - *size - 1, in);
        *size += got;
    } while (got && *size < (size_t)64 << 20);
    (*text)[*size] = '\0';
    return LMU_OK;
}

/* gnuplot reads the script from one nameless file and writes what it has to say into another; the picture comes through
 * the pipe, so that a failure leaves nothing behind. */
static lmu_status gnuplot_run(FILE *script, FILE *said, char **svg, size_t *size)
{
    char command[128], words[512] = "";
    snprintf(command, sizeof command, "exec gnuplot /dev/fd/%d 2>/dev/fd/%d", fileno(script), fileno(said));
    FILE *pipe = popen(command, "r");
    if (!pipe)
        return error_set(LMU_IO, "cannot run gnuplot: %s", strerror(errno));
    lmu_status status = stream_read(pipe, svg, size);
    int code = pclose(pipe);
    if (status != LMU_OK)
        return status;
    if (WIFEXITED(code) && WEXITSTATUS(code) == 127)
        return error_set(LMU_IO, "gnuplot is not on the PATH; install it (Debian: apt-get install gnuplot-nox)");
    if (code != 0 || !strstr(*svg, "</svg>")) {
        rewind(said);
        words[fread(words, 1, sizeof words - 1, said)] = '\0';
        for (char *c = words; *c; c++)
            *c = *c == '\n' ? ' ' : *c;
        return error_set(LMU_IO, "gnuplot drew nothing:%s%s", *words ? " " : " it gave no reason", words);
    }
    return LMU_OK;
}

lmu_status gnuplot_draw(GnuplotScript *script, const void *of, char **svg, size_t *size)
{
    FILE *file = tmpfile(), *said = tmpfile();
    lmu_status status = LMU_OK;
    *svg = NULL;
    if (!file || !said) {
        status = error_set(LMU_IO, "cannot make a temporary file: %s", strerror(errno));
    } else {
        script(file, of);
        if (fflush(file) != 0)
            status = error_set(LMU_IO, "cannot write a temporary file: %s", strerror(errno));
    }
    if (status == LMU_OK)
        status = gnuplot_run(file, said, svg, size);
    if (status != LMU_OK) {
        free(*svg);
        *svg = NULL;
    }
    if (file)
        fclose(file);
    if (said)
        fclose(said);
    return status;
}
