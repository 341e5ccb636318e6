/* Preparing data: texts become DIR/train.bin and DIR/valid.bin (token shards) and DIR/tokenizer.json (what made them). Each
 * document is followed by the end-of-text token. DIR appears whole or not at all: it is written beside its place, as
 * DIR.PID.new, and renamed; a DIR that prepare wrote before is replaced, one that holds anything else is refused. What a
 * process that was killed has left there is removed by the next that writes the same DIR.
 *
 * The inputs are read once, as a stream. Held-out documents: with n documents, round(n * valid_fraction) of them, at least one
 * and not all, chosen by the seed. A single document is cut instead, near the fraction: its last part is held out. The result
 * depends on the inputs, the tokenizer and the options, never on the number of threads. */
#ifndef LMU_TEXT_PREPARE_H
#define LMU_TEXT_PREPARE_H

#include <stdint.h>

#include "base/progress.h"
#include "text/corpus.h"
#include "text/tokenizer.h"

#define PREPARE_TRAIN "train.bin"
#define PREPARE_VALID "valid.bin"
#define PREPARE_TOKENIZER "tokenizer.json"

/* Whether `directory` holds what prepare writes, all three by name; LMU_IO says what is missing. */
lmu_status prepare_check(const char *directory);

typedef struct PrepareOptions {
    char *const *inputs; /* as corpus_open() takes them */
    size_t input_count;
    char *const *valid_inputs; /* held-out text of its own; count 0: some of the inputs' documents */
    size_t valid_count;
    double valid_fraction; /* above 0, below 1; 0: 0.05 */
    uint64_t seed;
    const char *field; /* of .jsonl lines; NULL: "text" */
    bool specials;     /* text that spells a special token becomes that token */
    bool deduplicate;  /* a document that occurred before is dropped, a held-out one too that is also training text */
    bool skip_bad;     /* documents and files that cannot be read are dropped and counted, not errors */
    int threads;       /* 0: as many as the machine allows */
    const char *out;
} PrepareOptions;

typedef struct PrepareSide {
    int64_t documents, bytes, tokens; /* tokens with those of end of text */
} PrepareSide;

/* Documents dropped for one reason. */
typedef struct PrepareDropped {
    int64_t count;
    char first[256]; /* the message about the first of them; "" if there is none */
} PrepareDropped;

typedef struct PrepareResult {
    PrepareSide train, valid;
    int64_t duplicates;                    /* documents dropped because they had occurred before */
    PrepareDropped skipped[CORPUS_FAULTS]; /* by CorpusFault */
} PrepareResult;

lmu_status prepare_run(const PrepareOptions *options, const Tokenizer *tokenizer, Progress *progress,
                       PrepareResult *result);

#endif
