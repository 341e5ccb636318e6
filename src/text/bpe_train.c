#include "text/bpe_train.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/machine.h"
#include "base/memory.h"
#include "text/bytes_hash.h"
#include "text/pieces.h"
#include "text/vocabulary.h"

#define FIRST_BYTE_ID 1 /* 0 is the end of text */

/* A distinct pre-token as ids, id[0 .. length), and how often it occurs. Merges shorten it in place. */
typedef struct Word {
    uint32_t *id;
    uint32_t length;
    int64_t count;
} Word;

/* Two neighbouring ids, how often they occur, and the words they occur in (some of them no longer, some twice). */
typedef struct Pair {
    uint64_t key;
    int64_t count;
    uint32_t *word;
    size_t word_count, word_capacity;
    bool grown; /* it is in the trainer's list of these */
} Pair;

/* A pair in the heap, with the count that it had when it was put there: the counts of pairs only fall, but for those of the
 * token just made, which are new. */
typedef struct Candidate {
    int64_t count;
    uint64_t key;
    uint32_t pair; /* index */
} Candidate;

typedef struct Trainer {
    Word *word;
    uint32_t *word_ids; /* where the words' ids lie */
    size_t word_count;
    Pair *pair;
    size_t pair_count, pair_capacity;
    uint32_t *slot; /* by key: index of the pair + 1; 0: free */
    size_t slots;
    Candidate *heap;
    size_t heap_count, heap_capacity;
    uint32_t *grown; /* pairs that the last merge made more frequent */
    size_t grown_count, grown_capacity;

    Arena *arena; /* the tokens' bytes */
    Token *token;
    size_t token_count;
    Merge *merge;
    size_t merge_count, merge_capacity;
} Trainer;

static void trainer_close(Trainer *t)
{
    for (size_t i = 0; i < t->pair_count; i++)
        free(t->pair[i].word);
    free(t->word);
    free(t->word_ids);
    free(t->pair);
    free(t->slot);
    free(t->heap);
    free(t->grown);
    free(t->token);
    free(t->merge);
    arena_close(t->arena);
}

/* ---- tokens ---- */

static lmu_status token_add(Trainer *t, const char *bytes, size_t length, bool special)
{
    char *copy = arena_alloc(t->arena, length, 1);
    if (!copy)
        return LMU_MEMORY;
    memcpy(copy, bytes, length);
    t->token[t->token_count++] = (Token){copy, length, special};
    return LMU_OK;
}

static lmu_status tokens_open(Trainer *t, int64_t vocabulary)
{
    t->arena = arena_open();
    if (!t->arena)
        return error_set(LMU_MEMORY, "no memory for the vocabulary");
    TRY(memory_new(&t->token, (size_t)vocabulary, sizeof *t->token, "the vocabulary"));
    TRY(token_add(t, TOKENIZER_END_OF_TEXT, strlen(TOKENIZER_END_OF_TEXT), true));
    for (int byte = 0; byte < 256; byte++)
        TRY(token_add(t, &(char){(char)byte}, 1, false));
    return LMU_OK;
}

/* The token of left and right joined. It is always new: between two ends that no merge has crossed, a string is cut into
 * tokens in one way only, so where a token of these bytes existed, it would stand here already. */
static lmu_status token_join(Trainer *t, uint32_t left, uint32_t right, uint32_t *out)
{
    char joined[TOKEN_MOST_BYTES];
    const Token *l = &t->token[left], *r = &t->token[right];
    memcpy(joined, l->bytes, l->length);
    memcpy(joined + l->length, r->bytes, r->length);
    *out = (uint32_t)t->token_count;
    TRY(memory_grow(&t->merge, &t->merge_capacity, t->merge_count + 1, sizeof *t->merge, "the merges"));
    t->merge[t->merge_count++] = (Merge){left, right};
    return token_add(t, joined, l->length + r->length, false);
}

/* ---- pairs ---- */

static lmu_status slots_grow(Trainer *t)
{
    size_t slots = t->slots ? 2 * t->slots : (size_t)1 << 16;
    uint32_t *slot;
    TRY(memory_new(&slot, slots, sizeof *slot, "the pairs"));
    for (size_t i = 0; i < t->pair_count; i++) {
        size_t at = hash_mix(t->pair[i].key) & (slots - 1);
        while (slot[at] != 0)
            at = (at + 1) & (slots - 1);
        slot[at] = (uint32_t)i + 1;
    }
    free(t->slot);
    t->slot = slot;
    t->slots = slots;
    return LMU_OK;
}

