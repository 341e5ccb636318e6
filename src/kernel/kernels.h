/* The kernel table: every operation on numbers, over raw arrays, no Tensor in sight.
 *
 * kernels_reference_f32/f64 fill it with plain C; kernels_simd_* override what a vector unit does better; a new backend
 * fills a table of its own. Matrices are row-major. `add` means that the result is added to what stands in the output,
 * otherwise it replaces it. Shapes: B rows, T time, N tokens packed over all rows, D channels, Q order, P reduced order,
 * V vocabulary, H heads, C steps a chunk. */
#ifndef LMU_KERNEL_KERNELS_H
#define LMU_KERNEL_KERNELS_H

#include "kernel/backend.h"
#include "kernel/int8.h"
#include "kernel/legendre_system.h"

/* A ragged batch: row r holds the packed tokens offset[r] .. offset[r+1]-1, the first of which stands at position[r] of its
 * stream; its state is row slot[r] of the state arrays. */
typedef struct Rows {
    int count;
    int64_t tokens;
    const int64_t *offset;   /* [count + 1] */
    const int64_t *position; /* [count] */
    const int64_t *slot;     /* [count] */
    const int64_t *sample;   /* [count] global sample index, for random draws */
    const int64_t *chunk;    /* [count + 1] chunks of LEGENDRE_CHUNK tokens in the rows before this one */
} Rows;

typedef enum Activation {
    ACTIVATION_GELU,
    ACTIVATION_RELU,
    ACTIVATION_RELU2,
    ACTIVATION_SILU,
    ACTIVATION_NONE /* x itself */
} Activation;
typedef enum NormKind { NORM_LAYER, NORM_RMS, NORM_NONE } NormKind; /* the last: of layers, not of kernels */

/* C (+)= op(A) op(B) (+ bias along columns): op(A) is M x K, op(B) is K x N, C is M x N. Of a C that is known to be symmetric a
 * backend may compute one half and copy the other; there is no bias then, and nothing to add to. */
typedef struct Product {
    bool transpose_a, transpose_b, add, symmetric;
    int64_t m, n, k;
} Product;

/* The target of a token where it is more than one id: `own` of the token's own target and, of each part, `factor` times its count
 * of every id of the part. The shares sum to 1. It lies on the host, with ids of 0 .. V-1. */
#define SOFT_PARTS 2
typedef struct SoftPart {
    const int32_t *pairs; /* [length x 2] id, count */
    int64_t length;
    double factor;
} SoftPart;
typedef struct SoftTarget {
    double own;
    SoftPart part[SOFT_PARTS];
} SoftTarget;

/* Legendre memory of order q on D channels, in G groups of D/G neighbours with a system each, one behind the other in
 * W [G x C*Q x (Q+C)]. A system's matrix is the chunk matrix of legendre_system.h: [M_1..M_c] = W_g [M_0; x_1..x_c] for any
 * c <= C = LEGENDRE_CHUNK. A row's chunks start at its first token. The recurrent form uses only Abar and Bbar, which are the
 * first Q rows of W_g. */
typedef struct LegendreShape {
    int64_t channels, order, groups;
} LegendreShape;

/* Numbers of one system's W. */
static inline int64_t legendre_system_numbers(const LegendreShape *s)
{
    return LEGENDRE_CHUNK * s->order * (s->order + LEGENDRE_CHUNK);
}

/* LEGENDRE_FFT has kernels of its own, legendre_convolve. */
typedef enum LegendreForm { LEGENDRE_RECURRENT, LEGENDRE_CHUNKED, LEGENDRE_FFT } LegendreForm;

/* Implicit self-attention (Chilkuri et al. 2021, section 3) over a Legendre memory:
 * Q,K,V = f(L M_t + bias), L [3P x Q], bias [3P];  y_t = p softmax(scale Q K^T / sqrt(D)) V,  p [P]. With H heads each group of E =
 * D/H neighbouring channels has an L, bias, p and scale of its own, one behind the other, and sqrt(E) in the place of sqrt(D). */
typedef struct AttentionParameters {
    int64_t reduced, heads; /* P, H */
    Activation activation;  /* f */
    const Real *l, *bias, *p;
    const Real *scale; /* [H]; NULL: 1 */
} AttentionParameters;
typedef struct AttentionGradients {
    Real *l, *bias, *p, *scale; /* the last NULL where there is no scale */
    bool add_l, add_bias, add_p, add_scale;
} AttentionGradients;

