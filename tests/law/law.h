/* The laws of the house: what must hold for every operator of the table `operators[]` and for every architecture.
 *
 * A case (law_cases.c) builds a small graph around one operator. A subject is a case opened on a backend: graph, parameters and a
 * source of data in which the numbers of a stream depend on (stream, position) alone, so that any cut of any streams into
 * runs sees the same text. A law is a function that measures how far a subject is from what it should be: 0 or the size of rounding
 * where it holds. Tests assert on that number; the mutation test breaks an operator first and asserts that some number is large. */
#ifndef TESTS_LAW_H
#define TESTS_LAW_H

#include "op/op.h"

#define LAW_INPUTS 4
#define LAW_ROWS 33
#define LAW_BROKEN                                                                                                     \
    1e30 /* the error of numbers that are not finite, missing, or should be equal to the bit and are not */

/* From one size to the next where a law tries all of them; a sanitizer, which makes runs slow, sees fewer, the largest among them. */
#ifdef LMU_SANITIZED
#define LAW_STEP 4
#else
#define LAW_STEP 1
#endif

typedef struct LawCase LawCase;

/* How a case's graph is laid out around `apply`: y = f(x); y = f(x) + f(x) with shared parameters, so that every gradient has
 * two writers; y = silu(silu(f(x u))) in two blocks, so that input and output are activations whose memory is planned, and f is
 * what is computed again where that is asked for. */
typedef enum LawShape { LAW_PLAIN, LAW_TWIN, LAW_WRAPPED, LAW_SHAPES } LawShape;

/* What a case builds, and the inputs that it asked for. */
typedef struct LawModel {
    Graph *g;
    const LawCase *law;
    Tensor *input[LAW_INPUTS], *second; /* second: the other operand of add and multiply */
    int64_t width[LAW_INPUTS];
    int inputs;
} LawModel;

/* What products by rows multiply: float; bfloat16 by the CPU's instruction (law_multiplies_bf16), or by tiles in plain C; int8, for
 * which the drawn parameters are rounded (law_reads_int8). */
typedef enum LawProducts { LAW_FLOAT, LAW_BF16, LAW_BF16_PLAIN, LAW_INT8 } LawProducts;

struct LawCase {
    const char *name;
    const char *arch;   /* of a whole model of the registry */
    const Operator *op; /* NULL: a whole model */
    Tensor *(*apply)(LawModel *, Tensor *x);
    bool encoder;           /* no stream: it sees all of its row at once */
    bool takes_ids;         /* x is the ids; otherwise a real input of d channels */
    int64_t d, out;         /* channels in, out */
    int64_t order, reduced; /* Q, P */
    int64_t groups;         /* of channels with a theta each: theta, 2.5 theta, ...; 0: one */
    int64_t vocabulary, heads, context, window;
    double theta, rate;
    bool bias, scaled, missing; /* missing: some ids are negative */
    int kind;                   /* Activation, NormKind or LegendreForm */
    Activation activation;      /* of implicit attention */
    const char *options;        /* of a model's configuration, as "name=value ..."; NULL: none */
    LawProducts products;
};

extern const LawCase law_cases[];  /* quick, every operator; a NULL name ends */
const LawCase *law_every(void);    /* these, and one for each architecture */
extern const LawCase law_larger[]; /* sizes at which vector kernels run their main loops */

Tensor *law_input(LawModel *m, int64_t d);
Tensor *law_build(LawModel *m, LawShape shape);
bool law_has_shape(const LawCase *law, LawShape shape);
bool law_trains(const LawCase *law);     /* its operator has gradients */
bool law_reads_int8(const LawCase *law); /* a model, or an operator that has parameters in bytes */
bool law_multiplies_bf16(void);          /* the CPU does; says so if not */

/* Replaces the operator of every node of `from` in a planned graph. */
typedef struct Mutation {
    const char *name;
    const Operator *from;
    Operator to;
} Mutation;

typedef struct LawSubject {
    const LawCase *law;
    LawModel model;
    Backend *backend;
    Params *params;
    Graph *g;
    Tensor *result;
    GraphMode mode;
    int rows;
    int64_t tokens, width;    /* capacity; numbers of the result a token or row */
    uint64_t key;             /* of the data */
    double nudge[LAW_INPUTS]; /* inputs are moved this far along a random direction, chosen by nudge_key */
    uint64_t nudge_key;
    /* packed for the current run */
    int32_t *ids, *targets;
    double *input, *weight;
} LawSubject;

typedef struct LawOptions {
    BackendKind kind;
    GraphMode mode;
    LawShape shape;
    int flags, rows, threads;
    int64_t tokens;
    bool guarded;
    const Mutation *mutation;
    int skip; /* which of the forward steps that run again does nothing, from 1 on; 0: none */
} LawOptions;

