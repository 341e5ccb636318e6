/* A session reads one text as token ids, in pieces of any size, and gives the logits of what comes next.
 *
 *     TRY(session_open(&engine, &session));
 *     TRY(session_feed(session, list.id, list.count));
 *     TRY(session_logits(session, &logits));
 *
 * The model runs over blocks that end at multiples of SESSION_BLOCK tokens from the text's start, and where logits are asked
 * for. Ids that fill no block wait. So results depend, to the bit, on the ids and on the places where logits were asked for,
 * never on the pieces in which the ids came nor on the sessions that run beside; asking at other places changes them by rounding
 * only. Memory is that of one block and one state, however long the text.
 *
 * Many texts advance together, each by its own number of tokens:
 *
 *     session_take(session[i], id, count, &taken)    as much as the block has room for; nothing runs yet
 *     sessions_run(session, count)                   all that wait, in as few runs of the model as can be
 *
 * Sessions of an engine share its memory: one thread at a time may work with any of them. */
#ifndef LMU_INFER_SESSION_H
#define LMU_INFER_SESSION_H

#include "infer/engine.h"
#include "text/incremental.h"

#define SESSION_BLOCK 256
#define SESSION_ROWS 64                    /* sessions in one run of the model */
#define SESSION_TOKENS (2 * SESSION_BLOCK) /* tokens in one run of the model */

typedef struct Session Session;

/* The engine is borrowed. LMU_USAGE: a model that cannot stream. */
lmu_status session_open(Engine *engine, Session **out);
void session_close(Session *session); /* accepts NULL */
/* Back to the start of a text. */
void session_reset(Session *session);
/* A session that has read what this one has, and goes its own way from there. */
lmu_status session_branch(const Session *session, Session **out);
/* Makes `to` what `from`, of the same engine, is. */
void session_copy(Session *to, const Session *from);

Engine *session_engine(const Session *session);
int64_t session_position(const Session *session); /* ids read */
/* Whether it can read so many ids more. LMU_USAGE: the text would be longer than the model's context. */
lmu_status session_reach(const Session *session, int64_t count);

/* Takes all of the ids, or none: LMU_USAGE names the first that is outside the vocabulary, or says that the text would be longer than the
 * model's context. */
lmu_status session_feed(Session *session, const uint32_t *id, size_t count);

/* The logits [V] of the token behind all that was read; they stand until the session is used again. LMU_USAGE: nothing was
 * read yet. */
lmu_status session_logits(Session *session, const float **logits);

/* Feeds the ids and hands out the logits [V] behind each of them, in their order; `position` counts the ids that were read by then. A
 * visit that fails ends the visits: all of the ids of its block have then been read. */
typedef lmu_status SessionVisit(void *context, int64_t position, const float *logits);
lmu_status session_feed_each(Session *session, const uint32_t *id, size_t count, SessionVisit *visit, void *context);

/* -- several ------------------------------------------------------------------------------------------------------------ */

/* Whether session_feed would take the ids, all of them. */
lmu_status session_check(const Session *session, const uint32_t *id, size_t count);
/* Whether the block is full and waits to run. */
bool session_full(const Session *session);
/* Takes as many of the ids as the block has room for: 1 or more, unless count is 0 or a block that is full waits to run. Refuses
 * those as session_feed does. */
lmu_status session_take(Session *session, const uint32_t *id, size_t count, size_t *taken);
/* Runs what waits in each of the sessions, all different and of one engine; then session_logits of each costs nothing. */
lmu_status sessions_run(Session *const *sessions, size_t count);

/* -- state -------------------------------------------------------------------------------------------------------------- */

/* What a session has read, as a safetensors file (docs/formats.md) that another process with the same model loads, with `text` (may be NULL),
 * in whose pieces it came. The file is replaced atomically. */
lmu_status session_save(Session *session, const Incremental *text, const char *path);
/* The same bytes into memory; free(*data). */
lmu_status session_pack(Session *session, const Incremental *text, char **data, size_t *size);

/* Puts a session and its text (NULL if none was saved with it) where the saved ones stood. The file may come from anywhere: its format,
 * sizes and numbers are looked at before anything is touched. LMU_MISMATCH: of another model; with a text where none is asked for. */
lmu_status session_load(Session *session, Incremental *text, const char *path);
lmu_status session_unpack(Session *session, Incremental *text, const void *data, size_t size, const char *origin);

#endif