typedef struct AdamW {
    double rate, beta1, beta2, epsilon, decay; /* decay: decoupled, multiplied by rate */
    double gradient_scale;                     /* of clipping */
    int64_t step;                              /* 1 for the first, for the bias correction */
} AdamW;

typedef struct NewtonSchulz {
    double a, b, c;
} NewtonSchulz;

/* What followed n-grams in a text, counted in a table [orders x slots x ngram_slot_numbers]: contexts of 2, 3, .. orders + 1 ids are
 * hashed into the slots of their order. A slot holds a fingerprint of its context and, for ids that followed it often, id + 1 and
 * count, in falling order; 0: none. All are whole numbers that a float holds. There is room for few, much as in Misra & Gries (1982): an id
 * that has none takes the place of the rarest when it has worn that one's count down, and a context the slot of another. */
typedef struct NgramShape {
    int64_t orders, ways, slots;
} NgramShape;
enum { NGRAM_CONTEXT_LEAST = 2, NGRAM_CONTEXT_MOST = 8 };
static inline int64_t ngram_slot_numbers(const NgramShape *s)
{
    return 1 + 2 * s->ways;
}
/* Ids that the longest context has. */
static inline int64_t ngram_window(const NgramShape *s)
{
    return NGRAM_CONTEXT_LEAST + s->orders - 1;
}

struct Kernels {
    /* -- moving data: host arrays on one side ------------------------------------------------------------------ */
    void (*put_bytes)(Backend *, size_t bytes, const void *host, void *to);
    void (*put_f32)(Backend *, int64_t n, const float *host, Real *to);
    void (*put_f64)(Backend *, int64_t n, const double *host, Real *to);
    void (*get_bytes)(Backend *, size_t bytes, const void *from, void *host);
    void (*get_f32)(Backend *, int64_t n, const Real *from, float *host);
    void (*get_f64)(Backend *, int64_t n, const Real *from, double *host);

    void (*to_bf16)(Backend *, int64_t n, const Real *x, uint16_t *y); /* rounded to nearest, ties to even */

    /* -- pointwise on n numbers ------------------------------------------------------------------------------- */
    void (*fill)(Backend *, int64_t n, double value, Real *y);
    void (*copy)(Backend *, int64_t n, const Real *x, Real *y, bool add);     /* y (+)= x; x == y allowed */
    void (*scale)(Backend *, int64_t n, double factor, Real *y);              /* y *= factor */
    void (*sum)(Backend *, int64_t n, const Real *a, const Real *b, Real *y); /* y = a + b; in place allowed */
    void (*multiply)(Backend *, int64_t n, const Real *a, const Real *b, Real *y, bool add); /* y (+)= a b */
    /* y [N x D] = sum over parts k of gain_k x_k: x [N x K D], gain [K x D] */
    void (*weighted_sum)(Backend *, int64_t n, int64_t parts, int64_t d, const Real *x, const Real *gain, Real *y);
    /* dx (+)= gain dy, dgain (+)= the sum of x dy over rows; either may be NULL */
    void (*weighted_sum_back)(Backend *, int64_t n, int64_t parts, int64_t d, const Real *x, const Real *gain,
                              const Real *dy, Real *dx, bool add, Real *dgain, bool add_gain);
    void (*activate)(Backend *, Activation, int64_t n, int64_t d, Array x, Array y); /* n rows of d numbers */
    /* dx (+)= dy f'(x); dx == dy allowed */
    void (*activate_back)(Backend *, Activation, int64_t n, int64_t d, Array x, Array dy, Array dx, bool add);
    /* Dropout: y (+)= x * (keep ? 1/(1-rate) : 0); the mask is a function of (key, sample, position, channel). */
    void (*dropout)(Backend *, const Rows *, int64_t d, uint64_t key, double rate, const Real *x, Real *y, bool add);

    /* -- norm over the last axis: x, y [N x D]; mean and rstd [N] are kept for the backward pass; bias may be NULL,
     *    as may mean for NORM_RMS -------------------------------------------------------------------------------- */
    void (*norm)(Backend *, NormKind, int64_t n, int64_t d, double epsilon, const Real *x, const Real *gain,
                 const Real *bias, Array y, Real *mean, Real *rstd);
    void (*norm_back)(Backend *, NormKind, int64_t n, int64_t d, const Real *x, const Real *gain, const Real *mean,
                      const Real *rstd, const Real *dy, Real *dx, bool add);
    void (*norm_back_parameters)(Backend *, NormKind, int64_t n, int64_t d, const Real *x, const Real *mean,
                                 const Real *rstd, const Real *dy, Real *dgain, bool add_gain, Real *dbias,
                                 bool add_bias);

