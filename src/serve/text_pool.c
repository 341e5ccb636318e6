#include "serve/text_pool.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/memory.h"

#define KEPT 4 /* of each kind: about as many as threads ask at a time */

struct TextPool {
    const Tokenizer *tokenizer;
    pthread_mutex_t lock;
    Incremental *kept[2][KEPT]; /* by whether special tokens are known; each at the start of a text, or NULL */
};

lmu_status text_pool_open(const Tokenizer *tokenizer, TextPool **out)
{
    *out = NULL;
    TRY(memory_new(out, 1, sizeof **out, "texts"));
    (*out)->tokenizer = tokenizer;
    pthread_mutex_init(&(*out)->lock, NULL);
    return LMU_OK;
}

void text_pool_close(TextPool *pool)
{
    if (!pool)
        return;
    for (int i = 0; i < 2 * KEPT; i++)
        incremental_close(pool->kept[i / KEPT][i % KEPT]);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

const Tokenizer *text_pool_tokenizer(const TextPool *pool)
{
    return pool->tokenizer;
}

static Incremental *take(TextPool *pool, bool specials)
{
    Incremental *text = NULL;
    pthread_mutex_lock(&pool->lock);
    for (int i = 0; i < KEPT && !text; i++) {
        text = pool->kept[specials][i];
        pool->kept[specials][i] = NULL;
    }
    pthread_mutex_unlock(&pool->lock);
    return text;
}

static void give(TextPool *pool, bool specials, Incremental *text)
{
    pthread_mutex_lock(&pool->lock);
    for (int i = 0; i < KEPT && text; i++)
        if (!pool->kept[specials][i]) {
            pool->kept[specials][i] = text;
            text = NULL;
        }
    pthread_mutex_unlock(&pool->lock);
    incremental_close(text);
}

lmu_status text_pool_ids(TextPool *pool, const char *text, size_t size, bool specials, IdList *out)
{
    lmu_status status = LMU_OK;
    Incremental *incremental = take(pool, specials);
    if (!incremental)
        TRY(incremental_open(pool->tokenizer, specials, &incremental));
    if (size > 0)
        ATTEMPT(incremental_push(incremental, text, size, out));
    ATTEMPT(incremental_end(incremental, out));
    give(pool, specials, incremental);
    return LMU_OK;
done:
    incremental_close(incremental); /* it stands somewhere in a text */
    return status;
}