/* The index of a pair, which is added if it is new. */
static lmu_status pair_find(Trainer *t, uint64_t key, uint32_t *out)
{
    if (2 * (t->pair_count + 1) > t->slots)
        TRY(slots_grow(t));
    size_t at = hash_mix(key) & (t->slots - 1);
    while (t->slot[at] != 0 && t->pair[t->slot[at] - 1].key != key)
        at = (at + 1) & (t->slots - 1);
    if (t->slot[at] == 0) {
        if (t->pair_count >= UINT32_MAX - 1)
            return error_set(LMU_MEMORY, "more than 4 billion pairs of tokens: train on less text");
        TRY(memory_grow(&t->pair, &t->pair_capacity, t->pair_count + 1, sizeof *t->pair, "the pairs"));
        t->pair[t->pair_count] = (Pair){.key = key};
        t->slot[at] = (uint32_t)++t->pair_count;
    }
    *out = t->slot[at] - 1;
    return LMU_OK;
}

/* Adds the count of a word to one of its pairs, and notes that the pair occurs in it and has grown. */
static lmu_status pair_gain(Trainer *t, uint32_t index, uint32_t left, uint32_t right)
{
    uint32_t at;
    TRY(pair_find(t, pair_key(left, right), &at));
    Pair *pair = &t->pair[at];
    pair->count += t->word[index].count;
    if (pair->word_count == 0 || pair->word[pair->word_count - 1] != index) {
        TRY(memory_grow(&pair->word, &pair->word_capacity, pair->word_count + 1, sizeof *pair->word, "the pairs"));
        pair->word[pair->word_count++] = index;
    }
    if (pair->grown)
        return LMU_OK;
    TRY(memory_grow(&t->grown, &t->grown_capacity, t->grown_count + 1, sizeof *t->grown, "the pairs"));
    t->grown[t->grown_count++] = at;
    pair->grown = true;
    return LMU_OK;
}

static lmu_status pair_lose(Trainer *t, uint32_t index, uint32_t left, uint32_t right)
{
    uint32_t at;
    TRY(pair_find(t, pair_key(left, right), &at));
    t->pair[at].count -= t->word[index].count;
    return LMU_OK;
}

/* ---- the heap: the most frequent pair first, of equals the smaller key ---- */

static bool candidate_before(const Candidate *a, const Candidate *b)
{
    return a->count != b->count ? a->count > b->count : a->key < b->key;
}

static lmu_status heap_push(Trainer *t, uint32_t index)
{
    const Pair *pair = &t->pair[index];
    const Token *left = &t->token[pair->key >> 32], *right = &t->token[(uint32_t)pair->key];
    if (pair->count < 2 || left->length + right->length > TOKEN_MOST_BYTES)
        return LMU_OK;
    TRY(memory_grow(&t->heap, &t->heap_capacity, t->heap_count + 1, sizeof *t->heap, "the pairs"));
    Candidate value = {pair->count, pair->key, index};
    size_t at = t->heap_count++;
    for (; at > 0 && candidate_before(&value, &t->heap[(at - 1) / 2]); at = (at - 1) / 2)
        t->heap[at] = t->heap[(at - 1) / 2];
    t->heap[at] = value;
    return LMU_OK;
}

static Candidate heap_pop(Trainer *t)
{
    Candidate first = t->heap[0], value = t->heap[--t->heap_count];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < t->heap_count; at = child) {
        if (child + 1 < t->heap_count && candidate_before(&t->heap[child + 1], &t->heap[child]))
            child++;
        if (!candidate_before(&t->heap[child], &value))
            break;
        t->heap[at] = t->heap[child];
    }
    t->heap[at] = value;
    return first;
}

/* Puts the pairs that have grown into the heap. */
static lmu_status grown_push(Trainer *t)
{
    for (size_t i = 0; i < t->grown_count; i++) {
        TRY(heap_push(t, t->grown[i]));
        t->pair[t->grown[i]].grown = false;
    }
    t->grown_count = 0;
    return LMU_OK;
}

