#include "infer/generate.h"

#include <stdlib.h>
#include <string.h>

#include "base/machine.h"
#include "base/memory.h"

typedef struct Generating {
    Session *session;
    const GenerateSettings *settings;
    Utf8Stream *stream;
    GenerateWrite *write;
    void *context;
    Sampler *sampler;
    char *text; /* room for the text of a token */
    size_t capacity;
    GenerateReport *report;
} Generating;

static lmu_status write_token(Generating *g, uint32_t token)
{
    const Tokenizer *tokenizer = session_engine(g->session)->tokenizer;
    if (tokenizer_is_special(tokenizer, token) && !g->settings->specials)
        return LMU_OK;
    size_t size;
    const char *bytes = tokenizer_bytes(tokenizer, token, &size);
    TRY(memory_grow(&g->text, &g->capacity, UTF8_ROOM(size), 1, "the text of a token"));
    size_t whole = utf8_push(g->stream, bytes, size, g->text);
    return whole > 0 ? g->write(g->context, g->text, whole) : LMU_OK;
}

static lmu_status next_token(Generating *g)
{
    const float *logits;
    int32_t token;
    TRY(session_logits(g->session, &logits));
    TRY(sampler_choose(g->sampler, &g->settings->sample, logits, session_position(g->session), &token));
    TRY(session_feed(g->session, &(uint32_t){(uint32_t)token}, 1));
    g->report->tokens++;
    g->report->end_of_text = token == tokenizer_end_of_text(session_engine(g->session)->tokenizer);
    return write_token(g, (uint32_t)token);
}

lmu_status generate_run(Session *session, const GenerateSettings *settings, Utf8Stream *stream, GenerateWrite *write,
                        void *context, const Progress *progress, GenerateReport *report)
{
    Generating g = {.session = session,
                    .settings = settings,
                    .stream = stream,
                    .write = write,
                    .context = context,
                    .report = report};
    double start = machine_seconds();
    char rest[UTF8_ROOM(0)];
    size_t size;
    lmu_status status;
    bool interrupted = false;
    memset(report, 0, sizeof *report);
    ATTEMPT(sampler_open(session_engine(session)->model->config.vocabulary, &g.sampler));
    while (report->tokens < settings->max_tokens && !report->end_of_text && !interrupted) {
        ATTEMPT(next_token(&g));
        interrupted = progress_interrupted(progress);
    }
    size = utf8_end(stream, rest);
    if (size > 0)
        ATTEMPT(write(context, rest, size));
    if (interrupted)
        status = error_set(LMU_INTERRUPTED, "interrupted after %lld tokens", (long long)report->tokens);
done:
    report->seconds = machine_seconds() - start;
    sampler_close(g.sampler);
    free(g.text);
    return status;
}