/* Fails the running test if `status` is not LMU_OK, with the message. */
void law_require(lmu_status status);
void *law_new(size_t count, size_t size);

/* Parameters are drawn, then rounded to float, so that all backends hold the same numbers. */
LawSubject *subject_open(const LawCase *law, const LawOptions *options);
void subject_close(LawSubject *s);

/* One run: row r reads tokens start .. start+count-1 of its stream. */
typedef struct LawBatch {
    int rows;
    int64_t stream[LAW_ROWS], start[LAW_ROWS], count[LAW_ROWS], slot[LAW_ROWS];
    bool accumulate; /* parameter gradients are added */
} LawBatch;

void batch_row(LawBatch *batch, int64_t stream, int64_t start, int64_t count, int64_t slot);
int64_t batch_tokens(const LawBatch *batch);
lmu_status subject_try(LawSubject *s, const LawBatch *batch, State *state);
void subject_run(LawSubject *s, const LawBatch *batch, State *state); /* a failure fails the test */

State *subject_state(LawSubject *s, int64_t rows);
int64_t state_numbers(const State *state);
void state_read(const State *state, int64_t row, double *values);

/* Numbers of the last run. */
int64_t subject_numbers(const LawSubject *s, const LawBatch *batch);
void subject_output(const LawSubject *s, const LawBatch *batch, double *values);
double subject_value(const LawSubject *s, const LawBatch *batch, double *magnitude); /* what is differentiated */
void subject_gradients(const LawSubject *s, double *values);                         /* params->length numbers */
void subject_input_gradient(const LawSubject *s, const LawBatch *batch, int input, double *values);

/* The numbers of row `row` among `values` packed with `width` a token (or row, for a result of rows). */
const double *batch_span(const LawSubject *s, const LawBatch *batch, int row, const double *values, int64_t *numbers);

/* Outputs by stream and position: NaN where none has been seen. */
typedef struct LawTrace {
    int64_t streams, length, width;
    double *value;
} LawTrace;
LawTrace trace_open(int64_t streams, int64_t length, int64_t width);
void trace_close(LawTrace *trace);
void trace_add(LawTrace *trace, const LawSubject *s, const LawBatch *batch);

/* max |a - b| / max |b|; LAW_BROKEN where one is not finite. NaN in either, if `sparse`, is a hole. */
double difference(int64_t n, const double *a, const double *b, bool sparse);
/* 0 if equal to the bit, else LAW_BROKEN. */
double bits_differ(int64_t n, const double *a, const double *b);

/* -- the laws ---------------------------------------------------------------------------------------------------- */
/* Worst relative error of signed directional derivatives, over all parameters, each parameter and each input. */
double law_gradient(const LawCase *law, LawShape shape, const Mutation *mutation);
/* Worst difference of outputs and final states between whole rows, ragged chunks in any order, and single tokens. */
double law_stream(const LawCase *law, LawShape shape, BackendKind kind, GraphMode mode, const Mutation *mutation);
/* Changing one row leaves all others' outputs, states and input gradients equal to the bit. */
double law_isolation(const LawCase *law, LawShape shape, BackendKind kind, const Mutation *mutation);
/* A row alone has the bits that it has in batches of 1 to 33. */
double law_batch(const LawCase *law, LawShape shape, BackendKind kind, GraphMode mode, const Mutation *mutation);
/* The gradient of a batch is that of its parts in micro-batches. */
double law_micro_batches(const LawCase *law, LawShape shape, BackendKind kind, const Mutation *mutation);
/* Memory reuse and poisoned memory change no bit. */
double law_memory(const LawCase *law, LawShape shape, BackendKind kind, const Mutation *mutation);
/* Computing blocks again in the backward pass changes no bit, from zero state and from a given one. One of its steps can be skipped,
 * see LawOptions. */
double law_recompute(const LawCase *law, LawShape shape, BackendKind kind, int skip);
int law_recomputed(const LawCase *law, LawShape shape); /* how many forward steps run again */
/* A float backend against the double reference: outputs, states, gradients. The mutation is on the first only. */
double law_variant(const LawCase *law, LawShape shape, BackendKind kind, int64_t scale, const Mutation *mutation);
/* The same in its parts: what one backend makes of a case, in rows `scale` times as long. */
typedef struct Variant Variant;
Variant *variant_open(const LawCase *law, LawShape shape, BackendKind kind, int threads, int64_t scale,
                      const Mutation *mutation);
void variant_close(Variant *v);
double variants_differ(const Variant *a, const Variant *b);

#endif
