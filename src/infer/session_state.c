/* A session's state as a safetensors file: "state.I" [numbers] for each operator that looks back, in the order of the model;
 * "waiting" [n], ids that were read and not run; "logits" [V], behind the last token, if none waits; "text" [n], the text in
 * whose pieces it came (incremental_pack). */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "infer/session_internal.h"
#include "model/state_tensors.h"

#define FORMAT "lmu-state"
#define VERSION "1"
#define POSITION_LIMIT ((int64_t)1 << 62)

/* -- writing ------------------------------------------------------------------------------------------------------------ */

/* Writes to `path`, or into memory. */
static lmu_status state_write(Session *session, const Incremental *text, const char *path, char **data, size_t *size)
{
    StateTensors tensors = {0};
    const char *digest;
    char position[24], *packed = NULL;
    size_t packed_size;
    lmu_status status;
    ATTEMPT(engine_digest(session->pool->engine, &digest));
    ATTEMPT(state_tensors_open(session->pool->state, session->row, &tensors));
    if (session->waiting_count > 0)
        state_tensors_add(&tensors, "waiting", SAFETENSORS_U32, session->waiting_count, session->waiting);
    else if (session->position > 0)
        state_tensors_add(&tensors, "logits", SAFETENSORS_F32, session->pool->engine->model->config.vocabulary,
                          session->logits);
    if (text) {
        ATTEMPT(incremental_pack(text, &packed, &packed_size));
        state_tensors_add(&tensors, "text", SAFETENSORS_U8, (int64_t)packed_size, packed);
    }
    snprintf(position, sizeof position, "%" PRId64, session->position);
    SafetensorsText metadata[] = {{"format", FORMAT}, {"version", VERSION}, {"model", digest}, {"position", position}};
    SafetensorsContent content = state_tensors_content(&tensors, metadata, sizeof metadata / sizeof *metadata);
    status = path ? safetensors_write(path, &content) : safetensors_write_bytes(&content, data, size);
done:
    free(packed);
    state_tensors_close(&tensors);
    return status;
}

lmu_status session_save(Session *session, const Incremental *text, const char *path)
{
    return state_write(session, text, path, NULL, NULL);
}

lmu_status session_pack(Session *session, const Incremental *text, char **data, size_t *size)
{
    *data = NULL;
    return state_write(session, text, NULL, data, size);
}

/* -- reading ------------------------------------------------------------------------------------------------------------ */

typedef struct Found {
    int64_t position, waiting_count;
    const uint32_t *waiting;
    const float *logits; /* NULL if some wait */
    const void *text;
    size_t text_size;
} Found;

static lmu_status check_metadata(Session *session, const char *origin, const Safetensors *stored, int64_t *position)
{
    const char *digest,
        *format = safetensors_metadata(stored, "format"), *version = safetensors_metadata(stored, "version"),
        *model = safetensors_metadata(stored, "model"), *place = safetensors_metadata(stored, "position");
    if (!format || strcmp(format, FORMAT) != 0)
        return error_set(LMU_FORMAT, "%s: is not the state of a stream (its format is %s, not " FORMAT ")", origin,
                         format ? format : "not told");
    if (!version || strcmp(version, VERSION) != 0)
        return error_set(LMU_FORMAT, "%s: is of version %s; this program reads version " VERSION, origin,
                         version ? version : "none");
    TRY(engine_digest(session->pool->engine, &digest));
    if (!model || strcmp(model, digest) != 0)
        return error_set(LMU_MISMATCH, "%s: is the state of another model: of %.16s..., and this one is %.16s...",
                         origin, model ? model : "none", digest);
    char *end = NULL;
    errno = 0;
    *position = place && place[0] >= '0' && place[0] <= '9' ? strtoll(place, &end, 10) : -1;
    if (*position < 0 || *position > POSITION_LIMIT || errno != 0 || *end != '\0')
        return error_set(LMU_FORMAT, "%s: the position %s is no number of tokens", origin,
                         place ? place : "is missing");
    return LMU_OK;
}

static lmu_status check_finite(const char *origin, const char *name, const float *value, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(value[i]))
            return error_set(LMU_NUMERIC, "%s: number %" PRId64 " of tensor %s is not finite", origin, i, name);
    return LMU_OK;
}

