/* The baseline of counts: interpolated Kneser-Ney (Kneser and Ney 1995, "Improved backing-off for m-gram language modeling")
 * with the modified discounts of Chen and Goodman 1999 ("An empirical study of smoothing techniques for language modeling").
 *
 * For a context h of k-1 tokens, h' the same less its oldest token, and c a count of order k:
 *
 *     P_k(w | h) = (max(c(h w) - D(c(h w)), 0) + gamma(h) P_{k-1}(w | h')) / c(h)          P_0(w) = 1/V
 *     c(h) = sum_w c(h w),    gamma(h) = D1 N1(h) + D2 N2(h) + D3 N3+(h)
 *
 * Ni(h) is the number of tokens w with c(h w) = i. A context never seen (c(h) = 0) gives P_{k-1}. Every probability is above 0 and
 * the V of them sum to 1. The highest order counts occurrences; lower orders count continuations: c(h w) is the number of
 * different tokens seen before h w, where the edge of a window counts as one more such token.
 *
 * Discounts, each order from its counts of counts n1..n4 (ni: how many (h, w) have the count i):
 *
 *     Y = n1 / (n1 + 2 n2),  D1 = 1 - 2Y n2/n1,  D2 = 2 - 3Y n3/n2,  D3 = 3 - 4Y n4/n3       (for counts of 3 and more)
 *
 * Where one of n1..n4 is 0, or a discount falls outside (0, i], the order has the one discount Y of Kneser and Ney; where n1 or n2
 * is 0, the one discount 1/2.
 *
 * It reads the windows that training reads (text/windows.h), and like a model it never looks across a window's edge: what is
 * counted is every target with the contexts that lie in its own window. */
#ifndef LMU_TEXT_NGRAM_H
#define LMU_TEXT_NGRAM_H

#include <stdint.h>

#include "base/progress.h"
#include "text/score.h"
#include "text/windows.h"

#define NGRAM_ORDER_MAX 8

typedef struct Ngram Ngram; /* read-only after training */

/* Counts samples 0 .. samples-1. Of a second pass over the data nothing could be learnt by counting, so each window is counted
 * once however large `samples` is. No order is above length + 1, which is all a window shows; a larger one is lowered to it.
 * LMU_USAGE: order not in 1..NGRAM_ORDER_MAX, samples below 1. LMU_MEMORY: more counts than the machine has memory for. */
lmu_status ngram_train(const Windows *windows, int64_t samples, int order, Progress *progress, Ngram **out);
void ngram_close(Ngram *model); /* accepts NULL */

int ngram_order(const Ngram *model);
int64_t ngram_tokens(const Ngram *model); /* targets counted */
int64_t ngram_entries(const Ngram *model,
                      int order); /* different n-grams of an order in 1..ngram_order; 1: the vocabulary */
double ngram_discount(const Ngram *model, int order, int count); /* D1, D2, D3 of an order: count 1, 2, 3 */

/* P(token | context): the last order-1 tokens of `context` matter. Ids outside the vocabulary have probability 0, and as
 * context they are a token never seen. */
double ngram_probability(const Ngram *model, const int32_t *context, int64_t context_length, int32_t token);

/* Predicts held-out text, cut as for a neural model (the context of a prediction is only what its window shows); `lengths` are
 * tokenizer_lengths or NULL. LMU_MISMATCH unless the text has the vocabulary of the counts. */
lmu_status ngram_evaluate(const Ngram *model, const Shard *text, const EvalCut *cut, const uint32_t *lengths,
                          Progress *progress, EvalResult *out);

#endif
