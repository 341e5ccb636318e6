/* Encoding step by step, for the files of this folder: text that may go on is encoded as far as it is certain. */
#ifndef LMU_TEXT_ENCODER_H
#define LMU_TEXT_ENCODER_H

#include "text/vocabulary.h"

const Tokenizer *encoder_tokenizer(const Encoder *encoder);

/* Encoding ends with LMU_INTERRUPTED soon after an interruption, inside a pre-token of any length too; borrowed. */
void encoder_watch(Encoder *encoder, const Progress *progress);

/* Appends the ids of one pre-token, the first `size` of `room` bytes that may be read at text. */
lmu_status encoder_pretoken(Encoder *encoder, const char *text, size_t size, size_t room, IdList *out);

/* Where encoding stands between two steps. Start from a zeroed struct with `specials` and `window` set; one text after another
 * needs a fresh one. */
typedef struct EncoderState {
    bool specials; /* look for special tokens */
    size_t window; /* a pre-token is found in this many bytes at most, as if the text ended there */
    struct {
        size_t scanned;  /* bytes of what is not encoded in which no added token starts */
        bool after_word; /* the character before it is one of words */
        bool strip;      /* white space that follows belongs to the token before */
    } level[2];
    bool inside; /* the text between two added tokens has begun */
} EncoderState;

/* Appends the ids of the start of text, as many as no continuation can change; all of them if the text is `final`. *taken: the
 * bytes they stand for; the next call starts there. */
lmu_status encoder_advance(Encoder *encoder, EncoderState *state, const char *text, size_t size, bool final,
                           size_t *taken, IdList *out);

#endif
