#include "tensor/params.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/random.h"

#define ALIGNMENT 16      /* numbers: 64 bytes of float */
#define FORM_ALIGNMENT 64 /* bytes */
#define PIECE 4096

struct Derived {
    const Param *param;
    DerivedBuild *build;
    size_t bytes; /* of the form */
    bool wanted;  /* it takes memory next */
    void *block;  /* owned: the memory of the forms reserved together, with the first of them */
    void *form;
    uint64_t generation; /* of the values that it was built from; 0: never */
    Derived *next;
};

lmu_status params_open(Backend *backend, Params **out)
{
    TRY(memory_new(out, 1, sizeof **out, "a parameter store"));
    (*out)->backend = backend;
    return LMU_OK;
}

void params_close(Params *params)
{
    if (!params)
        return;
    for (Derived *derived = params->derived, *next; derived; derived = next) {
        next = derived->next;
        backend_free(params->backend, derived->block);
        free(derived);
    }
    backend_free(params->backend, params->values);
    backend_free(params->backend, params->gradients);
    backend_free(params->backend, params->first_moment);
    backend_free(params->backend, params->second_moment);
    backend_free(params->backend, params->int8);
    for (size_t i = 0; i < params->count; i++) {
        free(params->list[i]->name);
        free(params->list[i]);
    }
    free(params->list);
    free(params);
}

Param *params_find(const Params *params, const char *name)
{
    for (size_t i = 0; i < params->count; i++)
        if (strcmp(params->list[i]->name, name) == 0)
            return params->list[i];
    return NULL;
}

