/* lmu stream: the surprise of each token of a text without end, as it comes. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "cli/command.h"
#include "cli/token_json.h"
#include "infer/logprob.h"
#include "infer/session.h"

#define PART ((size_t)1 << 15) /* bytes that are read at a time */
#define WAIT_MS 200            /* between two looks at the clock and at whether to stop, while nothing comes */

typedef struct StreamOptions {
    char *run, *state;
    double save_every;
    bool json, specials;
    int64_t threads;
    int compute; /* ComputeChoice */
} StreamOptions;

static const Field stream_fields[] = {
    {.name = "run",
     .type = FIELD_STRING,
     .offset = offsetof(StreamOptions, run),
     .unit = "RUN",
     .help = "a run of lmu train (its best checkpoint is taken) or a checkpoint's directory",
     .positional = true,
     .required = true},
    FIELD_STRING_OF(StreamOptions, state, NULL, "FILE",
                    "go on where this file stands, if it is there, and write it when the input ends"),
    FIELD_NUMBER_OF(FIELD_DURATION, StreamOptions, save_every, "1m", 0, 1e9, "time",
                    "write --state now and then too; 0: only when the input ends"),
    FIELD_FLAG_OF(StreamOptions, json, NULL, "write a JSON object for each token"),
    FIELD_FLAG_OF(StreamOptions, specials, NULL, "special tokens such as <|endoftext|> are known in the text"),
    FIELD_COUNT_OF(StreamOptions, threads, "0", 0, 1024, NULL, "threads; 0: as many as the machine allows"),
    FIELD_CHOICE_OF(StreamOptions, compute, "auto", COMPUTE_CHOICES,
                    "what products of matrices multiply; auto: bf16 where the CPU multiplies it"),
};
static const FieldTable stream_table = {"Options", stream_fields, sizeof stream_fields / sizeof *stream_fields};

typedef struct Streaming {
    const StreamOptions *options;
    Backend *backend;
    Engine engine;
    Session *session;
    Incremental *incremental;
    IdList list;
    const uint32_t *next; /* the id whose surprise comes next, while ids are read */
    float *logits;        /* [V] behind the last id; of none if nothing was read */
    double saved;         /* when, in seconds */
    Progress *progress;
} Streaming;

/* A new text begins behind the token that ends one; where the tokenizer has none, nothing predicts the first token. */
static lmu_status begin_text(Streaming *s)
{
    const float *logits;
    int64_t end = tokenizer_end_of_text(s->engine.tokenizer);
    if (s->options->state)
        TRY(file_writer_check(s->options->state));
    if (s->options->state && file_exists(s->options->state))
        TRY(session_load(s->session, s->incremental, s->options->state));
    else if (end >= 0)
        TRY(session_feed(s->session, &(uint32_t){(uint32_t)end}, 1));
    if (session_position(s->session) == 0)
        return LMU_OK;
    TRY(session_logits(s->session, &logits));
    memcpy(s->logits, logits, (size_t)s->engine.model->config.vocabulary * sizeof *logits);
    return LMU_OK;
}

static lmu_status streaming_open(Streaming *s)
{
    const StreamOptions *o = s->options;
    TRY(engine_open_run(o->run, (int)o->threads, (ComputeChoice)o->compute, &s->backend, &s->engine));
    TRY(session_open(&s->engine, &s->session));
    TRY(incremental_open(s->engine.tokenizer, o->specials, &s->incremental));
    TRY(memory_new(&s->logits, (size_t)s->engine.model->config.vocabulary, sizeof *s->logits, "a stream"));
    TRY(begin_text(s));
    s->saved = machine_seconds();
    return LMU_OK;
}

static void streaming_close(Streaming *s)
{
    incremental_close(s->incremental);
    session_close(s->session);
    engine_close(&s->engine);
    backend_close(s->backend);
    free(s->list.id);
    free(s->logits);
}

/* A line: the surprise in nats, a tab, the token as a JSON string; or an object. `known`: something predicted it. */
static lmu_status put_token(const Streaming *s, uint32_t id, bool known, double surprise)
{
    json_t *token = token_json(s->engine.tokenizer, (int32_t)id);
    char *text = token ? json_dumps(token, JSON_ENCODE_ANY) : NULL;
    json_decref(token);
    if (!text)
        return error_set(LMU_MEMORY, "no memory for a token as JSON");
    char number[32] = "-";
    if (known)
        snprintf(number, sizeof number, "%.4f", surprise);
    if (s->options->json)
        printf("{\"id\":%u,\"token\":%s,\"surprise\":%s}\n", id, text, known ? number : "null");
    else
        printf("%s\t%s\n", number, text);
    free(text);
    return ferror(stdout) ? error_set(LMU_IO, "cannot write to standard output: %s", strerror(errno)) : LMU_OK;
}

