#include "study/gnuplot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/memory.h"

void gnuplot_quote(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            fputc('\\', out);
        fputc((unsigned char)*text < ' ' ? ' ' : *text, out);
    }
    fputc('"', out);
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
