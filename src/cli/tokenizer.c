/* lmu tokenizer train, encode, decode. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/format.h"
#include "base/memory.h"
#include "cli/command.h"
#include "text/bpe_train.h"
#include "text/tokenizer.h"

/* ---- train ---- */

typedef struct TrainArguments {
    StringList inputs;
    int64_t vocabulary, threads;
    char *out, *field;
} TrainArguments;

static const Field train_fields[] = {
    {.name = "inputs",
     .type = FIELD_STRINGS,
     .offset = offsetof(TrainArguments, inputs),
     .unit = "INPUT",
     .help = "text: .txt, .jsonl, either with .zst, or a directory of such files",
     .positional = true,
     .required = true},
    FIELD_COUNT_OF(TrainArguments, vocabulary, "4096", VOCABULARY_LEAST, VOCABULARY_MOST, "tokens",
                   "how many tokens there shall be, with the 256 bytes and <|endoftext|>"),
    {.name = "out",
     .type = FIELD_STRING,
     .offset = offsetof(TrainArguments, out),
     .unit = "FILE",
     .help = "the tokenizer.json to write",
     .required = true},
    FIELD_STRING_OF(TrainArguments, field, "text", "NAME", "the field of a .jsonl line that holds the text"),
    FIELD_COUNT_OF(TrainArguments, threads, "0", 0, 1024, NULL, "threads; 0: as many as the machine allows"),
};
static const FieldTable train_table = {"Options", train_fields, sizeof train_fields / sizeof *train_fields};

static lmu_status train_run(int argc, char *const *argv);

const Command tokenizer_train_command = {
    .name = "tokenizer train",
    .summary = "Learn a vocabulary from text",
    .usage = "INPUT... --vocabulary N --out FILE",
    .details =
        "Learns a byte-level BPE vocabulary and writes it as a tokenizer.json that Hugging Face's tokenizers read.\n"
        "The same text gives the same vocabulary, on any number of threads.\n\n"
        "  lmu tokenizer train books/ --vocabulary 4096 --out books.json",
    .tables = {&train_table},
    .run = train_run,
};

static lmu_status train_make(const TrainArguments *arguments)
{
    Tokenizer *tokenizer;
    TokenizerTraining options = {
        .inputs = arguments->inputs.value,
        .input_count = arguments->inputs.count,
        .field = arguments->field,
        .vocabulary = arguments->vocabulary,
        .threads = (int)arguments->threads,
    };
    TRY(file_writer_check(arguments->out));
    TRY(tokenizer_train_with(&options, command_progress(), &tokenizer));
    lmu_status status = tokenizer_save(tokenizer, arguments->out);
    command_progress_end();
    if (status == LMU_OK)
        printf("%lld tokens written to %s\n", (long long)tokenizer_size(tokenizer), arguments->out);
    tokenizer_close(tokenizer);
    return status;
}

static lmu_status train_run(int argc, char *const *argv)
{
    TrainArguments arguments;
    void *const values[] = {&arguments};
    bool help;
    TRY(command_parse(&tokenizer_train_command, argc, argv, values, &help));
    if (help)
        return LMU_OK;
    lmu_status status = train_make(&arguments);
    command_free(&tokenizer_train_command, values);
    return status;
}

/* ---- encode ---- */

typedef struct EncodeArguments {
    char *input, *tokenizer;
    bool specials, json;
} EncodeArguments;

static const Field encode_fields[] = {
    {.name = "input",
     .type = FIELD_STRING,
     .offset = offsetof(EncodeArguments, input),
     .initial = "-",
     .unit = "FILE",
     .help = "the text, taken as it is; - is standard input",
     .positional = true},
    {.name = "tokenizer",
     .type = FIELD_STRING,
     .offset = offsetof(EncodeArguments, tokenizer),
     .unit = "FILE",
     .help = "a tokenizer.json, or vocab.json with merges.txt beside it, or their directory",
     .required = true},
    FIELD_FLAG_OF(EncodeArguments, specials, NULL, "text that spells a special token becomes that token"),
    FIELD_FLAG_OF(EncodeArguments, json, NULL, "print a JSON array instead of numbers with spaces between"),
};
static const FieldTable encode_table = {"Options", encode_fields, sizeof encode_fields / sizeof *encode_fields};

static lmu_status encode_run(int argc, char *const *argv);

const Command tokenizer_encode_command = {
    .name = "tokenizer encode",
    .summary = "Print the token ids of a text",
    .usage = "--tokenizer FILE [FILE|-]",
    .details = "Prints the ids on one line. Any bytes are text: nothing is added, removed or refused.\n\n"
               "  echo -n 'Call me Ishmael.' | lmu tokenizer encode --tokenizer books.json",
    .tables = {&encode_table},
    .run = encode_run,
};

/* The whole of a file or of standard input. */
static lmu_status input_read(const char *path, char **data, size_t *size)
{
    if (strcmp(path, "-") != 0)
        return file_read(path, PTRDIFF_MAX, data, size);
    size_t capacity = 0;
    *data = NULL;
    *size = 0;
    for (size_t got = 1; got > 0; *size += got) {
        lmu_status status = memory_grow(data, &capacity, *size + (1 << 16), 1, "standard input");
        if (status == LMU_OK && ferror(stdin))
            status = error_set(LMU_IO, "cannot read standard input: %s", strerror(errno));
        if (status != LMU_OK) {
            free(*data);
            return status;
        }
        got = fread(*data + *size, 1, capacity - *size, stdin);
    }
    return LMU_OK;
}

