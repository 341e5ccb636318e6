#include "base/format.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Reads [+-]digits[.digits][e[+-]digits] exactly: the value is *mantissa * 10^*power. Returns the rest of the text, NULL
 * when there is no number or it has too many digits. */
static const char *decimal_scan(const char *text, int64_t *mantissa, int *power)
{
    bool negative = *text == '-';
    if (*text == '-' || *text == '+')
        text++;
    int digits = 0, zeros = 0; /* zeros after the point are kept back: they count only if a digit follows */
    bool point = false;
    for (*mantissa = 0, *power = 0;; text++) {
        if (*text == '.' && !point) {
            point = true;
            continue;
        }
        if (!isdigit((unsigned char)*text))
            break;
        digits++;
        zeros++;
        if (point && *text == '0')
            continue;
        for (; zeros; zeros--, *power -= point)
            if (__builtin_mul_overflow(*mantissa, 10, mantissa))
                return NULL;
        if (__builtin_add_overflow(*mantissa, *text - '0', mantissa))
            return NULL;
    }
    if (!digits)
        return NULL;
    if (*text == 'e' || *text == 'E') {
        char *end;
        long exponent = isspace((unsigned char)text[1]) ? 0 : strtol(text + 1, &end, 10);
        if (isspace((unsigned char)text[1]) || end == text + 1 || exponent < -99 || exponent > 99)
            return NULL;
        *power += (int)exponent;
        text = end;
    }
    if (negative)
        *mantissa = -*mantissa;
    return text;
}

/* mantissa * 10^power * unit when that is a whole number of 64 bits. */
static bool whole_value(int64_t mantissa, int power, int64_t unit, int64_t *out)
{
    int64_t value;
    if (__builtin_mul_overflow(mantissa, unit, &value))
        return false;
    for (; power > 0 && value; power--)
        if (__builtin_mul_overflow(value, 10, &value))
            return false;
    for (; power < 0 && value; power++, value /= 10)
        if (value % 10)
            return false;
    *out = value;
    return true;
}

/* The power of ten that a decimal suffix stands for; -1 if it is none. */
static int decimal_suffix(const char *suffix)
{
    if (!*suffix)
        return 0;
    const char *const letters = "kMGT";
    const char *found = strchr(letters, *suffix == 'K' ? 'k' : *suffix);
    return found && !suffix[1] ? 3 * (int)(found - letters + 1) : -1;
}

bool parse_count(const char *text, int64_t *out)
{
    int64_t mantissa;
    int power;
    const char *suffix = decimal_scan(text, &mantissa, &power);
    int scale = suffix ? decimal_suffix(suffix) : -1;
    return scale >= 0 && whole_value(mantissa, power + scale, 1, out);
}

bool parse_bytes(const char *text, int64_t *out)
{
    int64_t mantissa;
    int power;
    const char *rest = decimal_scan(text, &mantissa, &power);
    if (!rest || strlen(rest) > 3)
        return false;
    char suffix[4];
    strcpy(suffix, rest);
    size_t length = strlen(suffix);
    if (length && suffix[length - 1] == 'B')
        suffix[--length] = '\0';
    int64_t unit = 1;
    if (length == 2 && suffix[1] == 'i') {
        suffix[1] = '\0';
        int scale = decimal_suffix(suffix);
        return scale > 0 && whole_value(mantissa, power, unit << (scale / 3 * 10), out);
    }
    int scale = decimal_suffix(suffix);
    return scale >= 0 && whole_value(mantissa, power + scale, unit, out);
}

/* A finite decimal number at the start of the text; the rest, or NULL. Hexadecimal, "inf" and "nan" are none. */
static const char *real_scan(const char *text, double *out)
{
    const char *c = text + (*text == '-' || *text == '+');
    if (!isdigit((unsigned char)*c) && !(*c == '.' && isdigit((unsigned char)c[1])))
        return NULL;
    if (*c == '0' && (c[1] == 'x' || c[1] == 'X'))
        return NULL;
    char *end;
    *out = strtod(text, &end);
    return isfinite(*out) ? end : NULL;
}

bool parse_duration(const char *text, double *out)
{
    const char *suffix = real_scan(text, out);
    if (!suffix || (*suffix && suffix[1]))
        return false;
    switch (*suffix) {
    case 'd':
        *out *= 24; /* fall through */
    case 'h':
        *out *= 60; /* fall through */
    case 'm':
        *out *= 60; /* fall through */
    case 's':
    case '\0':
        return isfinite(*out);
    default:
        return false;
    }
}

