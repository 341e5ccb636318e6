#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "infer/session_internal.h"

/* -- the pool ----------------------------------------------------------------------------------------------------------- */

static lmu_status pool_open(Engine *engine, SessionPool **out)
{
    lmu_status status;
    SessionPool *pool;
    TRY(memory_new(&pool, 1, sizeof *pool, "sessions"));
    pool->engine = engine;
    ATTEMPT(model_graph(engine->model, GRAPH_DECODE, SESSION_ROWS, SESSION_TOKENS, 0, &pool->graph, &pool->result));
    *out = pool;
    return LMU_OK;
done:
    session_pool_close(pool);
    return status;
}

void session_pool_close(SessionPool *pool)
{
    if (!pool)
        return;
    graph_close(pool->graph);
    graph_close(pool->graph_each);
    state_close(pool->state);
    free(pool->free_row);
    free(pool);
}

/* Twice as many rows. */
static lmu_status pool_grow(SessionPool *pool)
{
    lmu_status status;
    int64_t rows = pool->state ? pool->state->rows : 0, more = rows > 0 ? 2 * rows : 1;
    const int64_t *numbers;
    int slots = graph_states(pool->graph, &numbers);
    State *state = NULL;
    int64_t *free_row = NULL;
    ATTEMPT(state_open(pool->engine->model->backend, slots, numbers, more, &state));
    ATTEMPT(memory_new(&free_row, (size_t)more, sizeof *free_row, "sessions"));
    for (int64_t row = 0; row < rows; row++)
        state_copy(state, row, pool->state, row);
    for (int64_t row = more - 1; row >= rows; row--) /* that of the lowest number is taken first */
        free_row[pool->free_count++] = row;
    state_close(pool->state);
    free(pool->free_row);
    pool->state = state;
    pool->free_row = free_row;
    return LMU_OK;
done:
    state_close(state);
    return status;
}

static int64_t pool_vocabulary(const SessionPool *pool)
{
    return pool->engine->model->config.vocabulary;
}

/* -- one session -------------------------------------------------------------------------------------------------------- */

lmu_status session_open(Engine *engine, Session **out)
{
    lmu_status status;
    Session *session = NULL;
    const Model *model = engine->model;
    *out = NULL;
    if (!model->arch->causal)
        return error_set(LMU_USAGE, "a model of kind %s reads its whole text at once: it cannot write",
                         model->arch->name);
    if (!engine->pool)
        TRY(pool_open(engine, &engine->pool));
    SessionPool *pool = engine->pool;
    ATTEMPT(memory_new(&session, 1, sizeof *session, "a session"));
    session->pool = pool;
    session->row = -1;
    ATTEMPT(memory_new(&session->logits, (size_t)model->config.vocabulary, sizeof *session->logits, "a session"));
    if (pool->free_count == 0)
        ATTEMPT(pool_grow(pool));
    session->row = pool->free_row[--pool->free_count];
    state_reset(pool->state, session->row);
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
    if (session->row >= 0)
        session->pool->free_row[session->pool->free_count++] = session->row;
    free(session->logits);
    free(session);
}

void session_reset(Session *session)
{
    state_reset(session->pool->state, session->row);
    session->waiting_count = session->position = 0;
}

void session_copy(Session *to, const Session *from)
{
    if (to == from)
        return;
    state_copy(to->pool->state, to->row, from->pool->state, from->row);
    memcpy(to->waiting, from->waiting, (size_t)from->waiting_count * sizeof *to->waiting);
    memcpy(to->logits, from->logits, (size_t)pool_vocabulary(to->pool) * sizeof *to->logits);
    to->waiting_count = from->waiting_count;
    to->position = from->position;
}

lmu_status session_branch(const Session *session, Session **out)
{
    TRY(session_open(session->pool->engine, out));
    session_copy(*out, session);
    return LMU_OK;
}

Engine *session_engine(const Session *session)
{
    return session->pool->engine;
}

int64_t session_position(const Session *session)
{
    return session->position;
}

lmu_status session_reach(const Session *session, int64_t count)
{
    return graph_check_reach(session->pool->graph, session->position + count);
}

/* -- reading ------------------------------------------------------------------------------------------------------------ */

lmu_status session_check(const Session *session, const uint32_t *id, size_t count)
{
    int64_t vocabulary = pool_vocabulary(session->pool);
    for (size_t i = 0; i < count; i++)
        if (id[i] >= vocabulary)
            return error_set(LMU_USAGE,
                             "token id %u, number %zu of those given, is outside the vocabulary: ids go from 0 to %lld",
                             id[i], i, (long long)vocabulary - 1);
    return graph_check_reach(session->pool->graph, session->position + (int64_t)count);
}

bool session_full(const Session *session)
{
    return session->waiting_count > 0 && session->position % SESSION_BLOCK == 0;
}

