#include "serve/random_id.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

lmu_status random_bytes(void *out, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t got = getrandom((char *)out + done, size - done, 0);
        if (got < 0 && errno != EINTR)
            return error_set(LMU_IO, "no random bits from the operating system: %s", strerror(errno));
        done += got > 0 ? (size_t)got : 0;
    }
    return LMU_OK;
}

lmu_status random_id(char *out, size_t digits)
{
    unsigned char bytes[32];
    size_t size = digits / 2 < sizeof bytes ? digits / 2 : sizeof bytes;
    TRY(random_bytes(bytes, size));
    for (size_t i = 0; i < size; i++)
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
    return LMU_OK;
}
