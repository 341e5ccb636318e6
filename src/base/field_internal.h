/* What the files of the field tables share; not for other modules. */
#ifndef LMU_BASE_FIELD_INTERNAL_H
#define LMU_BASE_FIELD_INTERNAL_H

#include "base/field.h"

#define FIELD_REALS_LIMIT ((int)(sizeof((RealList *)0)->value / sizeof(double)))

/* Sets a field from text (a list of strings grows by one); LMU_USAGE with a message that lacks the field's name. */
lmu_status field_set(const Field *field, void *values, const char *text);
/* Frees what the field owns and leaves it unset; does nothing to numbers. */
void field_release(const Field *field, void *values);

/* The list that is to become empty where this field is given; NULL for most. */
const Field *field_rival(const FieldTable *table, const Field *field);
void field_empty(const Field *list, void *values);

/* Whether `length` letters of `name` spell the field's name; - and _ are one letter. */
bool field_is_named(const Field *field, const char *name, size_t length);
/* The name of a field that is no positional one and nearest to `name`; NULL when none is near. */
const char *fields_nearest(const FieldTable *const *tables, size_t count, const char *name);

bool field_is_bounded(const Field *field); /* a range of 0 to 0 is none */
/* One end of the range, as a user would write it. */
void field_bound_format(double bound, char *out, size_t size);

#endif
