/* What docs/library.md promises of streams, measured on a trained model and a real text by include/lmu.h alone; one JSON object a line.
 *
 *     bench_streams RUN FILE [DIVISIONS [TOKENS]]       1,000 random divisions of the first 1,000 tokens, unless told
 *
 *     divisions of tokens   largest difference of logits between the whole and each division, over the largest logit
 *     divisions of bytes    whether the ids of each division of the text are those of the whole
 *     company               whether a stream's logits are equal to the bit among 1 to 33 streams
 *     state                 bytes of a saved state, and milliseconds to save it, load it and choose the next token's logits */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/machine.h"
#include "base/random.h"
#include "lmu.h"

#define COMPANY 33
#define ROUNDS 200 /* of the state */

static void check(lmu_status status)
{
    if (status != LMU_OK) {
        fprintf(stderr, "bench_streams: %s\n", lmu_error_message());
        exit(1);
    }
}

static void *room(size_t bytes)
{
    void *memory = malloc(bytes);
    if (!memory) {
        fprintf(stderr, "bench_streams: no memory for %zu bytes\n", bytes);
        exit(1);
    }
    return memory;
}

typedef struct Bench {
    lmu_model *model;
    size_t vocabulary, divisions;
    char *bytes;
    size_t size; /* of the text that the ids stand for */
    uint32_t *ids;
    size_t count;
    float *whole; /* [count x V] */
} Bench;

/* The ids of the text, pushed in pieces of up to `most` bytes; returns how many. */
static size_t ids_of(const Bench *b, uint64_t key, size_t most, uint32_t *ids)
{
    lmu_text *text;
    const uint32_t *found;
    size_t count, all = 0;
    check(lmu_text_open(b->model, 0, &text));
    for (size_t done = 0, part, i = 0; done < b->size; done += part) {
        part = 1 + (size_t)random_below(key, i++, most);
        part = part < b->size - done ? part : b->size - done;
        check(lmu_text_push(text, b->bytes + done, part, &found, &count));
        memcpy(ids + all, found, count * sizeof *ids);
        all += count;
    }
    check(lmu_text_end(text, &found, &count));
    memcpy(ids + all, found, count * sizeof *ids);
    lmu_text_close(text);
    return all + count;
}

static void read_text(Bench *b, const char *path, size_t tokens)
{
    FILE *file = fopen(path, "rb");
    if (!file) {
        perror(path);
        exit(1);
    }
    b->bytes = room(16 * tokens);
    b->size = fread(b->bytes, 1, 16 * tokens, file);
    fclose(file);
    b->ids = room(b->size * sizeof *b->ids + 1);
    b->count = ids_of(b, 0, b->size, b->ids);
    while (b->count > tokens) { /* as many bytes as so many tokens take */
        b->size = (size_t)((double)b->size * ((double)tokens / (double)b->count) * 0.99);
        b->count = ids_of(b, 0, b->size, b->ids);
    }
}

static double largest_difference(const Bench *b, const float *logits, size_t place)
{
    double worst = 0, largest = 0;
    for (size_t i = 0; i < b->vocabulary; i++) {
        double expected = b->whole[place * b->vocabulary + i];
        worst = fmax(worst, fabs((double)logits[i] - expected));
        largest = fmax(largest, fabs(expected));
    }
    return worst / largest;
}

/* Sizes of pieces go from one token, in the first division, to hundreds. */
static void divide_tokens(const Bench *b, lmu_stream *stream)
{
    float *logits = room(b->vocabulary * sizeof *logits);
    double worst = 0;
    for (size_t round = 0; round < b->divisions; round++) {
        uint64_t key = random_key(round, "division", 0, 0);
        lmu_stream_reset(stream);
        for (size_t done = 0, part, i = 0; done < b->count; done += part) {
            part = 1 + (size_t)random_below(key, i++, 1 + (round % 32) * 16);
            part = part < b->count - done ? part : b->count - done;
            check(lmu_stream_feed(stream, b->ids + done, part));
            check(lmu_stream_logits(stream, logits));
            worst = fmax(worst, largest_difference(b, logits, done + part - 1));
        }
    }
    printf("{\"bench\": \"divisions of tokens\", \"arch\": \"%s\", \"tokens\": %zu, \"divisions\": %zu, "
           "\"difference\": %.1e}\n",
           lmu_model_architecture(b->model), b->count, b->divisions, worst);
    free(logits);
}