/* Ids that wait: those that the position says must, and maybe those of the whole block. */
static lmu_status check_waiting(const Session *session, const char *origin, const Safetensors *stored, Found *found)
{
    int64_t vocabulary = session->pool->engine->model->config.vocabulary;
    const SafetensorsTensor *tensor = safetensors_find(stored, "waiting");
    found->logits = NULL;
    if (!tensor) {
        if (found->position == 0)
            return LMU_OK;
        TRY(safetensors_get(stored, "logits", SAFETENSORS_F32, 1, &vocabulary, (const void **)&found->logits));
        return check_finite(origin, "logits", found->logits, vocabulary);
    }
    TRY(safetensors_get(stored, "waiting", SAFETENSORS_U32, 1, (int64_t[]){-1}, (const void **)&found->waiting));
    found->waiting_count = tensor->shape[0];
    int64_t place = found->position % SESSION_BLOCK, most = place > 0 ? place : SESSION_BLOCK;
    if (found->waiting_count < 1 || found->waiting_count > most || found->waiting_count > found->position)
        return error_set(LMU_FORMAT, "%s: %" PRId64 " ids wait at position %" PRId64 ", where 1 to %" PRId64 " can",
                         origin, found->waiting_count, found->position, most);
    for (int64_t i = 0; i < found->waiting_count; i++)
        if (found->waiting[i] >= vocabulary)
            return error_set(LMU_FORMAT, "%s: the waiting id %u is outside the vocabulary of %" PRId64, origin,
                             found->waiting[i], vocabulary);
    return LMU_OK;
}

/* All that the file holds is looked at before the session is touched. */
static lmu_status check_stored(Session *session, const char *origin, const Safetensors *stored, StateTensors *tensors,
                               Found *found)
{
    TRY(check_metadata(session, origin, stored, &found->position));
    TRY(graph_check_reach(session->pool->graph, found->position));
    TRY(state_tensors_find(tensors, stored));
    for (size_t i = 0; i < tensors->count; i++)
        TRY(check_finite(origin, tensors->tensors[i].name, tensors->tensors[i].data, tensors->tensors[i].shape[0]));
    TRY(check_waiting(session, origin, stored, found));
    const SafetensorsTensor *text = safetensors_find(stored, "text");
    if (text) {
        TRY(safetensors_get(stored, "text", SAFETENSORS_U8, 1, (int64_t[]){-1}, &found->text));
        found->text_size = text->size;
    }
    size_t known = tensors->count + (found->waiting || found->logits) + (text != NULL);
    if (safetensors_count(stored) != known)
        return error_set(LMU_MISMATCH, "%s: holds %zu tensors; this state has %zu", origin, safetensors_count(stored),
                         known);
    return LMU_OK;
}

static void take_stored(Session *session, const StateTensors *tensors, const Found *found)
{
    state_tensors_take(tensors);
    session->pool->state->position[session->row] = found->position - found->waiting_count;
    session->position = found->position;
    session->waiting_count = found->waiting_count;
    for (int64_t i = 0; i < found->waiting_count; i++)
        session->waiting[i] = (int32_t)found->waiting[i];
    if (found->logits)
        memcpy(session->logits, found->logits,
               (size_t)session->pool->engine->model->config.vocabulary * sizeof *session->logits);
}

static lmu_status state_read(Session *session, Incremental *text, const char *origin, const Safetensors *stored)
{
    StateTensors tensors;
    Found found = {0};
    TRY(state_tensors_open(session->pool->state, session->row, &tensors));
    lmu_status status = check_stored(session, origin, stored, &tensors, &found);
    if (status == LMU_OK && !found.text != !text)
        status = error_set(LMU_MISMATCH,
                           text ? "%s: was saved without a text, in the midst of which it could go on"
                                : "%s: was saved with a text, bytes of which may wait to become ids",
                           origin);
    if (status == LMU_OK && text)
        status = error_prefix(incremental_unpack(text, found.text, found.text_size), "%s: ", origin);
    if (status == LMU_OK)
        take_stored(session, &tensors, &found);
    state_tensors_close(&tensors);
    return status;
}

lmu_status session_load(Session *session, Incremental *text, const char *path)
{
    Safetensors *stored;
    TRY(safetensors_open(path, &stored));
    lmu_status status = state_read(session, text, path, stored);
    safetensors_close(stored);
    return status;
}

lmu_status session_unpack(Session *session, Incremental *text, const void *data, size_t size, const char *origin)
{
    Safetensors *stored;
    TRY(safetensors_open_bytes(data, size, origin, &stored));
    lmu_status status = state_read(session, text, origin, stored);
    safetensors_close(stored);
    return status;
}
