#include "text/pieces.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "text/pretokenize.h"
#include "text/vocabulary.h"

#define PIECE_BYTES ((size_t)1 << 17)
#define BATCH_BYTES ((size_t)1 << 24)
#define BATCH_DOCUMENTS 65536

bool pieces_change_ids(const Tokenizer *tokenizer, bool specials)
{
    if (tokenizer->rule.kind == PRETOKEN_WHOLE)
        return true;
    for (int level = 0; level < 2; level++)
        for (size_t i = 0; i < tokenizer->added[level].count; i++) {
            const AddedToken *added = &tokenizer->added[level].token[i];
            const Token *name = &tokenizer->token[added->id];
            if ((specials || !added->special) && (added->rstrip || memchr(name->bytes, ' ', name->length)))
                return true;
        }
    return false;
}

void pieces_clear(Pieces *pieces)
{
    for (size_t i = 0; i < pieces->document_count; i++)
        free(pieces->document[i].text);
    pieces->document_count = 0;
    pieces->piece_count = 0;
    pieces->bytes = 0;
}

void pieces_free(Pieces *pieces)
{
    pieces_clear(pieces);
    free(pieces->document);
    free(pieces->piece);
    *pieces = (Pieces){0};
}

lmu_status pieces_add(Pieces *pieces, Document document)
{
    lmu_status status;
    ATTEMPT(memory_grow(&pieces->document, &pieces->document_capacity, pieces->document_count + 1,
                        sizeof *pieces->document, "a batch of documents"));
    pieces->document[pieces->document_count++] = document;
    pieces->bytes += document.size;
    for (size_t from = 0, to; from < document.size; from = to) {
        to = document.size;
        if (!pieces->whole && document.size - from > PIECE_BYTES)
            to = from + pretoken_cut(document.text + from, document.size - from, PIECE_BYTES);
        TRY(memory_grow(&pieces->piece, &pieces->piece_capacity, pieces->piece_count + 1, sizeof *pieces->piece,
                        "a batch of documents"));
        pieces->piece[pieces->piece_count++] = (Piece){document.text + from, to - from, pieces->document_count - 1};
    }
    return LMU_OK;
done:
    free(document.text);
    return status;
}

bool pieces_full(const Pieces *pieces)
{
    return pieces->bytes >= BATCH_BYTES || pieces->document_count >= BATCH_DOCUMENTS;
}

lmu_status pieces_read(Pieces *pieces, Corpus *corpus)
{
    pieces_clear(pieces);
    while (!pieces_full(pieces)) {
        Document document;
        TRY(corpus_next(corpus, &document));
        if (!document.text)
            break;
        TRY(pieces_add(pieces, document));
    }
    return LMU_OK;
}

/* A failure on one thread, carried to the thread that asked: the message slot is a thread's own. */
typedef struct Failure {
    size_t index; /* of the piece */
    lmu_status status;
    char message[512];
} Failure;

/* Keeps the first failure in the order of the pieces. */
static void failure_note(Failure *failure, size_t index, lmu_status status)
{
#pragma omp critical(pieces_failure)
    if (index < failure->index) {
        failure->index = index;
        failure->status = status;
        strncpy(failure->message, lmu_error_message(), sizeof failure->message - 1);
    }
}

lmu_status pieces_visit_reading(const Pieces *pieces, int threads, PieceVisit visit, void *context, Pieces *next,
                                Corpus *corpus)
{
    Failure failure = {SIZE_MAX, LMU_OK, ""};
    size_t reading = next ? 1 : 0; /* the first job, where there is one */
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
    for (size_t job = 0; job < pieces->piece_count + reading; job++) {
        bool read = job < reading;
        size_t index = read ? pieces->piece_count : job - reading;
        lmu_status status = read ? pieces_read(next, corpus) : visit(context, omp_get_thread_num(), index);
        if (status != LMU_OK)
            failure_note(&failure, index, status);
    }
    return failure.status == LMU_OK ? LMU_OK : error_set(failure.status, "%s", failure.message);
}

lmu_status pieces_visit(const Pieces *pieces, int threads, PieceVisit visit, void *context)
{
    return pieces_visit_reading(pieces, threads, visit, context, NULL, NULL);
}
