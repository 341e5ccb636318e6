#include "text/prepare.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/machine.h"
#include "base/memory.h"
#include "base/random.h"
#include "text/pieces.h"
#include "text/shard.h"

typedef enum Side { SIDE_TRAIN, SIDE_VALID, SIDES } Side;

typedef struct Preparing {
    const PrepareOptions *options;
    const Tokenizer *tokenizer;
    Progress *progress;
    int threads;
    double fraction;
    char *fresh; /* the directory that is being written */
    ShardWriter *shard[SIDES];
    PrepareSide written[SIDES];
    Encoder **encoder; /* one a thread */
    Pieces pieces;
    IdList *list; /* the ids of each piece */
    size_t list_capacity;
    int64_t documents; /* of the inputs; counted only where a part of them is held out */
    int64_t held_out;  /* of those */
} Preparing;

static void preparing_close(Preparing *p)
{
    for (int side = 0; side < SIDES; side++)
        shard_writer_abort(p->shard[side]);
    for (int i = 0; p->encoder && i < p->threads; i++)
        encoder_close(p->encoder[i]);
    free(p->encoder);
    for (size_t i = 0; i < p->list_capacity; i++)
        free(p->list[i].id);
    free(p->list);
    pieces_free(&p->pieces);
    if (p->fresh)
        directory_remove(p->fresh);
    free(p->fresh);
}

static lmu_status interrupted(const Preparing *p)
{
    return progress_interrupted(p->progress) ? error_set(LMU_INTERRUPTED, "interrupted; nothing was written") : LMU_OK;
}

/* ---- where it is written ---- */

/* Refuses a place that holds what prepare did not write. */
static lmu_status place_check(const char *path)
{
    if (!file_exists(path))
        return LMU_OK;
    if (!file_is_directory(path))
        return error_set(LMU_USAGE, "%s: is a file; prepare writes a directory, name another", path);
    char **names;
    size_t count;
    TRY(directory_list(path, &names, &count));
    lmu_status status = LMU_OK;
    for (size_t i = 0; i < count && status == LMU_OK; i++)
        if (strcmp(names[i], PREPARE_TRAIN) != 0 && strcmp(names[i], PREPARE_VALID) != 0 &&
            strcmp(names[i], PREPARE_TOKENIZER) != 0)
            status =
                error_set(LMU_USAGE,
                          "%s: holds \"%s\", which lmu prepare did not write; it replaces the whole directory, so name "
                          "another",
                          path, names[i]);
    directory_list_free(names);
    return status;
}

static lmu_status place_open(Preparing *p)
{
    const char *out = p->options->out;
    size_t length = strlen(out);
    while (length > 1 && out[length - 1] == '/')
        length--;
    const char *last = memrchr(out, '/', length);
    size_t name = last ? length - (size_t)(last + 1 - out) : length;
    last = last ? last + 1 : out;
    if (name == 0 || (name <= 2 && strncmp(last, "..", name) == 0))
        return error_set(LMU_USAGE, "\"%s\" is no name for a new directory", out);
    TRY(place_check(out));
    if (asprintf(&p->fresh, "%.*s.%ld.new", (int)length, out, (long)getpid()) < 0) {
        p->fresh = NULL;
        return error_set(LMU_MEMORY, "no memory for a file name");
    }
    TRY(directory_remove(p->fresh));
    return directory_make(p->fresh);
}

static lmu_status shard_begin(Preparing *p, Side side, const char *name)
{
    char *path = path_join(p->fresh, name);
    if (!path)
        return error_set(LMU_MEMORY, "no memory for a file name");
    lmu_status status =
        shard_writer_open(path, tokenizer_size(p->tokenizer), tokenizer_hash(p->tokenizer), &p->shard[side]);
    free(path);
    return status;
}

static lmu_status shard_finish(Preparing *p, Side side)
{
    PrepareSide *written = &p->written[side];
    ShardWriter *writer = p->shard[side];
    p->shard[side] = NULL;
    written->tokens = shard_writer_count(writer);
    return shard_writer_commit(writer, written->documents, written->bytes);
}

/* ---- writing documents ---- */

