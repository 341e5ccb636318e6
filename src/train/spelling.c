#include "train/spelling.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "model/model.h"

#define SHORTEST 2 /* symbols of an n-gram: bytes, or the mark of a start or an end, which its place tells */
#define LONGEST 3
#define SYMBOL_BITS 9
#define MARK 256
#define SPELLED 32 /* symbols of a token that count, so that a ruler of dashes does not size the memory of all tokens */

struct Spelling {
    Backend *backend;
    const Param *table; /* E [V x D] */
    Params *store;      /* Z, whose values are the step in hand alone */
    Param *ngrams;      /* [K x D] */
    int64_t members;    /* n-grams of all tokens */
    int64_t width;      /* n-grams of the token that has most */
    int32_t *member;    /* [V x width] the n-grams of each token, then -1; on the backend */
    Real *change;       /* [V x D] S times the step */
};

/* -- which n-grams there are -- */

/* An n-gram of a token: its symbols as one number, which tells its length too, since no symbol in front is 0. */
typedef struct Occurrence {
    uint32_t ngram, token;
} Occurrence;

typedef struct Occurrences {
    Occurrence *list;
    size_t count, capacity;
} Occurrences;

static uint32_t symbol_at(const unsigned char *bytes, size_t size, size_t at)
{
    return 1u + (at == 0 || at > size ? MARK : bytes[at - 1]);
}

static lmu_status note_token(Occurrences *all, uint32_t token, const unsigned char *bytes, size_t size)
{
    size_t symbols = size + 2 < SPELLED ? size + 2 : SPELLED;
    TRY(memory_grow(&all->list, &all->capacity, all->count + (LONGEST - SHORTEST + 1) * symbols, sizeof *all->list,
                    "the spelling of tokens"));
    for (size_t start = 0; start < symbols; start++) {
        uint32_t ngram = 0;
        for (size_t n = 1; n <= LONGEST && start + n <= symbols; n++) {
            ngram = ngram << SYMBOL_BITS | symbol_at(bytes, size, start + n - 1);
            if (n >= SHORTEST)
                all->list[all->count++] = (Occurrence){ngram, token};
        }
    }
    return LMU_OK;
}

static int by_ngram(const void *a, const void *b)
{
    const Occurrence *x = a, *y = b;
    if (x->ngram != y->ngram)
        return x->ngram < y->ngram ? -1 : 1;
    return (x->token > y->token) - (x->token < y->token);
}

static int by_token(const void *a, const void *b)
{
    const Occurrence *x = a, *y = b;
    if (x->token != y->token)
        return x->token < y->token ? -1 : 1;
    return (x->ngram > y->ngram) - (x->ngram < y->ngram);
}

/* Leaves each n-gram of each token once, and those of several tokens alone, which are numbered from 0; by tokens. Returns their number. */
static int64_t number_ngrams(Occurrences *all)
{
    int64_t ngrams = 0;
    size_t kept = 0;
    qsort(all->list, all->count, sizeof *all->list, by_ngram);
    for (size_t first = 0, next; first < all->count; first = next) {
        size_t start = kept;
        uint32_t ngram = all->list[first].ngram;
        for (next = first; next < all->count && all->list[next].ngram == ngram; next++) {
            uint32_t token = all->list[next].token;
            if (kept == start || token != all->list[kept - 1].token)
                all->list[kept++] = (Occurrence){(uint32_t)ngrams, token};
        }
        if (kept - start > 1)
            ngrams++;
        else
            kept = start;
    }
    all->count = kept;
    qsort(all->list, kept, sizeof *all->list, by_token);
    return ngrams;
}

static lmu_status find_ngrams(const Tokenizer *tokenizer, Occurrences *all, int64_t *ngrams)
{
    int64_t tokens = tokenizer_size(tokenizer);
    for (int64_t id = 0; id < tokens; id++) {
        size_t size;
        const char *bytes = tokenizer_bytes(tokenizer, (uint32_t)id, &size);
        if (bytes && !tokenizer_is_special(tokenizer, (uint32_t)id))
            TRY(note_token(all, (uint32_t)id, (const unsigned char *)bytes, size));
    }
    *ngrams = all->count ? number_ngrams(all) : 0;
    return LMU_OK;
}

/* -- memory -- */

