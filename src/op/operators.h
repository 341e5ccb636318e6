/* The rows of the operator table, one in each file of this folder, and what those files share. */
#ifndef LMU_OP_OPERATORS_H
#define LMU_OP_OPERATORS_H

#include "op/op.h"

extern const Operator operator_embedding, operator_recall, operator_ngram, operator_linear, operator_add,
    operator_multiply, operator_weighted_sum, operator_norm, operator_activation, operator_dropout,
    operator_legendre_memory, operator_implicit_attention, operator_implicit_states, operator_rope_angles,
    operator_rope, operator_induction, operator_causal_attention, operator_lstm, operator_last, operator_cross_entropy;

/* The chunk matrices of a spec as a constant of the graph [G*C*Q x (Q+C)]; NULL after an error, and where `channels` cannot be
 * divided among the groups. */
Tensor *legendre_constant(Graph *g, const LegendreSpec *spec, int64_t channels);

/* Implicit attention, what its two operators share: the parameters are inputs IMPLICIT_L and on, the scale, where there is one, is the
 * last of all inputs. The attributes hold the extents. */
enum { IMPLICIT_L = 1, IMPLICIT_BIAS, IMPLICIT_P };
typedef struct Implicit {
    LegendreShape shape;
    int64_t reduced, heads;
    Activation activation;
    int scale; /* the input; 0: none */
} Implicit;
/* Checks the parameters against channels and order of the memory, and fills the attributes; false after an error. */
bool implicit_prepare(Graph *g, const ImplicitSpec *spec, const LegendreShape *shape, int scale, Implicit *out);
AttentionParameters implicit_parameters(Graph *g, const Step *s);
AttentionGradients implicit_gradients(Graph *g, const Step *s);
/* By definition: of the products with L, of scores and of values. */
double implicit_flops(const Implicit *a);

/* The output of a step: sums of n bags of rows of the table, its input `table`, as the kernel gather has it. */
void table_gather(Graph *g, const Step *s, int table, int64_t n, int64_t bag, const int32_t *ids, const Real *weight);

/* What multiplies by a weight [M x K], its input 1. The first gives a node that will see up to n rows its workspace and the form of the
 * weight that it needs: in training the weight rounded, where products multiply bfloat16; in scoring and decoding the weight
 * packed and, as attributes, the type that it multiplies. False after an error. */
bool linear_prepare(Graph *g, int64_t n, NodeSpec *spec);
/* In training: the operand of products. */
Array linear_weight(Graph *g, const Step *s);
/* In scoring and decoding: y [n x M] = x [n x K] weight^T + bias, whose rows do not depend on their neighbours. */
void linear_rows(Graph *g, const Node *node, int64_t n, const Real *x, const Real *bias, Real *y);

#endif
