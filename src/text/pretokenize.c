/* The scanner of pretokenize.h. */
#include "text/pretokenize.h"

#include <string.h>

/* Sets of classes, one bit each. */
#define IN(class) (1u << (class))
#define LETTERS (IN(CHARACTER_UPPER) | IN(CHARACTER_LOWER) | IN(CHARACTER_CASELESS))
#define BOTH_CASES                                                                                                     \
    (IN(CHARACTER_CASELESS) | IN(CHARACTER_MARK)) /* may stand in the upper and in the lower part of a word */
#define UPPERS (IN(CHARACTER_UPPER) | BOTH_CASES)
#define LOWERS (IN(CHARACTER_LOWER) | BOTH_CASES)
#define NUMBERS (IN(CHARACTER_NUMBER) | IN(CHARACTER_LATE_NUMBER)) /* those that Digits parts from all else */
#define SYMBOLS (IN(CHARACTER_OTHER) | IN(CHARACTER_MARK) | IN(CHARACTER_LATE_NUMBER))
#define EVERYTHING (LETTERS | SYMBOLS | IN(CHARACTER_NUMBER) | IN(CHARACTER_SPACE))

const PretokenRule pretoken_gpt2 = {.kind = PRETOKEN_GPT2};

/* A pre-token while it is found. */
typedef struct Scan {
    const char *text;
    size_t size;
    unsigned ends; /* classes at which the text is at an end */
    bool open;     /* the end of the text was looked at */
} Scan;

/* The class of a character of several bytes, or of none. */
static CharacterClass scan_wide(Scan *s, size_t at, size_t *length)
{
    CharacterClass class = character_at(s->text + at, s->size - at, length);
    if (class == CHARACTER_INVALID && s->size - at < 4 && character_cut(s->text + at, s->size - at) > 0)
        s->open = true;
    return class;
}

/* The class of the character at an offset, up to the size, and its length. */
static inline CharacterClass scan_at(Scan *s, size_t at, size_t *length)
{
#define O CHARACTER_OTHER
#define U CHARACTER_UPPER
#define L CHARACTER_LOWER
#define N CHARACTER_NUMBER
#define S CHARACTER_SPACE
    static const uint8_t ascii[128] = {
        O, O, O, O, O, O, O, O, O, S, S, S, S, S, O, O, /* tab to carriage return */
        O, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O, /* */
        S, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O, /* space */
        N, N, N, N, N, N, N, N, N, N, O, O, O, O, O, O, /* */
        O, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, /* */
        U, U, U, U, U, U, U, U, U, U, U, O, O, O, O, O, /* */
        O, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, /* */
        L, L, L, L, L, L, L, L, L, L, L, O, O, O, O, O, /* */
    };
#undef O
#undef U
#undef L
#undef N
#undef S
    *length = 1;
    if (at >= s->size) {
        s->open = true;
        return CHARACTER_END;
    }
    unsigned char byte = (unsigned char)s->text[at];
    return byte < 0x80 ? (CharacterClass)ascii[byte] : scan_wide(s, at, length);
}

static bool scan_is(Scan *s, size_t at, unsigned set)
{
    size_t length;
    return (set & IN(scan_at(s, at, &length))) != 0;
}

/* The byte at an offset; NUL at the end. */
static char scan_byte(Scan *s, size_t at)
{
    if (at < s->size)
        return s->text[at];
    s->open = true;
    return '\0';
}

/* The end of the run of characters of a set that starts at `from`. */
static inline size_t run_end(Scan *s, size_t from, unsigned set)
{
    size_t end = from, length;
    while (set & IN(scan_at(s, end, &length)))
        end += length;
    return end;
}

/* The same for what ends a pre-token of punctuation: line breaks, and slashes where the rule says so. */
static size_t tail_end(Scan *s, size_t from, bool slash)
{
    size_t end = from;
    for (char c = scan_byte(s, end); c == '\r' || c == '\n' || (slash && c == '/'); c = scan_byte(s, end))
        end++;
    return end;
}