/* ---- merging ---- */

/* Every left, right in a word becomes `joined`, from the left. The pairs that hold one of the two are lost, and those that
 * hold the joined one gained; each once, where two merges touch. */
static lmu_status word_merge(Trainer *t, uint32_t index, uint32_t left, uint32_t right, uint32_t joined)
{
    Word *word = &t->word[index];
    uint32_t *id = word->id, length = word->length, kept = 0, done = 0; /* id[done] follows the last merge */
    for (uint32_t i = 0; i < length; i++, kept++) {
        if (i + 1 == length || id[i] != left || id[i + 1] != right) {
            id[kept] = id[i];
            continue;
        }
        if (i > done) /* kept, not i: what lies before has moved */
            TRY(pair_lose(t, index, id[kept - 1], left));
        TRY(pair_lose(t, index, left, right));
        if (i + 2 < length)
            TRY(pair_lose(t, index, right, id[i + 2]));
        id[kept] = joined;
        done = ++i + 1;
    }
    word->length = kept;
    for (uint32_t i = 0; i < kept; i++) {
        if (id[i] != joined)
            continue;
        if (i > 0)
            TRY(pair_gain(t, index, id[i - 1], joined));
        if (i + 1 < kept && id[i + 1] != joined)
            TRY(pair_gain(t, index, joined, id[i + 1]));
    }
    return LMU_OK;
}

static lmu_status pair_merge(Trainer *t, uint32_t index)
{
    uint32_t left = (uint32_t)(t->pair[index].key >> 32), right = (uint32_t)t->pair[index].key, joined;
    TRY(token_join(t, left, right, &joined));
    uint32_t *words = t->pair[index].word; /* taken: no pair made here is this one */
    size_t count = t->pair[index].word_count;
    t->pair[index].word = NULL;
    t->pair[index].word_count = t->pair[index].word_capacity = 0;
    lmu_status status = LMU_OK;
    for (size_t i = 0; i < count; i++)
        ATTEMPT(word_merge(t, words[i], left, right, joined));
    status = grown_push(t);
done:
    free(words);
    return status;
}

static lmu_status words_open(Trainer *t, const PretokenCounts *counts)
{
    size_t next = 0;
    if (counts->used >= UINT32_MAX)
        return error_set(LMU_MEMORY, "more than 4 billion distinct pre-tokens: train on less text");
    TRY(memory_new(&t->word, counts->used, sizeof *t->word, "the pre-tokens"));
    TRY(memory_new(&t->word_ids, counts->byte_count, sizeof *t->word_ids, "the pre-tokens"));
    for (size_t i = 0; i < counts->slots; i++) {
        const PretokenCount *slot = &counts->slot[i];
        if (slot->length == 0)
            continue;
        uint32_t *id = t->word_ids + next, index = (uint32_t)t->word_count++;
        t->word[index] = (Word){id, (uint32_t)slot->length, slot->count};
        for (size_t k = 0; k < slot->length; k++)
            t->word_ids[next++] = FIRST_BYTE_ID + (unsigned char)counts->bytes[slot->offset + k];
        for (size_t k = 0; k + 1 < slot->length; k++)
            TRY(pair_gain(t, index, id[k], id[k + 1]));
    }
    return grown_push(t);
}

/* The next pair to merge; false when no pair occurs twice. */
static lmu_status best_pair(Trainer *t, uint32_t *out, bool *found)
{
    *found = false;
    while (t->heap_count > 0) {
        Candidate first = heap_pop(t);
        if (first.count == t->pair[first.pair].count) {
            *out = first.pair;
            *found = true;
            return LMU_OK;
        }
        TRY(heap_push(t, first.pair)); /* its count has changed since */
    }
    return LMU_OK;
}

static lmu_status trainer_run(Trainer *t, int64_t vocabulary, Progress *progress)
{
    while ((int64_t)t->token_count < vocabulary) {
        uint32_t best;
        bool found;
        if (progress_interrupted(progress))
            return error_set(LMU_INTERRUPTED, "interrupted; no tokenizer was written");
        TRY(best_pair(t, &best, &found));
        if (!found) {
            progress_say(progress,
                         "The text is too small for a vocabulary of %" PRId64
                         ": no pair of tokens occurs twice any more, "
                         "so it ends at %zu.",
                         vocabulary, t->token_count);
            break;
        }
        TRY(pair_merge(t, best));
        progress_report(progress, "merging", (double)t->token_count, (double)vocabulary, "tokens", NULL);
    }
    return LMU_OK;
}

