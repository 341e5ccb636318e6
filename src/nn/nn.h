/* Layers: operators with the parameters that they need, which are named inside a scope of the layer's name.
 *
 * Shapes: N tokens, D channels, F feed-forward width. Initialisation is PyTorch's, a linear layer's weight and bias uniform in
 * +-1/sqrt(inputs), unless the model's --init says otherwise. */
#ifndef LMU_NN_NN_H
#define LMU_NN_NN_H

#include "op/op.h"

/* What is added to a token's embedding. */
typedef struct EmbeddingSpec {
    int64_t recall,
        window;    /* orders of n-gram heads (Akyurek et al. 2024), and the ids that they look back over; 0: none */
    int64_t slots; /* of the table of n-grams, for contexts of 2 and of 3 tokens each; 0: none */
} EmbeddingSpec;
/* The start of the residual stream: rows of the table [V x D], those of what followed the latest occurrences, times recall.gain
 * [recall x D], and those of what followed in training, times ngram.gain [2 x D], element by element and summed; ngram.counts
 * [2 x slots x 7]. Gains start at zero. */
Tensor *nn_embedding(Graph *g, Tensor *ids, Tensor *table, const EmbeddingSpec *spec);

/* NAME.weight [dim x inputs], NAME.bias [dim] if `bias`. */
Tensor *nn_linear(Graph *g, Tensor *x, int64_t dim, bool bias, const char *name);

/* As many of them as `maps` in one matrix [maps dim x inputs] and with it one product, which an optimiser of matrices takes apart. */
Tensor *nn_linears(Graph *g, Tensor *x, int maps, int64_t dim, bool bias, const char *name);

/* Says of a weight that it is as many maps, one above another; the weight. */
Tensor *nn_stacked(Tensor *weight, int maps);

/* The same as nn_linear at the end of a branch that is added to the residual stream: how the weight starts is for the model's --init to say. */
Tensor *nn_projection(Graph *g, Tensor *x, int64_t dim, bool bias, const char *name);

/* NAME.weight [D] and, for NORM_LAYER, NAME.bias [D]; x itself for NORM_NONE. */
Tensor *nn_norm(Graph *g, Tensor *x, NormKind kind, const char *name);

/* The hidden layer of a feed-forward network. SWIGLU (Shazeer 2020) is silu(x W_gate) * (x W_up). */
typedef enum FeedForwardKind { FEED_GELU, FEED_RELU, FEED_RELU2, FEED_SWIGLU } FeedForwardKind;
typedef struct FeedForward {
    FeedForwardKind kind;
    int64_t width; /* F */
    double dropout;
    bool unbiased; /* nothing has a bias */
} FeedForward;
/* NAME.up and, an nn_projection, NAME.down, with biases (none for SWIGLU, which has NAME.gate too, and with `unbiased`). */
Tensor *nn_feed_forward(Graph *g, Tensor *x, const FeedForward *spec, const char *name);

typedef struct ImplicitLayer {
    int64_t reduced, heads; /* P, H */
    Activation activation;
    bool scaled; /* scores have a scale that is learned */
} ImplicitLayer;
/* Implicit self-attention on a Legendre memory of x [N x D]: NAME.qkv.weight [3HP x Q], NAME.qkv.bias [3HP], NAME.pool [HP] and, if
 * scaled, NAME.scale [H]; weight and pool are normal with deviation 1/sqrt(Q) and 1/sqrt(P), the scale starts at 1. State [Q x D] a row. */
Tensor *nn_implicit_attention(Graph *g, Tensor *x, const LegendreSpec *legendre, const ImplicitLayer *layer,
                              const char *name);

/* What causal attention is made of, and how far it goes. */
typedef struct AttentionSpec {
    int64_t channels; /* A, of queries, keys and values, which the heads share */
    int64_t heads;
    int64_t context; /* without a window: the tokens that a text may have */
    int64_t window;  /* tokens that a token attends to, itself included; 0: all before it */
    bool induction;  /* queries and keys are one projection, see op_induction */
} AttentionSpec;
/* Causal softmax attention: NAME.qkv [3A x D], or with induction NAME.zv [2A x D], and NAME.out [D x A], with biases if `bias`. State:
 * keys and values of up to `window`, or else `context`, tokens a row, and with induction the latest query. */
Tensor *nn_causal_attention(Graph *g, Tensor *x, const AttentionSpec *spec, bool bias, const char *name);

/* The first step of both: what op_causal_attention takes [N x 3A], in the scope of the caller. */
Tensor *nn_attention_inputs(Graph *g, Tensor *x, const AttentionSpec *spec, bool bias);

#define ROPE_BASE 10000 /* of rotary positions (Su et al. 2021) */
/* The same without positions in x and without biases: queries and keys are normalised and turned by op_rope. angles [N x A/H] of
 * op_rope_angles. The state holds the keys as turned. */
Tensor *nn_rope_attention(Graph *g, Tensor *x, Tensor *angles, const AttentionSpec *spec, const char *name);

/* LSTM of H cells: NAME.input [4H x D] with a bias, NAME.recurrent [4H x H]; state [2H] a row. */
Tensor *nn_lstm(Graph *g, Tensor *x, int64_t hidden, const char *name);

#endif
