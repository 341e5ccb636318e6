/* lmu prepare: text becomes the token shards that training and evaluation read. */
#include "text/prepare.h"
#include "base/format.h"
#include "cli/command.h"

typedef struct PrepareArguments {
    StringList inputs, valid;
    char *tokenizer, *out, *field;
    double valid_fraction;
    int64_t seed, threads;
    bool deduplicate, skip_bad, specials;
} PrepareArguments;

static const Field prepare_fields[] = {
    {.name = "inputs",
     .type = FIELD_STRINGS,
     .offset = offsetof(PrepareArguments, inputs),
     .unit = "INPUT",
     .help = "text: .txt, .jsonl, either with .zst, or a directory of such files",
     .positional = true,
     .required = true},
    {.name = "tokenizer",
     .type = FIELD_STRING,
     .offset = offsetof(PrepareArguments, tokenizer),
     .unit = "FILE",
     .help = "the tokenizer.json to use",
     .required = true},
    {.name = "out",
     .type = FIELD_STRING,
     .offset = offsetof(PrepareArguments, out),
     .unit = "DIR",
     .help = "where train.bin, valid.bin and tokenizer.json are written",
     .required = true},
    FIELD_REAL_OF(PrepareArguments, valid_fraction, "0.05", 1e-6, 0.999999, NULL,
                  "how much to hold out for validation, of the documents; of a single document, its end"),
    {.name = "valid",
     .type = FIELD_STRINGS,
     .offset = offsetof(PrepareArguments, valid),
     .unit = "INPUT",
     .help = "held-out text of its own; then all of the inputs are for training"},
    FIELD_COUNT_OF(PrepareArguments, seed, "0", 0, 9e15, NULL, "chooses the held-out documents"),
    FIELD_STRING_OF(PrepareArguments, field, "text", "NAME", "the field of a .jsonl line that holds the text"),
    FIELD_FLAG_OF(PrepareArguments, deduplicate, NULL,
                  "drop documents that occurred before, to the byte; held-out ones too that are also training text"),
    FIELD_FLAG_OF(PrepareArguments, skip_bad, NULL,
                  "drop and count documents and files that cannot be read, instead of stopping at the first"),
    FIELD_FLAG_OF(PrepareArguments, specials, NULL, "text that spells a special token becomes that token"),
    FIELD_COUNT_OF(PrepareArguments, threads, "0", 0, 1024, NULL, "threads; 0: as many as the machine allows"),
};
static const FieldTable prepare_table = {"Options", prepare_fields, sizeof prepare_fields / sizeof *prepare_fields};

static void side_print(const char *name, const PrepareSide *side)
{
    char documents[32], bytes[32], tokens[32];
    printf("%-6s %10s documents  %12s bytes  %10s tokens  %.3f bytes a token\n", name,
           format_count((double)side->documents, documents, sizeof documents),
           format_count((double)side->bytes, bytes, sizeof bytes),
           format_count((double)side->tokens, tokens, sizeof tokens), (double)side->bytes / (double)side->tokens);
}

/* What became of documents that are on no side. */
static void dropped_print(const PrepareResult *result)
{
    if (result->duplicates > 0)
        printf("dropped %10lld duplicates\n", (long long)result->duplicates);
    for (int fault = 0; fault < CORPUS_FAULTS; fault++)
        if (result->skipped[fault].count > 0)
            printf("skipped %10lld %s; the first: %s\n", (long long)result->skipped[fault].count,
                   corpus_fault_name((CorpusFault)fault), result->skipped[fault].first);
}

static lmu_status prepare_make(const PrepareArguments *arguments)
{
    Tokenizer *tokenizer;
    PrepareResult result;
    PrepareOptions options = {
        .inputs = arguments->inputs.value,
        .input_count = arguments->inputs.count,
        .valid_inputs = arguments->valid.value,
        .valid_count = arguments->valid.count,
        .valid_fraction = arguments->valid_fraction,
        .seed = (uint64_t)arguments->seed,
        .field = arguments->field,
        .specials = arguments->specials,
        .deduplicate = arguments->deduplicate,
        .skip_bad = arguments->skip_bad,
        .threads = (int)arguments->threads,
        .out = arguments->out,
    };
    TRY(tokenizer_open(arguments->tokenizer, &tokenizer));
    lmu_status status = prepare_run(&options, tokenizer, command_progress(), &result);
    tokenizer_close(tokenizer);
    TRY(status);
    command_progress_end();
    side_print("train", &result.train);
    side_print("valid", &result.valid);
    dropped_print(&result);
    printf("written to %s\n", arguments->out);
    return LMU_OK;
}

static lmu_status prepare_command_run(int argc, char *const *argv);

const Command prepare_command = {
    .name = "prepare",
    .summary = "Turn text into tokens to train on",
    .usage = "INPUT... --tokenizer FILE --out DIR [options]",
    .details =
        "Writes DIR/train.bin, DIR/valid.bin and a copy of the tokenizer. A .txt file is one document, a line of a\n"
        ".jsonl file (--field) is one; each is followed by the token <|endoftext|>. Some documents are held out for\n"
        "validation: a fraction of them chosen by --seed, or what --valid names. Of a single document the end is\n"
        "held out. DIR appears whole or not at all; one that lmu prepare wrote before is replaced. The same inputs\n"
        "give the same bytes on any number of threads.\n\n"
        "  lmu prepare books/ --tokenizer books.json --out data/books\n"
        "  lmu prepare train.jsonl.zst --valid valid.jsonl.zst --tokenizer books.json --out data/books\n"
        "  lmu prepare crawl/ --field body --deduplicate --skip-bad --tokenizer books.json --out data/crawl",
    .tables = {&prepare_table},
    .run = prepare_command_run,
};

static lmu_status prepare_command_run(int argc, char *const *argv)
{
    PrepareArguments arguments;
    void *const values[] = {&arguments};
    bool help;
    TRY(command_parse(&prepare_command, argc, argv, values, &help));
    if (help)
        return LMU_OK;
    lmu_status status = prepare_make(&arguments);
    command_free(&prepare_command, values);
    return status;
}
