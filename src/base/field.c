#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/field_internal.h"
#include "base/format.h"
#include "base/memory.h"

static void *field_place(const Field *field, void *values)
{
    return (char *)values + field->offset;
}

static const void *field_place_const(const Field *field, const void *values)
{
    return (const char *)values + field->offset;
}

bool field_is_bounded(const Field *field)
{
    return field->low != 0 || field->high != 0;
}

static bool field_contains(const Field *field, double value)
{
    return !field_is_bounded(field) || (value >= field->low && value <= field->high);
}

void field_bound_format(double bound, char *out, size_t size)
{
    bool whole = bound > -1e15 && bound < 1e15 && bound == (double)(int64_t)bound;
    snprintf(out, size, whole ? "%.0f" : "%g", bound);
}

static lmu_status field_refuse_range(const Field *field, const char *text)
{
    char low[32], high[32];
    field_bound_format(field->low, low, sizeof low);
    field_bound_format(field->high, high, sizeof high);
    return error_set(LMU_USAGE, "%s is out of range; it goes from %s to %s", text, low, high);
}

static lmu_status field_refuse_text(const char *text, const char *expected)
{
    if (!*text)
        return error_set(LMU_USAGE, "an empty value; %s is expected", expected);
    return error_set(LMU_USAGE, "'%s' is not %s", text, expected);
}

static lmu_status strings_add(StringList *list, const char *text)
{
    TRY(memory_grow(&list->value, &list->capacity, list->count + 1, sizeof *list->value, "a list of names"));
    char *copy = strdup(text);
    if (!copy)
        return error_set(LMU_MEMORY, "no memory for a name");
    list->value[list->count++] = copy;
    return LMU_OK;
}

void field_release(const Field *field, void *values)
{
    if (field->type == FIELD_STRING) {
        char **text = field_place(field, values);
        free(*text);
        *text = NULL;
    } else if (field->type == FIELD_STRINGS) {
        StringList *list = field_place(field, values);
        for (size_t i = 0; i < list->count; i++)
            free(list->value[i]);
        free(list->value);
        *list = (StringList){0};
    }
}

static lmu_status flag_set(bool *flag, const char *text)
{
    static const char *const words[2][4] = {{"false", "no", "off", "0"}, {"true", "yes", "on", "1"}};
    for (int value = 0; value < 2; value++)
        for (int i = 0; i < 4; i++)
            if (!strcmp(text, words[value][i])) {
                *flag = value;
                return LMU_OK;
            }
    return field_refuse_text(text, "true or false");
}

static lmu_status whole_set(const Field *field, int64_t *place, const char *text)
{
    bool bytes = field->type == FIELD_BYTES;
    int64_t value;
    if (!(bytes ? parse_bytes : parse_count)(text, &value)) {
        double real;
        if (parse_real(text, &real) && field_is_bounded(field) && !field_contains(field, real))
            return field_refuse_range(field, text);
        return field_refuse_text(text, bytes ? "a number of bytes (such as 4096, 64Mi or 4Gi)"
                                             : "a whole number (such as 8000, 1.5k or 20M)");
    }
    if (!field_contains(field, (double)value))
        return field_refuse_range(field, text);
    *place = value;
    return LMU_OK;
}

static lmu_status real_set(const Field *field, double *place, const char *text)
{
    bool duration = field->type == FIELD_DURATION;
    double value;
    if (!(duration ? parse_duration : parse_real)(text, &value))
        return field_refuse_text(text, duration ? "a duration (such as 90s, 10m or 1.5h)" : "a number");
    if (!field_contains(field, value))
        return field_refuse_range(field, text);
    *place = value;
    return LMU_OK;
}

static lmu_status string_set(char **place, const char *text)
{
    char *copy = strdup(text);
    if (!copy)
        return error_set(LMU_MEMORY, "no memory for a name");
    free(*place);
    *place = copy;
    return LMU_OK;
}

/* Steps to the next of "a|b|c"; NULL after the last. */
static const char *choice_next(const char *choice)
{
    choice += strcspn(choice, "|");
    return *choice ? choice + 1 : NULL;
}

static int choice_find(const char *choices, const char *text)
{
    int index = 0;
    for (const char *choice = choices; choice; choice = choice_next(choice), index++)
        if (strlen(text) == strcspn(choice, "|") && !strncmp(text, choice, strlen(text)))
            return index;
    return -1;
}

static void choice_format(const char *choices, int index, char *out, size_t size)
{
    const char *choice = choices;
    while (choice && index-- > 0)
        choice = choice_next(choice);
    snprintf(out, size, "%.*s", choice ? (int)strcspn(choice, "|") : 1, choice ? choice : "?");
}

static lmu_status choice_set(const Field *field, int *place, const char *text)
{
    int index = choice_find(field->choices, text);
    if (index < 0)
        return error_set(LMU_USAGE, "'%s' is none of %s", text, field->choices);
    *place = index;
    return LMU_OK;
}

static lmu_status reals_set(const Field *field, RealList *place, const char *text)
{
    RealList list = {0};
    char number[64];
    for (const char *start = text;; start++) {
        size_t length = strcspn(start, ",");
        if (list.count == FIELD_REALS_LIMIT)
            return error_set(LMU_USAGE, "more than %d numbers in a list", FIELD_REALS_LIMIT);
        if (length >= sizeof number)
            return field_refuse_text(text, "a list of numbers (such as 32 or 16,32,64)");
        memcpy(number, start, length);
        number[length] = '\0';
        double *value = &list.value[list.count++];
        if (!parse_real(number, value))
            return field_refuse_text(text, "a list of numbers (such as 32 or 16,32,64)");
        if (!field_contains(field, *value))
            return field_refuse_range(field, number);
        start += length;
        if (!*start)
            break;
    }
    *place = list;
    return LMU_OK;
}

