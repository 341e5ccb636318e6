/* Characters of pretokenize.h: decoding UTF-8, and the classes of Unicode. */
#include <string.h>

#include "text/pretokenize.h"

typedef struct CharacterRange {
    uint32_t first, last, class;
} CharacterRange;

static const CharacterRange ranges[] = {
#include "text/character_ranges.h"
};
#define RANGE_COUNT (sizeof ranges / sizeof *ranges)

typedef struct WordRange {
    uint32_t first, last;
} WordRange;

static const WordRange word_ranges[] = {
#include "text/word_ranges.h"
};

/* The classes of the first two planes, where nearly all text lies, spread out before main() runs. */
#define SPREAD 0x20000
static uint8_t class_of[SPREAD];

__attribute__((constructor)) static void classes_spread(void)
{
    for (size_t i = 0; i < RANGE_COUNT && ranges[i].first < SPREAD; i++)
        for (uint32_t code = ranges[i].first; code <= ranges[i].last && code < SPREAD; code++)
            class_of[code] = (uint8_t)ranges[i].class;
}

static CharacterClass class_of_code(uint32_t code)
{
    if (code < SPREAD)
        return (CharacterClass)class_of[code];
    for (size_t i = RANGE_COUNT; i-- > 0 && ranges[i].last >= code;) /* a few ranges of ideographs */
        if (ranges[i].first <= code)
            return (CharacterClass)ranges[i].class;
    return CHARACTER_OTHER;
}

static bool is_continuation(unsigned char byte)
{
    return (byte & 0xC0) == 0x80;
}

/* Decodes the character at the start of text; 0 if there is none. */
static size_t character_decode(const unsigned char *text, size_t size, uint32_t *code)
{
    if (text[0] < 0x80) {
        *code = text[0];
        return 1;
    }
    if (text[0] >= 0xC2 && text[0] <= 0xDF && size >= 2 && is_continuation(text[1])) {
        *code = (uint32_t)(text[0] & 0x1F) << 6 | (text[1] & 0x3F);
        return 2;
    }
    if (text[0] >= 0xE0 && text[0] <= 0xEF && size >= 3 && is_continuation(text[1]) && is_continuation(text[2])) {
        *code = (uint32_t)(text[0] & 0x0F) << 12 | (uint32_t)(text[1] & 0x3F) << 6 | (text[2] & 0x3F);
        return *code >= 0x800 && (*code < 0xD800 || *code > 0xDFFF) ? 3 : 0;
    }
    if (text[0] >= 0xF0 && text[0] <= 0xF4 && size >= 4 && is_continuation(text[1]) && is_continuation(text[2]) &&
        is_continuation(text[3])) {
        *code = (uint32_t)(text[0] & 0x07) << 18 | (uint32_t)(text[1] & 0x3F) << 12 | (uint32_t)(text[2] & 0x3F) << 6 |
                (text[3] & 0x3F);
        return *code >= 0x10000 && *code <= 0x10FFFF ? 4 : 0;
    }
    return 0;
}

CharacterClass character_at(const char *text, size_t size, size_t *length)
{
    uint32_t code = 0;
    size_t decoded = character_decode((const unsigned char *)text, size, &code);
    *length = decoded > 0 ? decoded : 1;
    return decoded > 0 ? class_of_code(code) : CHARACTER_INVALID;
}

bool character_is_word(const char *text, size_t size)
{
    uint32_t code = 0;
    if (character_decode((const unsigned char *)text, size, &code) == 0)
        return false;
    CharacterClass class = class_of_code(code);
    if (class >= CHARACTER_UPPER && class <= CHARACTER_MARK)
        return true;
    for (size_t i = 0; i < sizeof word_ranges / sizeof *word_ranges; i++)
        if (code >= word_ranges[i].first && code <= word_ranges[i].last)
            return true;
    return false;
}

/* Whether some bytes behind the `size` (1 to 3) at text would make a character of them. */
static bool may_become_character(const unsigned char *text, size_t size)
{
    unsigned char first = text[0];
    if (first < 0xC2 || first > 0xF4)
        return false;
    if (size >= (first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4))
        return false;
    for (size_t i = 1; i < size; i++)
        if (!is_continuation(text[i]))
            return false;
    if (size < 2)
        return true;
    return !(first == 0xE0 && text[1] < 0xA0) && !(first == 0xED && text[1] >= 0xA0) &&
           !(first == 0xF0 && text[1] < 0x90) && !(first == 0xF4 && text[1] >= 0x90);
}

size_t character_cut(const char *text, size_t size)
{
    for (size_t back = 1; back <= 3 && back <= size; back++)
        if (may_become_character((const unsigned char *)text + size - back, back))
            return back;
    return 0;
}
