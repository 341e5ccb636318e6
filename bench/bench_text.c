/* How fast text becomes tokens: one JSON object a line, each with the CPU's name.
 *
 *     bench_text                                        the light part, on the Markdown files of docs/
 *     bench_text encode TOKENIZER FILE THREADS RUNS     the median of RUNS encodings of FILE, in memory
 *
 * The light part trains a vocabulary, encodes the text on one thread and on all, and measures the worst inputs: runs without a
 * place to cut, whose speed must not fall with their length. bench/text compares with Hugging Face's tokenizers. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/machine.h"
#include "base/memory.h"
#include "text/bpe_train.h"
#include "text/pieces.h"
#include "text/tokenizer.h"

#define LIGHT_BYTES ((size_t)8 << 20)
#define LIGHT_VOCABULARY 2048
#define RUNS_MOST 100

typedef struct Bench {
    const Tokenizer *tokenizer;
    Encoder **encoder; /* one a thread */
    int threads;
    Pieces pieces;
    IdList *list; /* ids by piece */
} Bench;

static lmu_status piece_encode(void *context, int thread, size_t index)
{
    Bench *bench = context;
    const Piece *piece = &bench->pieces.piece[index];
    IdList ids = bench->list[index]; /* not in its place, where other threads write beside it */
    ids.count = 0;
    lmu_status status = encoder_encode(bench->encoder[thread], piece->text, piece->size, false, &ids);
    bench->list[index] = ids;
    return status;
}

static void bench_close(Bench *bench)
{
    for (int i = 0; bench->encoder && i < bench->threads; i++)
        encoder_close(bench->encoder[i]);
    for (size_t i = 0; bench->list && i < bench->pieces.piece_count; i++)
        free(bench->list[i].id);
    free(bench->encoder);
    free(bench->list);
    pieces_free(&bench->pieces);
}

static lmu_status bench_open(Bench *bench, const char *text, size_t size)
{
    Document document = {.text = malloc(size), .size = size};
    if (!document.text)
        return error_set(LMU_MEMORY, "no memory for a text of %zu bytes", size);
    memcpy(document.text, text, size);
    TRY(pieces_add(&bench->pieces, document));
    TRY(memory_new(&bench->list, bench->pieces.piece_count, sizeof *bench->list, "token ids"));
    return memory_new(&bench->encoder, (size_t)bench->threads, sizeof *bench->encoder, "the encoders");
}

static int seconds_compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static lmu_status line_print(const char *name, const char *what, size_t bytes, size_t tokens, int threads,
                             double seconds)
{
    json_t *line = json_pack("{s:s, s:s, s:I, s:I, s:i, s:f, s:f, s:s}", "bench", name, "text", what, "bytes",
                             (json_int_t)bytes, "tokens", (json_int_t)tokens, "threads", threads, "seconds", seconds,
                             "megabytes_per_second", (double)bytes / seconds / 1e6, "cpu", machine_cpu_name());
    if (!line)
        return error_set(LMU_MEMORY, "no memory for a line of output");
    json_dumpf(line, stdout, JSON_REAL_PRECISION(4));
    putchar('\n');
    fflush(stdout);
    json_decref(line);
    return LMU_OK;
}

/* The median of `runs` encodings; each with new encoders, which know no pre-token yet. */
static lmu_status encode_measure(const Tokenizer *tokenizer, const char *what, const char *text, size_t size,
                                 int threads, int runs)
{
    lmu_status status;
    Bench bench = {.tokenizer = tokenizer, .threads = threads};
    double seconds[RUNS_MOST];
    size_t tokens = 0;
    ATTEMPT(bench_open(&bench, text, size));
    for (int run = 0; run < runs; run++) {
        double start = machine_seconds();
        for (int i = 0; i < threads; i++) {
            encoder_close(bench.encoder[i]);
            bench.encoder[i] = NULL;
            ATTEMPT(encoder_open(tokenizer, &bench.encoder[i]));
        }
        ATTEMPT(pieces_visit(&bench.pieces, threads, piece_encode, &bench));
        seconds[run] = machine_seconds() - start;
    }
    for (size_t i = 0; i < bench.pieces.piece_count; i++)
        tokens += bench.list[i].count;
    qsort(seconds, (size_t)runs, sizeof *seconds, seconds_compare);
    ATTEMPT(line_print("text.encode", what, size, tokens, threads, seconds[runs / 2]));
done:
    bench_close(&bench);
    return status;
}

