#include "infer/utf8.h"

#include <stdbool.h>
#include <string.h>

#define REPLACEMENT "\xef\xbf\xbd"

/* Bytes of the character that begins with `lead`; 0 if none does. */
static int character_length(uint8_t lead)
{
    if (lead < 0x80)
        return 1;
    if (lead >= 0xc2 && lead <= 0xdf)
        return 2;
    if (lead >= 0xe0 && lead <= 0xef)
        return 3;
    if (lead >= 0xf0 && lead <= 0xf4)
        return 4;
    return 0;
}

/* Whether `byte` may follow the `count` bytes held (Unicode 15, table 3-7). The second byte excludes overlong forms, surrogates
 * and what lies behind U+10FFFF. */
static bool may_follow(const uint8_t *held, int count, uint8_t byte)
{
    uint8_t low = 0x80, high = 0xbf;
    if (count == 1) {
        low = held[0] == 0xe0 ? 0xa0 : held[0] == 0xf0 ? 0x90 : 0x80;
        high = held[0] == 0xed ? 0x9f : held[0] == 0xf4 ? 0x8f : 0xbf;
    }
    return byte >= low && byte <= high;
}

static char *put_replacement(char *out)
{
    memcpy(out, REPLACEMENT, 3);
    return out + 3;
}

size_t utf8_push(Utf8Stream *stream, const void *bytes, size_t size, char *out)
{
    const uint8_t *input = bytes;
    char *next = out;
    for (size_t i = 0; i < size; i++) {
        uint8_t byte = input[i];
        if (stream->count > 0 && !may_follow(stream->held, stream->count, byte)) {
            next = put_replacement(next);
            stream->count = 0;
        }
        if (stream->count == 0 && character_length(byte) == 0) {
            next = put_replacement(next);
            continue;
        }
        stream->held[stream->count++] = byte;
        if (stream->count == character_length(stream->held[0])) {
            memcpy(next, stream->held, (size_t)stream->count);
            next += stream->count;
            stream->count = 0;
        }
    }
    return (size_t)(next - out);
}

size_t utf8_end(Utf8Stream *stream, char *out)
{
    bool held = stream->count > 0;
    stream->count = 0;
    return held ? (size_t)(put_replacement(out) - out) : 0;
}