    /* -- rotary positions (Su et al. 2021) of D channels in H heads, E = D/H channels each -------------------------- */
    /* angles [N x E]: of each token's position times each of the E/2 frequencies (radians a step, on the host), the cosines, then
     * the sines. Exact to rounding at any position: the product and its remainder are double. Positions on the backend. */
    void (*rope_angles)(Backend *, int64_t n, int64_t pairs, const double *frequency, const int32_t *position,
                        Real *angles);
    /* x, y [N x 3D]: queries, keys, values. Each head's queries and keys u are divided by their RMS, then channels (j, j + E/2) are
     * turned by angle j; values are copied. rstd [N x 2H] = 1/sqrt(mean(u^2) + epsilon) is kept. y == x allowed. */
    void (*rope)(Backend *, int64_t n, int64_t d, int64_t heads, double epsilon, Array x, const Real *angles, Array y,
                 Real *rstd);
    /* dx (+)= the gradient, from the output; dx == dy allowed */
    void (*rope_back)(Backend *, int64_t n, int64_t d, int64_t heads, Array y, const Real *angles, const Real *rstd,
                      Array dy, Array dx, bool add);

    /* u [N x 2D]: what is sought by, z, and values v -> y [N x 3D]: queries z_t, keys z_{t-1}, values v_t. state [slots x D], if given:
     * z of a row's last token so far, 0 before its first; without, rows start from 0. */
    void (*induction)(Backend *, const Rows *, int64_t d, Array u, Real *state, Array y);
    void (*induction_back)(Backend *, const Rows *, int64_t d, Array dy, Array du, bool add);

    /* -- products ---------------------------------------------------------------------------------------------- */
    /* A result in bfloat16 cannot be added to. */
    void (*product)(Backend *, const Product *, Array a, Array b, const Real *bias, Array c);
    /* Bytes of workspace that products need in any of the three roles of a linear layer (forward, gradients of x and of the
     * weight) of these extents. */
    size_t (*product_workspace)(Backend *, int64_t m, int64_t n, int64_t k);
    void (*column_sum)(Backend *, int64_t n, int64_t d, Array x, Real *y, bool add); /* y[D] (+)= sum over N */
    /* Products whose rows do not depend on their neighbours, bit for bit: y [N x M] = x [N x K] w^T + bias, with w [M x K]
     * packed beforehand into packed_bytes(M, K). */
    size_t (*packed_bytes)(Backend *, int64_t m, int64_t k);
    void (*pack)(Backend *, int64_t m, int64_t k, const Real *w, void *packed);
    void (*product_rows)(Backend *, int64_t n, int64_t m, int64_t k, const Real *x, const void *packed,
                         const Real *bias, Real *y);
    /* The same on bfloat16: w is rounded when it is packed, x as it comes, into workspace; sums are float. In plain C where
     * the CPU does not multiply bfloat16: right, but slow. */
    size_t (*packed_bytes_bf16)(Backend *, int64_t m, int64_t k);
    void (*pack_bf16)(Backend *, int64_t m, int64_t k, const Real *w, void *packed);
    void (*product_rows_bf16)(Backend *, int64_t n, int64_t m, int64_t k, const Real *x, const void *packed,
                              const Real *bias, Real *y);
    size_t (*product_rows_bf16_workspace)(Backend *, int64_t n, int64_t k); /* bytes */

    /* -- matrices of bytes (int8.h) ------------------------------------------------------------------------------ */
    /* w [rows x columns] rounded: each row's scale is its largest magnitude over 127. A row that is not finite has a scale of NaN. */
    void (*quantize_int8)(Backend *, const Real *w, const Int8Matrix *to);
    /* From and to bytes and scales as files hold them, row after row: all of them; `count` bytes from `first` on. */
    void (*put_int8)(Backend *, const int8_t *w, const float *scale, const Int8Matrix *to);
    void (*get_int8)(Backend *, const Int8Matrix *, int64_t first, int64_t count, int8_t *w);
    /* The product by rows once more: y [N x rows] = x [N x columns] w^T + bias. Each row of x is rounded to bytes as it comes, into
     * workspace, with its own scale, its largest magnitude over 127: so each number of y is a sum of whole numbers, which no order
     * changes, times two scales. A row is 0 if no magnitude in it reaches INT8_LEAST, and gives NaN if one is not finite. */
    void (*product_rows_int8)(Backend *, int64_t n, const Int8Matrix *w, const Real *x, const Real *bias, Real *y);
    size_t (*product_rows_int8_workspace)(Backend *, int64_t n, int64_t k); /* bytes */
    /* As gather, from a table of bytes. */
    void (*gather_int8)(Backend *, int64_t n, int64_t bag, const int32_t *ids, const Real *weight,
                        const Int8Matrix *table, Real *y);

