/* A look into the Legendre memory of a layer: what it was given up to some place of a text, and what its state there still tells of
 * that (infer/recollection.h).
 *
 *     TRY(memory_view_open(model, &view));
 *     TRY(memory_view_begin(view, layer, id, count));
 *     do TRY(memory_view_work(view, &done)); while (!done);
 *     memory_view_take(view, &picture);
 *
 * The model reads the text anew, block by block as sessions do; the coefficients are its own stream state. In the first layer, whose
 * input is the norm of an embedding, what is rebuilt is also compared with what every token of the vocabulary would have been. */
#ifndef LMU_INFER_MEMORY_VIEW_H
#define LMU_INFER_MEMORY_VIEW_H

#include "infer/recollection.h"
#include "model/model.h"

#define MEMORY_VIEW_DELAYS 256 /* of a picture; those of a longer window stand apart from each other */
#define MEMORY_VIEW_RECALLED 64

typedef struct MemoryPicture {
    int64_t layer, order, channels, groups;
    double *theta; /* [G] */
    int64_t delays;
    int64_t *delay, *reach; /* [delays], in tokens; [G]: how many of them lie in the group's window */
    float *given, *rebuilt; /* [D x delays]; `given` is 0 before the text, rebuilt 0 outside the window */
    int64_t recalled_count; /* in the first layer: of the first delays that are in the text; elsewhere 0 */
    RecalledToken *recalled;
} MemoryPicture;
void memory_picture_free(MemoryPicture *picture); /* and zeroes it */

typedef struct MemoryView MemoryView;

/* LMU_USAGE unless the model has a Legendre memory. Any thread may ask. */
lmu_status memory_view_check(const Model *model);
/* The same, and the model is borrowed: one thread at a time works with its backend. */
lmu_status memory_view_open(Model *model, MemoryView **out);
void memory_view_close(MemoryView *view); /* accepts NULL */

/* Begins a look at the place of the last of the ids, which are borrowed until it is done. LMU_USAGE: no such layer, no ids, or more
 * than the model can read. */
lmu_status memory_view_begin(MemoryView *view, int64_t layer, const uint32_t *id, int64_t count);
/* A part of the work: a run of the model over a block. */
lmu_status memory_view_work(MemoryView *view, bool *done);
/* Hands over the picture of a look that is done. */
void memory_view_take(MemoryView *view, MemoryPicture *out);

#endif
