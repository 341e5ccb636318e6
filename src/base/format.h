/* Numbers and names as people write and read them. */
#ifndef LMU_BASE_FORMAT_H
#define LMU_BASE_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Parses a count such as "8000", "20M", "1.5k", "2G" (decimal units; the value must be whole). False if it is none. */
bool parse_count(const char *text, int64_t *out);
/* Parses bytes: a count, or with Ki, Mi, Gi (binary). */
bool parse_bytes(const char *text, int64_t *out);
/* Parses a duration: "90" (seconds), "90s", "10m", "1.5h", "2d". In seconds. */
bool parse_duration(const char *text, double *out);
/* Parses a finite real number, the whole text. */
bool parse_real(const char *text, double *out);
/* Copies text with \n, \r, \t and \\ replaced by what they stand for; `out` has room for the text, or is the text. False if a
 * backslash is followed by anything else. */
bool parse_escapes(const char *text, char *out);

/* Into `out` (32 bytes at least), returned: 1234567 as "1.23 M", 5.0e9 bytes as "4.66 GiB", 3725 s as "1:02:05". */
char *format_count(double value, char *out, size_t size);
char *format_bytes(double bytes, char *out, size_t size);
char *format_duration(double seconds, char *out, size_t size);

/* The name of `names` (count of them) nearest to `name` by edit distance, if near enough to suggest; else NULL. */
const char *name_nearest(const char *name, const char *const *names, size_t count);
/* "; did you mean 'NAME'?" of the nearest for the end of a message, "" where none is near. Into `out`, returned. */
#define SUGGESTION_SIZE 96
char *name_suggestion(const char *name, const char *const *names, size_t count, char out[SUGGESTION_SIZE]);

#endif
