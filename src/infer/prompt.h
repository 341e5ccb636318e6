/* Text of any length into a session. The text comes in pieces of any size and is tokenised as it comes (text/incremental.h): the
 * ids are the same for every division, and those of the whole text while no pre-token is longer than 64 KiB. Any bytes are
 * text, valid UTF-8 or not. */
#ifndef LMU_INFER_PROMPT_H
#define LMU_INFER_PROMPT_H

#include "infer/generate.h"

typedef struct Prompt Prompt;

/* `specials`: text that spells a special token becomes that token. The session is borrowed. */
lmu_status prompt_open(Session *session, bool specials, Prompt **out);
void prompt_close(Prompt *prompt); /* accepts NULL */
/* What the session reads from here on is told to the generation, which is borrowed, too (generation_read). */
void prompt_observe(Prompt *prompt, Generation *generation);

lmu_status prompt_push(Prompt *prompt, const char *text, size_t size);
/* The text ends here. A session that has then read nothing is given an end-of-text token, behind which every text begins;
 * LMU_USAGE if the tokenizer has none. */
lmu_status prompt_end(Prompt *prompt);

#endif
