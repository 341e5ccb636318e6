#include "text/json_line.h"

#include <stdint.h>
#include <string.h>

#include "text/pretokenize.h"

#define DEPTH_MOST 64 /* of arrays and objects in each other */

typedef struct Scan {
    char *at, *end;
} Scan;

/* A string between its quotes. */
typedef struct JsonString {
    char *start;
    size_t size;
    bool escaped; /* a backslash is in it */
} JsonString;

static bool is_at(const Scan *scan, char c)
{
    return scan->at < scan->end && *scan->at == c;
}

static bool take(Scan *scan, char c)
{
    if (!is_at(scan, c))
        return false;
    scan->at++;
    return true;
}

static void spaces_skip(Scan *scan)
{
    while (scan->at < scan->end && (*scan->at == ' ' || *scan->at == '\t' || *scan->at == '\r' || *scan->at == '\n'))
        scan->at++;
}

/* ---- strings ---- */

/* Whether one of 8 bytes is a quote, a backslash, a control character or not ASCII. */
static bool word_is_special(uint64_t word)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), high = UINT64_C(0x8080808080808080);
    uint64_t quote = word ^ (ones * '"'), backslash = word ^ (ones * '\\');
    return ((word | (word - ones * 0x20) | (quote - ones) | (backslash - ones)) & high) != 0;
}

/* The value of four hexadecimal digits, or -1. */
static int hex4(const char *text)
{
    int value = 0;
    for (int i = 0; i < 4; i++) {
        char c = text[i];
        int digit = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
        if (digit < 0)
            return -1;
        value = 16 * value + digit;
    }
    return value;
}

/* The code point of the \u escape at text (behind its backslash) and its length there, a surrogate pair being one; 0 if it is
 * none, or U+0000, or half a pair. */
static uint32_t unicode_escape(const char *text, size_t size, size_t *length)
{
    if (size < 5)
        return 0;
    int code = hex4(text + 1);
    *length = 5;
    if (code <= 0 || (code >= 0xDC00 && code <= 0xDFFF))
        return 0;
    if (code < 0xD800 || code > 0xDFFF)
        return (uint32_t)code;
    if (size < 11 || text[5] != '\\' || text[6] != 'u')
        return 0;
    int low = hex4(text + 7);
    *length = 11;
    return low >= 0xDC00 && low <= 0xDFFF ? 0x10000u + (((uint32_t)code & 0x3FF) << 10) + ((uint32_t)low & 0x3FF) : 0;
}

/* Passes the escape whose backslash is at scan->at. */
static bool escape_skip(Scan *scan)
{
    size_t length = 1, left = (size_t)(scan->end - scan->at) - 1;
    const char *text = scan->at + 1;
    if (left == 0 || (text[0] == 'u' && unicode_escape(text, left, &length) == 0) ||
        (text[0] != 'u' && !memchr("\"\\/bfnrt", text[0], 8)))
        return false;
    scan->at += 1 + length;
    return true;
}

static bool string_skip(Scan *scan, JsonString *out)
{
    if (!take(scan, '"'))
        return false;
    *out = (JsonString){.start = scan->at};
    while (scan->at < scan->end) {
        uint64_t word;
        while (scan->end - scan->at >= 8 && (memcpy(&word, scan->at, 8), !word_is_special(word)))
            scan->at += 8;
        if (scan->at == scan->end)
            return false;
        unsigned char c = (unsigned char)*scan->at;
        size_t length = 1;
        if (c == '"') {
            out->size = (size_t)(scan->at++ - out->start);
            return true;
        }
        if (c == '\\') {
            out->escaped = true;
            if (!escape_skip(scan))
                return false;
            continue;
        }
        if (c < 0x20 || character_at(scan->at, (size_t)(scan->end - scan->at), &length) == CHARACTER_INVALID)
            return false;
        scan->at += length;
    }
    return false;
}

