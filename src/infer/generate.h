/* Writing: what a model goes on with, token by token.
 *
 * A Generation is all that one text being written needs apart from its session: settings, what occurred, the beginning of a
 * character or of a stop string that is held back, counts, and why it ended. Any number of them are written side by side on one
 * thread, with one sampler; each is to the bit what it is alone.
 *
 *     TRY(sampler_open(vocabulary, &sampler));                            one for all
 *     TRY(generation_open(engine.tokenizer, &settings, &generation));     one a text
 *     TRY(prompt_open(session, false, &prompt));
 *     prompt_observe(prompt, generation);                                 penalties know the prompt
 *     TRY(prompt_push(prompt, text, size)); TRY(prompt_end(prompt));
 *     while (generation_finish(generation) == FINISH_NONE) {
 *         TRY(session_logits(session, &logits));
 *         TRY(generation_next(generation, sampler, logits, session_position(session), &event));
 *         ... event.text goes to the reader ...
 *         TRY(session_feed(session, &(uint32_t){(uint32_t)event.token}, 1));
 *     }
 *
 * Whoever reads ids himself tells the generation of them by generation_read. */
#ifndef LMU_INFER_GENERATE_H
#define LMU_INFER_GENERATE_H

#include "base/progress.h"
#include "infer/logprob.h"
#include "infer/sample.h"
#include "infer/session.h"
#include "infer/stop.h"
#include "infer/utf8.h"

typedef struct GenerateSettings {
    SampleSettings sample;
    int64_t max_tokens;      /* >= 0 */
    bool specials;           /* special tokens are written by their names; without it they are left out */
    const char *const *stop; /* strings before which the text ends: stop_count of them (infer/stop.h) */
    size_t stop_count;
    bool logprobs;        /* events tell the token's log-probability */
    int64_t alternatives; /* and that of so many likeliest, up to LOGPROB_LIMIT */
} GenerateSettings;

typedef enum FinishReason {
    FINISH_NONE,        /* it goes on */
    FINISH_LENGTH,      /* max_tokens are chosen */
    FINISH_STOP,        /* a stop string came */
    FINISH_END_OF_TEXT, /* the token came that ends a text */
    FINISH_INTERRUPTED, /* generation_end: the caller left it */
} FinishReason;

const char *finish_name(FinishReason finish); /* "length", "stop", "end_of_text", "interrupted"; NULL: none */

/* What a token brought. The text of all events one after the other is the output, valid UTF-8, and so is that of each. */
typedef struct GenerationEvent {
    int32_t token;    /* -1: none, the event is that of an end */
    const char *text; /* what is certain now, whole characters, possibly none; stands until the next call */
    size_t size;      /* bytes of it; no NUL behind them */
    int64_t
        text_offset; /* byte of the output where the token's text begins; where it goes on with a character that an earlier
                            token began, that character. Behind the output's end if a stop string cut it off. */
    Logprobs logprobs; /* if asked for */
    FinishReason finish;
} GenerationEvent;

typedef struct Generation Generation;

/* The settings are copied, strings and bias with them; the tokenizer is borrowed. Memory does not grow with the text. LMU_USAGE
 * names a setting that is out of its range. */
lmu_status generation_open(const Tokenizer *tokenizer, const GenerateSettings *settings, Generation **out);
void generation_close(Generation *generation); /* accepts NULL */

/* Ids of the text that is gone on with. LMU_USAGE names the first that is outside the vocabulary; none counts then. */
lmu_status generation_read(Generation *generation, const uint32_t *id, size_t count);
/* Before the first token: the text that is gone on with ends with the beginning of a character, held by this stream. */
void generation_begin(Generation *generation, const Utf8Stream *begun);

/* Chooses the token for `position` from logits [V] and tells what it brought. What is still held back when the text ends is
 * let go: the beginning of a stop string as it is, that of a character as U+FFFD. After a failure the generation is as it was.
 * LMU_USAGE: the text has ended. LMU_NUMERIC: see logits_check. */
lmu_status generation_next(Generation *generation, Sampler *sampler, const float *logits, int64_t position,
                           GenerationEvent *event);
/* Ends the text here, if it has not ended, with FINISH_INTERRUPTED; the event has what was held back. */
void generation_end(Generation *generation, GenerationEvent *event);

FinishReason generation_finish(const Generation *generation);
int64_t generation_tokens(const Generation *generation); /* chosen, that of end of text among them */

/* Takes the events of a text as they come; a failure stops the writing. */
typedef lmu_status GenerateTake(void *context, const GenerationEvent *event);

/* Writes a text to its end with a session that has read what it goes on with; all tokens are then part of what the session has
 * read. LMU_INTERRUPTED: the user stopped it, and its last event was that of generation_end. */
lmu_status generate_run(Session *session, Generation *generation, GenerateTake *take, void *context,
                        const Progress *progress);

#endif
