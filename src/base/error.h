/* Errors: a function that can fail returns lmu_status; the message goes to the thread's error slot.
 *
 *     TRY(file_read(path, limit, &data, &size));          leave at once with the callee's status
 *     ATTEMPT(file_read(path, limit, &data, &size));      the same, through the label `done`, with `status` set
 *
 * A message says what was wrong, where (file, offset, key) and what to do. */
#ifndef LMU_BASE_ERROR_H
#define LMU_BASE_ERROR_H

#include "lmu.h"

/* Sets the thread's message from a printf format and returns `status`, so that `return error_set(...)` reads well. */
lmu_status error_set(lmu_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts text before the thread's message ("FILE: " before "bad magic") and returns `status`; does nothing on LMU_OK. */
lmu_status error_prefix(lmu_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Forgets the thread's message. */
void error_clear(void);

#define TRY(call)                                                                                                      \
    do {                                                                                                               \
        lmu_status try_status = (call);                                                                                \
        if (try_status != LMU_OK)                                                                                      \
            return try_status;                                                                                         \
    } while (0)

#define ATTEMPT(call)                                                                                                  \
    do {                                                                                                               \
        if ((status = (call)) != LMU_OK)                                                                               \
            goto done;                                                                                                 \
    } while (0)

#endif