static void ids_print(const IdList *list, bool json)
{
    const char *between = json ? ", " : " ";
    if (json)
        putchar('[');
    for (size_t i = 0; i < list->count; i++)
        printf("%s%u", i > 0 ? between : "", list->id[i]);
    puts(json ? "]" : "");
}

static lmu_status encode_make(const EncodeArguments *arguments)
{
    lmu_status status;
    Tokenizer *tokenizer = NULL;
    char *text = NULL;
    size_t size;
    IdList list = {0};
    ATTEMPT(tokenizer_open(arguments->tokenizer, &tokenizer));
    ATTEMPT(input_read(arguments->input, &text, &size));
    ATTEMPT(tokenizer_encode(tokenizer, text, size, arguments->specials, &list));
    ids_print(&list, arguments->json);
done:
    tokenizer_close(tokenizer);
    free(text);
    free(list.id);
    return status;
}

static lmu_status encode_run(int argc, char *const *argv)
{
    EncodeArguments arguments;
    void *const values[] = {&arguments};
    bool help;
    TRY(command_parse(&tokenizer_encode_command, argc, argv, values, &help));
    if (help)
        return LMU_OK;
    lmu_status status = encode_make(&arguments);
    command_free(&tokenizer_encode_command, values);
    return status;
}

/* ---- decode ---- */

typedef struct DecodeArguments {
    char *input, *tokenizer;
    bool specials;
} DecodeArguments;

static const Field decode_fields[] = {
    {.name = "input",
     .type = FIELD_STRING,
     .offset = offsetof(DecodeArguments, input),
     .initial = "-",
     .unit = "FILE",
     .help = "ids with spaces, commas or line breaks between, or a JSON array; - is standard input",
     .positional = true},
    {.name = "tokenizer",
     .type = FIELD_STRING,
     .offset = offsetof(DecodeArguments, tokenizer),
     .unit = "FILE",
     .help = "a tokenizer.json, or vocab.json with merges.txt beside it, or their directory",
     .required = true},
    FIELD_FLAG_OF(DecodeArguments, specials, "true",
                  "write special tokens by their names; --no-specials leaves them out"),
};
static const FieldTable decode_table = {"Options", decode_fields, sizeof decode_fields / sizeof *decode_fields};

static lmu_status decode_run(int argc, char *const *argv);

const Command tokenizer_decode_command = {
    .name = "tokenizer decode",
    .summary = "Print the text of token ids",
    .usage = "--tokenizer FILE [FILE|-]",
    .details =
        "The inverse of lmu tokenizer encode, byte for byte.\n\n"
        "  lmu tokenizer encode --tokenizer t.json a.txt | lmu tokenizer decode --tokenizer t.json | cmp - a.txt",
    .tables = {&decode_table},
    .run = decode_run,
};

/* Writes the bytes of every id in the text: numbers between blanks, or arrays of JSON. */
static lmu_status ids_decode(const Tokenizer *tokenizer, const char *text, size_t size, bool specials)
{
    int64_t depth = 0;
    for (size_t at = 0; at < size;) {
        if (isspace((unsigned char)text[at]) || (text[at] != '\0' && strchr("[],", text[at]))) {
            depth += text[at] == '[' ? 1 : text[at] == ']' ? -1 : 0;
            if (depth < 0)
                return error_set(LMU_FORMAT, "byte %zu of the input ends an array that has not begun", at);
            at++;
            continue;
        }
        size_t start = at, length;
        uint64_t id = 0;
        for (; at < size && isdigit((unsigned char)text[at]) && id <= UINT32_MAX; at++)
            id = 10 * id + (uint64_t)(text[at] - '0');
        if (at == start)
            return error_set(LMU_FORMAT, "byte %zu of the input is no part of a token id; ids are decimal numbers", at);
        const char *bytes = id <= UINT32_MAX ? tokenizer_bytes(tokenizer, (uint32_t)id, &length) : NULL;
        if (!bytes)
            return error_set(LMU_FORMAT, "byte %zu of the input starts the id %.*s, outside of the vocabulary of %lld",
                             start, (int)(at - start), text + start, (long long)tokenizer_size(tokenizer));
        if (specials || !tokenizer_is_special(tokenizer, (uint32_t)id))
            fwrite(bytes, 1, length, stdout);
    }
    return depth ? error_set(LMU_FORMAT, "the input ends inside an array of ids: it was cut off") : LMU_OK;
}

static lmu_status decode_make(const DecodeArguments *arguments)
{
    lmu_status status;
    Tokenizer *tokenizer = NULL;
    char *text = NULL;
    size_t size;
    ATTEMPT(tokenizer_open(arguments->tokenizer, &tokenizer));
    ATTEMPT(input_read(arguments->input, &text, &size));
    ATTEMPT(ids_decode(tokenizer, text, size, arguments->specials));
done:
    tokenizer_close(tokenizer);
    free(text);
    return status;
}

static lmu_status decode_run(int argc, char *const *argv)
{
    DecodeArguments arguments;
    void *const values[] = {&arguments};
    bool help;
    TRY(command_parse(&tokenizer_decode_command, argc, argv, values, &help));
    if (help)
        return LMU_OK;
    lmu_status status = decode_make(&arguments);
    command_free(&tokenizer_decode_command, values);
    return status;
}
