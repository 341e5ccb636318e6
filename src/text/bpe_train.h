/* Training of byte-level BPE (Sennrich et al. 2016, algorithm 1): starting from the 256 bytes, the pair of neighbouring tokens
 * that occurs most often inside pre-tokens becomes a token, until the vocabulary is full. Of pairs that occur equally often the
 * one with the smaller ids is taken, so that the result depends on the text alone. */
#ifndef LMU_TEXT_BPE_TRAIN_H
#define LMU_TEXT_BPE_TRAIN_H

#include "base/progress.h"
#include "text/pretoken_counts.h"
#include "text/tokenizer.h"

#define VOCABULARY_LEAST 257 /* every byte and the end of text */
#define VOCABULARY_MOST 1000000
#define TOKEN_MOST_BYTES 128 /* no merge makes a longer token: runs of one character would breed giants */

/* Ids: 0 is TOKENIZER_END_OF_TEXT, 1 + b the byte b, the others follow in the order of their merges. A text too small to fill
 * the vocabulary (no pair occurs twice) gives a smaller one, which is said through `progress`. */
lmu_status bpe_train(const PretokenCounts *counts, int64_t vocabulary, Progress *progress, Tokenizer **out);

/* The same from text. The result depends on the text alone, not on the number of threads. */
typedef struct TokenizerTraining {
    char *const *inputs; /* as corpus_open() takes them */
    size_t input_count;
    const char *field; /* of .jsonl lines; NULL: "text" */
    int64_t vocabulary;
    int threads; /* 0: as many as the machine allows */
} TokenizerTraining;
lmu_status tokenizer_train_with(const TokenizerTraining *options, Progress *progress, Tokenizer **out);

/* That with the field "text". */
lmu_status tokenizer_train(char *const *inputs, size_t count, int64_t vocabulary, int threads, Progress *progress,
                           Tokenizer **out);

#endif
