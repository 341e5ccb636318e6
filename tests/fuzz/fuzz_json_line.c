/* What json_line_text() takes, jansson takes, with the same text (but for numbers that no double holds). */
#include <jansson.h>
#include <string.h>

#include "fuzz_input.h"
#include "text/json_line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = malloc(size + 1), *text;
    size_t length;
    memcpy(copy, data, size);
    if (json_line_text(copy, size, "text", &text, &length)) {
        json_error_t problem;
        json_t *root = json_loadb((const char *)data, size, 0, &problem);
        fuzz_require(root || strstr(problem.text, "overflow") || strstr(problem.text, "too big"));
        const json_t *value = json_object_get(root, "text");
        fuzz_require(!root || (json_is_string(value) && json_string_length(value) == length &&
                               memcmp(json_string_value(value), text, length) == 0));
        json_decref(root);
    } else {
        fuzz_require(memcmp(copy, data, size) == 0);
    }
    free(copy);
    return 0;
}
