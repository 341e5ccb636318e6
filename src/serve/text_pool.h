/* Texts into ids for many requests: what encodes one (2 MiB, most of it memory of pre-tokens that were seen) is kept for the next. Any number
 * of threads. */
#ifndef LMU_SERVE_TEXT_POOL_H
#define LMU_SERVE_TEXT_POOL_H

#include "text/incremental.h"

typedef struct TextPool TextPool;

/* The tokenizer is borrowed. */
lmu_status text_pool_open(const Tokenizer *tokenizer, TextPool **out);
void text_pool_close(TextPool *pool); /* accepts NULL */
const Tokenizer *text_pool_tokenizer(const TextPool *pool);

/* The ids of one text, appended. */
lmu_status text_pool_ids(TextPool *pool, const char *text, size_t size, bool specials, IdList *out);

#endif
