/* Tokens that are spelled alike learn together.
 *
 * Most tokens are met too seldom to be learnt each by itself. So the table of embeddings E [V x D] is trained as if it were U + S Z:
 * S [V x K] says which n-grams of 2 and 3 bytes a token is spelled with, between marks of its two ends, and Z [K x D] has a
 * vector for each n-gram, as words have in Bojanowski et al. 2017. U moves by AdamW's step of dE, Z, from zero, by AdamW's step of
 * S^T dE; decay takes its share of E as a whole. The model has E alone: this is a way to train, not a part of the model. */
#ifndef LMU_TRAIN_SPELLING_H
#define LMU_TRAIN_SPELLING_H

#include "tensor/params.h"
#include "text/tokenizer.h"

typedef struct Spelling Spelling;

/* For the table of embeddings, a parameter [tokenizer_size x D]. Special tokens have no spelling, and n-grams of one token alone do
 * not count. LMU_USAGE: no two tokens have an n-gram in common. */
lmu_status spelling_open(const Tokenizer *tokenizer, const Params *params, Spelling **out);
void spelling_close(Spelling *spelling); /* accepts NULL */

/* Adds S times a step of Z to the table, whose gradient is there; decay is left to the step of U. */
void spelling_step(Spelling *spelling, Params *params, const AdamW *step);

/* Numbers that a step reads and writes, as AdamW does seven for each of its own. */
double spelling_numbers(const Spelling *spelling);

/* The moments of Z in a safetensors file. LMU_MISMATCH: those of other n-grams or channels. */
lmu_status spelling_save(const Spelling *spelling, const char *path);
lmu_status spelling_load(Spelling *spelling, const char *path);

#endif
