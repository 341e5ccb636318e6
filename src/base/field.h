/* Field tables: one table (name, type, default, range, help) describes a configuration struct, and from it come the
 * command line, the JSON file, the checkpoint's copy, --help and docs/cli.md. Nothing about an option is written twice.
 *
 *     typedef struct { int64_t dim; double lr; char *out; } Example;
 *     static const Field example_fields[] = {
 *         FIELD_COUNT_OF(Example, dim, "128", 1, 65536, "channels", "width of the residual stream"),
 *         FIELD_REAL_OF(Example, lr, "2e-3", 0, 10, NULL, "peak learning rate"),
 *         FIELD_STRING_OF(Example, out, NULL, "DIR", "where the run is written"),
 *     };
 *     static const FieldTable example_table = {"Example", example_fields, 3};
 *
 * A field named weight_decay is the JSON key weight_decay and the option --weight-decay. */
#ifndef LMU_BASE_FIELD_H
#define LMU_BASE_FIELD_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"

typedef enum FieldType {
    FIELD_FLAG,     /* bool; --name sets it, --no-name clears it */
    FIELD_COUNT,    /* int64_t; accepts 20M, 1.5k */
    FIELD_BYTES,    /* int64_t; accepts 4Gi */
    FIELD_DURATION, /* double, seconds; accepts 10m, 1.5h */
    FIELD_REAL,     /* double */
    FIELD_STRING,   /* char *, owned by the struct; NULL when unset */
    FIELD_CHOICE,   /* int: index into choices "a|b|c" */
    FIELD_REALS,    /* RealList: "32" or "16,32,64"; every element in range */
    FIELD_STRINGS,  /* StringList: the option may be given several times */
} FieldType;

typedef struct RealList {
    int count;
    double value[64];
} RealList;

typedef struct StringList {
    size_t count, capacity;
    char **value;
} StringList;

typedef struct Field {
    const char *name;
    FieldType type;
    size_t offset;       /* in the struct */
    const char *initial; /* default, written as a user would; NULL: none (0, NULL, empty) */
    double low, high;    /* range of numbers, inclusive */
    const char *choices; /* FIELD_CHOICE: "a|b|c" */
    const char *unit;    /* "channels", "FILE", "tokens": shown after the option in help */
    const char *help;    /* one sentence, no full stop */
    const char *empties; /* a list that says the same in another way; see fields_parse */
    bool positional;     /* filled by arguments that are no options, in table order; FIELD_STRINGS takes the rest */
    bool required;
} Field;

typedef struct FieldTable {
    const char *title; /* heading in --help: "Training" */
    const Field *fields;
    size_t count;
} FieldTable;

#define FIELD_FLAG_OF(S, m, init, text)                                                                                \
    {                                                                                                                  \
        .name = #m, .type = FIELD_FLAG, .offset = offsetof(S, m), .initial = (init), .help = (text)                    \
    }
#define FIELD_NUMBER_OF(kind, S, m, init, lo, hi, unit_, text)                                                         \
    {                                                                                                                  \
        .name = #m, .type = (kind), .offset = offsetof(S, m), .initial = (init), .low = (lo), .high = (hi),            \
        .unit = (unit_), .help = (text)                                                                                \
    }
#define FIELD_COUNT_OF(S, m, init, lo, hi, unit_, text) FIELD_NUMBER_OF(FIELD_COUNT, S, m, init, lo, hi, unit_, text)
#define FIELD_REAL_OF(S, m, init, lo, hi, unit_, text) FIELD_NUMBER_OF(FIELD_REAL, S, m, init, lo, hi, unit_, text)
#define FIELD_REALS_OF(S, m, init, lo, hi, unit_, text) FIELD_NUMBER_OF(FIELD_REALS, S, m, init, lo, hi, unit_, text)
#define FIELD_CHOICE_OF(S, m, init, names, text)                                                                       \
    {                                                                                                                  \
        .name = #m, .type = FIELD_CHOICE, .offset = offsetof(S, m), .initial = (init), .choices = (names),             \
        .help = (text)                                                                                                 \
    }
#define FIELD_STRING_OF(S, m, init, unit_, text)                                                                       \
    {                                                                                                                  \
        .name = #m, .type = FIELD_STRING, .offset = offsetof(S, m), .initial = (init), .unit = (unit_), .help = (text) \
    }

/* A table together with the struct it describes: what the command line fills. */
typedef struct FieldGroup {
    const FieldTable *table;
    void *values;
} FieldGroup;

/* Sets every field to its default (the struct is zeroed where fields have none). Call once before anything else. */
lmu_status fields_init(const FieldTable *table, void *values);
/* Frees what strings and lists own. */
void fields_free(const FieldTable *table, void *values);

/* Sets one field from text; `name` may be written with - or _. LMU_USAGE: no such field (the nearest is named), text that
 * is none of its type, out of range (the range is named). */
lmu_status fields_set(const FieldTable *table, void *values, const char *name, const char *text);
const Field *fields_find(const FieldTable *table, const char *name);
/* The field's value as text that fields_set accepts. */
void field_format(const Field *field, const void *values, char *out, size_t size);

/* Reads an object: unknown keys, wrong types and values out of range are LMU_FORMAT naming origin and key; missing keys
 * keep their value, but a list becomes empty whose place another key takes (Field.empties). */
lmu_status fields_from_json(const FieldTable *table, void *values, const char *origin, const json_t *object);
/* Adds every non-positional field to an object, but numbers that have no default and were never set. */
lmu_status fields_to_json(const FieldTable *table, const void *values, json_t *object);
/* Adds, as text, the fields that are not at the table's default: an identity that options which come to the program later leave alone.
 * `defaults` is a struct of the same kind to work with. */
lmu_status fields_differing(const FieldTable *table, const void *values, void *defaults, json_t *object);

/* Parses a command line (argv[0] is skipped) into several groups: "--name value", "--name=value", "--flag", "--no-flag", "--"
 * ends options; a negative number is a value. LMU_USAGE: unknown option (nearest named), value missing or bad, a
 * required field that was not given, an argument too many. A field with `empties` takes the place of that FIELD_REALS of its table:
 * given, it leaves the list empty, and both together are LMU_USAGE. *help is set, and nothing more is checked, on --help or -h. */
lmu_status fields_parse(const FieldGroup *groups, size_t count, int argc, char *const *argv, bool *help);

/* The options of the groups as the body of --help, and as a Markdown table. */
void fields_help(FILE *out, const FieldGroup *groups, size_t count);
void fields_markdown(FILE *out, const FieldGroup *groups, size_t count);

#endif
