#include "text/followers.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "text/ngram_table.h"

#define CLASSES 32 /* of room: 2^k pairs */
#define NO_ROOM UINT32_MAX

/* `length` pairs from number `first` on, with room for the next power of two. */
typedef struct List {
    uint32_t first, length;
} List;

/* The contexts of one order. Those of one token are numbered by the token, longer ones as the table does, in which their context is
 * the number of all but their last token; table.number is the total of each. */
typedef struct Level {
    NgramTable table;
    List *list;
    size_t capacity;
} Level;

struct Followers {
    Level level[FOLLOWERS_ORDERS];
    int32_t *pairs;
    size_t used, capacity;  /* pairs */
    uint32_t room[CLASSES]; /* the last that was given back, whose first number says which before it; NO_ROOM: none */
};

lmu_status followers_open(int64_t vocabulary, Followers **out)
{
    lmu_status status;
    Followers *f;
    TRY(memory_new(&f, 1, sizeof *f, "counts of followers"));
    Level *single = &f->level[0];
    size_t count = (size_t)vocabulary;
    for (int k = 0; k < CLASSES; k++)
        f->room[k] = NO_ROOM;
    ATTEMPT(memory_new(&single->table.number, count, sizeof *single->table.number, "counts of followers"));
    single->table.count = single->table.capacity = single->capacity = count;
    ATTEMPT(memory_new(&single->list, count, sizeof *single->list, "counts of followers"));
done:
    if (status != LMU_OK) {
        followers_close(f);
        f = NULL;
    }
    *out = f;
    return status;
}

void followers_close(Followers *f)
{
    if (!f)
        return;
    for (int k = 0; k < FOLLOWERS_ORDERS; k++) {
        ngram_table_close(&f->level[k].table);
        free(f->level[k].list);
    }
    free(f->pairs);
    free(f);
}

/* -- room for lists -- */

static lmu_status grow_pairs(Followers *f, size_t need)
{
    if (need <= f->capacity)
        return LMU_OK;
    if (need >= NO_ROOM)
        return error_set(LMU_MEMORY, "more than %u different n-grams: use fewer tokens", NO_ROOM);
    TRY(memory_check(2.0 * (double)f->capacity * 2 * sizeof *f->pairs, "counts of followers", "use fewer tokens"));
    return memory_grow(&f->pairs, &f->capacity, need, 2 * sizeof *f->pairs, "counts of followers");
}

static lmu_status take_room(Followers *f, int class, uint32_t *first)
{
    if (f->room[class] != NO_ROOM) {
        *first = f->room[class];
        memcpy(&f->room[class], f->pairs + 2 * (size_t)*first, sizeof f->room[class]);
        return LMU_OK;
    }
    TRY(grow_pairs(f, f->used + ((size_t)1 << class)));
    *first = (uint32_t)f->used;
    f->used += (size_t)1 << class;
    return LMU_OK;
}

static void give_room(Followers *f, int class, uint32_t first)
{
    memcpy(f->pairs + 2 * (size_t)first, &f->room[class], sizeof f->room[class]);
    f->room[class] = first;
}

/* Moves a full list to where there is room for twice as many. */
static lmu_status grow_list(Followers *f, List *list)
{
    int class = 0;
    uint32_t first;
    while (list->length >> class > 0)
        class ++;
    TRY(take_room(f, class, &first));
    if (list->length > 0) {
        memcpy(f->pairs + 2 * (size_t)first, f->pairs + 2 * (size_t)list->first,
               2 * (size_t)list->length * sizeof *f->pairs);
        give_room(f, class - 1, list->first);
    }
    list->first = first;
    return LMU_OK;
}

/* -- counting -- */

static lmu_status follow(Followers *f, Level *level, uint32_t context, int32_t token)
{
    List *list = &level->list[context];
    int32_t *pairs = f->pairs ? f->pairs + 2 * (size_t)list->first : NULL;
    level->table.number[context]++;
    for (uint32_t i = 0; i < list->length; i++)
        if (pairs[2 * i] == token) {
            pairs[2 * i + 1]++;
            return LMU_OK;
        }
    if ((list->length & (list->length - 1)) == 0)
        TRY(grow_list(f, list));
    pairs = f->pairs + 2 * ((size_t)list->first + list->length++);
    pairs[0] = token;
    pairs[1] = 1;
    return LMU_OK;
}

/* The number of the context of one order that a token ends, from those of the order before, where the token before it ended one. */
static lmu_status enter(Level *level, uint32_t before, int32_t token, uint32_t *context)
{
    bool fresh;
    *context = NGRAM_NONE;
    if (before == NGRAM_NONE)
        return LMU_OK;
    TRY(ngram_table_insert(&level->table, before, (uint32_t)token, context, &fresh));
    return memory_grow(&level->list, &level->capacity, level->table.count, sizeof *level->list, "counts of followers");
}

lmu_status followers_count(Followers *f, const int32_t *text, int64_t count)
{
    uint32_t context[FOLLOWERS_ORDERS];
    for (int k = 0; k < FOLLOWERS_ORDERS; k++)
        context[k] = NGRAM_NONE;
    for (int64_t i = 0; i + 1 < count; i++) {
        for (int k = FOLLOWERS_ORDERS - 1; k > 0; k--)
            TRY(enter(&f->level[k], context[k - 1], text[i], &context[k]));
        context[0] = (uint32_t)text[i];
        for (int k = 0; k < FOLLOWERS_ORDERS; k++)
            if (context[k] != NGRAM_NONE)
                TRY(follow(f, &f->level[k], context[k], text[i + 1]));
    }
    return LMU_OK;
}

static FollowerList list_of(const Followers *f, const Level *level, uint32_t context)
{
    if (context == NGRAM_NONE || level->list[context].length == 0)
        return (FollowerList){0};
    const List *list = &level->list[context];
    return (FollowerList){f->pairs + 2 * (size_t)list->first, list->length, level->table.number[context]};
}

void followers_find(const Followers *f, const int32_t *text, int64_t count, FollowerList out[FOLLOWERS_ORDERS])
{
    for (int k = 0; k < FOLLOWERS_ORDERS; k++) {
        uint32_t context = k < count ? (uint32_t)text[count - 1 - k] : NGRAM_NONE;
        for (int j = 1; j <= k; j++)
            context = ngram_table_find(&f->level[j].table, context, (uint32_t)text[count - 1 - k + j]);
        out[k] = list_of(f, &f->level[k], context);
    }
}
