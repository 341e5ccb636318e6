/* The past as a Legendre memory tells it: the numbers that a channel went in with, from the coefficients that are kept of them.
 *
 * The state M_t holds x over the last theta steps as coefficients of shifted Legendre polynomials, and the system that made it took
 * each x to be held for a step: x_{t-d} fills the delays from d to d + 1. So a step's number is read in the middle of its own, at
 * r = (d + 1/2) / theta, and a window of theta steps has the delays d with d + 1/2 <= theta. */
#ifndef LMU_INFER_RECOLLECTION_H
#define LMU_INFER_RECOLLECTION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* How many of the delays, which ascend, lie in the window. */
int64_t recollection_reach(double theta, const int64_t *delay, int64_t delays);

/* The readout c [delays x Q] of delays inside the window: x_{t-d} is about sum_i c_di m_i, with m as the layer keeps it, also in
 * the scaled basis. */
void recollection_readout(int64_t order, double theta, bool scaled, const int64_t *delay, int64_t delays, double *c);

/* What a channel went in with as its column of the state m [Q x D] tells: out [delays]. */
void recollect(int64_t order, int64_t channels, int64_t channel, const float *m, const double *c, int64_t delays,
               float *out);

/* -- which token it was ------------------------------------------------------------------------------------------------- */

#define RECOLLECTION_NEAREST 3

typedef struct RecalledToken {
    int64_t id; /* of the token that stood there */
    double similarity;
    int64_t rank; /* among all tokens; 1: none is more similar */
    int64_t
        nearest[RECOLLECTION_NEAREST]; /* the most similar first, of equal ones the lower id; -1: there are no more */
    double nearness[RECOLLECTION_NEAREST];
} RecalledToken;

/* The cosine of two vectors over their first channels; 0 where one of them has no
 * length, or an endless one. */
double recollection_cosine(const float *a, const float *b, int64_t channels);
/* From every token's similarity [V]. */
void recalled_token_find(const float *similarity, int64_t vocabulary, int64_t id, RecalledToken *out);

#endif
