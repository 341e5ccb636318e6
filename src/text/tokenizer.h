/* Byte-level BPE (Sennrich et al. 2016; the byte alphabet of GPT-2), kept as tokenizer.json in Hugging Face's form; docs/formats.md
 * says which of its settings are followed. Any bytes can be encoded, valid UTF-8 or not, and decode(encode(x)) = x, but for the
 * space that a tokenizer with add_prefix_space puts before a text. */
#ifndef LMU_TEXT_TOKENIZER_H
#define LMU_TEXT_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/progress.h"

#define TOKENIZER_END_OF_TEXT "<|endoftext|>"

typedef struct Tokenizer Tokenizer; /* read-only after opening: any number of threads may encode and decode with one */

/* A tokenizer.json; or GPT-2's vocab.json (encoder.json) with merges.txt (vocab.bpe) beside it; or the directory of either. */
lmu_status tokenizer_open(const char *path, Tokenizer **out);
void tokenizer_close(Tokenizer *tokenizer); /* accepts NULL */
lmu_status tokenizer_save(const Tokenizer *tokenizer, const char *path);

/* Ids are 0 .. size-1. */
int64_t tokenizer_size(const Tokenizer *tokenizer);
/* A hash of everything that decides ids (vocabulary, merges, added tokens, pre-tokeniser): equal for equal tokenizers,
 * whatever the file's white space. */
uint64_t tokenizer_hash(const Tokenizer *tokenizer);
int64_t tokenizer_end_of_text(const Tokenizer *tokenizer); /* the id of TOKENIZER_END_OF_TEXT; -1 if there is none */

/* A growing list of ids; start from a zeroed struct, free with free(list.id). */
typedef struct IdList {
    size_t count, capacity;
    uint32_t *id;
} IdList;

/* Appends the ids of `size` bytes of text. Text that spells a special token is plain text unless `specials`; nothing is put
 * around the text, whatever post-processor the file has. For text that comes in pieces see text/incremental.h. */
lmu_status tokenizer_encode(const Tokenizer *tokenizer, const char *text, size_t size, bool specials, IdList *out);

/* The same for many texts: an encoder remembers the pre-tokens that it saw. One a thread; it borrows the tokenizer. */
typedef struct Encoder Encoder;
lmu_status encoder_open(const Tokenizer *tokenizer, Encoder **out);
void encoder_close(Encoder *encoder); /* accepts NULL */
lmu_status encoder_encode(Encoder *encoder, const char *text, size_t size, bool specials, IdList *out);

/* The bytes that an id stands for (borrowed, not NUL-terminated) and their number into *size; a special token has the
 * bytes of its name. NULL for an id outside the vocabulary. */
const char *tokenizer_bytes(const Tokenizer *tokenizer, uint32_t id, size_t *size);
bool tokenizer_is_special(const Tokenizer *tokenizer, uint32_t id);

/* Bytes of text that each id stands for (0 for special tokens): what bits per byte divides by. Array of tokenizer_size. */
const uint32_t *tokenizer_lengths(const Tokenizer *tokenizer);

#endif
