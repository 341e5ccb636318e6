/* lmu ngram: the baseline of counts, on the data and the tokens of a training run. */
#include <stdlib.h>

#include "base/file.h"
#include "base/format.h"
#include "base/json.h"
#include "base/machine.h"
#include "cli/command.h"
#include "text/ngram.h"
#include "text/prepare.h"
#include "text/tokenizer.h"

typedef struct NgramOptions {
    char *data, *out;
    int64_t order, tokens, length, lanes, seed, context, stride;
    bool carry;
} NgramOptions;

static const Field ngram_fields[] = {
    {.name = "data",
     .type = FIELD_STRING,
     .offset = offsetof(NgramOptions, data),
     .unit = "DIR",
     .help = "data as lmu prepare wrote it: train.bin, valid.bin and tokenizer.json",
     .required = true},
    FIELD_COUNT_OF(NgramOptions, order, "3", 1, NGRAM_ORDER_MAX, "tokens",
                   "the longest n-gram: a token is predicted from the order - 1 before it"),
    FIELD_COUNT_OF(NgramOptions, tokens, NULL, 1, 1e15, "tokens",
                   "how many to count, rounded to whole windows; without it, the training data once"),
    FIELD_COUNT_OF(NgramOptions, length, "256", 1, 1 << 30, "tokens", "a window: as lmu train --length"),
    FIELD_COUNT_OF(NgramOptions, lanes, "0", 0, 1 << 20, "lanes",
                   "the order of lmu train --carry with this --batch; 0: that without --carry"),
    FIELD_COUNT_OF(NgramOptions, seed, "0", 0, 9e15, NULL, "of the data order: as lmu train --seed"),
    FIELD_COUNT_OF(NgramOptions, context, NULL, 1, 1 << 30, "tokens",
                   "a window of evaluation; without it, the length of a training window"),
    FIELD_COUNT_OF(NgramOptions, stride, NULL, 1, 1 << 30, "tokens",
                   "how far windows of evaluation lie apart; without it, the context: side by side"),
    FIELD_FLAG_OF(NgramOptions, carry, NULL, "evaluate in one pass whose context is never reset"),
    FIELD_STRING_OF(NgramOptions, out, NULL, "FILE", "write the figures as JSON; lmu plot draws RUN/ngram.json"),
};
static const FieldTable ngram_table = {"Options", ngram_fields, sizeof ngram_fields / sizeof *ngram_fields};

/* What lmu prepare wrote. */
typedef struct Prepared {
    Tokenizer *tokenizer;
    Shard train, valid;
} Prepared;

static lmu_status open_shard(const char *directory, const char *name, const Tokenizer *tokenizer, Shard *shard)
{
    char *path;
    TRY(path_join(directory, name, &path));
    lmu_status status = shard_open_with(path, tokenizer_hash(tokenizer), shard);
    free(path);
    return status;
}

static lmu_status prepared_open(const char *directory, Prepared *data)
{
    TRY(prepare_check(directory));
    TRY(tokenizer_open(directory, &data->tokenizer));
    TRY(open_shard(directory, "train.bin", data->tokenizer, &data->train));
    return open_shard(directory, "valid.bin", data->tokenizer, &data->valid);
}

static void prepared_close(Prepared *data)
{
    shard_close(&data->train);
    shard_close(&data->valid);
    tokenizer_close(data->tokenizer);
}

/* Windows for the tokens asked for, to the nearest; more than there are say "all". */
static int64_t samples_of(const NgramOptions *options, const Windows *windows)
{
    if (options->tokens == 0)
        return windows->count;
    int64_t samples =
        options->tokens / options->length + (options->tokens % options->length >= (options->length + 1) / 2);
    if (samples > windows->count)
        progress_say(
            command_progress(),
            "The training data holds %lld windows of %lld tokens: each is counted once, and no more is to be had.",
            (long long)windows->count, (long long)options->length);
    return samples < 1 ? 1 : samples < windows->count ? samples : windows->count;
}

static lmu_status write_json(const char *path, const NgramOptions *options, const EvalCut *cut, const Ngram *model,
                             const EvalResult *result)
{
    double bits = eval_bits_per_byte(result);
    json_t *object =
        json_pack("{s:i, s:I, s:f, s:f}", "order", ngram_order(model), "tokens", (json_int_t)ngram_tokens(model),
                  "loss", eval_loss(result), "perplexity", eval_perplexity(result));
    json_object_set_new(object, "bits_per_byte", result->bytes > 0 ? json_real(bits) : json_null());
    json_object_set_new(object, "length", json_integer(options->length));
    json_object_set_new(object, "lanes", json_integer(options->lanes));
    json_object_set_new(object, "seed", json_integer(options->seed));
    json_object_set_new(object, "context", json_integer(cut->context));
    json_object_set_new(object, "stride", json_integer(cut->stride));
    json_object_set_new(object, "carry", json_boolean(cut->carry));
    json_object_set_new(object, "predicted_tokens", json_integer(result->tokens));
    json_object_set_new(object, "predicted_bytes", json_integer(result->bytes));
    lmu_status status = json_write_file(path, object);
    json_decref(object);
    return status;
}

