/* Whole characters out of a stream of bytes. A token of a byte-level vocabulary may end in the middle of a character; what could
 * still become one is held back until the next bytes decide.
 *
 * What comes out is always valid UTF-8, so that it can go straight into a terminal or a JSON string: bytes that can never become
 * a character come out as U+FFFD, one for each maximal prefix of a character (Unicode 15, section 3.9, "U+FFFD Substitution of
 * Maximal Subparts"; as browsers and Python's errors="replace" do). The output does not depend on how the input is cut. */
#ifndef LMU_INFER_UTF8_H
#define LMU_INFER_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Start from a zeroed one. */
typedef struct Utf8Stream {
    uint8_t held[4];
    int count; /* of held: the beginning of a character */
} Utf8Stream;

/* Bytes that utf8_push may write for `size` bytes of input: each may become U+FFFD, three bytes, and so may what is held. */
#define UTF8_ROOM(size) (3 * ((size_t)(size) + 3))

/* Takes `size` bytes and writes the characters that are whole now to out; returns their bytes. */
size_t utf8_push(Utf8Stream *stream, const void *bytes, size_t size, char *out);

/* The end of the input: a character that is still held, and will never be whole, comes out as U+FFFD. At most 3 bytes. */
size_t utf8_end(Utf8Stream *stream, char *out);

#endif
