/* A session reads one text as token ids, in pieces of any size, and gives the logits of what comes next.
 *
 *     TRY(session_open(&engine, &session));
 *     TRY(session_feed(session, list.id, list.count));
 *     TRY(session_logits(session, &logits));
 *
 * The model runs over blocks that end at multiples of SESSION_BLOCK tokens from the text's start, and where logits are asked
 * for. Ids that fill no block wait. So results depend, to the bit, on the ids and on the places where logits were asked for,
 * never on the pieces in which the ids came; asking at other places changes them by rounding only. Memory is that of one
 * block and one state, however long the text. */
#ifndef LMU_INFER_SESSION_H
#define LMU_INFER_SESSION_H

#include "infer/engine.h"

#define SESSION_BLOCK 256

typedef struct Session Session;

/* The engine is borrowed; sessions of one engine know nothing of each other, but only one may work at a time. LMU_USAGE: a
 * model that cannot stream. */
lmu_status session_open(const Engine *engine, Session **out);
void session_close(Session *session); /* accepts NULL */
/* Back to the start of a text. */
void session_reset(Session *session);

const Engine *session_engine(const Session *session);
int64_t session_position(const Session *session); /* ids read */

/* Takes all of the ids, or none: LMU_USAGE names the first that is outside the vocabulary. */
lmu_status session_feed(Session *session, const uint32_t *id, size_t count);

/* The logits [V] of the token behind all that was read; they stand until the session is used again. LMU_USAGE: nothing was
 * read yet. */
lmu_status session_logits(Session *session, const float **logits);

#endif
