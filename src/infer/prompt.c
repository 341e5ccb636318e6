#include "infer/prompt.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "text/pretokenize.h"

#define STRETCH ((size_t)1 << 16) /* bytes at least that are tokenised at a time */

typedef struct Special {
    const char *name; /* borrowed from the tokenizer */
    size_t size;
} Special;

struct Prompt {
    Session *session;
    bool specials;
    Encoder *encoder;
    IdList list;
    char *text; /* not yet tokenised */
    size_t size, capacity;
    size_t searched; /* no cut lies before it */
    Special *special;
    size_t special_count, special_capacity;
};

/* The names of special tokens: a cut must not divide one. */
static lmu_status specials_find(Prompt *prompt, const Tokenizer *tokenizer)
{
    for (int64_t id = 0; id < tokenizer_size(tokenizer); id++) {
        if (!tokenizer_is_special(tokenizer, (uint32_t)id))
            continue;
        TRY(memory_grow(&prompt->special, &prompt->special_capacity, prompt->special_count + 1, sizeof *prompt->special,
                        "a prompt"));
        Special *special = &prompt->special[prompt->special_count++];
        special->name = tokenizer_bytes(tokenizer, (uint32_t)id, &special->size);
    }
    return LMU_OK;
}

lmu_status prompt_open(Session *session, bool specials, Prompt **out)
{
    lmu_status status;
    Prompt *prompt = NULL;
    const Tokenizer *tokenizer = session_engine(session)->tokenizer;
    *out = NULL;
    TRY(memory_new(&prompt, 1, sizeof *prompt, "a prompt"));
    prompt->session = session;
    prompt->specials = specials;
    prompt->searched = STRETCH;
    ATTEMPT(encoder_open(tokenizer, &prompt->encoder));
    if (specials)
        ATTEMPT(specials_find(prompt, tokenizer));
    *out = prompt;
    return LMU_OK;
done:
    prompt_close(prompt);
    return status;
}

void prompt_close(Prompt *prompt)
{
    if (!prompt)
        return;
    encoder_close(prompt->encoder);
    free(prompt->list.id);
    free(prompt->text);
    free(prompt->special);
    free(prompt);
}

/* The name of a special token may stand across offset `at`: it does so, or it would if the text went on. */
static bool special_across(const Prompt *prompt, size_t at)
{
    for (size_t i = 0; i < prompt->special_count; i++) {
        const Special *special = &prompt->special[i];
        for (size_t before = 1; before < special->size && before <= at; before++) {
            size_t there = prompt->size - (at - before);
            if (memcmp(prompt->text + at - before, special->name, there < special->size ? there : special->size) == 0)
                return true;
        }
    }
    return false;
}

/* Tokenises the first `size` bytes. */
static lmu_status prompt_take(Prompt *prompt, size_t size)
{
    prompt->list.count = 0;
    TRY(encoder_encode(prompt->encoder, prompt->text, size, prompt->specials, &prompt->list));
    TRY(session_feed(prompt->session, prompt->list.id, prompt->list.count));
    prompt->size -= size;
    memmove(prompt->text, prompt->text + size, prompt->size);
    prompt->searched = STRETCH;
    return LMU_OK;
}

static lmu_status prompt_append(Prompt *prompt, const char *text, size_t size)
{
    TRY(memory_grow(&prompt->text, &prompt->capacity, prompt->size + size, 1, "a prompt"));
    memcpy(prompt->text + prompt->size, text, size);
    prompt->size += size;
    while (prompt->size > prompt->searched + 1) {
        size_t cut = pretoken_cut(prompt->text, prompt->size, prompt->searched);
        if (cut == prompt->size) {
            prompt->searched = prompt->size - 1; /* the byte before the last may yet be followed by a space */
            return LMU_OK;
        }
        if (special_across(prompt, cut))
            prompt->searched = cut + 1;
        else
            TRY(prompt_take(prompt, cut));
    }
    return LMU_OK;
}

lmu_status prompt_push(Prompt *prompt, const char *text, size_t size)
{
    for (size_t done = 0, part; done < size; done += part) {
        part = size - done < STRETCH ? size - done : STRETCH;
        TRY(prompt_append(prompt, text + done, part));
    }
    return LMU_OK;
}

lmu_status prompt_end(Prompt *prompt)
{
    if (prompt->size > 0)
        TRY(prompt_take(prompt, prompt->size));
    if (session_position(prompt->session) > 0)
        return LMU_OK;
    int64_t end = tokenizer_end_of_text(session_engine(prompt->session)->tokenizer);
    if (end < 0)
        return error_set(LMU_USAGE,
                         "the prompt is empty, and the tokenizer has no token %s to begin behind: give a prompt",
                         TOKENIZER_END_OF_TEXT);
    return session_feed(prompt->session, &(uint32_t){(uint32_t)end}, 1);
}
