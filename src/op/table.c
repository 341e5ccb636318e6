#include "op/operators.h"

const Operator *const operators[] = {
    &operator_embedding,
    &operator_recall,
    &operator_ngram,
    &operator_linear,
    &operator_add,
    &operator_multiply,
    &operator_norm,
    &operator_activation,
    &operator_dropout,
    &operator_legendre_memory,
    &operator_implicit_attention,
    &operator_implicit_states,
    &operator_rope_angles,
    &operator_rope,
    &operator_induction,
    &operator_causal_attention,
    &operator_lstm,
    &operator_last,
    &operator_cross_entropy,
    NULL,
};
