/* The parameter store: all parameters of a model in one contiguous vector, which graphs borrow.
 *
 * While a store is open the first graph that names a parameter adds it; params_seal allocates and initialises them all, and
 * from then on a graph can only ask for what is there. Gradients and the optimiser's moments are vectors of the same layout
 * that exist only for training, so that clipping, AdamW and checkpoints are single loops. Forms derived from parameters (packed
 * products) are registered here and rebuilt when they are older than the values.
 *
 * A store that is never trained can hold its matrices in bytes (params_use_int8). They are then not among the values but in a
 * piece of memory of their own, in the one form that every kernel reads: nothing is derived from them. */
#ifndef LMU_TENSOR_PARAMS_H
#define LMU_TENSOR_PARAMS_H

#include "kernel/backend.h"
#include "kernel/kernels.h"

#define TENSOR_RANK 4

typedef enum InitKind { INIT_ZEROS, INIT_ONES, INIT_NORMAL, INIT_UNIFORM } InitKind;
typedef struct Init {
    InitKind kind;
    double scale; /* standard deviation, or bound of (-bound, bound) */
} Init;

typedef enum ParamRole {
    PARAM_MATRIX, /* decays */
    PARAM_BRANCH, /* a matrix whose product ends a branch that is added to the residual stream */
    PARAM_VECTOR, /* norms, biases, gains: no decay */
    PARAM_MEMORY, /* the small matrices and vectors of implicit attention: no decay, a learning rate of their own */
    PARAM_TABLE,  /* token and position tables: decay, but not among the non-embedding parameters */
    PARAM_COUNTS, /* what training notes of its text (graph_observe): no gradient, not among the non-embedding parameters */
} ParamRole;

typedef struct Param {
    char *name;
    int rank;
    int64_t shape[TENSOR_RANK];
    int64_t size;   /* numbers */
    int64_t offset; /* in the vectors, in numbers; a multiple of 16 */
    Init init;
    ParamRole role;
    int maps; /* linear maps of one input, of as many rows each, that stand one above another in a matrix: queries, keys, values */
    Int8Matrix int8; /* of a matrix in bytes, which is in no vector; else of no rows */
} Param;

static inline bool param_is_int8(const Param *param)
{
    return param->int8.rows > 0;
}

typedef struct Derived Derived;

typedef struct Params {
    Backend *backend;
    Param **list; /* when sealed, PARAM_COUNTS are the last */
    size_t count, capacity;
    size_t learnt_count; /* all but PARAM_COUNTS */
    int64_t length,
        learnt; /* of the values, and of the other vectors, which have no counts: sizes with padding, which stays 0 */
    bool sealed;
    Real *values, *gradients, *first_moment, *second_moment;
    void *int8; /* matrices in bytes, of int8_bytes in all */
    size_t int8_bytes;
    uint64_t generation; /* of the values: grows with every params_write_end */
    bool writing;
    Derived *derived;
} Params;

lmu_status params_open(Backend *backend, Params **out);
void params_close(Params *params); /* accepts NULL */

/* The parameter `name`; added if the store is not sealed. LMU_MISMATCH if it stands with another shape, or is missing in a
 * sealed store. */
lmu_status params_get(Params *params, const char *name, int rank, const int64_t *shape, Init init, ParamRole role,
                      Param **out);
Param *params_find(const Params *params, const char *name); /* NULL: none */

/* The matrices (PARAM_MATRIX, PARAM_BRANCH, PARAM_TABLE of rank 2) of a store that is not sealed shall be held in bytes, for inference.
 * LMU_USAGE names a matrix that is too wide. */
lmu_status params_use_int8(Params *params);
/* Allocates the values and draws them: a number depends on (seed, parameter's name, index) alone. Matrices in bytes are 0. */
lmu_status params_seal(Params *params, uint64_t seed);
/* Allocates gradients and moments, zeroed. */
lmu_status params_train(Params *params);

/* Every write to the values stands between these; the end makes derived forms stale. */
void params_write_begin(Params *params);
void params_write_end(Params *params);

/* The numbers of `from` into a store of the same parameters that holds its matrices in bytes: these rounded, all else as it is.
 * LMU_MISMATCH: other parameters. LMU_FORMAT: a matrix that is not finite. */
lmu_status params_quantize(const Params *from, Params *to);
/* Numbers first .. first+count-1 of a parameter, on the host, whatever they are held in. */
void param_get_f32(const Params *params, const Param *param, int64_t first, int64_t count, float *out);

int64_t params_total(const Params *params);         /* all numbers, without padding */
int64_t params_non_embedding(const Params *params); /* all but tables and counts */

/* A form of one parameter: so many bytes that `build` fills by kernels from the parameter's values. One (param, build) pair is
 * registered once, however many graphs ask; it takes memory when the first of them is planned: derived_want each, then
 * params_reserve, one block for all, as many small ones would lie in small pages, whose addresses take longer to look up. The
 * values themselves stay: a store of a packed model has both. */
typedef void DerivedBuild(Backend *backend, const Param *param, const Real *values, void *form);
lmu_status params_derive(Params *params, const Param *param, size_t bytes, DerivedBuild *build, Derived **out);
void derived_want(Derived *derived);
lmu_status params_reserve(Params *params);
/* The form, rebuilt if it is stale. */
const void *derived_form(Params *params, Derived *derived);
size_t derived_bytes(const Derived *derived);

#endif
