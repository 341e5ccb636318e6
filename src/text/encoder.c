/* Encoding a pre-token: the pair whose merge comes first is merged, the leftmost of equals, until no pair merges. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "text/bytes_hash.h"
#include "text/encoder.h"

/* A pre-token seen before and its ids: half a cache line, as most are short and few tokens. A slot simply forgets what it held
 * before. */
#define CACHED_BYTES 16
#define CACHED_IDS 3
typedef struct PretokenKey {
    uint64_t word[CACHED_BYTES / 8]; /* the bytes, then zeros */
} PretokenKey;
typedef struct CacheSlot {
    PretokenKey key;
    uint32_t id[CACHED_IDS];
    uint8_t length, count; /* length 0: free */
} CacheSlot;
_Static_assert(sizeof(CacheSlot) == 32, "two to a line");
#define CACHE_LINE 64
#define CACHE_SLOTS ((size_t)1 << 16)

/* A token in a long pre-token: a doubly linked list over positions. */
typedef struct Link {
    uint32_t id, previous, next;
} Link;

/* Above this many bytes a heap finds the next merge; below, looking at every pair is faster. */
#define SHORT_BYTES 96

/* Long pre-tokens are merged in windows of this many bytes, of which the last eighth is only looked at, so that the time is
 * linear in the length and the workspace stays in the fastest cache: see encode_long(). */
#define WINDOW_BYTES ((size_t)2048)

