/* A completion on its way: what was asked, the texts as they come, and how the thread that works it out and the one that answers
 * meet. The engine's thread fills it; an HTTP thread takes from it; the lock is held for moments only. Neither waits for the
 * other: the answering side sleeps by suspending its connection, and is resumed by whoever has something for it. */
#ifndef LMU_SERVE_JOB_H
#define LMU_SERVE_JOB_H

#include <pthread.h>
#include <stdatomic.h>

#include "serve/byte_queue.h"
#include "serve/request.h"
#include "serve/token_text.h"

/* Bytes of events that wait for a reader; with more the text pauses until half of them are read. */
#define JOB_ROOM ((size_t)64 << 10)
#define JOB_ID 29 /* "cmpl-" and 24 digits */

/* What the choices of one prompt share. */
typedef struct PromptState {
    bool led;  /* a stream reads it, or has */
    bool read; /* it is read to its end */
    TokenRecords echo;
    Utf8Stream begun; /* what ids end in the middle of */
    size_t cached;    /* ids whose state was in the cache */
} PromptState;

/* One text. */
typedef struct Choice {
    size_t index, prompt;
    ByteQueue text; /* that was not sent yet; in an answer that comes at once, all */
    TokenRecords records;
    TextPlace place;
    bool echoed; /* the prompt's records were sent */
    bool finished;
    FinishReason finish;
    int64_t tokens;
    char *state; /* behind it: base64, or the id of a kept one */
} Choice;

typedef enum JobStage { JOB_QUEUED, JOB_RUNS, JOB_OVER } JobStage;
/* Why a job should stop early. */
typedef enum JobCancel { CANCEL_NOT, CANCEL_LEFT, CANCEL_TIME, CANCEL_SHUTDOWN } JobCancel;

typedef struct Job {
    CompletionRequest request;
    char id[JOB_ID + 1];
    const char *model; /* name; borrowed */
    int64_t created;   /* seconds since 1970 */
    double arrived;    /* machine_seconds */
    atomic_int references;
    atomic_int cancel; /* JobCancel */
    atomic_bool full;  /* more than JOB_ROOM waits */

    /* the engine's, until it is over */
    PromptState *prompt;
    Choice *choice;
    size_t choices, next, finished; /* next: the first that has no stream yet */
    bool over;
    struct Job *behind; /* in a queue */

    pthread_mutex_t lock; /* for what follows */
    JobStage stage;
    ApiError error; /* of a job that failed */
    ByteQueue out;  /* events */
    bool suspended; /* `resume` is to be called once something is there */
    void (*resume)(void *connection);
    void *connection;
} Job;

/* Takes over the request, also on failure; one reference is the caller's. */
lmu_status job_open(CompletionRequest *request, const char *model, Job **out);
Job *job_ref(Job *job);
void job_unref(Job *job); /* accepts NULL; the last one closes it */

/* -- the engine's side -------------------------------------------------------------------------------------------------- */

void job_begin(Job *job);                                                  /* its first stream is open */
lmu_status job_send(Job *job, const Tokenizer *tokenizer, Choice *choice); /* what the choice has, if it streams */
void job_end(Job *job);                                                    /* all choices are finished */
void job_fail(Job *job, const ApiError *error);                            /* unless it is over */

/* -- the answering side ------------------------------------------------------------------------------------------------- */

/* The whole answer as text, to be freed; of a job that is over and did not fail. */
lmu_status job_answer(Job *job, const Tokenizer *tokenizer, char **text, size_t *size);
void job_cancel(Job *job, JobCancel reason);
int64_t job_tokens_read(const Job *job);
int64_t job_tokens_written(const Job *job);

#endif