static lmu_status piece_encode(void *context, int thread, size_t index)
{
    Preparing *p = context;
    const Piece *piece = &p->pieces.piece[index];
    p->list[index].count = 0;
    return encoder_encode(p->encoder[thread], piece->text, piece->size, false, &p->list[index]);
}

/* Whether a document of the inputs, by its index among them, is held out. */
static bool is_held_out(const Preparing *p, int64_t index)
{
    if (p->held_out == 0)
        return false;
    uint64_t key = random_key(p->options->seed, "held-out documents", 0, 0);
    return random_permute(key, (uint64_t)p->documents, (uint64_t)index) < (uint64_t)p->held_out;
}

/* Encodes the documents of the batch, and writes each to its side; the first has this index among the inputs' documents.
 * All go to `side` unless it is SIDES: then held-out ones are told apart. */
static lmu_status batch_write(Preparing *p, int64_t first, Side side)
{
    uint32_t end = (uint32_t)tokenizer_end_of_text(p->tokenizer);
    TRY(memory_grow(&p->list, &p->list_capacity, p->pieces.piece_count, sizeof *p->list, "token ids"));
    TRY(pieces_visit(&p->pieces, p->threads, piece_encode, p));
    size_t piece = 0;
    for (size_t i = 0; i < p->pieces.document_count; i++) {
        Side to = side;
        if (side == SIDES)
            to = is_held_out(p, first + (int64_t)i) ? SIDE_VALID : SIDE_TRAIN;
        for (; piece < p->pieces.piece_count && p->pieces.piece[piece].document == i; piece++)
            TRY(shard_writer_put(p->shard[to], p->list[piece].id, p->list[piece].count));
        TRY(shard_writer_put(p->shard[to], &end, 1));
        p->written[to].documents++;
        p->written[to].bytes += (int64_t)p->pieces.document[i].size;
    }
    return LMU_OK;
}

static lmu_status corpus_write(Preparing *p, Corpus *corpus, Side side)
{
    for (int64_t first = 0;; first += (int64_t)p->pieces.document_count) {
        TRY(interrupted(p));
        TRY(pieces_read(&p->pieces, corpus));
        if (p->pieces.document_count == 0)
            return LMU_OK;
        TRY(batch_write(p, first, side));
        progress_report(p->progress, "tokenising", (double)corpus_position(corpus), (double)corpus_size(corpus),
                        "bytes", NULL);
    }
}

/* ---- holding out ---- */

static lmu_status documents_count(Preparing *p, Corpus *corpus)
{
    for (p->documents = 0;; p->documents++) {
        Document document;
        TRY(interrupted(p));
        TRY(corpus_next(corpus, &document));
        if (!document.text)
            break;
        free(document.text);
        progress_report(p->progress, "reading", (double)corpus_position(corpus), (double)corpus_size(corpus), "bytes",
                        NULL);
    }
    corpus_rewind(corpus);
    return LMU_OK;
}

/* Where a single document is cut so that `fraction` of it follows: after the last line break before that place; without one
 * in the tenth of the text before it, at a space, and without that, between two characters. */
static size_t document_cut(const char *text, size_t size, double fraction)
{
    size_t target = (size_t)((double)size * (1 - fraction));
    if (target < 1)
        target = 1;
    if (target > size - 1)
        target = size - 1;
    size_t least = target - target / 10 > 0 ? target - target / 10 : 1;
    for (int pass = 0; pass < 2; pass++)
        for (size_t at = target; at >= least; at--)
            if (pass == 0 ? text[at - 1] == '\n' : text[at] == ' ')
                return at;
    size_t at = target;
    while (at > 1 && ((unsigned char)text[at] & 0xC0) == 0x80)
        at--;
    return at;
}

static lmu_status part_write(Preparing *p, const char *text, size_t size, Side side)
{
    Document part = {malloc(size), size};
    if (!part.text)
        return error_set(LMU_MEMORY, "no memory for a document of %zu bytes", size);
    memcpy(part.text, text, size);
    pieces_clear(&p->pieces);
    TRY(pieces_add(&p->pieces, part));
    return batch_write(p, 0, side);
}

