/* lmu generate: text from a trained model, as it comes. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/format.h"
#include "base/machine.h"
#include "base/memory.h"
#include "cli/command.h"
#include "cli/token_json.h"
#include "infer/generate.h"
#include "infer/prompt.h"
#include "train/trainer.h"

typedef struct GenerateOptions {
    char *run, *prompt, *prompt_file;
    int64_t max_tokens, top_k, seed, logprobs, threads;
    double temperature, top_p, min_p, repetition_penalty, presence_penalty, frequency_penalty;
    StringList stop; /* as written, and as meant once options_check has seen them */
    bool echo, specials, json;
    int compute; /* ComputeChoice */
} GenerateOptions;

static const Field generate_fields[] = {
    {.name = "run",
     .type = FIELD_STRING,
     .offset = offsetof(GenerateOptions, run),
     .unit = "RUN",
     .help = "a run of lmu train (its best checkpoint is taken) or a checkpoint's directory",
     .positional = true,
     .required = true},
    FIELD_STRING_OF(GenerateOptions, prompt, NULL, "TEXT", "what to go on from; without any, a new text is begun"),
    FIELD_STRING_OF(GenerateOptions, prompt_file, NULL, "FILE", "the prompt from a file; - is standard input"),
    FIELD_COUNT_OF(GenerateOptions, max_tokens, "200", 1, 1e15, "tokens", "write at most so many"),
    FIELD_REAL_OF(GenerateOptions, temperature, "0.8", 0, 1000, NULL,
                  "how freely to choose: 1 as the model predicts, below it surer, 0 always the likeliest token"),
    FIELD_COUNT_OF(GenerateOptions, top_k, "0", 0, 1e9, "tokens", "choose among the likeliest so many; 0: all"),
    FIELD_REAL_OF(GenerateOptions, top_p, "0.95", 1e-9, 1, "probability",
                  "choose among the likeliest tokens that have this probability together; 1: all"),
    FIELD_REAL_OF(GenerateOptions, min_p, "0", 0, 1, "share",
                  "choose among tokens that are at least so many times as likely as the likeliest; 0: all"),
    FIELD_REAL_OF(GenerateOptions, repetition_penalty, "1", SAMPLE_REPETITION_LEAST, SAMPLE_REPETITION_MOST, NULL,
                  "above 1, tokens that occurred in prompt or text are less likely to come again; 1: off"),
    FIELD_REAL_OF(GenerateOptions, presence_penalty, "0", -SAMPLE_PENALTY_MOST, SAMPLE_PENALTY_MOST, "logit",
                  "above 0, tokens that were written are less likely to come again"),
    FIELD_REAL_OF(GenerateOptions, frequency_penalty, "0", -SAMPLE_PENALTY_MOST, SAMPLE_PENALTY_MOST, "logit",
                  "the same for each time that they were"),
    FIELD_COUNT_OF(GenerateOptions, seed, "0", 0, 9e15, NULL, "the same seed gives the same text"),
    {.name = "stop",
     .type = FIELD_STRINGS,
     .offset = offsetof(GenerateOptions, stop),
     .help =
         "end before this text, whose \\n, \\r, \\t and \\\\ are a line break, a return, a tab and a backslash; may "
         "be given several times"},
    FIELD_FLAG_OF(GenerateOptions, json, NULL, "print one JSON object a token instead of the text"),
    FIELD_COUNT_OF(GenerateOptions, logprobs, "0", 0, LOGPROB_LIMIT, "tokens",
                   "with --json: tell so many of the likeliest tokens each time"),
    FIELD_FLAG_OF(GenerateOptions, echo, "true", "write the prompt first; never with --json"),
    FIELD_FLAG_OF(GenerateOptions, specials, NULL,
                  "special tokens such as <|endoftext|> are known in the prompt and written in the text"),
    FIELD_COUNT_OF(GenerateOptions, threads, "0", 0, 1024, NULL, "threads; 0: as many as the machine allows"),
    FIELD_CHOICE_OF(GenerateOptions, compute, "auto", COMPUTE_CHOICES,
                    "what products of matrices multiply; auto: bf16 where the CPU multiplies it"),
};
static const FieldTable generate_table = {"Options", generate_fields, sizeof generate_fields / sizeof *generate_fields};

typedef struct Writing {
    const GenerateOptions *options;
    Backend *backend;
    Engine engine;
    Session *session;
    Prompt *prompt;
    Generation *generation;
    bool echo;
    Utf8Stream stream; /* the character that the text may end in the middle of */
    char last;         /* byte that was written; 0: none */
    Progress *progress;
} Writing;

/* Stop strings from what was written to what is meant; and options that go together. */
static lmu_status options_check(GenerateOptions *o)
{
    if (o->prompt && o->prompt_file)
        return error_set(LMU_USAGE, "--prompt and --prompt-file: give one of them");
    if (o->logprobs > 0 && !o->json)
        return error_set(LMU_USAGE, "--logprobs tells of tokens what only --json has room for: give both");
    for (size_t i = 0; i < o->stop.count; i++)
        if (!parse_escapes(o->stop.value[i], o->stop.value[i]))
            return error_set(LMU_USAGE,
                             "--stop: a backslash is followed by n (line break), r (return), t (tab) or a backslash");
    return LMU_OK;
}