static lmu_status encode_file(char **argument)
{
    Tokenizer *tokenizer;
    char *text = NULL;
    size_t size;
    int threads = atoi(argument[2]), runs = atoi(argument[3]);
    if (threads < 1 || threads > 1024 || runs < 1 || runs > RUNS_MOST)
        return error_set(LMU_USAGE, "1 to 1024 threads and 1 to %d runs", RUNS_MOST);
    TRY(tokenizer_open(argument[0], &tokenizer));
    lmu_status status = file_read(argument[1], PTRDIFF_MAX, &text, &size);
    if (status == LMU_OK)
        status = encode_measure(tokenizer, argument[1], text, size, threads, runs);
    free(text);
    tokenizer_close(tokenizer);
    return status;
}

/* ---- the light part ---- */

/* LIGHT_BYTES of the repository's documentation, again and again; NUL-terminated. */
static lmu_status docs_read(char *text)
{
    char **names;
    size_t count, size = 0;
    TRY(directory_list("docs", &names, &count));
    lmu_status status = LMU_OK;
    while (size < LIGHT_BYTES && status == LMU_OK) {
        size_t before = size;
        for (size_t i = 0; i < count && size < LIGHT_BYTES && status == LMU_OK; i++) {
            char path[512], *data;
            size_t length = strlen(names[i]), got;
            if (length < 3 || strcmp(names[i] + length - 3, ".md") != 0)
                continue;
            snprintf(path, sizeof path, "docs/%s", names[i]);
            if ((status = file_read(path, SIZE_MAX, &data, &got)) != LMU_OK)
                break;
            got = got < LIGHT_BYTES - size ? got : LIGHT_BYTES - size;
            memcpy(text + size, data, got);
            size += got;
            free(data);
        }
        if (status == LMU_OK && size == before)
            status = error_set(LMU_USAGE, "docs/ holds no text; run from the repository's root");
    }
    directory_list_free(names);
    return status;
}

static lmu_status worst_measure(const Tokenizer *tokenizer, char *text)
{
    for (size_t size = LIGHT_BYTES / 64; size <= LIGHT_BYTES; size *= 8) {
        char what[64];
        memset(text, '-', size);
        snprintf(what, sizeof what, "one character, %zu KiB", size >> 10);
        TRY(encode_measure(tokenizer, what, text, size, 1, 3));
    }
    for (size_t i = 0; i < LIGHT_BYTES; i++)
        text[i] = (char)('a' + i * i * 31 % 26);
    return encode_measure(tokenizer, "letters without a space", text, LIGHT_BYTES, 1, 3);
}

static lmu_status light_run(char *text)
{
    PretokenCounts counts = {0};
    Tokenizer *tokenizer = NULL;
    lmu_status status;
    ATTEMPT(docs_read(text));
    double start = machine_seconds();
    ATTEMPT(pretoken_counts_text(&counts, text, LIGHT_BYTES));
    ATTEMPT(bpe_train(&counts, LIGHT_VOCABULARY, NULL, &tokenizer));
    ATTEMPT(line_print("text.train", "docs", LIGHT_BYTES, LIGHT_VOCABULARY, 1, machine_seconds() - start));
    ATTEMPT(encode_measure(tokenizer, "docs", text, LIGHT_BYTES, 1, 5));
    ATTEMPT(encode_measure(tokenizer, "docs", text, LIGHT_BYTES, machine_threads(NULL, 0), 5));
    ATTEMPT(worst_measure(tokenizer, text));
done:
    pretoken_counts_free(&counts);
    tokenizer_close(tokenizer);
    return status;
}

static lmu_status light(void)
{
    char *text;
    TRY(memory_new(&text, LIGHT_BYTES + 1, 1, "text"));
    lmu_status status = light_run(text);
    free(text);
    return status;
}

int main(int argc, char **argv)
{
    lmu_status status;
    if (argc == 6 && strcmp(argv[1], "encode") == 0)
        status = encode_file(argv + 2);
    else if (argc == 1)
        status = light();
    else
        status = error_set(LMU_USAGE, "usage: bench_text [encode TOKENIZER FILE THREADS RUNS]");
    if (status != LMU_OK)
        fprintf(stderr, "bench_text: %s\n", lmu_error_message());
    return status == LMU_OK ? 0 : 1;
}
