#include "fuzz_safetensors.h"
#include "infer/session.h"

#define STOOD 3 /* ids that the session has read before */

static Engine engine;
static Session *session;
static Incremental *text;

static void open_once(void)
{
    Backend *backend;
    fuzz_require(backend_open(BACKEND_CPU, 1, false, &backend) == LMU_OK);
    fuzz_require(engine_open(backend, "tests/golden/checkpoint", &engine) == LMU_OK);
    fuzz_require(session_open(&engine, &session) == LMU_OK);
    fuzz_require(incremental_open(engine.tokenizer, false, &text) == LMU_OK);
}

/* A state that was taken is one like any other: it goes on, and saves. */
static void go_on(Incremental *with)
{
    const float *logits;
    char *data;
    size_t size;
    IdList ids = {0};
    int64_t position = session_position(session);
    if (with) {
        fuzz_require(incremental_push(with, "more ", 5, &ids) == LMU_OK);
        fuzz_require(incremental_end(with, &ids) == LMU_OK);
    }
    fuzz_require(session_feed(session, (uint32_t[]){1, 2, 3}, 3) == LMU_OK);
    fuzz_require(session_position(session) == position + 3);
    fuzz_require(session_logits(session, &logits) == LMU_OK);
    fuzz_require(session_pack(session, NULL, &data, &size) == LMU_OK);
    free(data);
    free(ids.id);
}

/* States from anywhere: refused with a message, and the session stands where it stood; or taken. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!session)
        open_once();
    size_t file_size;
    uint8_t *file = fuzz_safetensors(data, size, &file_size);
    for (int with_text = 0; with_text < 2; with_text++) {
        Incremental *with = with_text ? text : NULL;
        session_reset(session);
        fuzz_require(session_feed(session, (uint32_t[]){4, 5, 6}, STOOD) == LMU_OK);
        if (session_unpack(session, with, file, file_size, "input") == LMU_OK)
            go_on(with);
        else
            fuzz_require(lmu_error_message()[0] != '\0' && session_position(session) == STOOD);
    }
    free(file);
    return 0;
}