static lmu_status open_generation(Writing *w)
{
    const GenerateOptions *o = w->options;
    GenerateSettings settings = {.sample = {.temperature = o->temperature,
                                            .top_k = o->top_k,
                                            .top_p = o->top_p,
                                            .min_p = o->min_p,
                                            .repetition_penalty = o->repetition_penalty,
                                            .presence_penalty = o->presence_penalty,
                                            .frequency_penalty = o->frequency_penalty,
                                            .seed = (uint64_t)o->seed},
                                 .max_tokens = o->max_tokens,
                                 .specials = o->specials,
                                 .stop = (const char *const *)o->stop.value,
                                 .stop_count = o->stop.count,
                                 .logprobs = o->json,
                                 .alternatives = o->logprobs};
    return generation_open(w->engine.tokenizer, &settings, &w->generation);
}

static lmu_status writing_open(Writing *w)
{
    const GenerateOptions *o = w->options;
    TRY(engine_open_run(o->run, (int)o->threads, (ComputeChoice)o->compute, &w->backend, &w->engine));
    TRY(open_generation(w));
    TRY(session_open(&w->engine, &w->session));
    TRY(prompt_open(w->session, o->specials, &w->prompt));
    prompt_observe(w->prompt, w->generation);
    return LMU_OK;
}

static void writing_close(Writing *w)
{
    prompt_close(w->prompt);
    generation_close(w->generation);
    session_close(w->session);
    engine_close(&w->engine);
    backend_close(w->backend);
}

/* Text to standard output, at once. */
static lmu_status put_text(Writing *w, const char *text, size_t size)
{
    if (size == 0)
        return LMU_OK;
    if (fwrite(text, 1, size, stdout) < size || fflush(stdout) != 0)
        return error_set(LMU_IO, "cannot write to standard output: %s", strerror(errno));
    w->last = text[size - 1];
    return LMU_OK;
}

/* A part of the prompt: its bytes are written as they are, but for the beginning of a character at its end, which waits in the
 * stream for the bytes that come behind it. */
static lmu_status prompt_part(Writing *w, const char *text, size_t size)
{
    char characters[UTF8_ROOM(4096)];
    uint8_t held[sizeof w->stream.held];
    size_t before = (size_t)w->stream.count;
    memcpy(held, w->stream.held, sizeof held);
    for (size_t done = 0, part; done < size; done += part) {
        part = size - done < 4096 ? size - done : 4096;
        utf8_push(&w->stream, text + done, part, characters);
    }
    size_t due = before + size - (size_t)w->stream.count;
    size_t old = before < due ? before : due;
    if (w->echo) {
        TRY(put_text(w, (const char *)held, old));
        TRY(put_text(w, text, due - old));
    }
    return prompt_push(w->prompt, text, size);
}

static lmu_status prompt_stream(Writing *w, FILE *file, const char *name)
{
    enum { PART = 1 << 15 };
    char part[PART];
    size_t got;
    double done = 0;
    while ((got = fread(part, 1, PART, file)) > 0) {
        if (progress_interrupted(w->progress))
            return error_set(LMU_INTERRUPTED, "interrupted while reading the prompt");
        TRY(prompt_part(w, part, got));
        done += (double)got;
        if (!w->echo)
            progress_report(w->progress, "reading the prompt", done, 0, "bytes", NULL);
    }
    return ferror(file) ? error_set(LMU_IO, "%s: cannot read: %s", name, strerror(errno)) : LMU_OK;
}

static lmu_status read_prompt(Writing *w)
{
    const GenerateOptions *o = w->options;
    if (o->prompt)
        TRY(prompt_part(w, o->prompt, strlen(o->prompt)));
    if (o->prompt_file && strcmp(o->prompt_file, "-") == 0)
        TRY(prompt_stream(w, stdin, "standard input"));
    else if (o->prompt_file) {
        FILE *file = fopen(o->prompt_file, "rb");
        if (!file)
            return error_set(LMU_IO, "%s: cannot open: %s", o->prompt_file, strerror(errno));
        lmu_status status = prompt_stream(w, file, o->prompt_file);
        fclose(file);
        TRY(status);
    }
    TRY(prompt_end(w->prompt));
    command_progress_end();
    return LMU_OK;
}

/* ---- what is written ---- */

