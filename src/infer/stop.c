#include "infer/stop.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "infer/utf8.h"

typedef struct StopString {
    size_t size;
    size_t matched; /* bytes of its beginning with which the text so far ends, the most there are */
    char text[STOP_SIZE_LIMIT];
    /* border[n]: the longest proper beginning of the first n bytes that is also their end */
    uint16_t border[STOP_SIZE_LIMIT + 1];
} StopString;

struct StopMatcher {
    size_t count;
    bool found;
    /* What is held back is the end of the text so far that is the beginning of a string: so it need not be kept. */
    size_t held_size;
    const StopString *held; /* the string of which `held_size` bytes are matched, the most of all */
    StopString string[];
};

static lmu_status check_string(const char *text, size_t number)
{
    size_t size = strnlen(text, STOP_SIZE_LIMIT + 1);
    char same[UTF8_ROOM(STOP_SIZE_LIMIT)];
    Utf8Stream stream = {.count = 0};
    if (size == 0)
        return error_set(LMU_USAGE, "stop string %zu is empty: leave it out", number);
    if (size > STOP_SIZE_LIMIT)
        return error_set(LMU_USAGE, "stop string %zu has more than %d bytes", number, STOP_SIZE_LIMIT);
    size_t whole = utf8_push(&stream, text, size, same);
    if (whole != size || memcmp(same, text, size) != 0)
        return error_set(LMU_USAGE,
                         "stop string %zu is not valid UTF-8, as the text always is: it would never be found", number);
    return LMU_OK;
}

/* How much of the string the text ends with, one byte later. */
static size_t advance(const StopString *string, size_t matched, char byte)
{
    while (matched > 0 && string->text[matched] != byte)
        matched = string->border[matched];
    return string->text[matched] == byte ? matched + 1 : 0;
}

static void set_string(StopString *string, const char *text)
{
    string->size = strlen(text);
    memcpy(string->text, text, string->size);
    for (size_t n = 1; n < string->size; n++)
        string->border[n + 1] = (uint16_t)advance(string, string->border[n], text[n]);
}

lmu_status stop_open(const char *const *strings, size_t count, StopMatcher **out)
{
    StopMatcher *matcher;
    *out = NULL;
    if (count > STOP_LIMIT)
        return error_set(LMU_USAGE, "there may be %d stop strings, not %zu", STOP_LIMIT, count);
    for (size_t i = 0; i < count; i++)
        TRY(check_string(strings[i], i + 1));
    TRY(memory_new(&matcher, 1, sizeof *matcher + count * sizeof *matcher->string, "stop strings"));
    matcher->count = count;
    for (size_t i = 0; i < count; i++)
        set_string(&matcher->string[i], strings[i]);
    *out = matcher;
    return LMU_OK;
}

void stop_close(StopMatcher *matcher)
{
    free(matcher);
}

size_t stop_held(const StopMatcher *matcher)
{
    return matcher->held_size;
}

bool stop_found(const StopMatcher *matcher)
{
    return matcher->found;
}

/* One byte more. Of what is held and this byte the last *pending may become the stop string *holder; or they are it, and
 * found. A whole string goes before every beginning, then the longer before the shorter. */
static void match_byte(StopMatcher *matcher, char byte, size_t *pending, const StopString **holder)
{
    *pending = 0;
    *holder = NULL;
    for (size_t i = 0; i < matcher->count; i++) {
        StopString *string = &matcher->string[i];
        string->matched = advance(string, string->matched, byte);
        bool whole = string->matched == string->size;
        if ((whole && !matcher->found) || (whole == matcher->found && string->matched > *pending)) {
            matcher->found = whole;
            *pending = string->matched;
            *holder = string;
        }
    }
}

size_t stop_push(StopMatcher *matcher, const char *text, size_t size, char *out)
{
    char *next = out;
    for (size_t i = 0; i < size && !matcher->found; i++) {
        size_t pending, held = matcher->held_size;
        const StopString *holder;
        match_byte(matcher, text[i], &pending, &holder);
        /* Certain are the first of the bytes that were held and, where nothing is pending, this one. */
        size_t old = pending > 0 ? held + 1 - pending : held;
        if (old > 0)
            memcpy(next, matcher->held->text, old);
        next += old;
        if (pending == 0)
            *next++ = text[i];
        matcher->held = holder;
        matcher->held_size = matcher->found ? 0 : pending;
    }
    return (size_t)(next - out);
}

size_t stop_end(StopMatcher *matcher, char *out)
{
    size_t size = matcher->held_size;
    if (size > 0)
        memcpy(out, matcher->held->text, size);
    matcher->held_size = 0;
    return size;
}
