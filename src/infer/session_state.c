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
#include "model/safetensors.h"

#define FORMAT "lmu-state"
#define VERSION "1"
#define POSITION_LIMIT ((int64_t)1 << 62)
#define SLOT_NAME 32
#define EXTRAS 3 /* tensors beside the slots */

typedef struct StateFile {
    Session *session;
    SafetensorsTensor *tensors;
    size_t count;
    char (*names)[SLOT_NAME];
    char position[24];
} StateFile;

static void state_file_close(StateFile *file)
{
    free(file->tensors);
    free(file->names);
}

/* Names and shapes of what the pool's slots hold. */
static lmu_status state_file_open(Session *session, StateFile *file)
{
    const State *state = session->pool->state;
    size_t slots = (size_t)state->slots;
    *file = (StateFile){.session = session, .count = slots};
    TRY(memory_new(&file->tensors, slots + EXTRAS, sizeof *file->tensors, "a stream's state"));
    lmu_status status = memory_new(&file->names, slots, sizeof *file->names, "a stream's state");
    if (status != LMU_OK) {
        state_file_close(file);
        return status;
    }
    for (size_t i = 0; i < slots; i++) {
        snprintf(file->names[i], SLOT_NAME, "state.%zu", i);
        file->tensors[i] = (SafetensorsTensor){
            .name = file->names[i], .type = SAFETENSORS_F32, .rank = 1, .shape = {state->numbers[i]}};
    }
    return LMU_OK;
}

/* Where the numbers of a slot lie. */
static Real *slot_at(const Session *session, size_t slot)
{
    const State *state = session->pool->state;
    return real_at(state->backend, state->data, state->offset[slot] + session->row * state->numbers[slot]);
}

/* -- writing ------------------------------------------------------------------------------------------------------------ */

static lmu_status read_piece(void *context, const SafetensorsTensor *tensor, size_t offset, size_t size, void *out)
{
    const StateFile *file = context;
    Backend *backend = file->session->pool->state->backend;
    const Real *from = slot_at(file->session, (size_t)(tensor - file->tensors));
    KERNEL(backend, get_f32, (int64_t)(size / sizeof(float)), real_at(backend, from, (int64_t)(offset / sizeof(float))),
           out);
    return LMU_OK;
}

static void add_tensor(StateFile *file, const char *name, SafetensorsType type, int64_t count, const void *data)
{
    file->tensors[file->count++] =
        (SafetensorsTensor){.name = name, .type = type, .rank = 1, .shape = {count}, .data = data};
}

/* Writes to `path`, or into memory. */
static lmu_status state_write(Session *session, const Incremental *text, const char *path, char **data, size_t *size)
{
    StateFile file = {0};
    const char *digest;
    char *packed = NULL;
    size_t packed_size;
    lmu_status status;
    ATTEMPT(engine_digest(session->pool->engine, &digest));
    ATTEMPT(state_file_open(session, &file));
    if (session->waiting_count > 0)
        add_tensor(&file, "waiting", SAFETENSORS_U32, session->waiting_count, session->waiting);
    else if (session->position > 0)
        add_tensor(&file, "logits", SAFETENSORS_F32, session->pool->engine->model->config.vocabulary, session->logits);
    if (text) {
        ATTEMPT(incremental_pack(text, &packed, &packed_size));
        add_tensor(&file, "text", SAFETENSORS_U8, (int64_t)packed_size, packed);
    }
    snprintf(file.position, sizeof file.position, "%" PRId64, session->position);
    SafetensorsText metadata[] = {
        {"format", FORMAT}, {"version", VERSION}, {"model", digest}, {"position", file.position}};
    SafetensorsContent content = {.tensors = file.tensors,
                                  .count = file.count,
                                  .metadata = metadata,
                                  .metadata_count = sizeof metadata / sizeof *metadata,
                                  .read = read_piece,
                                  .context = &file};
    status = path ? safetensors_write(path, &content) : safetensors_write_bytes(&content, data, size);
done:
    free(packed);
    state_file_close(&file);
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
static lmu_status check_stored(const char *origin, const Safetensors *stored, StateFile *file, Found *found)
{
    const Session *session = file->session;
    TRY(check_metadata(file->session, origin, stored, &found->position));
    TRY(graph_check_reach(session->pool->graph, found->position));
    for (size_t i = 0; i < file->count; i++) {
        SafetensorsTensor *tensor = &file->tensors[i];
        TRY(safetensors_get(stored, tensor->name, tensor->type, tensor->rank, tensor->shape, &tensor->data));
        TRY(check_finite(origin, tensor->name, tensor->data, tensor->shape[0]));
    }
    TRY(check_waiting(session, origin, stored, found));
    const SafetensorsTensor *text = safetensors_find(stored, "text");
    if (text) {
        TRY(safetensors_get(stored, "text", SAFETENSORS_U8, 1, (int64_t[]){-1}, &found->text));
        found->text_size = text->size;
    }
    size_t known = file->count + (found->waiting || found->logits) + (text != NULL);
    if (safetensors_count(stored) != known)
        return error_set(LMU_MISMATCH, "%s: holds %zu tensors; this state has %zu", origin, safetensors_count(stored),
                         known);
    return LMU_OK;
}

static void take_stored(StateFile *file, const Found *found)
{
    Session *session = file->session;
    State *state = session->pool->state;
    for (size_t i = 0; i < file->count; i++)
        KERNEL(state->backend, put_f32, state->numbers[i], file->tensors[i].data, slot_at(session, i));
    state->position[session->row] = found->position - found->waiting_count;
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
    StateFile file;
    Found found = {0};
    TRY(state_file_open(session, &file));
    lmu_status status = check_stored(origin, stored, &file, &found);
    if (status == LMU_OK && !found.text != !text)
        status = error_set(LMU_MISMATCH,
                           text ? "%s: was saved without a text, in the midst of which it could go on"
                                : "%s: was saved with a text, bytes of which may wait to become ids",
                           origin);
    if (status == LMU_OK && text)
        status = error_prefix(incremental_unpack(text, found.text, found.text_size), "%s: ", origin);
    if (status == LMU_OK)
        take_stored(&file, &found);
    state_file_close(&file);
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