struct Encoder {
    const Tokenizer *tokenizer;
    const Progress *progress; /* see encoder_watch() */
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
    encoder->cache = aligned_alloc(CACHE_LINE, CACHE_SLOTS * sizeof *encoder->cache);
    if (!encoder->cache) {
        status = error_set(LMU_MEMORY, "no memory for an encoder");
        goto done;
    }
    memset(encoder->cache, 0, CACHE_SLOTS * sizeof *encoder->cache);
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

void encoder_watch(Encoder *encoder, const Progress *progress)
{
    encoder->progress = progress;
}

const Tokenizer *encoder_tokenizer(const Encoder *encoder)
{
    return encoder->tokenizer;
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

/* The same merges as merge_short() makes, in O(n log n), left in the links. */
static lmu_status merge_links(Encoder *encoder, const char *text, size_t size)
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
    return LMU_OK;
}

/* Appends the tokens of the links that end at `end` or before; *next is where the one after them starts, and *follower is
 * that one. With end = NO_ID: all, and *follower is NO_ID. */
static lmu_status links_take(const Encoder *encoder, uint32_t end, IdList *out, uint32_t *next, uint32_t *follower)
{
    const Link *link = encoder->link;
    size_t count = 0;
    uint32_t at = 0;
    for (; at != NO_ID && (end == NO_ID || (link[at].next != NO_ID && link[at].next <= end)); at = link[at].next)
        count++;
    *next = at;
    *follower = at == NO_ID ? NO_ID : link[at].id;
    TRY(memory_grow(&out->id, &out->capacity, out->count + count, sizeof *out->id, "token ids"));
    for (at = 0; count > 0; count--, at = link[at].next)
        out->id[out->count++] = link[at].id;
    return LMU_OK;
}

/* The tokens of a long pre-token, window after window; *joined is false where two windows did not agree.
 *
 * A sequence of tokens is what merging makes of their bytes if and only if that holds for each two neighbours: the first merge
 * that crossed a border in the whole would have crossed it in the pair, because until then both saw the same pairs in the
 * same order. So the tokens of a window up to a border, and those of the next window, which starts at the border, are the
 * tokens of the whole if both windows have the same token behind the border. */
static lmu_status windows_merge(Encoder *encoder, const char *text, size_t size, size_t window, IdList *out,
                                bool *joined)
{
    uint32_t expected = NO_ID, next;
    *joined = true;
    for (size_t at = 0; at < size; at += next) {
        bool last = size - at <= window;
        if (progress_interrupted(encoder->progress))
            return error_set(LMU_INTERRUPTED, "interrupted; nothing was written");
        TRY(merge_links(encoder, text + at, last ? size - at : window));
        if (expected != NO_ID && encoder->link[0].id != expected) {
            *joined = false;
            return LMU_OK;
        }
        TRY(links_take(encoder, last ? NO_ID : (uint32_t)(window - window / 8), out, &next, &expected));
        if (last)
            return LMU_OK;
        if (next == 0) { /* one token fills the window */
            *joined = false;
            return LMU_OK;
        }
    }
    return LMU_OK;
}

static lmu_status encode_long(Encoder *encoder, const char *text, size_t size, IdList *out)
{
    uint32_t whole = encoder->tokenizer->ignore_merges ? tokenizer_find(encoder->tokenizer, text, size) : NO_ID;
    if (whole != NO_ID) {
        TRY(memory_grow(&out->id, &out->capacity, out->count + 1, sizeof *out->id, "token ids"));
        out->id[out->count++] = whole;
        return LMU_OK;
    }
    size_t before = out->count;
    bool joined = false;
    for (size_t window = WINDOW_BYTES; !joined; window *= 2) { /* one window that holds all always joins */
        out->count = before;
        TRY(windows_merge(encoder, text, size, window, out, &joined));
    }
    return LMU_OK;
}

/* The key of a pre-token of 1 to CACHED_BYTES bytes; `room` bytes may be read at text. */
static PretokenKey pretoken_key(const char *text, size_t size, size_t room)
{
    PretokenKey key = {{0, 0}};
    if (room < CACHED_BYTES) {
        memcpy(key.word, text, size);
        return key;
    }
    memcpy(key.word, text, CACHED_BYTES);
    size_t last = (size - 1) / 8; /* the word that the last byte lies in */
    key.word[last] &= UINT64_MAX >> (8 * (8 * last + 8 - size));
    for (size_t i = last + 1; i < CACHED_BYTES / 8; i++)
        key.word[i] = 0;
    return key;
}

static CacheSlot *cache_slot(const Encoder *encoder, const PretokenKey *key, size_t size)
{
    uint64_t hash = hash_mix(key->word[0] ^ (key->word[1] * UINT64_C(0x9E3779B97F4A7C15)) ^ size);
    return &encoder->cache[hash & (CACHE_SLOTS - 1)];
}

static size_t merge_whole(const Encoder *encoder, const char *text, size_t size, uint32_t *id)
{
    if (encoder->tokenizer->ignore_merges && (*id = tokenizer_find(encoder->tokenizer, text, size)) != NO_ID)
        return 1;
    for (size_t i = 0; i < size; i++)
        id[i] = encoder->tokenizer->byte_id[(unsigned char)text[i]];
    return merge_short(encoder->tokenizer, id, size);
}

lmu_status encoder_pretoken(Encoder *encoder, const char *text, size_t size, size_t room, IdList *out)
{
    if (size > SHORT_BYTES)
        return encode_long(encoder, text, size, out);
    TRY(memory_grow(&out->id, &out->capacity, out->count + SHORT_BYTES, sizeof *out->id, "token ids"));
    uint32_t *id = out->id + out->count;
    if (size > CACHED_BYTES) {
        out->count += merge_whole(encoder, text, size, id);
        return LMU_OK;
    }
    PretokenKey key = pretoken_key(text, size, room);
    CacheSlot *slot = cache_slot(encoder, &key, size);
    if (slot->length == size && slot->key.word[0] == key.word[0] && slot->key.word[1] == key.word[1]) {
        memcpy(id, slot->id, sizeof slot->id);
        out->count += slot->count;
        return LMU_OK;
    }
    size_t count = merge_whole(encoder, text, size, id);
    out->count += count;
    if (count <= CACHED_IDS) {
        slot->key = key;
        slot->length = (uint8_t)size;
        slot->count = (uint8_t)count;
        memcpy(slot->id, id, count * sizeof *id);
    }
    return LMU_OK;
}