lmu_status bpe_train(const PretokenCounts *counts, int64_t vocabulary, Progress *progress, Tokenizer **out)
{
    if (vocabulary < VOCABULARY_LEAST || vocabulary > VOCABULARY_MOST)
        return error_set(LMU_USAGE,
                         "a vocabulary of %" PRId64 ": it goes from %d (every byte and the end of text) to %d",
                         vocabulary, VOCABULARY_LEAST, VOCABULARY_MOST);
    lmu_status status;
    Trainer t = {0};
    ATTEMPT(tokens_open(&t, vocabulary));
    ATTEMPT(words_open(&t, counts));
    ATTEMPT(trainer_run(&t, vocabulary, progress));
    ATTEMPT(tokenizer_build("the trained tokenizer", t.token, t.token_count, t.merge, t.merge_count, out));
done:
    trainer_close(&t);
    return status;
}

/* ---- from a corpus ---- */

/* One table of counts a thread. */
typedef struct Counting {
    Pieces batch[2];  /* one is counted while the other is read */
    Pieces *counting; /* the former */
    PretokenCounts *counts;
    Progress *progress;
    int threads;
} Counting;

static lmu_status interrupted(const Counting *c)
{
    return progress_interrupted(c->progress) ? error_set(LMU_INTERRUPTED, "interrupted; no tokenizer was written")
                                             : LMU_OK;
}

static lmu_status piece_count(void *context, int thread, size_t index)
{
    Counting *c = context;
    const Piece *piece = &c->counting->piece[index];
    TRY(interrupted(c));
    return pretoken_counts_text(&c->counts[thread], piece->text, piece->size);
}

static lmu_status corpus_count(Corpus *corpus, Counting *c)
{
    c->counting = &c->batch[0];
    TRY(pieces_read(c->counting, corpus));
    while (c->counting->document_count > 0) {
        Pieces *next = c->counting == &c->batch[0] ? &c->batch[1] : &c->batch[0];
        TRY(pieces_visit_reading(c->counting, c->threads, piece_count, c, next, corpus));
        pieces_clear(c->counting);
        c->counting = next;
        progress_report(c->progress, "counting", (double)corpus_position(corpus), (double)corpus_size(corpus), "bytes",
                        NULL);
    }
    for (int i = 1; i < c->threads; i++) {
        TRY(interrupted(c));
        TRY(pretoken_counts_merge(&c->counts[0], &c->counts[i]));
        pretoken_counts_free(&c->counts[i]);
    }
    return LMU_OK;
}

lmu_status tokenizer_train_with(const TokenizerTraining *options, Progress *progress, Tokenizer **out)
{
    lmu_status status;
    Corpus *corpus = NULL;
    Counting c = {.progress = progress};
    c.threads = options->threads > 0 ? options->threads : machine_threads(NULL, 0);
    ATTEMPT(corpus_open(options->inputs, options->input_count, &corpus));
    corpus_watch(corpus, progress);
    if (options->field)
        corpus_use_field(corpus, options->field);
    ATTEMPT(memory_new(&c.counts, (size_t)c.threads, sizeof *c.counts, "the counts of pre-tokens"));
    ATTEMPT(corpus_count(corpus, &c));
    ATTEMPT(bpe_train(&c.counts[0], options->vocabulary, progress, out));
done:
    for (int i = 0; c.counts && i < c.threads; i++)
        pretoken_counts_free(&c.counts[i]);
    free(c.counts);
    pieces_free(&c.batch[0]);
    pieces_free(&c.batch[1]);
    corpus_close(corpus);
    return status;
}

lmu_status tokenizer_train(char *const *inputs, size_t count, int64_t vocabulary, int threads, Progress *progress,
                           Tokenizer **out)
{
    TokenizerTraining options = {.inputs = inputs, .input_count = count, .vocabulary = vocabulary, .threads = threads};
    return tokenizer_train_with(&options, progress, out);
}
