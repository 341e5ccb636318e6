#include "text/shard_text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/machine.h"
#include "base/memory.h"
#include "text/pieces.h"

typedef struct Tokenising {
    const Tokenizer *tokenizer;
    int threads;
    Encoder **encoder; /* one a thread */
    Pieces pieces;
    IdList *list; /* the ids of each piece */
    size_t list_capacity;
    ShardWriter *writer;
    int64_t documents, bytes;
} Tokenising;

static lmu_status tokenising_open(Tokenising *t)
{
    if (tokenizer_end_of_text(t->tokenizer) < 0)
        return error_set(LMU_USAGE, "the tokenizer has no special token %s to put after each document",
                         TOKENIZER_END_OF_TEXT);
    TRY(memory_new(&t->encoder, (size_t)t->threads, sizeof *t->encoder, "the encoders"));
    for (int i = 0; i < t->threads; i++)
        TRY(encoder_open(t->tokenizer, &t->encoder[i]));
    return LMU_OK;
}

static void tokenising_close(Tokenising *t)
{
    for (int i = 0; t->encoder && i < t->threads; i++)
        encoder_close(t->encoder[i]);
    free(t->encoder);
    for (size_t i = 0; i < t->list_capacity; i++)
        free(t->list[i].id);
    free(t->list);
    pieces_free(&t->pieces);
    shard_writer_abort(t->writer);
}

static lmu_status piece_encode(void *context, int thread, size_t index)
{
    Tokenising *t = context;
    const Piece *piece = &t->pieces.piece[index];
    IdList ids = t->list[index]; /* not in its place, where other threads write beside it */
    ids.count = 0;
    lmu_status status = encoder_encode(t->encoder[thread], piece->text, piece->size, false, &ids);
    t->list[index] = ids;
    return status;
}

static lmu_status batch_write(Tokenising *t)
{
    uint32_t end = (uint32_t)tokenizer_end_of_text(t->tokenizer);
    size_t piece = 0;
    TRY(memory_grow(&t->list, &t->list_capacity, t->pieces.piece_count, sizeof *t->list, "token ids"));
    TRY(pieces_visit(&t->pieces, t->threads, piece_encode, t));
    for (size_t i = 0; i < t->pieces.document_count; i++) {
        for (; piece < t->pieces.piece_count && t->pieces.piece[piece].document == i; piece++)
            TRY(shard_writer_put(t->writer, t->list[piece].id, t->list[piece].count));
        t->bytes += (int64_t)t->pieces.document[i].size;
        if (t->pieces.document[i].continues)
            continue;
        TRY(shard_writer_put(t->writer, &end, 1));
        t->documents++;
    }
    return LMU_OK;
}

static lmu_status corpus_write(Tokenising *t, Corpus *corpus, Progress *progress)
{
    do {
        if (progress_interrupted(progress))
            return error_set(LMU_INTERRUPTED, "interrupted while tokenising");
        TRY(pieces_read(&t->pieces, corpus));
        TRY(batch_write(t));
        progress_report(progress, "tokenising", (double)corpus_position(corpus), (double)corpus_size(corpus), "bytes",
                        NULL);
    } while (t->pieces.document_count > 0);
    return LMU_OK;
}

/* A directory of our own under TMPDIR. */
static lmu_status scratch_open(char **directory)
{
    const char *place = getenv("TMPDIR");
    TRY(path_join(place && *place ? place : "/tmp", "lmu-XXXXXX", directory));
    if (mkdtemp(*directory))
        return LMU_OK;
    lmu_status status =
        error_set(LMU_IO, "%s: cannot make a temporary directory: %s; set TMPDIR to one that can be written",
                  *directory, strerror(errno));
    free(*directory);
    *directory = NULL;
    return status;
}

lmu_status shard_from_text(char *const *inputs, size_t count, const Tokenizer *tokenizer, int threads,
                           Progress *progress, Shard *out)
{
    lmu_status status;
    Tokenising t = {.tokenizer = tokenizer, .threads = threads > 0 ? threads : machine_threads(NULL, 0)};
    Corpus *corpus = NULL;
    ShardWriter *writer;
    char *directory = NULL, *path = NULL;
    memset(out, 0, sizeof *out);
    ATTEMPT(tokenising_open(&t));
    ATTEMPT(corpus_open(inputs, count, &corpus));
    t.pieces.whole = pieces_change_ids(tokenizer, false);
    if (t.pieces.whole)
        corpus_keep_whole(corpus);
    ATTEMPT(scratch_open(&directory));
    ATTEMPT(path_join(directory, "text.bin", &path));
    ATTEMPT(shard_writer_open(path, tokenizer_size(tokenizer), tokenizer_hash(tokenizer), &t.writer));
    ATTEMPT(corpus_write(&t, corpus, progress));
    writer = t.writer;
    t.writer = NULL;
    ATTEMPT(shard_writer_commit(writer, t.documents, t.bytes));
    ATTEMPT(shard_open(path, out));
done:
    tokenising_close(&t);
    corpus_close(corpus);
    if (directory)
        directory_remove(directory);
    free(directory);
    free(path);
    return status;
}
