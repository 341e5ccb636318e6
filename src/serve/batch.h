/* The engine's thread: all texts that are read and written advance together, one step after the other.
 *
 * A step reads a block of SESSION_BLOCK ids of one prompt or of several short ones (two blocks while nothing is being written),
 * advances every text by a token, and runs the model once for all of them. So a long prompt holds others up by a block's time, never
 * by its own. Who reads comes round in turn. New jobs join at the next step, and a text whose reader is slow sits out. As
 * sessions are to the bit what they are alone, a text does not depend on who else is served.
 *
 * States behind whole blocks of prompts that were read from their start are kept in a cache (serve/state_cache.h): a prompt whose
 * end changed is read from the last block that did not. Those are the states that reading alone makes, so that it changes no bit
 * whether one is there. */
#ifndef LMU_SERVE_BATCH_H
#define LMU_SERVE_BATCH_H

#include "serve/job.h"
#include "serve/metrics.h"

typedef struct BatchLimits {
    int64_t streams;    /* texts at a time */
    int64_t queue;      /* jobs that may wait beyond those */
    size_t cache_bytes; /* of states */
} BatchLimits;

typedef struct Batch Batch;

/* Other work with the engine, done in pieces between steps, so that it holds no text up by more than a piece. Whoever sends one keeps it
 * until `end` was called, once, on the engine's thread. */
typedef struct Errand Errand;
struct Errand {
    lmu_status (*work)(Errand *errand, bool *done);     /* one piece: about what a block of a prompt takes */
    void (*end)(Errand *errand, const ApiError *error); /* error->status 0: it is done */
    Errand *behind;
};

/* Starts the thread. Engine and metrics are borrowed; until it is closed, nobody else works with the engine but by its tokenizer. */
lmu_status batch_open(Engine *engine, const BatchLimits *limits, Metrics *metrics, Batch **out);
/* Ends the thread; jobs that are left fail. Accepts NULL. */
void batch_close(Batch *batch);

/* Hands over a job, of which the batch takes a reference. LMU_USAGE fills the error: 429 with a queue that is full, 503 after
 * batch_drain, 400 for what this model cannot do. Of all calls this one alone may be made with the job's lock. */
lmu_status batch_submit(Batch *batch, Job *job, ApiError *error);
/* Hands over an errand, one at a time in the order in which they come; refused as a job is. The sender may hold a lock of its own
 * that `end` takes. */
lmu_status batch_send(Batch *batch, Errand *errand, ApiError *error);
/* Something changed for a job: it was cancelled, or its reader made room. */
void batch_wake(Batch *batch);
/* No new jobs; those that have not begun fail, the others go on. */
void batch_drain(Batch *batch);
/* All that is left fails. */
void batch_cancel(Batch *batch);
int64_t batch_jobs(const Batch *batch);       /* that are not over */
size_t batch_state_bytes(const Batch *batch); /* of a packed state, about */

#endif
