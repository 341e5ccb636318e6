/* The command line into field tables. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/field_internal.h"
#include "base/memory.h"

/* The name of a field as an option, "--weight-decay". */
typedef struct OptionName {
    char text[80];
} OptionName;

static OptionName option_name(const char *prefix, const char *name)
{
    OptionName out;
    snprintf(out.text, sizeof out.text, "%s%s", prefix, name);
    for (char *c = out.text; *c; c++)
        if (*c == '_')
            *c = '-';
    return out;
}

typedef struct Parser {
    const FieldGroup *groups;
    size_t group_count;
    bool *given; /* for every field of every group, in order */
    int argc, next;
    char *const *argv;
} Parser;

/* A field of the groups, with where its values lie. */
typedef struct FieldSlot {
    const FieldTable *table;
    const Field *field;
    void *values;
    size_t number; /* index into Parser.given */
} FieldSlot;

/* Walks all fields: start from a zeroed slot with number 0; false at the end. */
static bool parser_slot(const Parser *parser, size_t number, FieldSlot *slot)
{
    size_t first = 0;
    for (size_t g = 0; g < parser->group_count; first += parser->groups[g++].table->count)
        if (number - first < parser->groups[g].table->count) {
            const FieldTable *table = parser->groups[g].table;
            *slot = (FieldSlot){table, &table->fields[number - first], parser->groups[g].values, number};
            return true;
        }
    return false;
}

static bool parser_find(const Parser *parser, const char *name, size_t length, FieldSlot *slot)
{
    for (size_t i = 0; parser_slot(parser, i, slot); i++)
        if (!slot->field->positional && field_is_named(slot->field, name, length))
            return true;
    return false;
}

static lmu_status parser_refuse_option(const Parser *parser, const char *argument)
{
    size_t dashes = strspn(argument, "-"), length = strcspn(argument + dashes, "=");
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)(length < sizeof name ? length : sizeof name - 1), argument + dashes);
    const FieldTable *tables[16];
    size_t count = 0;
    for (; count < parser->group_count && count < 16; count++)
        tables[count] = parser->groups[count].table;
    const char *nearest = fields_nearest(tables, count, name);
    if (!nearest)
        return error_set(LMU_USAGE, "unknown option %.*s; see --help", (int)(dashes + length), argument);
    return error_set(LMU_USAGE, "unknown option %.*s; did you mean %s?", (int)(dashes + length), argument,
                     option_name("--", nearest).text);
}

/* "-", "-5", "-.5", "-1e-3" and "" are values; other words that begin with a dash are options. */
static bool argument_is_option(const char *argument)
{
    if (argument[0] != '-' || !argument[1])
        return false;
    const char *digit = argument + 1 + (argument[1] == '.');
    return !isdigit((unsigned char)*digit);
}

static lmu_status parser_set(Parser *parser, const FieldSlot *slot, const char *text)
{
    const Field *field = slot->field;
    if (field->type == FIELD_STRINGS && !parser->given[slot->number])
        field_release(field, slot->values); /* what is given takes the place of the default */
    parser->given[slot->number] = true;
    return error_prefix(field_set(field, slot->values, text),
                        "%s: ", option_name(field->positional ? "" : "--", field->name).text);
}

static lmu_status parser_option(Parser *parser, const char *argument)
{
    if (strncmp(argument, "--", 2) != 0)
        return parser_refuse_option(parser, argument);
    const char *name = argument + 2, *equals = strchr(name, '=');
    size_t length = equals ? (size_t)(equals - name) : strlen(name);
    FieldSlot slot;
    if (parser_find(parser, name, length, &slot)) {
        if (equals)
            return parser_set(parser, &slot, equals + 1);
        if (slot.field->type == FIELD_FLAG)
            return parser_set(parser, &slot, "true");
        if (parser->next < parser->argc && !argument_is_option(parser->argv[parser->next]))
            return parser_set(parser, &slot, parser->argv[parser->next++]);
        if (parser->next == parser->argc)
            return error_set(LMU_USAGE, "%s: a value is missing", argument);
        return error_set(LMU_USAGE,
                         "%s: a value is missing before %s; a value that begins with a dash is written %s=VALUE",
                         argument, parser->argv[parser->next], argument);
    }
    if (length > 3 && !strncmp(name, "no-", 3) && parser_find(parser, name + 3, length - 3, &slot) &&
        slot.field->type == FIELD_FLAG) {
        if (equals)
            return error_set(LMU_USAGE, "--%.*s: takes no value", (int)length, name);
        return parser_set(parser, &slot, "false");
    }
    return parser_refuse_option(parser, argument);
}

static lmu_status parser_positional(Parser *parser, const char *argument)
{
    FieldSlot slot;
    for (size_t i = 0; parser_slot(parser, i, &slot); i++)
        if (slot.field->positional && (slot.field->type == FIELD_STRINGS || !parser->given[i]))
            return parser_set(parser, &slot, argument);
    return error_set(LMU_USAGE, "'%s': one argument too many", argument);
}

static lmu_status parser_require(const Parser *parser)
{
    FieldSlot slot;
    for (size_t i = 0; parser_slot(parser, i, &slot); i++) {
        const Field *field = slot.field;
        if (!field->required || parser->given[i])
            continue;
        if (field->positional)
            return error_set(LMU_USAGE, "%s is missing: %s", field->unit ? field->unit : field->name, field->help);
        return error_set(LMU_USAGE, "%s is missing: %s", option_name("--", field->name).text, field->help);
    }
    return LMU_OK;
}

/* Empties the lists in whose place something was given. */
static lmu_status parser_empty(const Parser *parser)
{
    FieldSlot slot;
    for (size_t i = 0; parser_slot(parser, i, &slot); i++) {
        const Field *rival = field_rival(slot.table, slot.field);
        const bool *given = &parser->given[i];
        if (!rival || !*given)
            continue;
        if (given[rival - slot.field])
            return error_set(LMU_USAGE, "%s and %s are two ways to say one thing: give one of them",
                             option_name("--", slot.field->name).text, option_name("--", rival->name).text);
        field_empty(rival, slot.values);
    }
    return LMU_OK;
}

static bool asks_for_help(int argc, char *const *argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
            return true;
    return false;
}

lmu_status fields_parse(const FieldGroup *groups, size_t count, int argc, char *const *argv, bool *help)
{
    *help = asks_for_help(argc, argv);
    if (*help)
        return LMU_OK;
    size_t fields = 0;
    for (size_t g = 0; g < count; g++)
        fields += groups[g].table->count;
    Parser parser = {.groups = groups, .group_count = count, .argc = argc, .next = 1, .argv = argv};
    TRY(memory_new(&parser.given, fields, sizeof *parser.given, "the command line"));
    lmu_status status = LMU_OK;
    bool options = true;
    while (status == LMU_OK && parser.next < argc) {
        const char *argument = argv[parser.next++];
        if (options && !strcmp(argument, "--"))
            options = false;
        else if (options && argument_is_option(argument))
            status = parser_option(&parser, argument);
        else
            status = parser_positional(&parser, argument);
    }
    if (status == LMU_OK)
        status = parser_require(&parser);
    if (status == LMU_OK)
        status = parser_empty(&parser);
    free(parser.given);
    return status;
}
