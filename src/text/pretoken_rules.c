/* The regular expressions of tokenizer files, and the rule that each of them is. */
#include <string.h>

#include "text/pretokenize.h"

#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define BEFORE "[^\\r\\n\\p{L}\\p{N}]?"
#define SPACES "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"

typedef struct Known {
    const char *expression;
    PretokenRule rule;
} Known;

/* Of several spellings of a rule the first is the one that we write. */
static const Known known[] = {
    {"'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", {.kind = PRETOKEN_GPT2}},
    {"'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", {.kind = PRETOKEN_GPT2}},
    /* cl100k_base, Llama 3 */
    {CONTRACTIONS "|" BEFORE "\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" SPACES,
     {.kind = PRETOKEN_WORDS, .contractions = true, .numbers = 3}},
    {"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| "
     "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]|"
     "\\s+(?!\\S)|\\s+",
     {.kind = PRETOKEN_WORDS, .contractions = true, .numbers = 3}},
    /* Qwen 2 and 3 */
    {CONTRACTIONS "|" BEFORE "\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" SPACES,
     {.kind = PRETOKEN_WORDS, .contractions = true, .numbers = 1}},
    /* Qwen 3.5 */
    {CONTRACTIONS "|" BEFORE "[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|" SPACES,
     {.kind = PRETOKEN_WORDS, .contractions = true, .marks = true, .numbers = 1}},
    /* o200k_base, Llama 4 */
    {BEFORE UPPER "*" LOWER "+" CONTRACTIONS "?|" BEFORE UPPER "+" LOWER "*" CONTRACTIONS
                  "?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|" SPACES,
     {.kind = PRETOKEN_CASED, .contractions = true, .slash = true, .numbers = 3}},
    /* Tekken */
    {BEFORE UPPER "*" LOWER "+|" BEFORE UPPER "+" LOWER "*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|" SPACES,
     {.kind = PRETOKEN_CASED, .slash = true, .numbers = 1}},
};
#define KNOWN_COUNT (sizeof known / sizeof *known)

const char pretoken_rule_names[] = "GPT-2, cl100k_base (Llama 3), Qwen, o200k_base (Llama 4) and Tekken";

static bool rule_equals(const PretokenRule *a, const PretokenRule *b)
{
    return a->kind == b->kind && a->contractions == b->contractions && a->marks == b->marks && a->slash == b->slash &&
           a->numbers == b->numbers;
}

bool pretoken_rule_find(const char *expression, PretokenRule *out)
{
    for (size_t i = 0; i < KNOWN_COUNT; i++)
        if (strcmp(known[i].expression, expression) == 0) {
            *out = known[i].rule;
            return true;
        }
    return false;
}

const char *pretoken_rule_expression(const PretokenRule *rule)
{
    for (size_t i = 0; i < KNOWN_COUNT; i++)
        if (rule_equals(&known[i].rule, rule))
            return known[i].expression;
    return NULL;
}
