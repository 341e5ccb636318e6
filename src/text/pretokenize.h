/* Pre-tokens: the pieces of text inside which byte pairs merge. GPT-2's rule, written there as a regular expression:
 *
 *     's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 *
 * Here it is a scanner over a table of our own (character_ranges.h), because a pre-token must be the same on every machine:
 * libraries of regular expressions differ in the version of Unicode they know, in what they hold for white space, and in how
 * long a run they can match.
 *
 * Text that is not UTF-8: each maximal run of bytes that belong to no valid character is a pre-token of its own, and the valid
 * stretches between such runs are pre-tokenised as if each were a text by itself. A byte is invalid when no well-formed
 * character (Unicode 3.9, table 3-7: no overlong forms, no surrogates, nothing above U+10FFFF) starts at it or covers it. */
#ifndef LMU_TEXT_PRETOKENIZE_H
#define LMU_TEXT_PRETOKENIZE_H

#include <stddef.h>
#include <stdint.h>

typedef enum CharacterClass {
    CHARACTER_OTHER,
    CHARACTER_LETTER,
    CHARACTER_NUMBER,
    CHARACTER_SPACE,
    CHARACTER_INVALID, /* a byte that belongs to no valid character */
} CharacterClass;

/* The class of the character at the start of text (size >= 1) and its length in bytes; 1 for an invalid byte. */
CharacterClass character_at(const char *text, size_t size, size_t *length);

/* The length in bytes of the pre-token that text (size >= 1) starts with. It depends on nothing before `text`. */
size_t pretoken_length(const char *text, size_t size);

/* The first offset >= from at which a text may be cut so that its two parts, pre-tokenised apart, give the pre-tokens of the
 * whole; `size` if there is none. Lets one long document keep several threads busy. */
size_t pretoken_cut(const char *text, size_t size, size_t from);

#endif
