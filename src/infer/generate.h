/* Writing: a session goes on with the text that it has read. */
#ifndef LMU_INFER_GENERATE_H
#define LMU_INFER_GENERATE_H

#include "base/progress.h"
#include "infer/sample.h"
#include "infer/session.h"
#include "infer/utf8.h"

typedef struct GenerateSettings {
    SampleSettings sample;
    int64_t max_tokens;
    bool specials; /* special tokens are written by their names; without it they are left out */
} GenerateSettings;

/* Takes whole characters as they come, never an empty piece; a failure stops the writing. */
typedef lmu_status GenerateWrite(void *context, const char *text, size_t size);

typedef struct GenerateReport {
    int64_t tokens;   /* chosen, that of end of text among them */
    bool end_of_text; /* it stopped there, not at the limit */
    double seconds;
} GenerateReport;

/* Chooses tokens until there are max_tokens or one is the end of text, and writes their text; all of them are then part of what
 * the session has read. `stream` holds the beginning of a character with which the text so far may end; zeroed: there is none.
 * What it still holds at the end is written as U+FFFD, so that the output is always whole. LMU_INTERRUPTED: the user stopped it;
 * the report then tells how far it came. */
lmu_status generate_run(Session *session, const GenerateSettings *settings, Utf8Stream *stream, GenerateWrite *write,
                        void *context, const Progress *progress, GenerateReport *report);

#endif
