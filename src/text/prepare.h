/* Preparing data: texts become DIR/train.bin and DIR/valid.bin (token shards) and DIR/tokenizer.json (what made them). Each
 * document is followed by the end-of-text token. DIR appears whole or not at all: it is written beside its place and renamed;
 * a DIR that prepare wrote before is replaced, one that holds anything else is refused.
 *
 * Held-out documents: with n documents, round(n * valid_fraction) of them, at least one and not all, chosen by the seed. A
 * single document is cut instead: its last part is held out, from the line break next to the fraction. The result depends on
 * the inputs, the tokenizer and the options, never on the number of threads. */
#ifndef LMU_TEXT_PREPARE_H
#define LMU_TEXT_PREPARE_H

#include <stdint.h>

#include "base/progress.h"
#include "text/tokenizer.h"

#define PREPARE_TRAIN "train.bin"
#define PREPARE_VALID "valid.bin"
#define PREPARE_TOKENIZER "tokenizer.json"

typedef struct PrepareOptions {
    char *const *inputs; /* as corpus_open() takes them */
    size_t input_count;
    char *const *valid_inputs; /* held-out text of its own; count 0: some of the inputs' documents */
    size_t valid_count;
    double valid_fraction; /* above 0, below 1; 0: 0.05 */
    uint64_t seed;
    int threads; /* 0: as many as the machine allows */
    const char *out;
} PrepareOptions;

typedef struct PrepareSide {
    int64_t documents, bytes, tokens; /* tokens with those of end of text */
} PrepareSide;

typedef struct PrepareResult {
    PrepareSide train, valid;
} PrepareResult;

lmu_status prepare_run(const PrepareOptions *options, const Tokenizer *tokenizer, Progress *progress,
                       PrepareResult *result);

#endif
