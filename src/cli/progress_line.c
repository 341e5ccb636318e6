/* The progress line on standard error: redrawn in place on a terminal, one line every ten seconds in a log. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/format.h"
#include "base/machine.h"
#include "cli/command.h"

static const double terminal_pause = 0.1, log_pause = 10; /* seconds between two lines */
enum { BAR_WIDTH = 20, LINE_LIMIT = 512 };

typedef struct ProgressLine {
    Progress progress; /* first: report() and say() get a pointer to it */
    bool ready, terminal;
    bool standing;                       /* a line stands on the terminal without its line end */
    bool pending;                        /* the last report was not shown */
    char stage[64], unit[32], note[192]; /* of the last report; stage "" before the first */
    double done, total;
    double first, began, shown; /* done at the stage's first report; when that was; when a line was last shown */
    char line[LINE_LIMIT];
} ProgressLine;

static ProgressLine state;

static int terminal_columns(void)
{
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

static void line_append(char *line, const char *separator, const char *text)
{
    size_t used = strlen(line);
    if (*text)
        snprintf(line + used, LINE_LIMIT - used, "%s%s", used ? separator : "", text);
}

/* "8.19 M", "4096", "1.25 GiB": bytes have their own units, and what four digits can tell is told exactly. */
static char *figure_format(double value, bool bytes, char *out, size_t size)
{
    if (bytes)
        return format_bytes(value, out, size);
    if (fabs(value) < 10000 && value == floor(value))
        snprintf(out, size, "%.0f", value);
    else
        format_count(value, out, size);
    return out;
}

static void bar_append(char *line, double share)
{
    char bar[BAR_WIDTH + 1];
    int filled = (int)(share * BAR_WIDTH);
    memset(bar, ' ', BAR_WIDTH);
    memset(bar, '=', (size_t)filled);
    if (filled < BAR_WIDTH)
        bar[filled] = '>';
    bar[BAR_WIDTH] = '\0';
    line_append(line, "  [", bar);
    line_append(line, "", "]");
}

/* "train  [=====>    ]  41%  8.19 M of 20.0 M tokens  25.3 k/s  7:44 left  loss 4.31" */
static void line_compose(ProgressLine *self, bool bar)
{
    char text[160], a[32], b[32];
    bool bytes = !strcmp(self->unit, "bytes"), bounded = self->total > 0;
    double elapsed = machine_seconds() - self->began;
    double rate = elapsed >= 1 ? (self->done - self->first) / elapsed : 0; /* sooner it would only flicker */
    self->line[0] = '\0';
    line_append(self->line, "", self->stage);
    figure_format(self->done, bytes, a, sizeof a);
    if (bounded) {
        double share = fmin(fmax(self->done / self->total, 0), 1);
        if (bar)
            bar_append(self->line, share);
        snprintf(text, sizeof text, "%3.0f%%", floor(100 * share));
        line_append(self->line, "  ", text);
        figure_format(self->total, bytes, b, sizeof b);
        snprintf(text, sizeof text, "%s of %s", a, b);
    }
    line_append(self->line, "  ", bounded ? text : a);
    if (!bytes)
        line_append(self->line, " ", self->unit);
    if (rate > 0) {
        bool ahead = bounded && self->done < self->total;
        snprintf(text, sizeof text, "%s/s", figure_format(rate, bytes, a, sizeof a));
        line_append(self->line, "  ", text);
        format_duration(ahead ? (self->total - self->done) / rate : elapsed, a, sizeof a);
        snprintf(text, sizeof text, "%s%s", a, ahead ? " left" : "");
        line_append(self->line, "  ", text);
    }
    line_append(self->line, "  ", self->note);
    for (char *c = self->line; *c; c++)
        if ((unsigned char)*c < ' ')
            *c = ' ';
}

static void line_show(ProgressLine *self)
{
    line_compose(self, self->terminal);
    if (!self->terminal) {
        fprintf(stderr, "%s\n", self->line);
    } else {
        int limit = terminal_columns() - 1;
        if ((int)strlen(self->line) > limit)
            line_compose(self, false);
        int length = (int)strlen(self->line);
        if (length > limit)
            for (length = limit > 0 ? limit : 0; length > 0 && (self->line[length] & 0xC0) == 0x80;)
                length--; /* never half a character */
        fprintf(stderr, "\r%.*s\033[K", length, self->line);
        self->standing = true;
    }
    fflush(stderr);
    self->pending = false;
}

/* The stage's last figures stay to be read. */
static void line_finish(ProgressLine *self)
{
    if (self->pending)
        line_show(self);
    if (self->standing)
        fputc('\n', stderr);
    self->standing = false;
}

static void line_report(Progress *progress, const char *stage, double done, double total, const char *unit,
                        const char *note)
{
    ProgressLine *self = (ProgressLine *)progress;
    double now = machine_seconds();
    if (strncmp(stage ? stage : "", self->stage, sizeof self->stage - 1) != 0) {
        line_finish(self);
        snprintf(self->stage, sizeof self->stage, "%s", stage ? stage : "");
        self->first = done;
        self->began = self->shown = now;
    } else if (done < self->first) { /* the stage began anew */
        self->first = done;
        self->began = now;
    }
    self->done = done;
    self->total = total;
    snprintf(self->unit, sizeof self->unit, "%s", unit ? unit : "");
    snprintf(self->note, sizeof self->note, "%s", note ? note : "");
    self->pending = true;
    if (now - self->shown >= (self->terminal ? terminal_pause : log_pause)) {
        line_show(self);
        self->shown = now;
    }
}

static void line_say(Progress *progress, const char *sentence)
{
    ProgressLine *self = (ProgressLine *)progress;
    if (self->standing)
        fputs("\r\033[K", stderr);
    fprintf(stderr, "%s\n", sentence);
    if (self->standing) {
        self->standing = false;
        line_show(self);
    }
    fflush(stderr);
}

Progress *command_progress(void)
{
    command_heeds_interrupt = 1;
    if (!state.ready) {
        const char *kind = getenv("TERM");
        state = (ProgressLine){.progress = {line_report, line_say, &command_interrupt}, .ready = true};
        state.terminal = isatty(STDERR_FILENO) && kind && strcmp(kind, "dumb") != 0;
    }
    return &state.progress;
}

void command_progress_end(void)
{
    line_finish(&state);
    state.stage[0] = '\0';
}
