/* The operators. One file each: shape rule, forward, backward, stream state; numbers are touched by kernels alone.
 *
 * Shapes: N tokens packed over all rows, D channels, Q order, P reduced order, V vocabulary, H heads. All builders accept NULL
 * inputs, return NULL after an error, and leave the error for graph_plan. */
#ifndef LMU_OP_OP_H
#define LMU_OP_OP_H

#include "tensor/graph.h"

/* Every operator there is; NULL ends. The laws walk this table. */
extern const Operator *const operators[];

/* ids [N], table [V x D] -> [N x D]: rows of the table. */
Tensor *op_embedding(Graph *g, Tensor *ids, Tensor *table);
/* The same of what followed: of the ids behind the latest earlier occurrences of the last 1, 2, .. `orders` ids among the `window` ids
 * up to each token, side by side [N x orders D]; zeros where there is none. The state holds a window of ids a row. */
Tensor *op_recall(Graph *g, Tensor *ids, Tensor *table, int64_t orders, int64_t window);
/* The same of what has followed in training: counts [orders x slots x (1 + 2 ways)], a parameter of the role PARAM_COUNTS (see NgramShape),
 * which graph_observe fills; for each order the sum of the rows of those ids that followed its context most often, each times
 * its share of the counts [N x orders D].
 * The state holds as many ids as the longest context. */
Tensor *op_ngram(Graph *g, Tensor *ids, Tensor *table, Tensor *counts, int64_t ways);
/* x [N x K], weight [M x K], bias [M] or NULL -> x weight^T + bias [N x M]. The weight must be a parameter. */
Tensor *op_linear(Graph *g, Tensor *x, Tensor *weight, Tensor *bias);
/* a, b of one shape -> a + b, a b (element by element). */
Tensor *op_add(Graph *g, Tensor *a, Tensor *b);
Tensor *op_multiply(Graph *g, Tensor *a, Tensor *b);
/* x [N x K D], K parts side by side, gain, a parameter [K x D] -> the sum over parts of gain_k x_k, element by element [N x D]. */
Tensor *op_weighted_sum(Graph *g, Tensor *x, Tensor *gain);
/* x [N x D], gain [D], bias [D] or NULL (always NULL for NORM_RMS) -> the norm over channels [N x D]; epsilon 1e-5. */
Tensor *op_norm(Graph *g, NormKind kind, Tensor *x, Tensor *gain, Tensor *bias);
Tensor *op_activation(Graph *g, Activation kind, Tensor *x);
/* In training, zeroes each number with probability `rate` and scales the others by 1/(1-rate); else x itself. */
Tensor *op_dropout(Graph *g, Tensor *x, double rate);

/* How a Legendre memory is set up; see kernel/legendre_system.h. */
typedef struct LegendreSpec {
    int64_t order;       /* Q */
    int64_t groups;      /* of neighbouring channels, all of one size */
    const double *theta; /* [groups] window of each in steps */
    bool scaled;         /* basis in which the system is dissipative */
} LegendreSpec;
/* x [N x D] -> the memory M [N x Q x D]; state [Q x D] a row. */
Tensor *op_legendre_memory(Graph *g, Tensor *x, const LegendreSpec *spec, LegendreForm form);
/* Implicit self-attention: its parameters, of H groups of D/H neighbouring channels one behind the other, and its function f. */
typedef struct ImplicitSpec {
    int64_t heads; /* H, which divides the channels */
    Activation activation;
    Tensor *l, *bias, *p; /* [3HP x Q], [3HP], [HP] */
    Tensor *scale;        /* [H]: what scores are multiplied by, beside 1/sqrt(D/H); NULL: nothing */
} ImplicitSpec;
/* Implicit self-attention on the memory of x [N x D] (Chilkuri et al. 2021, section 3) -> [N x D]; state [Q x D] a row. M is never
 * stored: only its values at chunk boundaries. */
Tensor *op_implicit_attention(Graph *g, Tensor *x, const ImplicitSpec *attention, const LegendreSpec *legendre);
/* The same on given states m [N x Q x D] of a memory. */
Tensor *op_implicit_states(Graph *g, Tensor *m, const ImplicitSpec *attention);
/* positions [N] -> rotary positions (Su et al. 2021) for heads of E channels, an even number [N x E]: cosines, then sines of position times
 * base^(-2j/E), j = 0 .. E/2-1. No gradient. Computed once, it serves all layers. */
Tensor *op_rope_angles(Graph *g, Tensor *positions, int64_t channels, double base);
/* qkv [N x 3D], angles [N x D/H] -> [N x 3D]: each head's queries and keys over their RMS (no gain, epsilon 1e-5), turned by the angles;
 * values as they are. Scores of the two then depend on distance, not on place, and lie within +-sqrt(D/H). */
Tensor *op_rope(Graph *g, Tensor *qkv, Tensor *angles, int64_t heads);
/* u [N x 2D], z and values, -> qkv [N x 3D] in which z is the query of its token and the key of the token behind it, so that attention
 * finds what followed tokens like this one: induction (Olsson et al. 2022) that need not be learned, by keys that are shifted (Xu et
 * al. 2024) and shared with the queries (Kitaev et al. 2020). The key of a text's first token is 0; state [D] a row: the latest z. */
Tensor *op_induction(Graph *g, Tensor *u);
/* qkv [N x 3D] -> softmax attention of H heads to this and all earlier tokens of the row [N x D]; the state holds the keys and
 * values of up to `context` tokens a row, beyond which a run is refused. With a window (0: none) a token attends to itself and
 * the window-1 tokens before it, the state holds as many, and rows have no end. */
Tensor *op_causal_attention(Graph *g, Tensor *qkv, int64_t heads, int64_t context, int64_t window);
/* z [N x 4H] (gates i, f, g, o from the inputs), recurrent, a parameter [4H x H] -> the outputs of an LSTM [N x H]; state [2H] a
 * row. */
Tensor *op_lstm(Graph *g, Tensor *z, Tensor *recurrent);
/* x [N x D] -> the last token of each row [B x D] (zeros for a row without tokens). For decoding: no backward. */
Tensor *op_last(Graph *g, Tensor *x);
/* x [N x D], weight [V x D], targets [N] -> the loss of each token in nats [N]: softmax cross-entropy of x weight^T. Logits exist only
 * for blocks of tokens; in training the gradients are formed block by block in the forward step. */
Tensor *op_cross_entropy(Graph *g, Tensor *x, Tensor *weight, Tensor *targets);

#endif