static char *utf8_put(char *out, uint32_t code)
{
    if (code < 0x80) {
        *out++ = (char)code;
    } else if (code < 0x800) {
        *out++ = (char)(0xC0 | code >> 6);
        *out++ = (char)(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
        *out++ = (char)(0xE0 | code >> 12);
        *out++ = (char)(0x80 | (code >> 6 & 0x3F));
        *out++ = (char)(0x80 | (code & 0x3F));
    } else {
        *out++ = (char)(0xF0 | code >> 18);
        *out++ = (char)(0x80 | (code >> 12 & 0x3F));
        *out++ = (char)(0x80 | (code >> 6 & 0x3F));
        *out++ = (char)(0x80 | (code & 0x3F));
    }
    return out;
}

/* Decodes a string that string_skip() has passed, in place: no escape is shorter than what it stands for. */
static size_t string_decode(const JsonString *string)
{
    static const char letters[] = "bfnrt", controls[] = "\b\f\n\r\t";
    const char *from = string->start, *end = from + string->size;
    char *to = string->start;
    while (from < end) {
        const char *backslash = memchr(from, '\\', (size_t)(end - from));
        size_t plain = (size_t)((backslash ? backslash : end) - from), length = 1;
        memmove(to, from, plain);
        to += plain;
        from += plain;
        if (!backslash)
            break;
        from++;
        const char *letter = memchr(letters, *from, sizeof letters - 1);
        if (*from == 'u')
            to = utf8_put(to, unicode_escape(from, (size_t)(end - from), &length));
        else
            *to++ = letter ? controls[letter - letters] : *from;
        from += length;
    }
    return (size_t)(to - string->start);
}

/* ---- values ---- */

static bool digits_skip(Scan *scan)
{
    char *start = scan->at;
    while (scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9')
        scan->at++;
    return scan->at > start;
}

static bool number_skip(Scan *scan)
{
    take(scan, '-');
    if (!take(scan, '0') && !digits_skip(scan))
        return false;
    if (take(scan, '.') && !digits_skip(scan))
        return false;
    if (take(scan, 'e') || take(scan, 'E')) {
        if (!take(scan, '+'))
            take(scan, '-');
        return digits_skip(scan);
    }
    return true;
}

static bool word_skip(Scan *scan, const char *word)
{
    size_t length = strlen(word);
    if ((size_t)(scan->end - scan->at) < length || memcmp(scan->at, word, length) != 0)
        return false;
    scan->at += length;
    return true;
}

static bool value_skip(Scan *scan, int depth);

/* "name": value, for the members of an object; those of an array are values alone. */
static bool members_skip(Scan *scan, char close, int depth)
{
    JsonString name;
    scan->at++;
    spaces_skip(scan);
    if (take(scan, close))
        return true;
    do {
        spaces_skip(scan);
        if (close == '}' && (!string_skip(scan, &name) || (spaces_skip(scan), !take(scan, ':'))))
            return false;
        if (!value_skip(scan, depth + 1))
            return false;
    } while (take(scan, ','));
    return take(scan, close);
}

/* Passes a value and the white space around it. */
static bool value_skip(Scan *scan, int depth)
{
    JsonString string;
    bool good;
    spaces_skip(scan);
    if (scan->at == scan->end || depth > DEPTH_MOST)
        return false;
    switch (*scan->at) {
    case '"':
        good = string_skip(scan, &string);
        break;
    case '{':
        good = members_skip(scan, '}', depth);
        break;
    case '[':
        good = members_skip(scan, ']', depth);
        break;
    case 't':
        good = word_skip(scan, "true");
        break;
    case 'f':
        good = word_skip(scan, "false");
        break;
    case 'n':
        good = word_skip(scan, "null");
        break;
    default:
        good = number_skip(scan);
    }
    spaces_skip(scan);
    return good;
}

bool json_line_text(char *line, size_t length, const char *field, char **text, size_t *size)
{
    Scan scan = {line, line + length};
    JsonString name, value = {0};
    size_t field_length = strlen(field);
    spaces_skip(&scan);
    if (!take(&scan, '{'))
        return false;
    do {
        spaces_skip(&scan);
        if (!string_skip(&scan, &name) || name.escaped)
            return false;
        spaces_skip(&scan);
        if (!take(&scan, ':'))
            return false;
        bool wanted = name.size == field_length && memcmp(name.start, field, field_length) == 0;
        if (!wanted) {
            if (!value_skip(&scan, 1))
                return false;
            continue;
        }
        spaces_skip(&scan);
        if (value.start || !string_skip(&scan, &value))
            return false;
        spaces_skip(&scan);
    } while (take(&scan, ','));
    if (!value.start || !take(&scan, '}') || (spaces_skip(&scan), scan.at != scan.end))
        return false;
    *text = value.start;
    *size = value.escaped ? string_decode(&value) : value.size;
    return true;
}
