/* The scanner of pretokenize.h. */
#include "text/pretokenize.h"

#include <stdbool.h>
#include <string.h>

typedef struct CharacterRange {
    uint32_t first, last;
    uint32_t class;
} CharacterRange;

static const CharacterRange ranges[] = {
#include "text/character_ranges.h"
};
#define RANGE_COUNT (sizeof ranges / sizeof *ranges)

static CharacterClass class_of_code(uint32_t code)
{
    size_t low = 0, high = RANGE_COUNT; /* the first range that does not end before code lies in [low, high] */
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (ranges[middle].last < code)
            low = middle + 1;
        else
            high = middle;
    }
    return low < RANGE_COUNT && ranges[low].first <= code ? (CharacterClass)ranges[low].class : CHARACTER_OTHER;
}

/* What class_of_code() answers for ASCII, which is most of most text. */
static CharacterClass class_of_ascii(unsigned char byte)
{
    if ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'z')
        return CHARACTER_LETTER;
    if (byte >= '0' && byte <= '9')
        return CHARACTER_NUMBER;
    return byte == ' ' || (byte >= '\t' && byte <= '\r') ? CHARACTER_SPACE : CHARACTER_OTHER;
}

static bool is_continuation(unsigned char byte)
{
    return (byte & 0xC0) == 0x80;
}

/* Decodes the character of two bytes or more at the start of text; 0 if there is none. */
static size_t character_decode(const unsigned char *text, size_t size, uint32_t *code)
{
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
    unsigned char first = (unsigned char)text[0];
    *length = 1;
    if (first < 0x80)
        return class_of_ascii(first);
    uint32_t code = 0;
    size_t decoded = character_decode((const unsigned char *)text, size, &code);
    if (decoded == 0)
        return CHARACTER_INVALID;
    *length = decoded;
    return class_of_code(code);
}

/* The end of the run of characters of one class that starts at `from`; *last is where its last character starts. */
static size_t run_end(const char *text, size_t size, size_t from, CharacterClass class, size_t *last)
{
    size_t end = from, length;
    while (end < size && character_at(text + end, size - end, &length) == class) {
        *last = end;
        end += length;
    }
    return end;
}

/* 's 't 'm 'd 're 've 'll: its length, or 0. */
static size_t contraction_length(const char *text, size_t size)
{
    if (size >= 2 && text[1] != '\0' && strchr("stmd", text[1]))
        return 2;
    if (size >= 3 &&
        (memcmp(text + 1, "re", 2) == 0 || memcmp(text + 1, "ve", 2) == 0 || memcmp(text + 1, "ll", 2) == 0))
        return 3;
    return 0;
}

/* \s+(?!\S)|\s+: white space up to the end, or all of it but the last character, which goes with what follows or stands
 * alone. */
static size_t space_length(const char *text, size_t size)
{
    size_t last = 0, length;
    size_t end = run_end(text, size, 0, CHARACTER_SPACE, &last);
    if (end == size || last == 0 || character_at(text + end, size - end, &length) == CHARACTER_INVALID)
        return end;
    return last;
}

size_t pretoken_length(const char *text, size_t size)
{
    size_t length, last, start = 0;
    CharacterClass class = character_at(text, size, &length);
    if (text[0] == '\'') {
        size_t contraction = contraction_length(text, size);
        if (contraction > 0)
            return contraction;
    } else if (text[0] == ' ' && size > 1) {
        CharacterClass next = character_at(text + 1, size - 1, &length);
        if (next != CHARACTER_SPACE && next != CHARACTER_INVALID) {
            start = 1;
            class = next;
        }
    }
    return class == CHARACTER_SPACE ? space_length(text, size) : run_end(text, size, start, class, &last);
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