/* \s*[\r\n]+ if `lines`, then \s+(?!\S)|\s+: white space up to its last line break; without one, up to the end of the text, or
 * all of it but the last character, which goes with what follows or stands alone. */
static size_t space_length(Scan *s, bool lines)
{
    size_t end = 0, last = 0, broken = 0, length;
    while (scan_at(s, end, &length) == CHARACTER_SPACE) {
        last = end;
        end += length;
        if (s->text[last] == '\r' || s->text[last] == '\n')
            broken = end;
    }
    if (lines && broken > 0)
        return broken;
    return last == 0 || scan_is(s, end, s->ends) ? end : last;
}

/* ---- GPT-2's rule ---- */

/* 's 't 'm 'd 're 've 'll at the start: its length, or 0. */
static size_t contraction_length(Scan *s)
{
    char first = scan_byte(s, 1);
    if (first == 's' || first == 't' || first == 'm' || first == 'd')
        return 2;
    char second = first == 'r' || first == 'v' ? 'e' : 'l';
    return (first == 'r' || first == 'v' || first == 'l') && scan_byte(s, 2) == second ? 3 : 0;
}

static size_t gpt2_length(Scan *s, CharacterClass class)
{
    size_t length, start = 0;
    if (s->text[0] == '\'') {
        size_t contraction = contraction_length(s);
        if (contraction > 0)
            return contraction;
    } else if (s->text[0] == ' ') {
        CharacterClass next = scan_at(s, 1, &length);
        if (next != CHARACTER_SPACE && !(s->ends & IN(next))) {
            start = 1;
            class = next;
        }
    }
    if (class == CHARACTER_SPACE)
        return space_length(s, false);
    unsigned set = LETTERS & IN(class) ? LETTERS : SYMBOLS & IN(class) ? SYMBOLS : IN(class);
    return run_end(s, start, set & ~s->ends);
}

/* ---- the younger family ---- */

/* (?i:'s|'t|'re|'ve|'m|'ll|'d) at an offset: its length, or 0. U+017F is an s without regard to case. */
static size_t contraction_any_case(Scan *s, size_t at)
{
    if (scan_byte(s, at) != '\'')
        return 0;
    char first = scan_byte(s, at + 1);
    if (first == '\xC5')
        return scan_byte(s, at + 2) == '\xBF' ? 3 : 0;
    first |= 0x20;
    if (first == 's' || first == 't' || first == 'm' || first == 'd')
        return 2;
    char second = first == 'r' || first == 'v' ? 'e' : 'l';
    return (first == 'r' || first == 'v' || first == 'l') && (scan_byte(s, at + 2) | 0x20) == second ? 3 : 0;
}

/* [upper]*[lower]+ at an offset, where caseless letters and marks are both: its end, or 0. The upper part takes what it can, and
 * gives back up to its last character that may be lower. */
static size_t cased_end(Scan *s, size_t from)
{
    size_t end = from, given_back = 0, length;
    CharacterClass class;
    while (UPPERS & IN(class = scan_at(s, end, &length))) {
        end += length;
        if (BOTH_CASES & IN(class))
            given_back = end;
    }
    return class == CHARACTER_LOWER ? run_end(s, end, LOWERS) : given_back;
}

/* X?[upper]*[lower]+C? | X?[upper]+[lower]*C?, where X may stand before a word and C is a contraction: its length, or 0. */
static size_t cased_length(const PretokenRule *rule, Scan *s, size_t before)
{
    size_t end = before > 0 ? cased_end(s, before) : 0;
    if (end == 0)
        end = cased_end(s, 0);
    if (end == 0) {
        end = run_end(s, before, UPPERS);
        if (end == before)
            return 0;
    }
    return rule->contractions ? end + contraction_any_case(s, end) : end;
}

/* X?\p{L}+: its length, or 0. */
static size_t word_length(Scan *s, size_t before, CharacterClass class, unsigned letters)
{
    if (before > 0 && scan_is(s, before, letters))
        return run_end(s, before, letters);
    return letters & IN(class) ? run_end(s, 0, letters) : 0;
}

