/* The bytes of a fuzzer as a file: our readers open paths, and a file in memory has one. */
#ifndef TESTS_FUZZ_FUZZ_INPUT_H
#define TESTS_FUZZ_FUZZ_INPUT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A fresh file with these bytes; its path into out. Close the returned descriptor to be rid of it. */
static inline int fuzz_input(const uint8_t *data, size_t size, char out[32])
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    snprintf(out, 32, "/proc/self/fd/%d", fd);
    return fd;
}

/* A failure without a message is a bug of its own. */
static inline void fuzz_require(int condition)
{
    if (!condition)
        abort();
}

#endif
