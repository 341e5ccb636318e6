/* Field tables as JSON: the run's configuration file and the checkpoint's copy. */
#include <inttypes.h>
#include <string.h>

#include "base/field.h"
#include "base/field_internal.h"

static const char *field_json_expected(FieldType type)
{
    static const char *const names[] = {
        [FIELD_FLAG] = "true or false", [FIELD_COUNT] = "a whole number",    [FIELD_BYTES] = "a whole number",
        [FIELD_DURATION] = "a number",  [FIELD_REAL] = "a number",           [FIELD_STRING] = "a string or null",
        [FIELD_CHOICE] = "a string",    [FIELD_REALS] = "a list of numbers", [FIELD_STRINGS] = "a list of strings",
    };
    return names[type];
}

static bool array_holds(const json_t *value, bool numbers)
{
    size_t index;
    json_t *item;
    if (!json_is_array(value))
        return false;
    json_array_foreach(value, index, item)
        if (!(numbers ? json_is_number(item) : json_is_string(item)))
            return false;
    return true;
}

static bool field_json_fits(FieldType type, const json_t *value)
{
    switch (type) {
    case FIELD_FLAG:
        return json_is_boolean(value);
    case FIELD_COUNT:
    case FIELD_BYTES:
        return json_is_integer(value);
    case FIELD_DURATION:
    case FIELD_REAL:
        return json_is_number(value);
    case FIELD_STRING:
        return json_is_string(value) || json_is_null(value);
    case FIELD_CHOICE:
        return json_is_string(value);
    case FIELD_REALS:
        return array_holds(value, true) && json_array_size(value) <= FIELD_REALS_LIMIT;
    case FIELD_STRINGS:
        return array_holds(value, false);
    }
    return false;
}

/* Every element goes through the text form, so that range and choice are checked in one place. */
static lmu_status field_from_json(const Field *field, void *values, const json_t *value)
{
    char text[FIELD_REALS_LIMIT * 32] = "";
    size_t index, used = 0;
    json_t *item;
    switch (field->type) {
    case FIELD_FLAG:
        return field_set(field, values, json_is_true(value) ? "true" : "false");
    case FIELD_COUNT:
    case FIELD_BYTES:
        snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return field_set(field, values, text);
    case FIELD_DURATION:
    case FIELD_REAL:
        snprintf(text, sizeof text, "%.17g", json_number_value(value));
        return field_set(field, values, text);
    case FIELD_STRING:
        field_release(field, values);
        return json_is_null(value) ? LMU_OK : field_set(field, values, json_string_value(value));
    case FIELD_CHOICE:
        return field_set(field, values, json_string_value(value));
    case FIELD_REALS:
        json_array_foreach(value, index, item)
            used +=
                (size_t)snprintf(text + used, sizeof text - used, "%s%.17g", index ? "," : "", json_number_value(item));
        if (used)
            return field_set(field, values, text);
        field_empty(field, values);
        return LMU_OK;
    case FIELD_STRINGS:
        field_release(field, values);
        json_array_foreach(value, index, item)
            TRY(field_set(field, values, json_string_value(item)));
        return LMU_OK;
    }
    return LMU_OK;
}

lmu_status fields_from_json(const FieldTable *table, void *values, const char *origin, const json_t *object)
{
    if (!json_is_object(object))
        return error_set(LMU_FORMAT, "%s: an object of settings is expected", origin);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value) {
        const Field *field = fields_find(table, key);
        if (!field || field->positional || strcmp(field->name, key) != 0) {
            const char *nearest = fields_nearest(&table, 1, key);
            return error_set(LMU_FORMAT, "%s: unknown key \"%s\"%s%s%s", origin, key,
                             nearest ? "; did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
        }
        if (!field_json_fits(field->type, value))
            return error_set(LMU_FORMAT, "%s: key \"%s\" is not %s", origin, key, field_json_expected(field->type));
        lmu_status status = field_from_json(field, values, value);
        if (status != LMU_OK)
            return error_prefix(status == LMU_USAGE ? LMU_FORMAT : status, "%s: key \"%s\": ", origin, key);
        const Field *rival = field_rival(table, field);
        if (rival && !json_object_get(object, rival->name))
            field_empty(rival, values);
    }
    return LMU_OK;
}

static json_t *reals_to_json(const RealList *reals)
{
    json_t *list = json_array();
    for (int i = 0; list && i < reals->count; i++)
        if (json_array_append_new(list, json_real(reals->value[i])) != 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static json_t *strings_to_json(const StringList *strings)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < strings->count; i++)
        if (json_array_append_new(list, json_string(strings->value[i])) != 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static json_t *field_to_json(const Field *field, const void *values)
{
    const void *place = (const char *)values + field->offset;
    char choice[128];
    switch (field->type) {
    case FIELD_FLAG:
        return json_boolean(*(const bool *)place);
    case FIELD_COUNT:
    case FIELD_BYTES:
        return json_integer(*(const int64_t *)place);
    case FIELD_DURATION:
    case FIELD_REAL:
        return json_real(*(const double *)place);
    case FIELD_STRING:
        return *(char *const *)place ? json_string(*(char *const *)place) : json_null();
    case FIELD_CHOICE:
        field_format(field, values, choice, sizeof choice);
        return json_string(choice);
    case FIELD_REALS:
        return reals_to_json(place);
    case FIELD_STRINGS:
        return strings_to_json(place);
    }
    return NULL;
}

/* A number with no default and out of its range was never set. It is not written, so that reading it back is no error. */
static bool field_is_unset(const Field *field, const void *values)
{
    const void *place = (const char *)values + field->offset;
    if (field->initial || !field_is_bounded(field))
        return false;
    if (field->type == FIELD_COUNT || field->type == FIELD_BYTES)
        return *(const int64_t *)place == 0 && field->low > 0;
    if (field->type == FIELD_REAL || field->type == FIELD_DURATION)
        return *(const double *)place == 0 && field->low > 0;
    return false;
}

lmu_status fields_to_json(const FieldTable *table, const void *values, json_t *object)
{
    for (size_t i = 0; i < table->count; i++) {
        const Field *field = &table->fields[i];
        if (field->positional || field_is_unset(field, values))
            continue;
        if (json_object_set_new(object, field->name, field_to_json(field, values)) != 0)
            return error_set(LMU_FORMAT, "%s cannot be written as JSON: it is neither UTF-8 nor a finite number",
                             field->name);
    }
    return LMU_OK;
}

lmu_status fields_differing(const FieldTable *table, const void *values, void *defaults, json_t *object)
{
    TRY(fields_init(table, defaults));
    for (size_t i = 0; i < table->count; i++) {
        const Field *field = &table->fields[i];
        char now[2048], then[2048];
        field_format(field, values, now, sizeof now);
        field_format(field, defaults, then, sizeof then);
        if (strcmp(now, then) != 0)
            json_object_set_new(object, field->name, json_string(now));
    }
    fields_free(table, defaults);
    return LMU_OK;
}
