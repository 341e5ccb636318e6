/* Pre-tokens: the pieces of text inside which byte pairs merge. The rules that byte-level BPE files use are regular
 * expressions; here each is a setting of one scanner over a table of our own (character_ranges.h), because a pre-token must be
 * the same on every machine: libraries of regular expressions differ in the version of Unicode they know, in what they hold for
 * white space, and in how long a run they can match. GPT-2's rule, by which we train:
 *
 *     's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 *
 * Text that is not UTF-8: each maximal run of bytes that belong to no valid character is a pre-token of its own, and the valid
 * stretches between such runs are pre-tokenised as if each were a text by itself. A byte is invalid when no well-formed
 * character (Unicode 3.9, table 3-7: no overlong forms, no surrogates, nothing above U+10FFFF) starts at it or covers it. */
#ifndef LMU_TEXT_PRETOKENIZE_H
#define LMU_TEXT_PRETOKENIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- characters ---- */

typedef enum CharacterClass {
    CHARACTER_OTHER,
    CHARACTER_UPPER,       /* a letter in upper or title case: \p{Lu}, \p{Lt} */
    CHARACTER_LOWER,       /* \p{Ll} */
    CHARACTER_CASELESS,    /* a letter without case: \p{Lm}, \p{Lo} */
    CHARACTER_MARK,        /* \p{M}: accents and the like that combine with a letter */
    CHARACTER_LATE_NUMBER, /* a number of a younger Unicode, which Digits knows and \p{N} does not */
    CHARACTER_NUMBER,      /* \p{N} */
    CHARACTER_SPACE,       /* \s */
    CHARACTER_INVALID,     /* a byte that belongs to no valid character */
    CHARACTER_END,         /* of the text */
} CharacterClass;

/* The class of the character at the start of text (size >= 1) and its length in bytes; 1 for an invalid byte. */
CharacterClass character_at(const char *text, size_t size, size_t *length);
/* Whether the character at the start of text (size >= 1) is one of words (\w: letters, marks, decimal digits, _ and the like). */
bool character_is_word(const char *text, size_t size);
/* The bytes at the end of text, fewer than 4, that may become one character with those that follow; 0: none. */
size_t character_cut(const char *text, size_t size);

/* ---- rules ---- */

typedef enum PretokenKind {
    PRETOKEN_GPT2, /* GPT-2's rule, above */
    PRETOKEN_WORDS, /* the younger family: one character that is no letter, number or line break goes with the word behind it */
    PRETOKEN_CASED, /* the same, and a word ends where its case turns from lower to upper */
    PRETOKEN_WHOLE, /* text is not divided */
} PretokenKind;

typedef enum PretokenDigits {
    DIGITS_AS_THE_RULE_SAYS,
    DIGITS_APART,  /* numbers are parted from all else before the rule is used */
    DIGITS_SINGLE, /* the same, and each digit is a pre-token */
} PretokenDigits;

typedef struct PretokenRule {
    PretokenKind kind;
    PretokenDigits digits;
    /* What follows matters to the kinds WORDS and CASED only. */
    bool
        contractions; /* 's 't 're 've 'm 'll 'd in any case: before all else (WORDS), or at the end of a word (CASED) */
    bool marks;       /* WORDS: marks are letters */
    bool slash;       /* punctuation is followed by / as well as by line breaks */
    int numbers;      /* this many digits at most in one pre-token */
} PretokenRule;

extern const PretokenRule pretoken_gpt2;

/* The rule that a regular expression stands for, in one of the spellings that tokenizer files have; false: none that we know.
 * The expression of a rule, and its name; a rule without an expression (WHOLE) gives NULL. `digits` is no part of either. */
bool pretoken_rule_find(const char *expression, PretokenRule *out);
const char *pretoken_rule_expression(const PretokenRule *rule);
extern const char pretoken_rule_names[]; /* of all that pretoken_rule_find() knows, for messages */

/* ---- pre-tokens ---- */

/* The length in bytes of the pre-token that text (size >= 1) starts with. It depends on nothing before `text`. */
size_t pretoken_length(const char *text, size_t size); /* by GPT-2's rule */
/* By any rule; *open: more text behind these bytes could make it another. */
size_t pretoken_next(const PretokenRule *rule, const char *text, size_t size, bool *open);

/* The first offset >= from at which a text may be cut so that its two parts, pre-tokenised apart, give the pre-tokens of the
 * whole; `size` if there is none. Lets one long document keep several threads busy. Right for every rule but WHOLE. */
size_t pretoken_cut(const char *text, size_t size, size_t from);

#endif
