#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "fuzz_input.h"
#include "fuzz_tokenizer.h"

/* One folder for all inputs, in memory where /dev/shm is. */
static char folder[64];

static void folder_remove(void)
{
    directory_remove(folder);
}

static const char *folder_make(void)
{
    if (folder[0] == '\0') {
        snprintf(folder, sizeof folder, "/dev/shm/lmu-fuzz-XXXXXX");
        if (!mkdtemp(folder)) {
            snprintf(folder, sizeof folder, "/tmp/lmu-fuzz-XXXXXX");
            fuzz_require(mkdtemp(folder) != NULL);
        }
        atexit(folder_remove);
    }
    return folder;
}

static void folder_put(const char *name, const void *data, size_t size)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder_make(), name);
    FILE *file = fopen(path, "wb");
    fuzz_require(file != NULL && fwrite(data, 1, size, file) == size && fclose(file) == 0);
}

/* The input up to its first NUL is the vocabulary, the rest the merges. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[128];
    Tokenizer *tokenizer;
    const uint8_t *nul = size > 0 ? memchr(data, 0, size) : NULL;
    size_t vocabulary = nul ? (size_t)(nul - data) : size;
    folder_put("vocab.json", data, vocabulary);
    folder_put("merges.txt", nul ? nul + 1 : data, nul ? size - vocabulary - 1 : 0);
    snprintf(path, sizeof path, "%s/vocab.json", folder_make());
    if (tokenizer_open(path, &tokenizer) == LMU_OK) {
        fuzz_tokenizer_check(tokenizer, data, size);
        tokenizer_close(tokenizer);
    } else {
        fuzz_require(lmu_error_message()[0] != '\0');
    }
    return 0;
}
