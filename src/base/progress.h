/* How long work tells its caller where it stands and learns that it should stop. The library never prints: the program
 * passes a Progress, a caller that does not care passes NULL. */
#ifndef LMU_BASE_PROGRESS_H
#define LMU_BASE_PROGRESS_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/error.h"

typedef struct Progress Progress;
struct Progress {
    /* `done` of `total` (0: not known) units of `unit` ("bytes", "tokens", "merges") in the stage named `stage`; `note` is
     * more text for the line or NULL. Called often; it decides itself what to show. Never called by two threads at a time. */
    void (*report)(Progress *self, const char *stage, double done, double total, const char *unit, const char *note);
    /* A sentence for the user (a warning, a decision that was made for them). */
    void (*say)(Progress *self, const char *sentence);
    atomic_int *interrupt; /* non-zero: please stop; may be NULL */
};

void progress_report(Progress *progress, const char *stage, double done, double total, const char *unit,
                     const char *note);
void progress_say(Progress *progress, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool progress_interrupted(const Progress *progress); /* all three accept NULL */

#endif
