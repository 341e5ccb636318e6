/* The rows of the operator table, one in each file of this folder, and what those files share. */
#ifndef LMU_OP_OPERATORS_H
#define LMU_OP_OPERATORS_H

#include "op/op.h"

extern const Operator operator_embedding, operator_linear, operator_add, operator_multiply, operator_norm,
    operator_activation, operator_dropout, operator_legendre_memory, operator_implicit_attention,
    operator_causal_attention, operator_last, operator_cross_entropy;

/* The chunk matrix of a spec as a constant of the graph [C*Q x (Q+C)]. */
Tensor *legendre_constant(Graph *g, const LegendreSpec *spec);

/* A packed form of a weight [M x K] for products whose rows do not depend on their neighbours; NULL after an error. */
Derived *linear_packed(Graph *g, Tensor *weight);

#endif