bool parse_real(const char *text, double *out)
{
    const char *rest = real_scan(text, out);
    return rest && !*rest;
}

/* Three digits and a unit. A value that would round up to `step` takes the next unit. */
static char *format_scaled(double value, double step, const char *const *units, size_t count, char *out, size_t size)
{
    if (!isfinite(value)) {
        snprintf(out, size, "?");
        return out;
    }
    size_t unit = 0;
    while (unit + 1 < count && fabs(value) >= step - 0.5) {
        value /= step;
        unit++;
    }
    double magnitude = fabs(value);
    int decimals = unit == 0 && value == floor(value) ? 0 : magnitude < 9.995 ? 2 : magnitude < 99.95 ? 1 : 0;
    snprintf(out, size, "%.*f%s%s", decimals, value, *units[unit] ? " " : "", units[unit]);
    return out;
}

bool parse_escapes(const char *text, char *out)
{
    static const char letters[] = "nrt\\", meanings[] = "\n\r\t\\";
    for (; *text; text++) {
        if (*text == '\\') {
            const char *letter = text[1] ? strchr(letters, text[1]) : NULL;
            if (!letter)
                return false;
            *out++ = meanings[letter - letters];
            text++;
        } else
            *out++ = *text;
    }
    *out = '\0';
    return true;
}

char *format_count(double value, char *out, size_t size)
{
    static const char *const units[] = {"", "k", "M", "G", "T", "P"};
    return format_scaled(value, 1000, units, sizeof units / sizeof *units, out, size);
}

char *format_bytes(double bytes, char *out, size_t size)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    return format_scaled(bytes, 1024, units, sizeof units / sizeof *units, out, size);
}

char *format_duration(double seconds, char *out, size_t size)
{
    if (!isfinite(seconds) || fabs(seconds) > 1e12) {
        snprintf(out, size, "?");
        return out;
    }
    long long whole = llround(fabs(seconds));
    const char *sign = seconds < 0 && whole ? "-" : "";
    if (whole < 3600)
        snprintf(out, size, "%s%lld:%02lld", sign, whole / 60, whole % 60);
    else
        snprintf(out, size, "%s%lld:%02lld:%02lld", sign, whole / 3600, whole / 60 % 60, whole % 60);
    return out;
}

enum { NAME_LIMIT = 64 };

/* Insertions, deletions, replacements and swaps of neighbours that turn a into b; - and _ are one letter. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t na = strlen(a), nb = strlen(b);
    if (na > NAME_LIMIT || nb > NAME_LIMIT)
        return SIZE_MAX;
    size_t row[3][NAME_LIMIT + 1]; /* rows i-2, i-1 and i of the table, by turns */
    for (size_t j = 0; j <= nb; j++)
        row[0][j] = j;
#define LETTER(c) ((c) == '-' ? '_' : tolower((unsigned char)(c)))
    for (size_t i = 1; i <= na; i++) {
        size_t *now = row[i % 3], *before = row[(i + 2) % 3], *earlier = row[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            size_t best = before[j - 1] + (LETTER(a[i - 1]) != LETTER(b[j - 1]));
            if (before[j] + 1 < best)
                best = before[j] + 1;
            if (now[j - 1] + 1 < best)
                best = now[j - 1] + 1;
            if (i > 1 && j > 1 && LETTER(a[i - 1]) == LETTER(b[j - 2]) && LETTER(a[i - 2]) == LETTER(b[j - 1]) &&
                earlier[j - 2] + 1 < best)
                best = earlier[j - 2] + 1;
            now[j] = best;
        }
    }
#undef LETTER
    return row[na % 3][nb];
}

const char *name_nearest(const char *name, const char *const *names, size_t count)
{
    const char *nearest = NULL;
    size_t length = strlen(name), limit = length < 3 ? 1 : (length + 2) / 3, least = limit + 1;
    for (size_t i = 0; i < count; i++) {
        size_t distance = edit_distance(name, names[i]);
        if (length >= 3 && distance > 1 && !strncmp(name, names[i], length))
            distance = 1; /* the beginning of a longer name is as good as a slip */
        if (distance < least) {
            least = distance;
            nearest = names[i];
        }
    }
    return nearest;
}

char *name_suggestion(const char *name, const char *const *names, size_t count, char out[SUGGESTION_SIZE])
{
    const char *nearest = name_nearest(name, names, count);
    snprintf(out, SUGGESTION_SIZE, "%s%s%s", nearest ? "; did you mean '" : "", nearest ? nearest : "",
             nearest ? "'?" : "");
    return out;
}
