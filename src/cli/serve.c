/* lmu serve: text from a trained model, by HTTP. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/format.h"
#include "cli/command.h"
#include "serve/serve.h"
#include "train/trainer.h"

typedef struct ServeOptions {
    char *run, *host, *name, *api_key_file;
    int64_t port, streams, queue, prompt_tokens, max_tokens, body, connections, cache, threads;
    double request_time, idle_time, deadline;
    bool quiet;
    int compute; /* ComputeChoice */
} ServeOptions;

#define BYTES_OF(m, initial_, low_, help_)                                                                             \
    {                                                                                                                  \
        .name = #m, .type = FIELD_BYTES, .offset = offsetof(ServeOptions, m), .initial = (initial_), .low = (low_),    \
        .high = 1e15, .unit = "bytes", .help = (help_)                                                                 \
    }
#define DURATION_OF(m, initial_, low_, help_)                                                                          \
    {                                                                                                                  \
        .name = #m, .type = FIELD_DURATION, .offset = offsetof(ServeOptions, m), .initial = (initial_), .low = (low_), \
        .high = 1e6, .unit = "time", .help = (help_)                                                                   \
    }

static const Field serve_fields[] = {
    {.name = "run",
     .type = FIELD_STRING,
     .offset = offsetof(ServeOptions, run),
     .unit = "RUN",
     .help = "a run of lmu train (its best checkpoint is taken) or a checkpoint's directory",
     .positional = true,
     .required = true},
    FIELD_STRING_OF(ServeOptions, host, "127.0.0.1", "ADDRESS",
                    "where to listen; 0.0.0.0 or :: is every address of the machine"),
    FIELD_COUNT_OF(ServeOptions, port, "8080", 0, 65535, NULL, "the port; 0: any that is free, which is printed"),
    FIELD_STRING_OF(ServeOptions, name, NULL, "NAME", "what clients call the model; without it, the last part of RUN"),
    FIELD_STRING_OF(ServeOptions, api_key_file, NULL, "FILE",
                    "keys, one a line, of which clients must show one; without it, nobody needs any"),
    FIELD_COUNT_OF(ServeOptions, streams, "32", 1, 4096, "texts", "so many are read or written at a time"),
    FIELD_COUNT_OF(ServeOptions, queue, "64", 0, 1e6, "requests", "so many more wait; others are refused with 429"),
    FIELD_COUNT_OF(ServeOptions, prompt_tokens, "100k", 1, 1e9, "tokens", "of a prompt, at most"),
    FIELD_COUNT_OF(ServeOptions, max_tokens, "4096", 1, 1e9, "tokens", "that a request may ask to write, at most"),
    BYTES_OF(body, "8Mi", 1024, "of a request, at most"),
    BYTES_OF(cache, "256Mi", 0, "of memory for states that are kept: by id, and of the prompts read last"),
    FIELD_COUNT_OF(ServeOptions, connections, "1024", 4, 1e6, NULL, "open at a time, at most"),
    DURATION_OF(request_time, "10m", 0.001, "that a completion may take"),
    DURATION_OF(idle_time, "60", 0.1,
                "in which a connection brings a whole request, or takes a part of its answer; else it is closed"),
    DURATION_OF(deadline, "10", 0, "that running requests have to end, once the server is told to stop"),
    FIELD_FLAG_OF(ServeOptions, quiet, NULL, "do not write a line for each request on standard error"),
    FIELD_COUNT_OF(ServeOptions, threads, "0", 0, 1024, NULL, "threads; 0: as many as the machine allows"),
    FIELD_CHOICE_OF(ServeOptions, compute, "auto", COMPUTE_CHOICES,
                    "what products of matrices multiply; auto: bf16 where the CPU multiplies it"),
};
static const FieldTable serve_table = {"Options", serve_fields, sizeof serve_fields / sizeof *serve_fields};

typedef struct Serving {
    const char *name;
} Serving;

static void say_ready(void *context, const char *url)
{
    const Serving *serving = context;
    printf("serving %s on %s\n", serving->name, url);
    fflush(stdout);
}

static void say_line(void *context, const char *line)
{
    char clock[16] = "";
    struct tm parts;
    time_t now = time(NULL);
    (void)context;
    if (localtime_r(&now, &parts))
        strftime(clock, sizeof clock, "%H:%M:%S", &parts);
    fprintf(stderr, "%s %s\n", clock, line);
}

/* The last part of a path, as the model's name; without the slashes behind it. */
static char *name_of_path(const char *path)
{
    size_t end = strlen(path);
    while (end > 1 && path[end - 1] == '/')
        end--;
    size_t start = end;
    while (start > 0 && path[start - 1] != '/')
        start--;
    return strndup(path + start, end - start);
}

static lmu_status serve(const ServeOptions *o, const char *name, Engine *engine)
{
    Serving serving = {name};
    ServeSettings settings = {
        .host = o->host,
        .port = (int)o->port,
        .name = name,
        .key_file = o->api_key_file,
        .batch = {.streams = o->streams, .queue = o->queue, .cache_bytes = (size_t)o->cache},
        .request = {.prompt_tokens = o->prompt_tokens, .max_tokens = o->max_tokens},
        .body_bytes = (size_t)o->body,
        .connections = o->connections,
        .request_time = o->request_time,
        .idle_time = o->idle_time,
        .deadline = o->deadline,
    };
    ServeHooks hooks = {.ready = say_ready,
                        .log = o->quiet ? NULL : say_line,
                        .context = &serving,
                        .interrupt = command_progress()->interrupt};
    return serve_run(engine, &settings, &hooks);
}

static lmu_status serve_options(const ServeOptions *o)
{
    lmu_status status;
    char *name = o->name ? strdup(o->name) : name_of_path(o->run);
    Backend *backend = NULL;
    Engine engine = {0};
    if (!name)
        ATTEMPT(error_set(LMU_MEMORY, "no memory for a name"));
    ATTEMPT(engine_open_run(o->run, (int)o->threads, (ComputeChoice)o->compute, &backend, &engine));
    ATTEMPT(serve(o, name, &engine));
done:
    engine_close(&engine);
    backend_close(backend);
    free(name);
    return status;
}

static lmu_status serve_command_run(int argc, char *const *argv);

const Command serve_command = {
    .name = "serve",
    .summary = "Serve a trained model by HTTP",
    .usage = "RUN [options]",
    .details =
        "Answers the OpenAI completions API (POST /v1/completions, /v1/models) for many clients at a time, and "
        "besides\n"
        "it /tokenize, /detokenize, /health, /metrics and a page at /. Texts that are written at the same time "
        "advance\n"
        "together, and each is to the bit what it is alone with the same seed. A conversation's state can go to the\n"
        "client with each answer and come back with the next request. docs/serve.md shows each of these.\n"
        "\n"
        "It listens on this machine alone unless --host says otherwise; for the world, put a proxy that speaks TLS in\n"
        "front. SIGTERM or Ctrl-C ends it: nothing new is begun, what runs may end within --deadline. A second one\n"
        "ends it at once, unless it comes within a second of the first.\n"
        "\n"
        "    lmu serve run\n"
        "    lmu serve run --port 0 --name my-model --api-key-file keys --streams 64 --cache 1Gi",
    .tables = {&serve_table},
    .run = serve_command_run,
};

static lmu_status serve_command_run(int argc, char *const *argv)
{
    ServeOptions options;
    void *const values[] = {&options};
    bool help;
    TRY(command_parse(&serve_command, argc, argv, values, &help));
    if (help)
        return LMU_OK;
    lmu_status status = serve_options(&options);
    command_free(&serve_command, values);
    return status;
}