static int64_t padded_size(const Param *param)
{
    return (param->size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static lmu_status params_add(Params *params, const char *name, int rank, const int64_t *shape, Init init,
                             ParamRole role, Param **out)
{
    int64_t size = 1;
    for (int i = 0; i < rank; i++)
        if (shape[i] < 1 || __builtin_mul_overflow(size, shape[i], &size) || size > INT64_MAX / 64)
            return error_set(LMU_USAGE, "parameter %s: a dimension of %lld is too small or too large", name,
                             (long long)shape[i]);
    TRY(memory_grow(&params->list, &params->capacity, params->count + 1, sizeof *params->list, "parameters"));
    Param *param;
    TRY(memory_new(&param, 1, sizeof *param, "a parameter"));
    param->name = strdup(name);
    if (!param->name) {
        free(param);
        return error_set(LMU_MEMORY, "no memory for a parameter's name");
    }
    param->rank = rank;
    memcpy(param->shape, shape, (size_t)rank * sizeof *shape);
    param->size = size;
    int64_t padded = padded_size(param);
    param->offset = params->length;
    param->init = init;
    param->role = role;
    param->maps = 1;
    params->length += padded;
    if (role != PARAM_COUNTS) {
        params->learnt += padded;
        params->learnt_count++;
    }
    params->list[params->count++] = param;
    *out = param;
    return LMU_OK;
}

lmu_status params_get(Params *params, const char *name, int rank, const int64_t *shape, Init init, ParamRole role,
                      Param **out)
{
    Param *param = params_find(params, name);
    if (!param && params->sealed)
        return error_set(LMU_MISMATCH, "the model has no parameter %s", name);
    if (!param)
        return params_add(params, name, rank, shape, init, role, out);
    if (param->rank != rank || memcmp(param->shape, shape, (size_t)rank * sizeof *shape) != 0)
        return error_set(LMU_MISMATCH, "parameter %s is asked for with a shape other than it has", name);
    *out = param;
    return LMU_OK;
}

/* New memory is zero, and a table of counts too large to be written for nothing. Bytes are put there by who has them. */
static bool is_drawn(const Param *param)
{
    return param->init.kind != INIT_ZEROS && !param_is_int8(param);
}

static void param_draw(const Param *param, uint64_t seed, double *values)
{
    uint64_t key = random_key(seed, param->name, 0, 0);
    for (int64_t i = 0; i < param->size; i++)
        switch (param->init.kind) {
        case INIT_ZEROS:
            values[i] = 0;
            break;
        case INIT_ONES:
            values[i] = 1;
            break;
        case INIT_NORMAL:
            values[i] = param->init.scale * random_normal(key, (uint64_t)i);
            break;
        case INIT_UNIFORM:
            values[i] = param->init.scale * (2 * random_uniform(key, (uint64_t)i) - 1);
            break;
        }
}

static size_t int8_size(const Param *param)
{
    const Int8Matrix *w = &param->int8;
    return (size_t)int8_scales(w->rows) * sizeof *w->scale +
           int8_bytes(w->rows, w->columns); /* both whole cache lines */
}

/* Counts go behind all others: gradients and moments end before them. */
static lmu_status params_lay(Params *params)
{
    Param **laid;
    size_t count = 0;
    if (params->count == 0)
        return LMU_OK;
    TRY(memory_new(&laid, params->count, sizeof *laid, "parameters"));
    for (int counts = 0; counts < 2; counts++)
        for (size_t i = 0; i < params->count; i++)
            if ((params->list[i]->role == PARAM_COUNTS) == counts)
                laid[count++] = params->list[i];
    params->length = params->learnt = 0;
    params->int8_bytes = 0;
    for (size_t i = 0; i < count; i++) {
        if (param_is_int8(laid[i])) {
            params->int8_bytes += int8_size(laid[i]);
            continue;
        }
        laid[i]->offset = params->length;
        params->length += padded_size(laid[i]);
        if (laid[i]->role != PARAM_COUNTS)
            params->learnt = params->length;
    }
    memcpy(params->list, laid, count * sizeof *laid);
    free(laid);
    return LMU_OK;
}

lmu_status params_use_int8(Params *params)
{
    for (size_t i = 0; i < params->count; i++) {
        Param *param = params->list[i];
        bool matrix = param->role == PARAM_MATRIX || param->role == PARAM_BRANCH || param->role == PARAM_TABLE;
        if (!matrix || param->rank != 2)
            continue;
        if (param->shape[1] > INT8_COLUMNS_MOST)
            return error_set(LMU_USAGE, "parameter %s has rows of %lld: int8 products sum up to %lld terms",
                             param->name, (long long)param->shape[1], (long long)INT8_COLUMNS_MOST);
        param->int8 = (Int8Matrix){.rows = param->shape[0], .columns = param->shape[1]};
    }
    return params_lay(params);
}

static lmu_status seal_int8(Params *params)
{
    if (params->int8_bytes == 0)
        return LMU_OK;
    TRY(backend_alloc(params->backend, params->int8_bytes, &params->int8));
    char *at = params->int8;
    for (size_t i = 0; i < params->count; i++) {
        Int8Matrix *w = &params->list[i]->int8;
        w->scale = (float *)at;
        w->packed = (uint8_t *)(w->scale + int8_scales(w->rows));
        at += int8_size(params->list[i]);
    }
    return LMU_OK;
}

lmu_status params_seal(Params *params, uint64_t seed)
{
    Backend *backend = params->backend;
    TRY(params_lay(params));
    TRY(seal_int8(params));
    TRY(backend_alloc(backend, (size_t)params->length * backend->real_size, &params->values));
    int64_t largest = 1;
    for (size_t i = 0; i < params->count; i++)
        if (is_drawn(params->list[i]) && params->list[i]->size > largest)
            largest = params->list[i]->size;
    double *drawn;
    TRY(memory_new(&drawn, (size_t)largest, sizeof *drawn, "initial parameters"));
    params_write_begin(params);
    for (size_t i = 0; i < params->count; i++) {
        const Param *param = params->list[i];
        if (!is_drawn(param))
            continue;
        param_draw(param, seed, drawn);
        KERNEL(backend, put_f64, param->size, drawn, real_at(backend, params->values, param->offset));
    }
    params_write_end(params);
    free(drawn);
    params->sealed = true;
    return LMU_OK;
}

lmu_status params_train(Params *params)
{
    size_t bytes = (size_t)params->learnt * params->backend->real_size;
    TRY(backend_alloc(params->backend, bytes, &params->gradients));
    TRY(backend_alloc(params->backend, bytes, &params->first_moment));
    return backend_alloc(params->backend, bytes, &params->second_moment);
}

void params_write_begin(Params *params)
{
    params->writing = true;
}

void params_write_end(Params *params)
{
    params->writing = false;
    params->generation++;
}

/* The scale of a row that is not finite is NaN. */
static lmu_status require_finite(const Params *params, const Param *param)
{
    float scale[PIECE];
    for (int64_t first = 0; first < param->int8.rows; first += PIECE) {
        int64_t count = param->int8.rows - first < PIECE ? param->int8.rows - first : PIECE;
        KERNEL(params->backend, get_bytes, (size_t)count * sizeof *scale, param->int8.scale + first, scale);
        for (int64_t i = 0; i < count; i++)
            if (!isfinite(scale[i]))
                return error_set(LMU_FORMAT, "parameter %s: row %lld holds a number that is not finite", param->name,
                                 (long long)(first + i));
    }
    return LMU_OK;
}

lmu_status params_quantize(const Params *from, Params *to)
{
    Backend *backend = to->backend;
    lmu_status status = LMU_OK;
    params_write_begin(to);
    for (size_t i = 0; i < to->count && status == LMU_OK; i++) {
        const Param *param = to->list[i], *source = params_find(from, param->name);
        if (!source || source->size != param->size || param_is_int8(source)) {
            status = error_set(LMU_MISMATCH, "parameter %s cannot be rounded to int8: it is not there in float",
                               param->name);
            continue;
        }
        const Real *values = real_at(backend, from->values, source->offset);
        if (!param_is_int8(param)) {
            KERNEL(backend, copy, param->size, values, real_at(backend, to->values, param->offset), false);
            continue;
        }
        KERNEL(backend, quantize_int8, values, &param->int8);
        status = require_finite(to, param);
    }
    params_write_end(to);
    return status;
}

void param_get_f32(const Params *params, const Param *param, int64_t first, int64_t count, float *out)
{
    Backend *backend = params->backend;
    const Int8Matrix *w = &param->int8;
    int8_t bytes[PIECE];
    if (!param_is_int8(param)) {
        KERNEL(backend, get_f32, count, real_at(backend, params->values, param->offset + first), out);
        return;
    }
    for (int64_t done = 0, piece; done < count; done += piece) { /* within one row */
        int64_t left = w->columns - (first + done) % w->columns;
        piece = count - done < left ? count - done : left;
        piece = piece < PIECE ? piece : PIECE;
        float scale;
        KERNEL(backend, get_bytes, sizeof scale, w->scale + (first + done) / w->columns, &scale);
        KERNEL(backend, get_int8, w, first + done, piece, bytes);
        for (int64_t i = 0; i < piece; i++)
            out[done + i] = scale * (float)bytes[i];
    }
}

int64_t params_total(const Params *params)
{
    int64_t total = 0;
    for (size_t i = 0; i < params->count; i++)
        total += params->list[i]->size;
    return total;
}

int64_t params_non_embedding(const Params *params)
{
    int64_t total = 0;
    for (size_t i = 0; i < params->count; i++)
        if (params->list[i]->role != PARAM_TABLE && params->list[i]->role != PARAM_COUNTS)
            total += params->list[i]->size;
    return total;
}

lmu_status params_derive(Params *params, const Param *param, size_t bytes, DerivedBuild *build, Derived **out)
{
    for (Derived *derived = params->derived; derived; derived = derived->next)
        if (derived->param == param && derived->build == build) {
            *out = derived;
            return LMU_OK;
        }
    Derived *derived;
    TRY(memory_new(&derived, 1, sizeof *derived, "a derived parameter"));
    derived->param = param;
    derived->build = build;
    derived->bytes = bytes;
    derived->next = params->derived;
    params->derived = derived;
    *out = derived;
    return LMU_OK;
}

size_t derived_bytes(const Derived *derived)
{
    return derived->bytes;
}

void derived_want(Derived *derived)
{
    derived->wanted = !derived->form;
}

static size_t derived_room(const Derived *derived)
{
    return (derived->bytes + FORM_ALIGNMENT - 1) / FORM_ALIGNMENT * FORM_ALIGNMENT;
}

lmu_status params_reserve(Params *params)
{
    size_t bytes = 0;
    char *block = NULL;
    for (Derived *derived = params->derived; derived; derived = derived->next)
        if (derived->wanted)
            bytes += derived_room(derived);
    lmu_status status = bytes ? backend_alloc(params->backend, bytes, &block) : LMU_OK;
    void *owned = block;
    for (Derived *derived = params->derived; derived; derived = derived->next) {
        if (derived->wanted && status == LMU_OK) {
            derived->block = owned;
            derived->form = block;
            block += derived_room(derived);
            owned = NULL;
        }
        derived->wanted = false;
    }
    return status;
}

const void *derived_form(Params *params, Derived *derived)
{
    if (derived->generation != params->generation) {
        derived->build(params->backend, derived->param,
                       real_at(params->backend, params->values, derived->param->offset), derived->form);
        derived->generation = params->generation;
    }
    return derived->form;
}