    /* -- tables ------------------------------------------------------------------------------------------------ */
    /* y[i] = the sum of weight[k] table[ids[k]] over the bag k = i bag .. i bag + bag - 1, without those of ids[k] < 0; ids [N x bag] and
     * weights on the backend; NULL: weights of 1. */
    void (*gather)(Backend *, int64_t n, int64_t bag, int64_t d, const int32_t *ids, const Real *weight,
                   const Real *table, Real *y);
    /* dtable [V x D] (+)= the gradient of the table from dy [N x D]. */
    void (*gather_back)(Backend *, int64_t n, int64_t bag, int64_t v, int64_t d, const int32_t *ids, const Real *weight,
                        const Real *dy, Real *dtable, bool add);

    /* What followed: next [N x orders], for order n = 1 .. orders the id behind the latest earlier place of the row's stream where
     * the same n ids end as at this token, all among the last `window` ids with its own; -1: there is none. An id < 0 is the same
     * as none. state [slots x window]: a ring of a stream's last ids, place p at p mod window; NULL: zero state. */
    void (*recall)(Backend *, const Rows *, int64_t orders, int64_t window, int64_t vocabulary, const int32_t *ids,
                   const Real *state, int32_t *next);
    void (*recall_keep)(Backend *, const Rows *, int64_t window, const int32_t *ids, Real *state); /* into the ring */
    size_t (*recall_workspace)(Backend *, int64_t window, int64_t tokens);                         /* bytes */
    /* What the table knows to have followed: next, weight [N x orders x ways], the ids behind the contexts that end at each token and
     * their counts over one more than the sum of the counts of the slot; -1 and 0: none. state [slots x ngram_window]: as in recall. */
    void (*ngram_find)(Backend *, const NgramShape *, const Rows *, int64_t vocabulary, const int32_t *ids,
                       const Real *state, const Real *table, int32_t *next, Real *weight);
    /* Counts every id of the run that has a context before it in its own row; rows in their order. */
    void (*ngram_note)(Backend *, const NgramShape *, const Rows *, const int32_t *ids, Real *table);

    /* -- softmax cross-entropy of logits [N x V] against targets [N]; a target < 0 is not counted and gets 0 -------- */
    /* loss[i] = -log softmax(logits[i])[targets[i]] in nats; if scale != 0 the gradient of scale * sum(loss) goes to
     * dlogits, which may be the logits and destroys them in any case. With soft targets [N], which may be NULL, the
     * gradient is that of the cross-entropy against them; the loss stays as it is. */
    void (*cross_entropy)(Backend *, int64_t n, int64_t v, Real *logits, const int32_t *targets, const SoftTarget *soft,
                          double scale, Array dlogits, Real *loss);

    /* -- Legendre memory and implicit attention ----------------------------------------------------------------- */
    /* boundary [chunks x Q x D]: what the kernels below need to find each chunk's states, such as the one at its start; state [slots x
     * Q x D] in: M_0, out: M_last; NULL state: zero. */
    void (*legendre_scan)(Backend *, const LegendreShape *, LegendreForm, const Rows *, const Real *w, const Real *x,
                          Real *state, Real *boundary);
    /* m [N x Q x D] from the boundaries */
    void (*legendre_memory)(Backend *, const LegendreShape *, LegendreForm, const Rows *, const Real *w, const Real *x,
                            const Real *boundary, Real *m);
    /* dx (+)= the gradient of x, from dm; `boundary` is overwritten (adjoint states) */
    void (*legendre_memory_back)(Backend *, const LegendreShape *, LegendreForm, const Rows *, const Real *w,
                                 const Real *dm, Real *boundary, Real *dx, bool add);
    /* The same m at once, as a convolution of x with the impulse response; state as in legendre_scan. */
    void (*legendre_convolve)(Backend *, const LegendreShape *, const Rows *, const Real *w, const Real *x, Real *state,
                              Real *m);
    void (*legendre_convolve_back)(Backend *, const LegendreShape *, const Rows *, const Real *w, const Real *dm,
                                   Real *dx, bool add);
    /* Bytes of workspace that the two above need for rows of at most so many tokens. */
    size_t (*legendre_convolve_workspace)(Backend *, const LegendreShape *, int64_t tokens);
    void (*implicit_attention)(Backend *, const LegendreShape *, const AttentionParameters *, const Rows *,
                               const Real *w, const Real *x, const Real *boundary, Array y);
    /* `boundary` is overwritten; dx may be NULL */
    void (*implicit_attention_back)(Backend *, const LegendreShape *, const AttentionParameters *, const Rows *,
                                    const Real *w, const Real *x, Real *boundary, Array dy, Real *dx, bool add,
                                    const AttentionGradients *);
    /* Implicit attention on given states m [N x Q x D]; dm (+)= */
    void (*implicit_states)(Backend *, const LegendreShape *, const AttentionParameters *, const Rows *, const Real *m,
                            Real *y);
    void (*implicit_states_back)(Backend *, const LegendreShape *, const AttentionParameters *, const Rows *,
                                 const Real *m, const Real *dy, Real *dm, bool add, const AttentionGradients *);
    /* Bytes of workspace that all these but the convolutions need. */
    size_t (*legendre_workspace)(Backend *, const LegendreShape *, int64_t heads, int64_t reduced);

