#include "infer/prompt.h"

#include <stdlib.h>

#include "base/memory.h"
#include "text/incremental.h"

#define STRETCH ((size_t)1 << 16) /* bytes that are tokenised between two feedings of the session */

struct Prompt {
    Session *session;
    Generation *generation; /* that goes on with it; may be NULL */
    Incremental *incremental;
    IdList list;
};

lmu_status prompt_open(Session *session, bool specials, Prompt **out)
{
    lmu_status status;
    Prompt *prompt = NULL;
    *out = NULL;
    TRY(memory_new(&prompt, 1, sizeof *prompt, "a prompt"));
    prompt->session = session;
    ATTEMPT(incremental_open(session_engine(session)->tokenizer, specials, &prompt->incremental));
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
    incremental_close(prompt->incremental);
    free(prompt->list.id);
    free(prompt);
}

void prompt_observe(Prompt *prompt, Generation *generation)
{
    prompt->generation = generation;
}

static lmu_status prompt_read(Prompt *prompt, const uint32_t *id, size_t count)
{
    TRY(session_feed(prompt->session, id, count));
    return prompt->generation ? generation_read(prompt->generation, id, count) : LMU_OK;
}

static lmu_status prompt_feed(Prompt *prompt)
{
    lmu_status status = prompt_read(prompt, prompt->list.id, prompt->list.count);
    prompt->list.count = 0;
    return status;
}

lmu_status prompt_push(Prompt *prompt, const char *text, size_t size)
{
    for (size_t done = 0, part; done < size; done += part) {
        part = size - done < STRETCH ? size - done : STRETCH;
        TRY(incremental_push(prompt->incremental, text + done, part, &prompt->list));
        TRY(prompt_feed(prompt));
    }
    return LMU_OK;
}

lmu_status prompt_end(Prompt *prompt)
{
    TRY(incremental_end(prompt->incremental, &prompt->list));
    TRY(prompt_feed(prompt));
    if (session_position(prompt->session) > 0)
        return LMU_OK;
    int64_t end = tokenizer_end_of_text(session_engine(prompt->session)->tokenizer);
    if (end < 0)
        return error_set(LMU_USAGE,
                         "the prompt is empty, and the tokenizer has no token %s to begin behind: give a prompt",
                         TOKENIZER_END_OF_TEXT);
    return prompt_read(prompt, &(uint32_t){(uint32_t)end}, 1);
}
