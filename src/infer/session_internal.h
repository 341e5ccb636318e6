/* What sessions share, and what one is. */
#ifndef LMU_INFER_SESSION_INTERNAL_H
#define LMU_INFER_SESSION_INTERNAL_H

#include "infer/session.h"

/* The states of all sessions of an engine are rows of one State, so that any of them can run together. */
typedef struct SessionPool {
    Engine *engine;
    Graph *graph; /* SESSION_ROWS rows */
    Tensor *result;
    Graph *graph_each; /* one row, logits of each token; NULL until they are asked for */
    Tensor *result_each;
    State *state;
    int64_t *free_row; /* rows of the state that no session has */
    int64_t free_count;
} SessionPool;

struct Session {
    SessionPool *pool;
    int64_t row; /* of the pool's state: behind all but the waiting ids */
    int32_t waiting[SESSION_BLOCK];
    int64_t waiting_count;
    int64_t position;
    float *logits; /* behind all but the waiting ids; there if position > waiting_count */
};

void session_pool_close(SessionPool *pool); /* accepts NULL */

#endif