/* \p{N}{1,most} */
static size_t number_length(Scan *s, int most)
{
    size_t end = 0, length;
    for (int i = 0; i < most && scan_at(s, end, &length) == CHARACTER_NUMBER; i++)
        end += length;
    return end;
}

/* `length`: of the first character. */
static size_t young_length(const PretokenRule *rule, Scan *s, CharacterClass class, size_t length)
{
    unsigned letters = rule->marks ? LETTERS | IN(CHARACTER_MARK) : LETTERS, symbols = SYMBOLS & ~letters & ~s->ends;
    if (class == CHARACTER_NUMBER)
        return number_length(s, rule->numbers);
    if (rule->kind == PRETOKEN_WORDS && rule->contractions) {
        size_t contraction = contraction_any_case(s, 0);
        if (contraction > 0)
            return contraction;
    }
    bool line = s->text[0] == '\r' || s->text[0] == '\n';
    size_t before = line || (LETTERS & IN(class)) ? 0 : length; /* of what may stand before a word */
    size_t word = rule->kind == PRETOKEN_CASED ? cased_length(rule, s, before) : word_length(s, before, class, letters);
    if (word > 0)
        return word;
    size_t start = s->text[0] == ' ' ? 1 : 0, end = run_end(s, start, symbols);
    return end > start ? tail_end(s, end, rule->slash) : space_length(s, true);
}

/* ---- any rule ---- */

/* Numbers that Digits parted from all else; a run of them is then divided by the rule. `length`: of the first. */
static size_t digits_length(const PretokenRule *rule, Scan *s, CharacterClass class, size_t length)
{
    if (rule->digits == DIGITS_SINGLE)
        return length;
    if (rule->kind == PRETOKEN_WHOLE)
        return run_end(s, 0, NUMBERS);
    if (rule->kind == PRETOKEN_GPT2 || class == CHARACTER_LATE_NUMBER)
        return run_end(s, 0, IN(class));
    return number_length(s, rule->numbers);
}

static size_t scan_length(const PretokenRule *rule, Scan *s)
{
    size_t length;
    CharacterClass class = scan_at(s, 0, &length);
    if (class == CHARACTER_INVALID)
        return run_end(s, 0, IN(CHARACTER_INVALID));
    if (NUMBERS & s->ends & IN(class))
        return digits_length(rule, s, class, length);
    if (rule->kind == PRETOKEN_GPT2)
        return gpt2_length(s, class);
    return rule->kind == PRETOKEN_WHOLE ? run_end(s, 0, EVERYTHING & ~s->ends) : young_length(rule, s, class, length);
}

size_t pretoken_length(const char *text, size_t size)
{
    Scan s = {text, size, IN(CHARACTER_INVALID) | IN(CHARACTER_END), false};
    size_t length;
    CharacterClass class = scan_at(&s, 0, &length);
    return class == CHARACTER_INVALID ? run_end(&s, 0, IN(CHARACTER_INVALID)) : gpt2_length(&s, class);
}

size_t pretoken_next(const PretokenRule *rule, const char *text, size_t size, bool *open)
{
    Scan s = {text, size, IN(CHARACTER_INVALID) | IN(CHARACTER_END), false};
    if (rule->digits != DIGITS_AS_THE_RULE_SAYS)
        s.ends |= NUMBERS;
    size_t length = scan_length(rule, &s);
    *open = s.open;
    return length;
}

static bool is_graph(char c)
{
    return c > ' ' && c <= '~';
}

size_t pretoken_cut(const char *text, size_t size, size_t from)
{
    /* One space between two visible ASCII characters always starts a pre-token, and the part before it does not end in
     * white space, whose division would depend on what follows. */
    for (size_t at = from > 0 ? from : 1; at + 1 < size; at++) {
        const char *space = memchr(text + at, ' ', size - 1 - at);
        if (!space)
            break;
        at = (size_t)(space - text);
        if (is_graph(text[at - 1]) && is_graph(text[at + 1]))
            return at;
    }
    return size;
}
