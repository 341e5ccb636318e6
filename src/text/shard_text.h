/* Text as a shard that lasts as long as it is open: each document followed by the end-of-text token, as prepare writes them. */
#ifndef LMU_TEXT_SHARD_TEXT_H
#define LMU_TEXT_SHARD_TEXT_H

#include "base/progress.h"
#include "text/shard.h"
#include "text/tokenizer.h"

/* Tokenises the inputs, as corpus_open takes them, into a file in TMPDIR (/tmp) that has no name any more when this returns: its
 * space is given back by shard_close. Memory is needed for a batch of documents, however large the text. `threads` 0: as many as
 * the machine allows. LMU_USAGE: the tokenizer has no end-of-text token. */
lmu_status shard_from_text(char *const *inputs, size_t count, const Tokenizer *tokenizer, int threads,
                           Progress *progress, Shard *out);

#endif
