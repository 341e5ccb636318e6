/* A corpus file of each kind (the first byte chooses): read to its end, and once more with what is bad skipped; the good
 * documents are the same up to the first bad one. */
#include "fuzz_input.h"
#include "text/corpus.h"

/* The number of documents that end; -1: a failure. */
static int documents_count(char *path, int skip)
{
    Corpus *corpus;
    Document document;
    int count = 0;
    lmu_status status = corpus_open(&path, 1, &corpus);
    fuzz_require(status == LMU_OK);
    if (skip)
        corpus_skip_bad(corpus);
    while ((status = corpus_next(corpus, &document)) == LMU_OK && document.text) {
        count += !document.continues && !document.spoilt;
        free(document.text);
    }
    fuzz_require(status == LMU_OK || lmu_error_message()[0] != '\0');
    corpus_close(corpus);
    return status == LMU_OK ? count : -1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const endings[] = {"txt", "jsonl", "txt.zst", "jsonl.zst"};
    char path[64], link[32];
    if (size == 0)
        return 0;
    int fd = fuzz_input(data + 1, size - 1, link);
    snprintf(path, sizeof path, "/tmp/lmu-fuzz-%ld.%s", (long)getpid(), endings[data[0] % 4]);
    unlink(path);
    fuzz_require(symlink(link, path) == 0);
    int strict = documents_count(path, 0), skipping = documents_count(path, 1);
    fuzz_require(skipping >= 0 && (strict < 0 || strict == skipping));
    unlink(path);
    close(fd);
    return 0;
}
