/* What prepare has encoded and not yet put on a side: whether a document is held out is known only when all are counted. The
 * ids and a record for each document lie in two files that have no name, so nothing of them outlives the process. */
#ifndef LMU_TEXT_SPOOL_H
#define LMU_TEXT_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

typedef struct SpoolRecord {
    int64_t tokens; /* without end of text */
    int64_t bytes;  /* of text */
    int32_t mark;   /* the caller's */
} SpoolRecord;

typedef struct Spool Spool;

/* Files in `directory`, which is borrowed; ids are below `vocabulary`. */
lmu_status spool_open(const char *directory, int64_t vocabulary, Spool **out);
void spool_close(Spool *spool); /* accepts NULL */

lmu_status spool_put(Spool *spool, const uint32_t *id, size_t count);
/* Ends a document: `record->tokens` of the ids are its own. */
lmu_status spool_end(Spool *spool, const SpoolRecord *record);

/* From writing to reading, from the start; again at any time. */
lmu_status spool_rewind(Spool *spool);
/* The next document's record; false into *found after the last. Its ids must all be read or passed before the next call. */
lmu_status spool_next(Spool *spool, SpoolRecord *record, bool *found);
lmu_status spool_read(Spool *spool, uint32_t *id, size_t count);
lmu_status spool_pass(Spool *spool, int64_t count);

#endif
