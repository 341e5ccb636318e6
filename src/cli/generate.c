/* lmu generate: text from a trained model, as it comes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/format.h"
#include "cli/command.h"
#include "infer/generate.h"
#include "infer/prompt.h"
#include "train/trainer.h"

typedef struct GenerateOptions {
    char *run, *prompt, *prompt_file;
    int64_t max_tokens, top_k, seed, threads;
    double temperature, top_p;
    bool echo, specials;
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
    FIELD_COUNT_OF(GenerateOptions, seed, "0", 0, 9e18, NULL, "the same seed gives the same text"),
    FIELD_FLAG_OF(GenerateOptions, echo, "true", "write the prompt first"),
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
    Utf8Stream stream; /* the character that the text may end in the middle of */
    char last;         /* byte that was written; 0: none */
    Progress *progress;
} Writing;

static lmu_status writing_open(Writing *w)
{
    const GenerateOptions *o = w->options;
    char *checkpoint;
    if (o->prompt && o->prompt_file)
        return error_set(LMU_USAGE, "--prompt and --prompt-file: give one of them");
    TRY(checkpoint_find(o->run, &checkpoint));
    lmu_status status = backend_open(BACKEND_CPU, (int)o->threads, false, &w->backend);
    if (status == LMU_OK)
        status = backend_choose_compute(w->backend, (ComputeChoice)o->compute);
    if (status == LMU_OK)
        status = engine_open(w->backend, checkpoint, &w->engine);
    free(checkpoint);
    TRY(status);
    TRY(session_open(&w->engine, &w->session));
    return prompt_open(w->session, o->specials, &w->prompt);
}

static void writing_close(Writing *w)
{
    prompt_close(w->prompt);
    session_close(w->session);
    engine_close(&w->engine);
    backend_close(w->backend);
}

/* Text to standard output, at once. */
static lmu_status put_text(void *context, const char *text, size_t size)
{
    Writing *w = context;
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
    if (w->options->echo) {
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
        if (!w->options->echo)
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

static lmu_status write_text(Writing *w)
{
    const GenerateOptions *o = w->options;
    GenerateSettings settings = {
        .sample = {.temperature = o->temperature, .top_k = o->top_k, .top_p = o->top_p, .seed = (uint64_t)o->seed},
        .max_tokens = o->max_tokens,
        .specials = o->specials};
    GenerateReport report;
    lmu_status status = generate_run(w->session, &settings, &w->stream, put_text, w, w->progress, &report);
    if ((status == LMU_OK || status == LMU_INTERRUPTED) && w->last != 0 && w->last != '\n')
        putchar('\n');
    TRY(status);
    if (isatty(STDERR_FILENO))
        progress_say(w->progress, "%lld tokens, %.0f a second, %s products%s", (long long)report.tokens,
                     (double)report.tokens / report.seconds, backend_compute_name(w->backend),
                     report.end_of_text ? "; the text ends here" : "");
    return LMU_OK;
}

static lmu_status generate_run_command(int argc, char *const *argv);

const Command generate_command = {
    .name = "generate",
    .summary = "Write text with a trained model",
    .usage = "RUN [--prompt TEXT | --prompt-file FILE] [options]",
    .details =
        "Goes on from the prompt and writes each token as it comes, until --max-tokens or the end of the text. Without "
        "a\n"
        "prompt, or with an empty one, a new text is begun. A prompt of any length is read in constant memory. Any "
        "bytes\n"
        "are a prompt: they are read and echoed as they are, UTF-8 or not; what the model writes is always valid\n"
        "UTF-8, with U+FFFD for bytes that make no character. The output ends with a line break. Ctrl-C ends it with\n"
        "code 130.\n"
        "\n"
        "    lmu generate run --prompt 'Call me'\n"
        "    lmu generate run --prompt-file chapter.txt --no-echo --max-tokens 1k --temperature 0.7 --seed 3\n"
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
    Writing w = {.options = &options, .progress = command_progress()};
    ATTEMPT(writing_open(&w));
    ATTEMPT(read_prompt(&w));
    ATTEMPT(write_text(&w));
done:
    writing_close(&w);
    command_free(&generate_command, values);
    return status;
}