/* Ids that the block has room for. */
static size_t block_room(const Session *session)
{
    return session_full(session) ? 0 : (size_t)(SESSION_BLOCK - session->position % SESSION_BLOCK);
}

static size_t take_part(Session *session, const uint32_t *id, size_t count)
{
    size_t room = block_room(session), part = count < room ? count : room;
    for (size_t i = 0; i < part; i++)
        session->waiting[session->waiting_count++] = (int32_t)id[i];
    session->position += (int64_t)part;
    return part;
}

lmu_status session_take(Session *session, const uint32_t *id, size_t count, size_t *taken)
{
    size_t room = block_room(session), part = count < room ? count : room;
    *taken = 0;
    TRY(session_check(session, id, part));
    *taken = take_part(session, id, part);
    return LMU_OK;
}

lmu_status session_feed(Session *session, const uint32_t *id, size_t count)
{
    TRY(session_check(session, id, count));
    for (size_t done = 0; done < count;) {
        done += take_part(session, id + done, count - done);
        if (session_full(session))
            TRY(sessions_run(&session, 1));
    }
    return LMU_OK;
}

lmu_status session_logits(Session *session, const float **logits)
{
    if (session->position == 0)
        return error_set(LMU_USAGE, "a session that has read nothing has no logits: feed it a token first");
    if (session->waiting_count > 0)
        TRY(sessions_run(&session, 1));
    *logits = session->logits;
    return LMU_OK;
}

/* Runs the ids that wait and visits the logits behind the last `count` of them. */
static lmu_status run_each(Session *session, int64_t count, SessionVisit *visit, void *context)
{
    SessionPool *pool = session->pool;
    int64_t vocabulary = pool_vocabulary(pool), before = session->waiting_count - count;
    Run run = {.rows = 1,
               .count = &session->waiting_count,
               .slot = &session->row,
               .ids = session->waiting,
               .state = pool->state};
    TRY(graph_run(pool->graph_each, &run));
    session->waiting_count = 0;
    lmu_status status = LMU_OK;
    for (int64_t i = 0; i < count; i++) {
        graph_get_part_f32(pool->graph_each, pool->result_each, (before + i) * vocabulary, vocabulary, session->logits);
        if (status == LMU_OK)
            status = visit(context, session->position - count + i + 1, session->logits);
    }
    return status;
}

lmu_status session_feed_each(Session *session, const uint32_t *id, size_t count, SessionVisit *visit, void *context)
{
    SessionPool *pool = session->pool;
    TRY(session_check(session, id, count));
    if (!pool->graph_each)
        TRY(model_graph(pool->engine->model, GRAPH_LOGITS, 1, SESSION_BLOCK, 0, &pool->graph_each, &pool->result_each));
    if (session_full(session))
        TRY(sessions_run(&session, 1));
    for (size_t done = 0, part; done < count; done += part) {
        part = take_part(session, id + done, count - done);
        TRY(run_each(session, (int64_t)part, visit, context));
    }
    return LMU_OK;
}

/* -- several ------------------------------------------------------------------------------------------------------------ */

/* One run of the model with the sessions that fit, from the first on; *taken: how many those are. */
static lmu_status run_some(Session *const *sessions, size_t count, size_t *taken)
{
    SessionPool *pool = sessions[0]->pool;
    int64_t counts[SESSION_ROWS], slot[SESSION_ROWS], tokens = 0, vocabulary = pool_vocabulary(pool);
    int32_t ids[SESSION_TOKENS];
    int rows = 0;
    for (*taken = 0; *taken < count && rows < SESSION_ROWS; ++*taken) {
        const Session *session = sessions[*taken];
        if (tokens + session->waiting_count > SESSION_TOKENS)
            break;
        if (session->waiting_count == 0)
            continue;
        memcpy(ids + tokens, session->waiting, (size_t)session->waiting_count * sizeof *ids);
        slot[rows] = session->row;
        counts[rows++] = session->waiting_count;
        tokens += session->waiting_count;
    }
    if (rows == 0)
        return LMU_OK;
    Run run = {.rows = rows, .count = counts, .slot = slot, .ids = ids, .state = pool->state};
    TRY(graph_run(pool->graph, &run));
    for (size_t i = 0, row = 0; i < *taken; i++)
        if (sessions[i]->waiting_count > 0) {
            graph_get_part_f32(pool->graph, pool->result, (int64_t)row++ * vocabulary, vocabulary, sessions[i]->logits);
            sessions[i]->waiting_count = 0;
        }
    return LMU_OK;
}

lmu_status sessions_run(Session *const *sessions, size_t count)
{
    for (size_t done = 0, taken; done < count; done += taken)
        TRY(run_some(sessions + done, count - done, &taken));
    return LMU_OK;
}
