/* The HTTP server: OpenAI's completions from one model, for many clients at a time (docs/serve.md).
 *
 * Threads: libmicrohttpd's few take requests apart and put answers together; one works with the engine (serve/batch.h); the
 * caller's own watches over connections and time. */
#ifndef LMU_SERVE_SERVE_H
#define LMU_SERVE_SERVE_H

#include "serve/batch.h"

typedef struct ServeSettings {
    const char *host;     /* name or address to listen on */
    int port;             /* 0: any that is free */
    const char *name;     /* of the model */
    const char *key_file; /* NULL: nobody needs a key */
    BatchLimits batch;
    RequestLimits request;
    size_t body_bytes;   /* of a request */
    int64_t connections; /* at a time */
    double request_time; /* seconds that a completion may take */
    double idle_time;    /* seconds in which a connection brings a whole request, or takes something of an answer */
    double deadline;     /* seconds that running requests have at the end */
} ServeSettings;

/* What the server tells; any thread may, one at a time. */
typedef struct ServeHooks {
    void (*ready)(void *context, const char *url); /* it listens */
    void (*log)(void *context, const char *line);  /* a request was answered; may be NULL */
    void *context;
    const atomic_int *interrupt; /* non-zero: please stop */
} ServeHooks;

/* Serves until it is interrupted: no new work then, what runs may end within the deadline. LMU_OK: it ended so. LMU_IO: the
 * address cannot be had. */
lmu_status serve_run(Engine *engine, const ServeSettings *settings, const ServeHooks *hooks);

#endif
