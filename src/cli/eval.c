/* lmu eval: how well a trained model predicts a text. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/format.h"
#include "base/json.h"
#include "base/machine.h"
#include "cli/command.h"
#include "cli/run_record.h"
#include "infer/engine.h"
#include "text/prepare.h"
#include "text/shard_text.h"
#include "train/evaluate.h"
#include "train/trainer.h"

#define LENGTH_UNKNOWN 256 /* of a window, where no record of training tells */

typedef struct EvalOptions {
    char *run, *data;
    int64_t context, stride, threads;
    bool carry, json;
    int compute; /* ComputeChoice */
} EvalOptions;

static const Field eval_fields[] = {
    {.name = "run",
     .type = FIELD_STRING,
     .offset = offsetof(EvalOptions, run),
     .unit = "RUN",
     .help = "a run of lmu train (its best checkpoint is taken) or a checkpoint's directory",
     .positional = true,
     .required = true},
    {.name = "data",
     .type = FIELD_STRING,
     .offset = offsetof(EvalOptions, data),
     .unit = "FILE",
     .help = "a token shard (.bin), or text: .txt, .jsonl, either with .zst, or a directory of such files; of a "
             "directory that lmu prepare wrote, its valid.bin",
     .required = true},
    FIELD_COUNT_OF(EvalOptions, context, NULL, 1, 1 << 30, "tokens",
                   "a window of evaluation; without it, the length of a training window"),
    FIELD_COUNT_OF(EvalOptions, stride, NULL, 1, 1 << 30, "tokens",
                   "how far windows lie apart; without it, the context: side by side"),
    FIELD_FLAG_OF(EvalOptions, carry, NULL, "one pass over the file whose state is never reset"),
    FIELD_FLAG_OF(EvalOptions, json, NULL, "print one JSON object"),
    FIELD_COUNT_OF(EvalOptions, threads, "0", 0, 1024, NULL, "threads; 0: as many as the machine allows"),
    FIELD_CHOICE_OF(EvalOptions, compute, "auto", COMPUTE_CHOICES,
                    "what products of matrices multiply; auto: bf16 where the CPU multiplies it"),
};
static const FieldTable eval_table = {"Options", eval_fields, sizeof eval_fields / sizeof *eval_fields};

/* What is evaluated on what. */
typedef struct Evaluating {
    const EvalOptions *options;
    char *checkpoint;
    Backend *backend;
    Engine engine;
    Shard text;
    EvalCut cut;
    EvalResult result;
    double seconds;
} Evaluating;

static bool ends_with(const char *text, const char *end)
{
    size_t size = strlen(text), tail = strlen(end);
    return size >= tail && strcmp(text + size - tail, end) == 0;
}

static lmu_status open_shard(Evaluating *e, const char *path)
{
    return shard_open_with(path, tokenizer_hash(e->engine.tokenizer), &e->text);
}

static lmu_status open_text(Evaluating *e)
{
    const EvalOptions *o = e->options;
    if (ends_with(o->data, ".bin"))
        return open_shard(e, o->data);
    char *prepared;
    lmu_status status;
    TRY(path_join(o->data, PREPARE_VALID, &prepared));
    if (file_exists(prepared))
        status = open_shard(e, prepared);
    else
        status =
            shard_from_text(&(char *){o->data}, 1, e->engine.tokenizer, (int)o->threads, command_progress(), &e->text);
    free(prepared);
    return status;
}

/* The windows: as asked for, else as in training. */
static lmu_status choose_cut(Evaluating *e)
{
    const EvalOptions *o = e->options;
    int64_t context = o->context;
    if (o->carry && o->stride > 0)
        return error_set(LMU_USAGE, "--carry reads the text once and knows no --stride: give one of them");
    if (context == 0) {
        RunRecord record;
        lmu_status status = run_record_read(o->run, &record);
        if (status != LMU_OK)
            return error_prefix(status, "how long the windows of training were is not known; --context tells: ");
        context = record.found ? record.length : LENGTH_UNKNOWN;
        if (!record.found)
            progress_say(command_progress(),
                         "%s has no record of its training: windows of %d tokens are taken; --context chooses others.",
                         o->run, LENGTH_UNKNOWN);
        run_record_free(&record);
    }
    if (o->stride > context)
        return error_set(LMU_USAGE,
                         "--stride %lld is more than the context of %lld: tokens between would not be predicted",
                         (long long)o->stride, (long long)context);
    e->cut = (EvalCut){.context = context, .stride = o->stride > 0 ? o->stride : context, .carry = o->carry};
    return LMU_OK;
}

/* No window is longer than the text. */
static void limit_cut(EvalCut *cut, int64_t tokens)
{
    int64_t longest = tokens > 1 ? tokens - 1 : 1;
    cut->context = cut->context < longest ? cut->context : longest;
    cut->stride = cut->stride < cut->context ? cut->stride : cut->context;
}

