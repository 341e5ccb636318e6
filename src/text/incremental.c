#include "text/incremental.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "text/encoder.h"

#define PART INCREMENTAL_WINDOW /* bytes of a large piece that are taken over at a time */

struct Incremental {
    Encoder *encoder;
    EncoderState state;
    char *text; /* pushed, not yet encoded */
    size_t size, capacity;
    size_t enough; /* bytes of text below which another try is not worth its time */
};

static void state_begin(Incremental *incremental)
{
    incremental->state = (EncoderState){.specials = incremental->state.specials, .window = INCREMENTAL_WINDOW};
    incremental->size = 0;
    incremental->enough = 1;
}

lmu_status incremental_open(const Tokenizer *tokenizer, bool specials, Incremental **out)
{
    lmu_status status;
    Incremental *incremental = NULL;
    *out = NULL;
    TRY(memory_new(&incremental, 1, sizeof *incremental, "text in pieces"));
    incremental->state.specials = specials;
    state_begin(incremental);
    ATTEMPT(encoder_open(tokenizer, &incremental->encoder));
    *out = incremental;
    return LMU_OK;
done:
    incremental_close(incremental);
    return status;
}

void incremental_close(Incremental *incremental)
{
    if (!incremental)
        return;
    encoder_close(incremental->encoder);
    free(incremental->text);
    free(incremental);
}

/* Encodes what is certain of the text that is there. */
static lmu_status text_advance(Incremental *incremental, bool final, IdList *out)
{
    size_t taken;
    TRY(encoder_advance(incremental->encoder, &incremental->state, incremental->text, incremental->size, final, &taken,
                        out));
    incremental->size -= taken;
    memmove(incremental->text, incremental->text + taken, incremental->size);
    /* A pre-token that was not certain is looked at again when it has grown by an eighth: else a long one that comes byte
     * by byte would take time by the square of its length. */
    incremental->enough = incremental->size + incremental->size / 8 + 1;
    return LMU_OK;
}

lmu_status incremental_push(Incremental *incremental, const char *text, size_t size, IdList *out)
{
    for (size_t done = 0, part; done < size; done += part) {
        part = size - done < PART ? size - done : PART;
        TRY(memory_grow(&incremental->text, &incremental->capacity, incremental->size + part, 1, "text in pieces"));
        memcpy(incremental->text + incremental->size, text + done, part);
        incremental->size += part;
        if (incremental->size >= incremental->enough)
            TRY(text_advance(incremental, false, out));
    }
    return LMU_OK;
}

lmu_status incremental_end(Incremental *incremental, IdList *out)
{
    if (incremental->size > 0)
        TRY(text_advance(incremental, true, out));
    state_begin(incremental);
    return LMU_OK;
}

size_t incremental_pending(const Incremental *incremental)
{
    return incremental->size;
}

/* Byte 0: flags; 4 to 7 and 8 to 11: scanned of each level, little-endian; the rest of the head is 0. */
enum { SPECIALS = 1, INSIDE = 2, AFTER_WORD = 4, STRIP = 16, FLAGS = 64 };

lmu_status incremental_pack(const Incremental *incremental, char **data, size_t *size)
{
    const EncoderState *state = &incremental->state;
    char *packed;
    TRY(memory_new(&packed, INCREMENTAL_PACKED + incremental->size, 1, "text in pieces"));
    int flags = (state->specials ? SPECIALS : 0) | (state->inside ? INSIDE : 0);
    for (int level = 0; level < 2; level++) {
        flags |= (state->level[level].after_word ? AFTER_WORD : 0) << level;
        flags |= (state->level[level].strip ? STRIP : 0) << level;
        for (int i = 0; i < 4; i++)
            packed[4 + 4 * level + i] = (char)(state->level[level].scanned >> 8 * i);
    }
    packed[0] = (char)flags;
    if (incremental->size > 0)
        memcpy(packed + INCREMENTAL_PACKED, incremental->text, incremental->size);
    *data = packed;
    *size = INCREMENTAL_PACKED + incremental->size;
    return LMU_OK;
}

lmu_status incremental_unpack(Incremental *incremental, const void *data, size_t size)
{
    const uint8_t *packed = data;
    size_t left = size - INCREMENTAL_PACKED;
    if (size < INCREMENTAL_PACKED || left > 2 * INCREMENTAL_WINDOW || packed[0] >= FLAGS)
        return error_set(LMU_FORMAT, "%zu bytes that are not the state of a text", size);
    if ((packed[0] & SPECIALS) != (incremental->state.specials ? SPECIALS : 0))
        return error_set(LMU_MISMATCH, "special tokens were %s in the text that was saved, unlike now",
                         packed[0] & SPECIALS ? "known" : "not known");
    EncoderState state = {.specials = incremental->state.specials, .window = INCREMENTAL_WINDOW};
    state.inside = packed[0] & INSIDE;
    for (int level = 0; level < 2; level++) {
        state.level[level].after_word = packed[0] >> level & AFTER_WORD;
        state.level[level].strip = packed[0] >> level & STRIP;
        for (int i = 3; i >= 0; i--)
            state.level[level].scanned = state.level[level].scanned << 8 | packed[4 + 4 * level + i];
        if (state.level[level].scanned > left)
            return error_set(LMU_FORMAT, "the state of a text of %zu bytes that counts %zu", left,
                             state.level[level].scanned);
    }
    TRY(memory_grow(&incremental->text, &incremental->capacity, left + 1, 1, "text in pieces"));
    memcpy(incremental->text, packed + INCREMENTAL_PACKED, left);
    incremental->state = state;
    incremental->size = left;
    incremental->enough = 1;
    return LMU_OK;
}