static void print_model(const Ngram *model, const NgramOptions *options, int64_t samples, double seconds)
{
    printf("counted         %lld tokens: %lld windows of %lld, seed %lld\n", (long long)ngram_tokens(model),
           (long long)samples, (long long)options->length, (long long)options->seed);
    for (int k = 1; k <= ngram_order(model); k++)
        printf("order %d         %lld n-grams, discounts %.3f %.3f %.3f\n", k, (long long)ngram_entries(model, k),
               ngram_discount(model, k, 1), ngram_discount(model, k, 2), ngram_discount(model, k, 3));
    printf("counting        %.2f s\n", seconds);
}

static void print_result(const EvalCut *cut, const EvalResult *result, double seconds)
{
    if (cut->carry)
        printf("evaluation      context carried through the file\n");
    else
        printf("evaluation      context %lld, stride %lld\n", (long long)cut->context, (long long)cut->stride);
    printf("predicted       %lld tokens, %lld bytes\n", (long long)result->tokens, (long long)result->bytes);
    printf("loss            %.4f nats a token\n", eval_loss(result));
    printf("perplexity      %.2f\n", eval_perplexity(result));
    printf("bits per byte   %.4f\n", eval_bits_per_byte(result));
    printf("evaluating      %.2f s\n", seconds);
}

static lmu_status ngram_make(const NgramOptions *options)
{
    lmu_status status;
    Prepared data = {0};
    Ngram *model = NULL;
    Windows windows;
    EvalResult result;
    EvalCut cut = {.context = options->context > 0 ? options->context : options->length, .carry = options->carry};
    cut.stride = options->stride > 0 ? options->stride : cut.context;
    if (cut.stride > cut.context)
        return error_set(LMU_USAGE,
                         "--stride %lld is more than the context of %lld: tokens between would not be predicted",
                         (long long)cut.stride, (long long)cut.context);
    if (options->out)
        TRY(file_writer_check(options->out));
    ATTEMPT(prepared_open(options->data, &data));
    uint64_t seed = (uint64_t)options->seed;
    ATTEMPT(options->lanes > 0 ? windows_open_lanes(&data.train, options->length, options->lanes, seed, &windows)
                               : windows_open(&data.train, options->length, seed, &windows));
    int64_t samples = samples_of(options, &windows);
    double start = machine_seconds();
    ATTEMPT(ngram_train(&windows, samples, (int)options->order, command_progress(), &model));
    double trained = machine_seconds();
    ATTEMPT(ngram_evaluate(model, &data.valid, &cut, tokenizer_lengths(data.tokenizer), command_progress(), &result));
    double evaluated = machine_seconds();
    command_progress_end();
    if (result.tokens == 0)
        ATTEMPT(error_set(LMU_USAGE, "%s: valid.bin holds no token to predict: prepare more text", options->data));
    print_model(model, options, samples, trained - start);
    print_result(&cut, &result, evaluated - trained);
    if (options->out != NULL)
        ATTEMPT(write_json(options->out, options, &cut, model, &result));
done:
    ngram_close(model);
    prepared_close(&data);
    return status;
}

static lmu_status ngram_run(int argc, char *const *argv);

const Command ngram_command = {
    .name = "ngram",
    .summary = "Measure the baseline of counts: interpolated Kneser-Ney",
    .usage = "--data DIR [options]",
    .details =
        "Counts n-grams over the very windows that lmu train reads with the same --tokens, --length and --seed (of a "
        "run\n"
        "with --carry also --lanes, its --batch), and measures on the validation data what an interpolated Kneser-Ney\n"
        "model of them predicts, evaluated as lmu eval evaluates a neural model. A model that loses to counts on its "
        "own\n"
        "data has learnt little. A window that training would read twice is counted once.\n\n"
        "  lmu ngram --data data/books --order 3 --tokens 20M\n"
        "  lmu ngram --data data/books --tokens 2M --seed 7 --out runs/first/ngram.json",
    .tables = {&ngram_table},
    .run = ngram_run,
};

static lmu_status ngram_run(int argc, char *const *argv)
{
    NgramOptions options;
    void *const values[] = {&options};
    bool help;
    TRY(command_parse(&ngram_command, argc, argv, values, &help));
    if (help)
        return LMU_OK;
    lmu_status status = ngram_make(&options);
    command_free(&ngram_command, values);
    return status;
}