/* The n-grams of each token as rows of equal width. */
static lmu_status open_members(Spelling *s, const Occurrences *all)
{
    int32_t *member;
    int64_t width = 0, row = 0;
    for (size_t i = 0; i < all->count; i++) {
        row = i > 0 && all->list[i].token == all->list[i - 1].token ? row + 1 : 1;
        width = row > width ? row : width;
    }
    s->width = width;
    s->members = (int64_t)all->count;
    size_t count = (size_t)(s->table->shape[0] * width), bytes = count * sizeof *member;
    TRY(memory_new(&member, count, sizeof *member, "the spelling of tokens"));
    memset(member, -1, bytes);
    for (size_t i = 0; i < all->count; i++) {
        row = i > 0 && all->list[i].token == all->list[i - 1].token ? row + 1 : 0;
        member[all->list[i].token * width + row] = (int32_t)all->list[i].ngram;
    }
    lmu_status status = backend_alloc(s->backend, bytes, (void **)&s->member);
    if (status == LMU_OK)
        KERNEL(s->backend, put_bytes, bytes, member, s->member);
    free(member);
    return status;
}

static lmu_status open_memory(Spelling *s, const Tokenizer *tokenizer)
{
    Occurrences all = {0};
    int64_t ngrams;
    lmu_status status;
    ATTEMPT(find_ngrams(tokenizer, &all, &ngrams));
    if (ngrams == 0) {
        status = error_set(LMU_USAGE, "--spelling: no two tokens of this tokenizer begin, go on or end alike: "
                                      "leave the option out");
        goto done;
    }
    ATTEMPT(open_members(s, &all));
    ATTEMPT(backend_alloc(s->backend, (size_t)s->table->size * s->backend->real_size, (void **)&s->change));
    ATTEMPT(params_open(s->backend, &s->store));
    ATTEMPT(params_get(s->store, "spelling", 2, (int64_t[]){ngrams, s->table->shape[1]}, (Init){INIT_ZEROS, 0},
                       PARAM_TABLE, &s->ngrams));
    ATTEMPT(params_seal(s->store, 0));
    ATTEMPT(params_train(s->store));
done:
    free(all.list);
    return status;
}

lmu_status spelling_open(const Tokenizer *tokenizer, const Params *params, Spelling **out)
{
    Spelling *s;
    TRY(memory_new(&s, 1, sizeof *s, "the spelling of tokens"));
    s->backend = params->backend;
    s->table = params_find(params, "embedding.weight");
    lmu_status status = open_memory(s, tokenizer);
    if (status != LMU_OK)
        spelling_close(s);
    else
        *out = s;
    return status;
}

void spelling_close(Spelling *s)
{
    if (!s)
        return;
    backend_free(s->backend, s->member);
    backend_free(s->backend, s->change);
    params_close(s->store);
    free(s);
}

/* -- a step -- */

void spelling_step(Spelling *s, Params *params, const AdamW *step)
{
    Backend *b = s->backend;
    Params *c = s->store;
    int64_t offset = s->table->offset, tokens = s->table->shape[0], channels = s->table->shape[1];
    KERNEL(b, gather_back, tokens, s->width, s->ngrams->shape[0], channels, s->member, NULL,
           real_at(b, params->gradients, offset), c->gradients, false);
    KERNEL(b, fill, s->ngrams->size, 0, c->values); /* from zero, a step is all there is */
    KERNEL(b, adamw, s->ngrams->size, step, c->values, c->gradients, c->first_moment, c->second_moment);
    KERNEL(b, gather, tokens, s->width, channels, s->member, NULL, c->values, s->change);
    params_write_begin(params);
    KERNEL(b, copy, s->table->size, s->change, real_at(b, params->values, offset), true);
    params_write_end(params);
}

double spelling_numbers(const Spelling *s)
{
    const int64_t *ngrams = s->ngrams->shape, *table = s->table->shape;
    return (8 * (double)ngrams[0] + 6 * (double)s->members + 5 * (double)table[0]) * (double)table[1];
}

/* -- checkpoints -- */

static void moments_of(const Spelling *s, ParamVector vectors[2])
{
    vectors[0] = (ParamVector){"first_moment.", s->store->first_moment};
    vectors[1] = (ParamVector){"second_moment.", s->store->second_moment};
}

lmu_status spelling_save(const Spelling *s, const char *path)
{
    ParamVector vectors[2];
    moments_of(s, vectors);
    return params_save(s->store, vectors, 2, path);
}

lmu_status spelling_load(Spelling *s, const char *path)
{
    ParamVector vectors[2];
    moments_of(s, vectors);
    return params_load(s->store, vectors, 2, path);
}
