/* What the tests of src/text share: a scratch folder, files in it, and failures with their messages. */
#ifndef LMU_TESTS_TEXT_TESTING_H
#define LMU_TESTS_TEXT_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"

static char scratch[64]; /* the folder; "" before scratch_open() */

static inline int scratch_open(void **state)
{
    (void)state;
    snprintf(scratch, sizeof scratch, "/tmp/lmu-test-XXXXXX");
    return mkdtemp(scratch) ? 0 : -1;
}

static inline int scratch_close(void **state)
{
    (void)state;
    return directory_remove(scratch) == LMU_OK ? 0 : -1;
}

/* The path of a name in the scratch folder; 64 of them may be in use at a time. */
static inline char *scratch_path(const char *name)
{
    static char path[64][256];
    static int next;
    next = (next + 1) % 64;
    snprintf(path[next], sizeof path[next], "%s/%s", scratch, name);
    return path[next];
}

static inline char *scratch_write(const char *name, const void *data, size_t size)
{
    char *path = scratch_path(name);
    assert_int_equal(file_write(path, data, size), LMU_OK);
    return path;
}

static inline char *scratch_text(const char *name, const char *text)
{
    return scratch_write(name, text, strlen(text));
}

static inline void assert_done(lmu_status status)
{
    if (status != LMU_OK)
        fail_msg("status %d: %s", (int)status, lmu_error_message());
}

/* The call failed with this status, and its message holds this part. */
static inline void assert_refused(lmu_status got, lmu_status expected, const char *part)
{
    if (got != expected || !strstr(lmu_error_message(), part))
        fail_msg("status %d (expected %d): \"%s\" should hold \"%s\"", (int)got, (int)expected, lmu_error_message(),
                 part);
}

#endif
