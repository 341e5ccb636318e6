#include "base/json.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

lmu_status json_read_text(const char *origin, const char *text, size_t size, json_t **out)
{
    json_error_t problem;
    *out = json_loadb(text, size, JSON_REJECT_DUPLICATES, &problem);
    if (*out)
        return LMU_OK;
    return error_set(json_error_code(&problem) == json_error_out_of_memory ? LMU_MEMORY : LMU_FORMAT,
                     "%s: not valid JSON at line %d, column %d: %s", origin, problem.line, problem.column,
                     problem.text);
}

lmu_status json_read_file(const char *path, json_t **out)
{
    *out = NULL;
    char *text;
    size_t size;
    TRY(file_read(path, JSON_FILE_LIMIT, &text, &size));
    lmu_status status = json_read_text(path, text, size, out);
    free(text);
    return status;
}

/* Whether every real number in the value reads back the same from 15 digits, which spares the reader of a file
 * 0.10000000000000001; 17 digits always do. */
static bool json_is_short(const json_t *value)
{
    const char *key;
    json_t *member;
    size_t index;
    char text[40];
    if (json_is_real(value)) {
        snprintf(text, sizeof text, "%.15g", json_real_value(value));
        return strtod(text, NULL) == json_real_value(value);
    }
    json_object_foreach((json_t *)value, key, member)
        if (!json_is_short(member))
            return false;
    json_array_foreach(value, index, member)
        if (!json_is_short(member))
            return false;
    return true;
}

lmu_status json_write_file(const char *path, const json_t *value)
{
    FileWriter *writer;
    TRY(file_writer_open(path, &writer));
    size_t flags = JSON_INDENT(2) | JSON_REAL_PRECISION(json_is_short(value) ? 15 : 17);
    if (json_dumpf(value, file_writer_stream(writer), flags) != 0 || fputc('\n', file_writer_stream(writer)) == EOF) {
        file_writer_abort(writer);
        return error_set(LMU_IO, "%s: cannot write; is the disk full?", path);
    }
    return file_writer_commit(writer);
}

static const char *json_type_name(const json_t *value)
{
    static const char *const names[] = {"an object",     "an array", "a string", "an integer",
                                        "a real number", "true",     "false",    "null"};
    return names[json_typeof(value)];
}

/* The member, or NULL with the message set. */
static json_t *json_member(const char *origin, const json_t *object, const char *key)
{
    if (!json_is_object(object)) {
        error_set(LMU_FORMAT, "%s: an object with the key \"%s\" is expected", origin, key);
        return NULL;
    }
    json_t *member = json_object_get(object, key);
    if (!member)
        error_set(LMU_FORMAT, "%s: key \"%s\" is missing", origin, key);
    return member;
}

static lmu_status json_wrong_type(const char *origin, const char *key, const json_t *member, const char *expected)
{
    return error_set(LMU_FORMAT, "%s: key \"%s\" is %s; %s is expected", origin, key, json_type_name(member), expected);
}

lmu_status json_get_string(const char *origin, const json_t *object, const char *key, const char **out)
{
    json_t *member = json_member(origin, object, key);
    if (!member)
        return LMU_FORMAT;
    if (!json_is_string(member))
        return json_wrong_type(origin, key, member, "a string");
    *out = json_string_value(member);
    return LMU_OK;
}

lmu_status json_get_integer(const char *origin, const json_t *object, const char *key, int64_t low, int64_t high,
                            int64_t *out)
{
    json_t *member = json_member(origin, object, key);
    if (!member)
        return LMU_FORMAT;
    if (!json_is_integer(member))
        return json_wrong_type(origin, key, member, "an integer");
    int64_t value = json_integer_value(member);
    if (value < low || value > high)
        return error_set(LMU_FORMAT, "%s: key \"%s\" is %" PRId64 "; it goes from %" PRId64 " to %" PRId64, origin, key,
                         value, low, high);
    *out = value;
    return LMU_OK;
}

lmu_status json_get_real(const char *origin, const json_t *object, const char *key, double *out)
{
    json_t *member = json_member(origin, object, key);
    if (!member)
        return LMU_FORMAT;
    if (!json_is_number(member))
        return json_wrong_type(origin, key, member, "a number");
    *out = json_number_value(member);
    return LMU_OK;
}

lmu_status json_get_object(const char *origin, const json_t *object, const char *key, json_t **out)
{
    json_t *member = json_member(origin, object, key);
    if (!member)
        return LMU_FORMAT;
    if (!json_is_object(member))
        return json_wrong_type(origin, key, member, "an object");
    *out = member;
    return LMU_OK;
}