static json_t *likeliest_json(const Tokenizer *tokenizer, const Logprobs *logprobs)
{
    json_t *list = json_array();
    for (int i = 0; list && i < logprobs->count; i++) {
        const Logprob *one = &logprobs->likeliest[i];
        json_t *item = json_pack("{s:i, s:o, s:f}", "id", (int)one->token, "token", token_json(tokenizer, one->token),
                                 "logprob", one->value);
        if (!item || json_array_append_new(list, item) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static lmu_status put_json(Writing *w, const GenerationEvent *event)
{
    const Tokenizer *tokenizer = w->engine.tokenizer;
    const char *finish = finish_name(event->finish);
    json_t *object =
        event->token < 0
            ? json_pack("{s:n, s:n, s:o, s:I, s:n}", "id", "token", "text", json_stringn(event->text, event->size),
                        "offset", (json_int_t)event->text_offset, "logprob")
            : json_pack("{s:i, s:o, s:o, s:I, s:f}", "id", (int)event->token, "token",
                        token_json(tokenizer, event->token), "text", json_stringn(event->text, event->size), "offset",
                        (json_int_t)event->text_offset, "logprob", event->logprobs.chosen);
    bool whole = object != NULL;
    if (whole && w->options->logprobs > 0)
        whole = json_object_set_new(object, "likeliest", likeliest_json(tokenizer, &event->logprobs)) == 0;
    whole = whole && json_object_set_new(object, "finish", finish ? json_string(finish) : json_null()) == 0;
    char *line = whole ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(10)) : NULL;
    json_decref(object);
    if (!line)
        return error_set(LMU_MEMORY, "no memory for a token as JSON");
    size_t size = strlen(line);
    line[size] = '\n'; /* in the place of the NUL, so that a reader gets whole lines */
    lmu_status status = put_text(w, line, size + 1);
    free(line);
    return status;
}

static lmu_status take_event(void *context, const GenerationEvent *event)
{
    Writing *w = context;
    return w->options->json ? put_json(w, event) : put_text(w, event->text, event->size);
}

static lmu_status write_text(Writing *w)
{
    double start = machine_seconds();
    generation_begin(w->generation, &w->stream);
    lmu_status status = generate_run(w->session, w->generation, take_event, w, w->progress);
    double seconds = machine_seconds() - start;
    if ((status == LMU_OK || status == LMU_INTERRUPTED) && w->last != 0 && w->last != '\n')
        putchar('\n');
    TRY(status);
    int64_t tokens = generation_tokens(w->generation);
    FinishReason finish = generation_finish(w->generation);
    if (isatty(STDERR_FILENO))
        progress_say(w->progress, "%lld tokens, %.0f a second, %s products%s", (long long)tokens,
                     (double)tokens / seconds, backend_compute_name(w->backend),
                     finish == FINISH_END_OF_TEXT ? "; the text ends here"
                     : finish == FINISH_STOP      ? "; a stop string came"
                                                  : "");
    return LMU_OK;
}

static lmu_status generate_run_command(int argc, char *const *argv);

const Command generate_command = {
    .name = "generate",
    .summary = "Write text with a trained model",
    .usage = "RUN [--prompt TEXT | --prompt-file FILE] [options]",
    .details =
        "Goes on from the prompt and writes each token as it comes, until --max-tokens, a --stop string or the end of\n"
        "the text. Without a prompt, or with an empty one, a new text is begun. A prompt of any length is read in\n"
        "constant memory. Any bytes are a prompt: they are read and echoed as they are, UTF-8 or not; what the model\n"
        "writes is always valid UTF-8, with U+FFFD for bytes that make no character. The output ends with a line\n"
        "break. Ctrl-C ends it with code 130.\n"
        "\n"
        "A token is chosen in these steps: penalties change the model's logits, temperature divides them, and of what\n"
        "--top-k leaves --top-p and then --min-p keep a part, from which chance takes one.\n"
        "\n"
        "With --json each token is a line: id; token, its own text; text, what of the output is certain now (a part\n"
        "of a character or of a stop string waits); offset, the byte of the output where the token's text begins;\n"
        "logprob, ln of its probability as the model has it, before penalties and temperature; with --logprobs the\n"
        "likeliest tokens; and finish, null or on the last line why the text ended: length, stop, end_of_text or\n"
        "interrupted.\n"
        "\n"
        "    lmu generate run --prompt 'Call me'\n"
        "    lmu generate run --prompt-file chapter.txt --no-echo --max-tokens 1k --temperature 0.7 --seed 3\n"
        "    lmu generate run --prompt 'Q: Who?' --stop '\\n\\n' --stop Q: --min-p 0.05 --top-p 1\n"
        "    lmu generate run --prompt 'Call me' --json --logprobs 3\n"
        "    head -c 2000 book.txt | lmu generate run --prompt-file - --temperature 0",
    .tables = {&generate_table},
    .run = generate_run_command,
};

static lmu_status generate_run_command(int argc, char *const *argv)
{
    GenerateOptions options;
    void *const values[] = {&options};
    bool help;
    TRY(command_parse(&generate_command, argc, argv, values, &help));
    if (help)
        return LMU_OK;
    lmu_status status;
    Writing w = {.options = &options, .echo = options.echo && !options.json, .progress = command_progress()};
    ATTEMPT(options_check(&options));
    ATTEMPT(writing_open(&w));
    ATTEMPT(read_prompt(&w));
    ATTEMPT(write_text(&w));
done:
    writing_close(&w);
    command_free(&generate_command, values);
    return status;
}
