/* The Legendre delay system and its discretisation (Voelker, Kajic & Eliasmith 2019, "Legendre Memory Units", eqs. 1-2;
 * Chilkuri & Eliasmith 2021 for the parallel forms), in double on the host.
 *
 *     m'(t) = (1/theta) A m(t) + (1/theta) B x(t),  A_ij = (2i+1) (i<j ? -1 : (-1)^(i-j+1)),  B_i = (2i+1) (-1)^i
 *
 * Zero-order hold with step 1, by the exponential of [[A,B],[0,0]]/theta:  M_t = Abar M_{t-1} + Bbar x_t. */
#ifndef LMU_KERNEL_LEGENDRE_SYSTEM_H
#define LMU_KERNEL_LEGENDRE_SYSTEM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

#define LEGENDRE_ORDER_LIMIT 256
#define LEGENDRE_GROUP_LIMIT 64 /* groups of channels with a system each */
#define LEGENDRE_CHUNK 16       /* C, steps a chunk, of every operator */

/* exp(x) of an n x n matrix (row-major) by scaling and squaring of a Pade approximant of order 13 (Higham 2005). */
lmu_status matrix_exponential(int64_t n, const double *x, double *out);

/* abar [Q x Q], bbar [Q]. In the scaled basis row i of the state is multiplied by sqrt(theta/(2i+1)), in which the system is
 * dissipative: no power of Abar has a 2-norm above 1. LMU_USAGE unless 1 <= order <= the limit and theta > 0, finite. */
lmu_status legendre_discretise(int64_t order, double theta, bool scaled, double *abar, double *bbar);

/* The chunk matrix W [C*Q x (Q+C)]: rows t*Q..t*Q+Q-1 give M_{t+1} = Abar^(t+1) M_0 + sum over s <= t of Abar^(t-s) Bbar x_{s+1}. */
void legendre_chunk_matrix(int64_t order, int64_t chunk, const double *abar, const double *bbar, double *w);

/* The coefficients c [Q] that read the memory (plain basis) at delay r = delay/theta in 0..1: x(t - delay) is about
 * sum_i c_i m_i, c_i = P_i(2r - 1): the shifted Legendre polynomials. */
void legendre_readout(int64_t order, double r, double *c);

#endif