static void divide_bytes(const Bench *b)
{
    uint32_t *ids = room(b->size * sizeof *ids + 1);
    size_t equal = 0;
    for (size_t round = 0; round < b->divisions; round++) {
        size_t count = ids_of(b, random_key(round, "bytes", 0, 0), 1 + round % 100, ids);
        equal += count == b->count && memcmp(ids, b->ids, count * sizeof *ids) == 0;
    }
    printf("{\"bench\": \"divisions of bytes\", \"bytes\": %zu, \"divisions\": %zu, \"equal\": %zu}\n", b->size,
           b->divisions, equal);
    free(ids);
}

/* The first of `streams` reads the text from its start, the others from other places, 1 to 40 tokens each time; its logits
 * after each turn follow one another in `out`. */
static size_t in_company(const Bench *b, size_t streams, float *out)
{
    lmu_part part[COMPANY];
    size_t done[COMPANY], turns = 0;
    float *others = room(b->vocabulary * sizeof *others);
    for (size_t i = 0; i < streams; i++) {
        done[i] = i * 7 % b->count;
        check(lmu_stream_open(b->model, &part[i].stream));
    }
    for (; done[0] < b->count; turns++) {
        for (size_t i = 0; i < streams; i++) {
            size_t more = 1 + (size_t)random_below(random_key(i, "company", 0, 0), turns, 40);
            part[i].ids = b->ids + done[i];
            part[i].count = more < b->count - done[i] ? more : b->count - done[i];
            part[i].logits = i == 0 ? out + turns * b->vocabulary : part[i].count ? others : NULL;
            done[i] += part[i].count;
        }
        check(lmu_streams_feed(part, streams));
    }
    for (size_t i = 0; i < streams; i++)
        lmu_stream_close(part[i].stream);
    free(others);
    return turns;
}

static void company(const Bench *b)
{
    float *alone = room(b->count * b->vocabulary * sizeof *alone),
          *among = room(b->count * b->vocabulary * sizeof *among);
    size_t turns = in_company(b, 1, alone), equal = 1;
    for (size_t streams = 2; streams <= COMPANY; streams++) {
        in_company(b, streams, among);
        equal += memcmp(alone, among, turns * b->vocabulary * sizeof *alone) == 0;
    }
    printf("{\"bench\": \"company\", \"streams\": %d, \"equal\": %zu}\n", COMPANY, equal);
    free(alone);
    free(among);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void state(const Bench *b, lmu_stream *stream)
{
    double seconds[ROUNDS];
    float *logits = room(b->vocabulary * sizeof *logits);
    size_t size = 0;
    lmu_stream_reset(stream);
    check(lmu_stream_feed(stream, b->ids, b->count));
    check(lmu_stream_logits(stream, logits)); /* so that no ids wait to be run */
    void *first;
    check(lmu_stream_export(stream, NULL, &first, &size));
    for (int i = 0; i < ROUNDS; i++) {
        void *data;
        check(lmu_stream_import(stream, NULL, first, size)); /* a context may be too short for many rounds */
        double start = machine_seconds();
        check(lmu_stream_export(stream, NULL, &data, &size));
        check(lmu_stream_import(stream, NULL, data, size));
        check(lmu_stream_feed(stream, b->ids + i % b->count, 1));
        check(lmu_stream_logits(stream, logits));
        seconds[i] = machine_seconds() - start;
        lmu_free(data);
    }
    lmu_free(first);
    qsort(seconds, ROUNDS, sizeof *seconds, compare);
    printf("{\"bench\": \"state\", \"bytes\": %zu, \"save_load_next_ms\": %.3f}\n", size, 1e3 * seconds[ROUNDS / 2]);
    free(logits);
}

int main(int argc, char **argv)
{
    Bench b = {.divisions = 1000};
    lmu_stream *stream;
    size_t tokens = 1000;
    if (argc < 3 || argc > 5 || (argc > 3 && (b.divisions = (size_t)atoll(argv[3])) < 1) ||
        (argc > 4 && (tokens = (size_t)atoll(argv[4])) < 1)) {
        fprintf(stderr, "usage: bench_streams RUN FILE [DIVISIONS [TOKENS]]\n");
        return 2;
    }
    check(lmu_model_open(argv[1], &(lmu_model_options){.compute = LMU_COMPUTE_F32}, &b.model));
    b.vocabulary = lmu_model_vocabulary(b.model);
    read_text(&b, argv[2], tokens);
    b.whole = room(b.count * b.vocabulary * sizeof *b.whole);
    check(lmu_stream_open(b.model, &stream));
    check(lmu_stream_feed_logits(stream, b.ids, b.count, b.whole));
    divide_tokens(&b, stream);
    divide_bytes(&b);
    company(&b);
    state(&b, stream);
    lmu_stream_close(stream);
    free(b.whole);
    free(b.ids);
    free(b.bytes);
    lmu_model_close(b.model);
    return 0;
}
