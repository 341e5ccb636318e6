/* One text on its way through the engine: a session that reads a prompt, and a generation that goes on from it. For batch.c, on the
 * engine's thread. */
#ifndef LMU_SERVE_STREAM_H
#define LMU_SERVE_STREAM_H

#include "serve/job.h"
#include "serve/metrics.h"

/* What streams share. */
typedef struct StreamShop {
    Engine *engine;
    Sampler **sampler; /* one a thread that chooses tokens */
    int samplers;
    StateCache *cache;
    Metrics *metrics;
    size_t state_bytes; /* of a packed state, about */
} StreamShop;

typedef enum StreamStage {
    STREAM_READS,
    STREAM_FOLLOWS, /* another choice of the prompt reads it */
    STREAM_WRITES,
    STREAM_ENDED,
} StreamStage;

/* A token that is chosen and has not been written yet. */
typedef struct Chosen {
    bool made;
    lmu_status status;
    char problem[256]; /* the message, which is another thread's */
    GenerationEvent event;
} Chosen;

typedef struct Stream {
    StreamShop *shop;
    Job *job; /* a reference */
    Choice *choice;
    RequestPrompt *prompt;
    PromptState *shared;
    Session *session;
    Generation *generation;
    StreamStage stage;
    size_t read; /* ids of the prompt */
    bool fresh;  /* the session has read nothing but this prompt, in whole blocks: its states may be kept */
    double last; /* when the last token came; 0: none did */
    Chosen chosen;
} Stream;

/* Takes the job's next choice. What is wrong with its state or length is the request's fault: the error is filled. */
lmu_status stream_open(StreamShop *shop, Job *job, Stream **out, ApiError *error);
void stream_close(Stream *stream); /* accepts NULL */

/* Ids that the stream would read in the next run; of a writing one, none. */
size_t stream_wants(const Stream *stream);
/* Gives the session the next ids of the prompt: at most those that fill its block. */
lmu_status stream_read(Stream *stream);
/* The session of a text that is being written has run: chooses its next token, for stream_advance. Streams may do so at the same
 * time, each thread with its own sampler. */
void stream_choose(Stream *stream, Sampler *sampler);
/* The session has run: more of the prompt is read, or a token is chosen. `all`: the streams, among which are those that follow
 * this one. */
lmu_status stream_advance(Stream *stream, Stream *const *all, size_t count);

#endif