static lmu_status single_write(Preparing *p, Corpus *corpus)
{
    Document document;
    lmu_status status;
    TRY(corpus_next(corpus, &document));
    if (document.size < 2) {
        status =
            error_set(LMU_USAGE, "the only document has %zu bytes: too short to hold out a part of it", document.size);
        goto done;
    }
    size_t cut = document_cut(document.text, document.size, p->fraction);
    progress_say(p->progress, "There is one document, so its last %.1f%% (%zu of %zu bytes) are held out.",
                 100.0 * (double)(document.size - cut) / (double)document.size, document.size - cut, document.size);
    ATTEMPT(part_write(p, document.text, cut, SIDE_TRAIN));
    ATTEMPT(part_write(p, document.text + cut, document.size - cut, SIDE_VALID));
done:
    free(document.text);
    return status;
}

static lmu_status held_out_write(Preparing *p, Corpus *corpus)
{
    TRY(documents_count(p, corpus));
    if (p->documents == 1)
        return single_write(p, corpus);
    p->held_out = llround((double)p->documents * p->fraction);
    if (p->held_out < 1)
        p->held_out = 1;
    if (p->held_out > p->documents - 1)
        p->held_out = p->documents - 1;
    return corpus_write(p, corpus, SIDES);
}

static lmu_status sides_write(Preparing *p)
{
    lmu_status status;
    const PrepareOptions *options = p->options;
    Corpus *corpus = NULL, *valid = NULL;
    ATTEMPT(corpus_open(options->inputs, options->input_count, &corpus));
    if (options->valid_count > 0) {
        ATTEMPT(corpus_open(options->valid_inputs, options->valid_count, &valid));
        ATTEMPT(corpus_write(p, corpus, SIDE_TRAIN));
        ATTEMPT(corpus_write(p, valid, SIDE_VALID));
    } else {
        ATTEMPT(held_out_write(p, corpus));
    }
done:
    corpus_close(corpus);
    corpus_close(valid);
    return status;
}

/* ---- the whole ---- */

static lmu_status preparing_open(Preparing *p)
{
    if (tokenizer_end_of_text(p->tokenizer) < 0)
        return error_set(LMU_USAGE, "the tokenizer has no special token %s to put after each document",
                         TOKENIZER_END_OF_TEXT);
    if (!(p->options->valid_fraction >= 0 && p->options->valid_fraction < 1))
        return error_set(LMU_USAGE, "a held-out fraction of %g: it lies between 0 and 1", p->options->valid_fraction);
    p->fraction = p->options->valid_fraction > 0 ? p->options->valid_fraction : 0.05;
    p->threads = p->options->threads > 0 ? p->options->threads : machine_threads(NULL, 0);
    TRY(memory_new(&p->encoder, (size_t)p->threads, sizeof *p->encoder, "the encoders"));
    for (int i = 0; i < p->threads; i++)
        TRY(encoder_open(p->tokenizer, &p->encoder[i]));
    TRY(place_open(p));
    TRY(shard_begin(p, SIDE_TRAIN, PREPARE_TRAIN));
    return shard_begin(p, SIDE_VALID, PREPARE_VALID);
}

static lmu_status preparing_finish(Preparing *p)
{
    TRY(shard_finish(p, SIDE_TRAIN));
    TRY(shard_finish(p, SIDE_VALID));
    char *path = path_join(p->fresh, PREPARE_TOKENIZER);
    if (!path)
        return error_set(LMU_MEMORY, "no memory for a file name");
    lmu_status status = tokenizer_save(p->tokenizer, path);
    free(path);
    TRY(status);
    TRY(interrupted(p));
    TRY(place_check(p->options->out)); /* again: it may have changed while we worked */
    return directory_replace(p->fresh, p->options->out);
}

lmu_status prepare_run(const PrepareOptions *options, const Tokenizer *tokenizer, Progress *progress,
                       PrepareResult *result)
{
    lmu_status status;
    Preparing p = {.options = options, .tokenizer = tokenizer, .progress = progress};
    ATTEMPT(preparing_open(&p));
    ATTEMPT(sides_write(&p));
    ATTEMPT(preparing_finish(&p));
    *result = (PrepareResult){p.written[SIDE_TRAIN], p.written[SIDE_VALID]};
done:
    preparing_close(&p);
    return status;
}
