/* Encoding: text is cut into pre-tokens, and in each the pair whose merge comes first is merged, the leftmost of equals, until
 * no pair merges. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "text/bytes_hash.h"
#include "text/pretokenize.h"
#include "text/vocabulary.h"

/* A pre-token seen before and its ids: one cache line. A slot simply forgets what it held before. */
#define CACHED_BYTES 22
#define CACHED_IDS 8
typedef struct CacheSlot {
    uint64_t hash;
    uint32_t id[CACHED_IDS];
    uint8_t length, count; /* length 0: free */
    char text[CACHED_BYTES];
} CacheSlot;
#define CACHE_SLOTS ((size_t)1 << 15)

/* A token in a long pre-token: a doubly linked list over positions. */
typedef struct Link {
    uint32_t id, previous, next;
} Link;

/* Above this many bytes a heap finds the next merge; below, looking at every pair is faster. */
#define SHORT_BYTES 96

struct Encoder {
    const Tokenizer *tokenizer;
    CacheSlot *cache;
    Link *link;     /* workspace of long pre-tokens */
    uint64_t *heap; /* rank << 32 | position of the left token; the least first */
    size_t link_capacity, heap_capacity, heap_count;
};

lmu_status encoder_open(const Tokenizer *tokenizer, Encoder **out)
{
    lmu_status status;
    Encoder *encoder = NULL;
    TRY(memory_new(&encoder, 1, sizeof *encoder, "an encoder"));
    encoder->tokenizer = tokenizer;
    ATTEMPT(memory_new(&encoder->cache, CACHE_SLOTS, sizeof *encoder->cache, "an encoder"));
    *out = encoder;
    return LMU_OK;
done:
    encoder_close(encoder);
    return status;
}

void encoder_close(Encoder *encoder)
{
    if (!encoder)
        return;
    free(encoder->cache);
    free(encoder->link);
    free(encoder->heap);
    free(encoder);
}

static uint32_t merge_rank(const Tokenizer *tokenizer, uint32_t left, uint32_t right)
{
    const MergeSlot *merge = tokenizer_merge(tokenizer, left, right);
    return merge ? merge->rank : UINT32_MAX;
}

/* Merges id[0 .. count) in place, count <= SHORT_BYTES; returns how many are left. */
static size_t merge_short(const Tokenizer *tokenizer, uint32_t *id, size_t count)
{
    uint32_t rank[SHORT_BYTES]; /* of the pair (i, i + 1) */
    for (size_t i = 0; i + 1 < count; i++)
        rank[i] = merge_rank(tokenizer, id[i], id[i + 1]);
    while (count > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < count; i++)
            if (rank[i] < rank[best])
                best = i;
        if (rank[best] == UINT32_MAX)
            break;
        id[best] = tokenizer_merge(tokenizer, id[best], id[best + 1])->result;
        count--;
        memmove(id + best + 1, id + best + 2, (count - best - 1) * sizeof *id);
        if (best + 1 < count) {
            memmove(rank + best + 1, rank + best + 2, (count - best - 2) * sizeof *rank);
            rank[best] = merge_rank(tokenizer, id[best], id[best + 1]);
        }
        if (best > 0)
            rank[best - 1] = merge_rank(tokenizer, id[best - 1], id[best]);
    }
    return count;
}

static void heap_sink(uint64_t *heap, size_t count, size_t at)
{
    uint64_t value = heap[at];
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && heap[child + 1] < heap[child])
            child++;
        if (value <= heap[child])
            break;
        heap[at] = heap[child];
    }
    heap[at] = value;
}

static uint64_t heap_pop(Encoder *encoder)
{
    uint64_t least = encoder->heap[0];
    encoder->heap[0] = encoder->heap[--encoder->heap_count];
    if (encoder->heap_count > 0)
        heap_sink(encoder->heap, encoder->heap_count, 0);
    return least;
}

/* Appends without order when `build`, for a heapify to follow. */
static lmu_status heap_push(Encoder *encoder, uint32_t rank, uint32_t position, bool build)
{
    if (rank == UINT32_MAX)
        return LMU_OK;
    TRY(memory_grow(&encoder->heap, &encoder->heap_capacity, encoder->heap_count + 1, sizeof *encoder->heap,
                    "a long pre-token"));
    uint64_t value = (uint64_t)rank << 32 | position, *heap = encoder->heap;
    size_t at = encoder->heap_count++;
    for (; !build && at > 0 && heap[(at - 1) / 2] > value; at = (at - 1) / 2)
        heap[at] = heap[(at - 1) / 2];
    heap[at] = value;
    return LMU_OK;
}

