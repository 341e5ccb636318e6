/* Text that comes in pieces, into ids as soon as they are certain. The ids are those of the whole text, wherever it was divided,
 * while no pre-token is longer than 64 KiB: memory is bounded, so a longer one (a genome, a page of base64, a line of dashes)
 * is cut. The cut is the same for every division too: a pre-token is found in the next 128 KiB at most, as if the text ended
 * there, at the last character that is whole.
 *
 *     Incremental *incremental;
 *     TRY(incremental_open(tokenizer, false, &incremental));
 *     TRY(incremental_push(incremental, text, size, &ids));     appends to ids; as often as there is text
 *     TRY(incremental_end(incremental, &ids));                  the rest; another text may follow
 *     incremental_close(incremental);                                                                          */
#ifndef LMU_TEXT_INCREMENTAL_H
#define LMU_TEXT_INCREMENTAL_H

#include "text/tokenizer.h"

#define INCREMENTAL_PRETOKEN ((size_t)1 << 16) /* bytes of a pre-token that is never cut */
#define INCREMENTAL_WINDOW (2 * INCREMENTAL_PRETOKEN)

typedef struct Incremental Incremental;

/* `specials`: text that spells a special token becomes that token. The tokenizer is borrowed. */
lmu_status incremental_open(const Tokenizer *tokenizer, bool specials, Incremental **out);
void incremental_close(Incremental *incremental); /* accepts NULL */

lmu_status incremental_push(Incremental *incremental, const char *text, size_t size, IdList *out);
lmu_status incremental_end(Incremental *incremental, IdList *out);

/* Bytes that were pushed and whose ids are not out yet. */
size_t incremental_pending(const Incremental *incremental);

/* Where the text stands, those bytes among it, as bytes that may be kept in a file (INCREMENTAL_PACKED and what is pending; free(*data)),
 * and back. They may come from anywhere: LMU_FORMAT if they are not such, and the text is as it was then. LMU_MISMATCH: of a text whose
 * special tokens were known, or were not, other than in this one. */
#define INCREMENTAL_PACKED 16
lmu_status incremental_pack(const Incremental *incremental, char **data, size_t *size);
lmu_status incremental_unpack(Incremental *incremental, const void *data, size_t size);

#endif
