#include "tensor/params.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/random.h"

#define ALIGNMENT 16 /* numbers: 64 bytes of float */

struct Derived {
    const Param *param;
    DerivedBuild *build;
    size_t bytes; /* of the form */
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
        backend_free(params->backend, derived->form);
        free(derived);
    }
    backend_free(params->backend, params->values);
    backend_free(params->backend, params->gradients);
    backend_free(params->backend, params->first_moment);
    backend_free(params->backend, params->second_moment);
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

/* New memory is zero, and a table of counts too large to be written for nothing. */
static bool is_drawn(const Param *param)
{
    return param->init.kind != INIT_ZEROS;
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
    params->length = 0;
    for (size_t i = 0; i < count; i++) {
        laid[i]->offset = params->length;
        params->length += padded_size(laid[i]);
    }
    memcpy(params->list, laid, count * sizeof *laid);
    free(laid);
    return LMU_OK;
}

lmu_status params_seal(Params *params, uint64_t seed)
{
    Backend *backend = params->backend;
    TRY(params_lay(params));
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

lmu_status derived_reserve(Params *params, Derived *derived)
{
    return derived->form ? LMU_OK : backend_alloc(params->backend, derived->bytes, &derived->form);
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
