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