static lmu_status links_open(Encoder *encoder, const char *text, size_t size)
{
    TRY(memory_grow(&encoder->link, &encoder->link_capacity, size, sizeof *encoder->link, "a long pre-token"));
    encoder->heap_count = 0;
    for (size_t i = 0; i < size; i++) {
        uint32_t id = encoder->tokenizer->byte_id[(unsigned char)text[i]];
        encoder->link[i] = (Link){id, (uint32_t)i - 1, i + 1 < size ? (uint32_t)i + 1 : NO_ID};
        if (i > 0)
            TRY(heap_push(encoder, merge_rank(encoder->tokenizer, encoder->link[i - 1].id, id), (uint32_t)i - 1, true));
    }
    for (size_t i = encoder->heap_count / 2; i-- > 0;)
        heap_sink(encoder->heap, encoder->heap_count, i);
    return LMU_OK;
}

/* The same merges as merge_short() makes, in O(n log n). */
static lmu_status merge_long(Encoder *encoder, const char *text, size_t size, IdList *out)
{
    if (size >= NO_ID)
        return error_set(LMU_FORMAT, "a run of %zu characters of one kind: no pre-token may have 4 GiB", size);
    const Tokenizer *tokenizer = encoder->tokenizer;
    TRY(links_open(encoder, text, size));
    Link *link = encoder->link;
    while (encoder->heap_count > 0) {
        uint64_t least = heap_pop(encoder);
        uint32_t at = (uint32_t)least, next = link[at].next;
        if (link[at].id == NO_ID || next == NO_ID)
            continue; /* merged into another since */
        const MergeSlot *merge = tokenizer_merge(tokenizer, link[at].id, link[next].id);
        if (!merge || merge->rank != least >> 32)
            continue; /* one of the two has grown since */
        link[at].id = merge->result;
        link[at].next = link[next].next;
        link[next].id = NO_ID;
        uint32_t previous = link[at].previous;
        next = link[at].next;
        if (next != NO_ID) {
            link[next].previous = at;
            TRY(heap_push(encoder, merge_rank(tokenizer, link[at].id, link[next].id), at, false));
        }
        if (previous != NO_ID)
            TRY(heap_push(encoder, merge_rank(tokenizer, link[previous].id, link[at].id), previous, false));
    }
    size_t count = 0;
    for (uint32_t at = 0; at != NO_ID; at = link[at].next)
        count++;
    TRY(memory_grow(&out->id, &out->capacity, out->count + count, sizeof *out->id, "token ids"));
    for (uint32_t at = 0; at != NO_ID; at = link[at].next)
        out->id[out->count++] = link[at].id;
    return LMU_OK;
}

static lmu_status encode_pretoken(Encoder *encoder, const char *text, size_t size, IdList *out)
{
    if (size > SHORT_BYTES)
        return merge_long(encoder, text, size, out);
    TRY(memory_grow(&out->id, &out->capacity, out->count + SHORT_BYTES, sizeof *out->id, "token ids"));
    uint32_t *id = out->id + out->count;
    uint64_t hash = bytes_hash(text, size);
    CacheSlot *slot = &encoder->cache[hash & (CACHE_SLOTS - 1)];
    if (slot->hash == hash && slot->length == size && memcmp(slot->text, text, size) == 0) {
        memcpy(id, slot->id, sizeof slot->id);
        out->count += slot->count;
        return LMU_OK;
    }
    for (size_t i = 0; i < size; i++)
        id[i] = encoder->tokenizer->byte_id[(unsigned char)text[i]];
    size_t count = merge_short(encoder->tokenizer, id, size);
    out->count += count;
    if (size <= CACHED_BYTES && count <= CACHED_IDS) {
        slot->hash = hash;
        slot->length = (uint8_t)size;
        slot->count = (uint8_t)count;
        memcpy(slot->text, text, size);
        memcpy(slot->id, id, count * sizeof *id);
    }
    return LMU_OK;
}

static lmu_status encode_plain(Encoder *encoder, const char *text, size_t size, IdList *out)
{
    while (size > 0) {
        size_t length = pretoken_length(text, size);
        TRY(encode_pretoken(encoder, text, length, out));
        text += length;
        size -= length;
    }
    return LMU_OK;
}

lmu_status encoder_encode(Encoder *encoder, const char *text, size_t size, bool specials, IdList *out)
{
    if (!specials)
        return encode_plain(encoder, text, size, out);
    size_t plain = 0; /* where the text that is not encoded yet starts */
    for (size_t at = 0; at < size;) {
        uint32_t special = tokenizer_special_at(encoder->tokenizer, text + at, size - at);
        if (special == NO_ID) {
            at++;
            continue;
        }
        TRY(encode_plain(encoder, text + plain, at - plain, out));
        TRY(memory_grow(&out->id, &out->capacity, out->count + 1, sizeof *out->id, "token ids"));
        out->id[out->count++] = special;
        plain = at += encoder->tokenizer->token[special].length;
    }
    return encode_plain(encoder, text + plain, size - plain, out);
}

lmu_status tokenizer_encode(const Tokenizer *tokenizer, const char *text, size_t size, bool specials, IdList *out)
{
    Encoder *encoder;
    TRY(encoder_open(tokenizer, &encoder));
    lmu_status status = encoder_encode(encoder, text, size, specials, out);
    encoder_close(encoder);
    return status;
}