lmu_status field_set(const Field *field, void *values, const char *text)
{
    void *place = field_place(field, values);
    switch (field->type) {
    case FIELD_FLAG:
        return flag_set(place, text);
    case FIELD_COUNT:
    case FIELD_BYTES:
        return whole_set(field, place, text);
    case FIELD_DURATION:
    case FIELD_REAL:
        return real_set(field, place, text);
    case FIELD_STRING:
        return string_set(place, text);
    case FIELD_CHOICE:
        return choice_set(field, place, text);
    case FIELD_REALS:
        return reals_set(field, place, text);
    case FIELD_STRINGS:
        return strings_add(place, text);
    }
    return error_set(LMU_USAGE, "a field of no known type");
}

static size_t field_size(FieldType type)
{
    static const size_t sizes[] = {
        [FIELD_FLAG] = sizeof(bool),       [FIELD_COUNT] = sizeof(int64_t),  [FIELD_BYTES] = sizeof(int64_t),
        [FIELD_DURATION] = sizeof(double), [FIELD_REAL] = sizeof(double),    [FIELD_STRING] = sizeof(char *),
        [FIELD_CHOICE] = sizeof(int),      [FIELD_REALS] = sizeof(RealList), [FIELD_STRINGS] = sizeof(StringList),
    };
    return sizes[type];
}

lmu_status fields_init(const FieldTable *table, void *values)
{
    for (size_t i = 0; i < table->count; i++)
        memset(field_place(&table->fields[i], values), 0, field_size(table->fields[i].type));
    for (size_t i = 0; i < table->count; i++) {
        const Field *field = &table->fields[i];
        lmu_status status = field->initial ? field_set(field, values, field->initial) : LMU_OK;
        if (status != LMU_OK) {
            fields_free(table, values);
            return error_prefix(status, "default of %s: ", field->name);
        }
    }
    return LMU_OK;
}

void fields_free(const FieldTable *table, void *values)
{
    for (size_t i = 0; i < table->count; i++)
        field_release(&table->fields[i], values);
}

bool field_is_named(const Field *field, const char *name, size_t length)
{
    if (strlen(field->name) != length)
        return false;
    for (size_t i = 0; i < length; i++)
        if ((field->name[i] == '-' ? '_' : field->name[i]) != (name[i] == '-' ? '_' : name[i]))
            return false;
    return true;
}

const Field *fields_find(const FieldTable *table, const char *name)
{
    for (size_t i = 0; i < table->count; i++)
        if (field_is_named(&table->fields[i], name, strlen(name)))
            return &table->fields[i];
    return NULL;
}

const Field *field_rival(const FieldTable *table, const Field *field)
{
    return field->empties ? fields_find(table, field->empties) : NULL;
}

void field_empty(const Field *list, void *values)
{
    ((RealList *)field_place(list, values))->count = 0;
}

const char *fields_nearest(const FieldTable *const *tables, size_t count, const char *name)
{
    enum { LIMIT = 256 };
    const char *names[LIMIT];
    size_t known = 0;
    for (size_t t = 0; t < count; t++)
        for (size_t i = 0; i < tables[t]->count && known < LIMIT; i++)
            if (!tables[t]->fields[i].positional)
                names[known++] = tables[t]->fields[i].name;
    return name_nearest(name, names, known);
}

lmu_status fields_set(const FieldTable *table, void *values, const char *name, const char *text)
{
    const Field *field = fields_find(table, name);
    if (field)
        return error_prefix(field_set(field, values, text), "%s: ", field->name);
    const char *nearest = fields_nearest(&table, 1, name);
    return error_set(LMU_USAGE, "%s: no field has the name %s%s%s%s", table->title, name,
                     nearest ? "; did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
}

/* Appends to out; what does not fit is cut. */
static void text_append(char *out, size_t size, const char *separator, const char *text)
{
    size_t used = strlen(out);
    if (used + 1 < size)
        snprintf(out + used, size - used, "%s%s", used ? separator : "", text);
}

/* The shortest decimal that reads back as the same number. */
static void real_format(double value, char *out, size_t size)
{
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(out, size, "%.*g", digits, value);
        if (strtod(out, NULL) == value)
            return;
    }
}

void field_format(const Field *field, const void *values, char *out, size_t size)
{
    const void *place = field_place_const(field, values);
    const RealList *reals = place;
    const StringList *strings = place;
    char number[40];
    if (!size)
        return;
    *out = '\0';
    switch (field->type) {
    case FIELD_FLAG:
        snprintf(out, size, "%s", *(const bool *)place ? "true" : "false");
        break;
    case FIELD_COUNT:
    case FIELD_BYTES:
        snprintf(out, size, "%" PRId64, *(const int64_t *)place);
        break;
    case FIELD_DURATION:
    case FIELD_REAL:
        real_format(*(const double *)place, out, size);
        break;
    case FIELD_STRING:
        snprintf(out, size, "%s", *(char *const *)place ? *(char *const *)place : "");
        break;
    case FIELD_CHOICE:
        choice_format(field->choices, *(const int *)place, out, size);
        break;
    case FIELD_REALS:
        for (int i = 0; i < reals->count; i++) {
            real_format(reals->value[i], number, sizeof number);
            text_append(out, size, ",", number);
        }
        break;
    case FIELD_STRINGS:
        for (size_t i = 0; i < strings->count; i++)
            text_append(out, size, " ", strings->value[i]);
        break;
    }
}