    /* -- causal attention: qkv [N x 3D], y [N x D], H heads of D/H channels; a token attends to itself and the context-1 tokens
     *    before it. cache [slots x context x 2D] holds the keys and values of each row's earlier positions, the last
     *    `context` of them: those of position s at s modulo context (NULL: rows start at position 0); lse [N x H] is kept for
     *    the backward pass (log of the softmax's denominator) -------------------------------------------------------- */
    void (*causal_attention)(Backend *, const Rows *, int64_t d, int64_t heads, int64_t context, Array qkv,
                             const Real *cache, Array y, Real *lse);
    /* Keys and values of the run into the cache. */
    void (*attention_keep)(Backend *, const Rows *, int64_t d, int64_t context, Array qkv, Real *cache);
    /* dqkv (+)=, from the cache that the forward pass read; no gradient flows into it. */
    void (*causal_attention_back)(Backend *, const Rows *, int64_t d, int64_t heads, int64_t context, Array qkv,
                                  const Real *cache, Array y, const Real *lse, Array dy, Array dqkv, bool add);
    /* Bytes of workspace that the two above need; `tokens` of a row reach the backward pass at most, 0: there is none. */
    size_t (*causal_attention_workspace)(Backend *, int64_t d, int64_t heads, int64_t tokens);

    /* -- long short-term memory of H cells: z [N x 4H], recurrent [4H x H], y [N x H]; state [slots x 2H], h then c (NULL: zero);
     *    start [B x 2H], gates [N x 4H] and cell [N x H] are kept for the backward pass ------------------------------- */
    /* The recurrent matrix is either of the two; the other is NULL. */
    void (*lstm)(Backend *, const Rows *, int64_t h, const Real *z, const Real *recurrent,
                 const Int8Matrix *recurrent_int8, Real *state, Real *start, Real *gates, Real *cell, Real *y);
    /* dz, drecurrent (+)=; either may be NULL. No gradient flows into the state. */
    void (*lstm_back)(Backend *, const Rows *, int64_t h, const Real *recurrent, const Real *start, const Real *gates,
                      const Real *cell, const Real *y, const Real *dy, Real *dz, bool add, Real *drecurrent,
                      bool add_recurrent);
    size_t (*lstm_workspace)(Backend *, int64_t tokens, int64_t h); /* bytes for the two above */

    /* -- optimiser ---------------------------------------------------------------------------------------------- */
    void (*sum_squares)(Backend *, int64_t n, const Real *x,
                        double *out); /* fixed order; NaN and infinity come through */
    void (*adamw)(Backend *, int64_t n, const AdamW *, Real *w, const Real *g, Real *m, Real *v);
    /* Nesterov momentum: m = momentum m + scale g, y = momentum m + scale g */
    void (*momentum)(Backend *, int64_t n, double momentum, double scale, const Real *g, Real *m, Real *y);
    /* y [N x N] = a I + b x + c square */
    void (*newton_schulz)(Backend *, int64_t n, const NewtonSchulz *, Array x, const Real *square, Array y);
    void (*descend)(Backend *, int64_t n, double keep, double rate, const Real *x, Real *w); /* w = keep w - rate x */
};

extern const Kernels kernels_reference_f32, kernels_reference_f64;

/* Overrides of the float table for one instruction set, ISA_BASE or more. */
void kernels_simd_override(Kernels *table, MachineIsa isa);
/* Over those, what changes where products multiply bfloat16. On a CPU that does not, the same kernels in plain vectors, for tests. */
void kernels_bf16_override(Kernels *table, MachineIsa isa);

#endif
