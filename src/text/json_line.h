/* One line of a .jsonl file: the text in it, found without building a tree and decoded where it lies, so that a line takes no
 * memory beside its own and costs little more than looking at each of its bytes. */
#ifndef LMU_TEXT_JSON_LINE_H
#define LMU_TEXT_JSON_LINE_H

#include <stdbool.h>
#include <stddef.h>

/* True: the line is one JSON object (RFC 8259, UTF-8) in which `field` occurs once, a string without U+0000; its value is
 * decoded in place, *text and *size are it. False: anything else, or nested deeply, or a name written with escapes; the
 * line is as it was, and whoever wants to know more asks a whole JSON parser. */
bool json_line_text(char *line, size_t length, const char *field, char **text, size_t *size);

#endif