static lmu_status evaluating_open(Evaluating *e)
{
    const EvalOptions *o = e->options;
    TRY(checkpoint_find(o->run, &e->checkpoint));
    TRY(choose_cut(e)); /* before the text is tokenised, which can take minutes */
    TRY(backend_open(BACKEND_CPU, (int)o->threads, false, &e->backend));
    TRY(backend_choose_compute(e->backend, (ComputeChoice)o->compute));
    TRY(engine_open(e->backend, e->checkpoint, &e->engine));
    TRY(open_text(e));
    limit_cut(&e->cut, e->text.count);
    return LMU_OK;
}

static void evaluating_close(Evaluating *e)
{
    shard_close(&e->text);
    engine_close(&e->engine);
    backend_close(e->backend);
    free(e->checkpoint);
}

static lmu_status evaluate(Evaluating *e)
{
    Evaluator evaluator;
    TRY(evaluator_open(e->engine.model, &e->cut, &evaluator));
    double start = machine_seconds();
    lmu_status status =
        evaluator_run(&evaluator, &e->text, 0, tokenizer_lengths(e->engine.tokenizer), command_progress(), &e->result);
    e->seconds = machine_seconds() - start;
    evaluator_close(&evaluator);
    if (status != LMU_OK)
        return error_prefix(status, "%s on %s: ", e->checkpoint, e->options->data);
    return LMU_OK;
}

static void print_result(const Evaluating *e)
{
    const EvalCut *cut = &e->cut;
    const EvalResult *result = &e->result;
    char duration[32];
    printf("checkpoint      %s\n", e->checkpoint);
    if (cut->carry)
        printf("evaluation      state carried through the file\n");
    else
        printf("evaluation      context %lld, stride %lld, state reset at each window\n", (long long)cut->context,
               (long long)cut->stride);
    printf("predicted       %lld tokens, %lld bytes\n", (long long)result->tokens, (long long)result->bytes);
    printf("loss            %.4f nats a token\n", eval_loss(result));
    printf("perplexity      %.2f\n", eval_perplexity(result));
    if (result->bytes > 0)
        printf("bits per byte   %.4f\n", eval_bits_per_byte(result));
    else
        printf("bits per byte   none: the tokens stand for no text\n");
    if (e->seconds < 60)
        printf("evaluating      %.2f s", e->seconds);
    else
        printf("evaluating      %s", format_duration(e->seconds, duration, sizeof duration));
    printf(", %.0f tokens/s, %s products\n", (double)result->tokens / e->seconds, model_products(e->engine.model));
}

/* The keys are those of lmu ngram --out, so that figures lie side by side. */
static lmu_status print_json(const Evaluating *e)
{
    const EvalResult *result = &e->result;
    json_t *bits = result->bytes > 0 ? json_real(eval_bits_per_byte(result)) : json_null();
    json_t *object =
        json_pack("{s:s, s:s, s:f, s:f, s:o, s:I, s:I, s:b, s:s, s:I, s:I, s:f}", "checkpoint", e->checkpoint, "data",
                  e->options->data, "loss", eval_loss(result), "perplexity", eval_perplexity(result), "bits_per_byte",
                  bits, "context", (json_int_t)e->cut.context, "stride", (json_int_t)e->cut.stride, "carry",
                  e->cut.carry, "compute", model_products(e->engine.model), "predicted_tokens",
                  (json_int_t)result->tokens, "predicted_bytes", (json_int_t)result->bytes, "seconds", e->seconds);
    if (!object)
        return error_set(LMU_FORMAT,
                         "the figures are no JSON: a name that is not UTF-8, or a number that is not finite");
    json_dumpf(object, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(object);
    return LMU_OK;
}

static lmu_status eval_run(int argc, char *const *argv);

const Command eval_command = {
    .name = "eval",
    .summary = "Measure how well a trained model predicts a text",
    .usage = "RUN --data FILE [options]",
    .details =
        "Every token of the file but the first is predicted once. By default the file is cut into windows of the\n"
        "training length, each read from a zero state, the first token of each predicted from the one before it.\n"
        "With a --stride below the --context, windows overlap: each reads what the one before has predicted again,\n"
        "and only new tokens count. --carry reads the file in one go. Text is tokenised with the run's tokenizer, "
        "each\n"
        "document followed by an end-of-text token, as lmu prepare does; a shard must have been made with it.\n"
        "Bits per byte can be compared whatever the tokenizer.\n"
        "\n"
        "    lmu eval run --data corpus/valid.bin\n"
        "    lmu eval run --data book.txt --context 1024 --stride 256\n"
        "    lmu eval run --data corpus/valid.bin --carry --json",
    .tables = {&eval_table},
    .run = eval_run,
};

static lmu_status eval_run(int argc, char *const *argv)
{
    EvalOptions options;
    void *const values[] = {&options};
    bool help;
    TRY(command_parse(&eval_command, argc, argv, values, &help));
    if (help)
        return LMU_OK;
    lmu_status status;
    Evaluating e = {.options = &options};
    ATTEMPT(evaluating_open(&e));
    ATTEMPT(evaluate(&e));
    command_progress_end();
    if (options.json)
        ATTEMPT(print_json(&e));
    else
        print_result(&e);
done:
    evaluating_close(&e);
    command_free(&eval_command, values);
    return status;
}
