/* A corpus as batches of pieces that several threads work on: documents are read one after the other, long ones are cut where
 * that changes no pre-token, and the pieces of a batch are visited in parallel, while the next batch is read. Which thread takes a piece is chance; a visitor
 * that keeps its result by piece, or adds up, gives the same on any number of threads. */
#ifndef LMU_TEXT_PIECES_H
#define LMU_TEXT_PIECES_H

#include "base/progress.h"
#include "text/corpus.h"
#include "text/tokenizer.h"

typedef struct Piece {
    const char *text;
    size_t size;
    size_t document; /* of the batch */
} Piece;

/* Start from a zeroed struct. */
typedef struct Pieces {
    Document *document; /* or parts of them, as the corpus gives them */
    size_t document_count, document_capacity;
    Piece *piece;
    size_t piece_count, piece_capacity;
    size_t bytes;
    bool whole; /* documents are not cut; pieces_clear() keeps it */
} Pieces;

/* Whether a cut could change the ids that this tokenizer gives: it does not divide text, or an added token that is looked for
 * (`specials`: the special ones too) holds a space or takes the one behind it. Then keep documents whole, here and in the
 * corpus. */
bool pieces_change_ids(const Tokenizer *tokenizer, bool specials);

void pieces_free(Pieces *pieces);
void pieces_clear(Pieces *pieces); /* forgets the batch */

/* Takes over a document and cuts it. On failure the document is freed. */
lmu_status pieces_add(Pieces *pieces, Document document);
bool pieces_full(const Pieces *pieces);
/* A new batch from the corpus; it has no document at the end. */
lmu_status pieces_read(Pieces *pieces, Corpus *corpus);

/* Calls visit(context, thread, index) for every piece, with thread in 0 .. threads-1. The first failure, in the order of the
 * pieces, is returned with its message. */
typedef lmu_status (*PieceVisit)(void *context, int thread, size_t index);
lmu_status pieces_visit(const Pieces *pieces, int threads, PieceVisit visit, void *context);
/* The same, and meanwhile pieces_read(next, corpus). */
lmu_status pieces_visit_reading(const Pieces *pieces, int threads, PieceVisit visit, void *context, Pieces *next,
                                Corpus *corpus);

#endif
