#include "infer/session.h"

#include <stdlib.h>

#include "base/memory.h"

struct Session {
    const Engine *engine;
    Graph *graph; /* one row of up to a block */
    Tensor *result;
    State *state; /* behind all but the waiting ids */
    int32_t waiting[SESSION_BLOCK];
    int64_t waiting_count;
    int64_t position;
    float *logits; /* of the last run */
};

lmu_status session_open(const Engine *engine, Session **out)
{
    lmu_status status;
    Session *session = NULL;
    const Model *model = engine->model;
    *out = NULL;
    if (!model->arch->causal)
        return error_set(LMU_USAGE, "a model of kind %s reads its whole text at once: it cannot write",
                         model->arch->name);
    TRY(memory_new(&session, 1, sizeof *session, "a session"));
    session->engine = engine;
    ATTEMPT(memory_new(&session->logits, (size_t)model->config.vocabulary, sizeof *session->logits, "a session"));
    ATTEMPT(model_graph(engine->model, GRAPH_DECODE, 1, SESSION_BLOCK, 0, &session->graph, &session->result));
    const int64_t *numbers;
    int slots = graph_states(session->graph, &numbers);
    ATTEMPT(state_open(model->backend, slots, numbers, 1, &session->state));
    *out = session;
    return LMU_OK;
done:
    session_close(session);
    return status;
}

void session_close(Session *session)
{
    if (!session)
        return;
    graph_close(session->graph);
    state_close(session->state);
    free(session->logits);
    free(session);
}

void session_reset(Session *session)
{
    state_reset(session->state, 0);
    session->waiting_count = session->position = 0;
}

const Engine *session_engine(const Session *session)
{
    return session->engine;
}

int64_t session_position(const Session *session)
{
    return session->position;
}

/* Runs the model over the ids that wait. */
static lmu_status session_run(Session *session)
{
    Run run = {.rows = 1, .count = &session->waiting_count, .ids = session->waiting, .state = session->state};
    TRY(graph_run(session->graph, &run));
    session->waiting_count = 0;
    return LMU_OK;
}

lmu_status session_feed(Session *session, const uint32_t *id, size_t count)
{
    int64_t vocabulary = session->engine->model->config.vocabulary;
    for (size_t i = 0; i < count; i++)
        if (id[i] >= vocabulary)
            return error_set(LMU_USAGE,
                             "token id %u, number %zu of those given, is outside the vocabulary: ids go from 0 to %lld",
                             id[i], i, (long long)vocabulary - 1);
    for (size_t i = 0; i < count; i++) {
        session->waiting[session->waiting_count++] = (int32_t)id[i];
        if (++session->position % SESSION_BLOCK == 0)
            TRY(session_run(session));
    }
    return LMU_OK;
}

lmu_status session_logits(Session *session, const float **logits)
{
    if (session->position == 0)
        return error_set(LMU_USAGE, "a session that has read nothing has no logits: feed it a token first");
    if (session->waiting_count > 0)
        TRY(session_run(session));
    graph_get_f32(session->graph, session->result, session->engine->model->config.vocabulary, session->logits);
    *logits = session->logits;
    return LMU_OK;
}