/* The surprise of the id that was just read, by the logits before it; then those behind it are kept. */
static lmu_status take_logits(void *context, int64_t position, const float *logits)
{
    Streaming *s = context;
    int64_t vocabulary = s->engine.model->config.vocabulary;
    Logprobs found = {0};
    bool known = position > 1;
    if (known)
        TRY(logprobs_find(s->logits, vocabulary, (int32_t)*s->next, 0, &found));
    TRY(put_token(s, *s->next++, known, -found.chosen));
    memcpy(s->logits, logits, (size_t)vocabulary * sizeof *logits);
    return LMU_OK;
}

/* Reads the ids that are certain and writes what they were worth. */
static lmu_status read_ids(Streaming *s)
{
    s->next = s->list.id;
    lmu_status status = session_feed_each(s->session, s->list.id, s->list.count, take_logits, s);
    s->list.count = 0;
    if (fflush(stdout) != 0 && status == LMU_OK)
        status = error_set(LMU_IO, "cannot write to standard output: %s", strerror(errno));
    return status;
}

static lmu_status save_state(Streaming *s)
{
    s->saved = machine_seconds();
    return s->options->state ? session_save(s->session, s->incremental, s->options->state) : LMU_OK;
}

/* The next bytes as they come; *size 0: the input has ended. Looks now and then whether to save or to stop. */
static lmu_status next_part(Streaming *s, char *part, size_t *size)
{
    for (;;) {
        struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
        int ready = poll(&input, 1, WAIT_MS);
        if (progress_interrupted(s->progress))
            return error_set(LMU_INTERRUPTED, "interrupted%s", s->options->state ? "; the state is saved" : "");
        if (s->options->save_every > 0 && machine_seconds() - s->saved >= s->options->save_every)
            TRY(save_state(s));
        if (ready <= 0)
            continue;
        ssize_t got = read(STDIN_FILENO, part, PART);
        if (got < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (got < 0)
            return error_set(LMU_IO, "standard input: cannot read: %s", strerror(errno));
        *size = (size_t)got;
        return LMU_OK;
    }
}

/* A stream with a state is not at its end when the input is: what may go on waits in the state. */
static lmu_status read_all(Streaming *s)
{
    char part[PART];
    size_t size = 0;
    lmu_status status;
    do {
        status = next_part(s, part, &size);
        if (status == LMU_OK && size > 0)
            status = incremental_push(s->incremental, part, size, &s->list);
        else if (status == LMU_OK && !s->options->state)
            status = incremental_end(s->incremental, &s->list);
        if (status == LMU_OK)
            status = read_ids(s);
    } while (status == LMU_OK && size > 0);
    if (status == LMU_OK || status == LMU_INTERRUPTED)
        TRY(save_state(s));
    return status;
}

static lmu_status stream_run(int argc, char *const *argv);

const Command stream_command = {
    .name = "stream",
    .summary = "Tell how surprising each token of a text without end is",
    .usage = "RUN [--state FILE] [--json] < TEXT",
    .details =
        "Reads standard input, as it comes and for as long as it comes, in constant memory, and writes a line for "
        "each\n"
        "token: its surprise in nats, -ln p, a tab, and the token as a JSON string; or with --json an object with id,\n"
        "token and surprise. What a line of the input holds is written before the next one comes, but for its line\n"
        "break, which might go on. Their mean is the perplexity's logarithm; a line that the model did not expect\n"
        "stands out.\n"
        "\n"
        "With --state the stream goes on where FILE stands and FILE is written when the input ends, on SIGINT and\n"
        "SIGTERM, and now and then: what is read in parts, by one process after the other, gives what the whole "
        "gives.\n"
        "The last characters of a part may wait in the state until what follows them decides their tokens.\n"
        "\n"
        "    tail -f /var/log/syslog | lmu stream run --state syslog.state --json\n"
        "    lmu stream run < chapter.txt | awk '{ nats += $1 } END { print exp(nats / NR) }'",
    .tables = {&stream_table},
    .run = stream_run,
};

static lmu_status stream_run(int argc, char *const *argv)
{
    StreamOptions options;
    void *const values[] = {&options};
    bool help;
    TRY(command_parse(&stream_command, argc, argv, values, &help));
    if (help)
        return LMU_OK;
    lmu_status status;
    Streaming s = {.options = &options, .progress = command_progress()};
    ATTEMPT(streaming_open(&s));
    ATTEMPT(read_all(&s));
done:
    streaming_close(&s);
    command_free(&stream_command, values);
    return status;
}
