/* The byte alphabet: GPT-2 writes a token's bytes as printable characters, and so do all files of byte-level tokenizers. */
#ifndef LMU_TEXT_ALPHABET_H
#define LMU_TEXT_ALPHABET_H

#include "text/vocabulary.h"

/* Into out (2 * length + 1 bytes), NUL-terminated. */
void alphabet_write(const Token *token, char *out);

/* The bytes that `text` (UTF-8, NUL-terminated) spells, into out (as long as text); false if a character is outside of the
 * alphabet. */
bool alphabet_read(const char *text, char *out, size_t *length);

#endif
