#include "base/progress.h"

#include <stdarg.h>
#include <stdio.h>

void progress_report(Progress *progress, const char *stage, double done, double total, const char *unit,
                     const char *note)
{
    if (progress && progress->report)
        progress->report(progress, stage, done, total, unit, note);
}

void progress_say(Progress *progress, const char *format, ...)
{
    if (!progress || !progress->say)
        return;
    char sentence[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    progress->say(progress, sentence);
}

bool progress_interrupted(const Progress *progress)
{
    return progress && progress->interrupt && *progress->interrupt;
}
