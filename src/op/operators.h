/* The rows of the operator table, one in each file of this folder, and what those files share. */
#ifndef LMU_OP_OPERATORS_H
#define LMU_OP_OPERATORS_H

#include "op/op.h"

extern const Operator operator_embedding, operator_linear, operator_add, operator_multiply, operator_norm,
    operator_activation, operator_dropout, operator_legendre_memory, operator_implicit_attention,
    operator_causal_attention, operator_last, operator_cross_entropy;

/* The chunk matrix of a spec as a constant of the graph [C*Q x (Q+C)]. */
Tensor *legendre_constant(Graph *g, const LegendreSpec *spec);

/* Linear layers of scoring and decoding, by products whose rows do not depend on their neighbours. The first gives a node, whose
 * input 1 is a weight [M x K] and which will see up to n rows, the weight's packed form, workspace and, as its attributes, the
 * type that it multiplies; false after an error. The second is y [n x M] = x [n x K] weight^T + bias. */
bool linear_pack(Graph *g, int64_t n, NodeSpec *spec);
void linear_rows(Graph *g, const Node *node, int64_t n, const Real *x, const Real *bias, Real *y);

#endif
