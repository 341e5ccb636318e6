#include "text/ngram.h"

#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "text/ngram_table.h"

/* How far ahead of the count in hand the slots of coming n-grams are asked for. */
#define PREFETCH_DISTANCE 16
/* Windows between two looks at the user's wish to stop. */
#define REPORT_WINDOWS 1024

/* All n-grams of one order k, and what the probabilities of order k need of each context. A context is an n-gram of order k-1
 * and is numbered as there; at order 1 there is one, the empty context. */
typedef struct Level {
    NgramTable table; /* order 1: only `number`, by token */
    size_t contexts;
    uint32_t *total;    /* c(h) */
    double *backoff;    /* gamma(h) / c(h) */
    double discount[4]; /* by min(count, 3) */
} Level;

struct Ngram {
    int order;
    int64_t vocabulary, tokens;
    Level level[NGRAM_ORDER_MAX + 1]; /* from 1 */
};

/* The windows that are counted, and the n-gram of the order in hand that ends at each of their tokens. */
typedef struct Corpus {
    int64_t windows, width; /* width: tokens a window, T + 1 */
    uint32_t *token;        /* (windows, width) */
    uint32_t *id;           /* (windows, width); NGRAM_NONE where the n-gram would begin before the window */
} Corpus;

static size_t corpus_size(const Corpus *corpus)
{
    return (size_t)(corpus->windows * corpus->width);
}

static lmu_status corpus_read(Corpus *corpus, const Windows *windows, int64_t samples, Progress *progress)
{
    corpus->windows = samples < windows->count ? samples : windows->count;
    corpus->width = windows->length + 1;
    /* Ids of n-grams have 32 bits. */
    if (corpus->windows > (int64_t)(NGRAM_NONE - 1) / corpus->width)
        return error_set(LMU_USAGE, "counts of more than %u tokens are not supported: use fewer tokens",
                         NGRAM_NONE - 1);
    TRY(memory_check((double)corpus_size(corpus) * 2 * sizeof(uint32_t), "the windows to count", "use fewer tokens"));
    TRY(memory_new(&corpus->token, corpus_size(corpus), sizeof *corpus->token, "the windows to count"));
    TRY(memory_new(&corpus->id, corpus_size(corpus), sizeof *corpus->id, "the windows to count"));
    for (int64_t w = 0; w < corpus->windows; w++) {
        if (w % REPORT_WINDOWS == 0) {
            if (progress_interrupted(progress))
                return error_set(LMU_INTERRUPTED, "interrupted while reading windows");
            progress_report(progress, "reading", (double)w, (double)corpus->windows, "windows", NULL);
        }
        windows_read(windows, w, (int32_t *)corpus->token + w * corpus->width);
    }
    progress_report(progress, "reading", (double)corpus->windows, (double)corpus->windows, "windows", NULL);
    for (size_t i = 0; i < corpus_size(corpus); i++) /* n-grams of order 1 */
        corpus->id[i] = corpus->token[i];
    return LMU_OK;
}

static void corpus_free(Corpus *corpus)
{
    free(corpus->token);
    free(corpus->id);
}

/* Counts order k in one window, whose ids it moves from order k-1 to order k. An n-gram that is new here has one more
 * token before the n-gram of order k-1 that it ends with. */
static lmu_status count_window(Ngram *model, int k, Corpus *corpus, int64_t window)
{
    NgramTable *table = &model->level[k].table;
    uint32_t *continuations = model->level[k - 1].table.number;
    size_t base = (size_t)(window * corpus->width), end = corpus_size(corpus);
    uint32_t context = NGRAM_NONE;
    for (int64_t j = 0; j < corpus->width; j++) {
        size_t at = base + (size_t)j, ahead = at + PREFETCH_DISTANCE;
        if (ahead < end)
            ngram_table_prefetch(table, corpus->id[ahead - 1], corpus->token[ahead]);
        uint32_t suffix = corpus->id[at], id = NGRAM_NONE;
        if (j >= k - 1) {
            bool fresh;
            TRY(ngram_table_insert(table, context, corpus->token[at], &id, &fresh));
            if (fresh)
                continuations[suffix]++;
            if (k == model->order)
                table->number[id]++;
        }
        corpus->id[at] = id;
        context = suffix;
    }
    return LMU_OK;
}

/* The edge of a window counts as one more token before the n-grams of order k >= 2 that stand there. Without it an n-gram seen
 * at edges only would have no count at all. */
static lmu_status count_edges(NgramTable *table, int k, const Corpus *corpus)
{
    uint8_t *counted;
    TRY(memory_new(&counted, table->count, 1, "the n-gram counts"));
    for (int64_t w = 0; w < corpus->windows; w++) {
        uint32_t id = corpus->id[w * corpus->width + k - 1];
        if (!counted[id]) {
            counted[id] = 1;
            table->number[id]++;
        }
    }
    free(counted);
    return LMU_OK;
}

static lmu_status count_order(Ngram *model, int k, Corpus *corpus, Progress *progress)
{
    char stage[32];
    snprintf(stage, sizeof stage, "counting order %d", k);
    for (int64_t w = 0; w < corpus->windows; w++) {
        if (w % REPORT_WINDOWS == 0) {
            if (progress_interrupted(progress))
                return error_set(LMU_INTERRUPTED, "interrupted while counting n-grams of order %d", k);
            progress_report(progress, stage, (double)w, (double)corpus->windows, "windows", NULL);
        }
        TRY(count_window(model, k, corpus, w));
    }
    progress_report(progress, stage, (double)corpus->windows, (double)corpus->windows, "windows", NULL);
    if (k < model->order)
        TRY(count_edges(&model->level[k].table, k, corpus));
    return LMU_OK;
}

/* Order 1 is an array by token: continuation counts arrive from order 2, and where order 1 is the highest, occurrences. */
static lmu_status count_unigrams(Ngram *model, const Corpus *corpus)
{
    NgramTable *table = &model->level[1].table;
    TRY(memory_new(&table->number, (size_t)model->vocabulary, sizeof *table->number, "the n-gram counts"));
    table->count = table->capacity = (size_t)model->vocabulary;
    if (model->order > 1)
        return LMU_OK;
    for (size_t i = 0; i < corpus_size(corpus); i++)
        if (i % (size_t)corpus->width > 0) /* a window's first token is no target */
            table->number[corpus->token[i]]++;
    return LMU_OK;
}

static void estimate_discounts(Level *level)
{
    double n[5] = {0};
    for (size_t i = 0; i < level->table.count; i++)
        if (level->table.number[i] <= 4)
            n[level->table.number[i]]++;
    double *d = level->discount;
    d[0] = 0;
    d[1] = d[2] = d[3] = 0.5;
    if (n[1] == 0 || n[2] == 0)
        return;
    double y = n[1] / (n[1] + 2 * n[2]);
    d[1] = d[2] = d[3] = y;
    if (n[3] == 0 || n[4] == 0)
        return;
    double modified[4] = {0};
    for (int i = 1; i <= 3; i++) {
        modified[i] = i - (i + 1) * y * n[i + 1] / n[i];
        if (!(modified[i] > 0 && modified[i] <= i))
            return;
    }
    for (int i = 1; i <= 3; i++)
        d[i] = modified[i];
}

static double level_discount(const Level *level, uint32_t number)
{
    return level->discount[number < 3 ? number : 3];
}

/* Discounts, and for each context its total and its weight of the order below. */
static lmu_status finish_level(Ngram *model, int k)
{
    Level *level = &model->level[k];
    estimate_discounts(level);
    level->contexts = k == 1 ? 1 : model->level[k - 1].table.count;
    TRY(memory_new(&level->total, level->contexts, sizeof *level->total, "the n-gram contexts"));
    TRY(memory_new(&level->backoff, level->contexts, sizeof *level->backoff, "the n-gram contexts"));
    for (size_t i = 0; i < level->table.count; i++) {
        uint32_t context = k == 1 ? 0 : ngram_key_context(level->table.key[i]);
        level->total[context] += level->table.number[i];
        level->backoff[context] += level_discount(level, level->table.number[i]);
    }
    for (size_t i = 0; i < level->contexts; i++)
        if (level->total[i] > 0)
            level->backoff[i] /= level->total[i];
    return LMU_OK;
}

lmu_status ngram_train(const Windows *windows, int64_t samples, int order, Progress *progress, Ngram **out)
{
    *out = NULL;
    if (order < 1 || order > NGRAM_ORDER_MAX)
        return error_set(LMU_USAGE, "the order of an n-gram model must be 1 to %d, not %d", NGRAM_ORDER_MAX, order);
    if (samples < 1)
        return error_set(LMU_USAGE, "an n-gram model must count at least 1 window, not %lld", (long long)samples);
    lmu_status status;
    Corpus corpus = {0};
    Ngram *model = NULL;
    ATTEMPT(memory_new(&model, 1, sizeof *model, "an n-gram model"));
    ATTEMPT(corpus_read(&corpus, windows, samples, progress));
    model->order = order <= windows->length ? order : (int)windows->length + 1;
    model->vocabulary = windows->shard->vocabulary;
    model->tokens = corpus.windows * windows->length;
    ATTEMPT(count_unigrams(model, &corpus));
    for (int k = 2; k <= model->order; k++)
        ATTEMPT(count_order(model, k, &corpus, progress));
    for (int k = 1; k <= model->order; k++)
        ATTEMPT(finish_level(model, k));
    *out = model;
    model = NULL;
done:
    corpus_free(&corpus);
    ngram_close(model);
    return status;
}

void ngram_close(Ngram *model)
{
    if (model == NULL)
        return;
    for (int k = 1; k <= NGRAM_ORDER_MAX; k++) {
        ngram_table_close(&model->level[k].table);
        free(model->level[k].total);
        free(model->level[k].backoff);
    }
    free(model);
}

int ngram_order(const Ngram *model)
{
    return model->order;
}

int64_t ngram_tokens(const Ngram *model)
{
    return model->tokens;
}

int64_t ngram_entries(const Ngram *model, int order)
{
    return (int64_t)model->level[order].table.count;
}

double ngram_discount(const Ngram *model, int order, int count)
{
    return model->level[order].discount[count < 3 ? count : 3];
}

/* What has been read: id[m] is the n-gram of order m that ends at the last token, NGRAM_NONE if it is not counted or more was
 * not read; id[0] = 0 is the empty context. */
typedef struct History {
    uint32_t id[NGRAM_ORDER_MAX + 1];
} History;

static void history_reset(History *history)
{
    history->id[0] = 0;
    for (int m = 1; m <= NGRAM_ORDER_MAX; m++)
        history->id[m] = NGRAM_NONE;
}

/* P(token | history); `next` receives the history with the token, and may be the same object. */
static double history_advance(const Ngram *model, const History *history, uint32_t token, History *next)
{
    bool known = token < (uint64_t)model->vocabulary;
    uint32_t id[NGRAM_ORDER_MAX + 1] = {0};
    double probability = known ? 1.0 / (double)model->vocabulary : 0;
    for (int k = 1; k <= NGRAM_ORDER_MAX; k++) {
        id[k] = NGRAM_NONE;
        uint32_t context = history->id[k - 1];
        if (!known || k > model->order || context == NGRAM_NONE)
            continue;
        const Level *level = &model->level[k];
        id[k] = k == 1 ? token : ngram_table_find(&level->table, context, token);
        if (level->total[context] == 0)
            continue;
        uint32_t number = id[k] == NGRAM_NONE ? 0 : level->table.number[id[k]];
        double kept = (number - level_discount(level, number)) / level->total[context];
        probability = kept + level->backoff[context] * probability;
    }
    for (int m = 0; m <= NGRAM_ORDER_MAX; m++)
        next->id[m] = id[m];
    return probability;
}

double ngram_probability(const Ngram *model, const int32_t *context, int64_t context_length, int32_t token)
{
    History history;
    history_reset(&history);
    int64_t first = context_length > model->order - 1 ? context_length - (model->order - 1) : 0;
    for (int64_t i = first; i < context_length; i++)
        history_advance(model, &history, (uint32_t)context[i], &history);
    return history_advance(model, &history, (uint32_t)token, &history);
}

lmu_status ngram_evaluate(const Ngram *model, const Shard *text, const EvalCut *cut, const uint32_t *lengths,
                          Progress *progress, EvalResult *out)
{
    *out = (EvalResult){0};
    if (text->vocabulary != model->vocabulary)
        return error_set(LMU_MISMATCH,
                         "the text has a vocabulary of %lld, the counts one of %lld: prepare both with one "
                         "tokenizer",
                         (long long)text->vocabulary, (long long)model->vocabulary);
    if (cut->context < 1 || (!cut->carry && (cut->stride < 1 || cut->stride > cut->context)))
        return error_set(LMU_USAGE,
                         "evaluation needs a context of at least 1 and a stride of 1 to the context, not %lld and %lld",
                         (long long)cut->context, (long long)cut->stride);
    History history;
    history_reset(&history);
    int64_t first, length, scored;
    for (int64_t w = 0; eval_window(cut, text->count, w, &first, &length, &scored); w++) {
        if (w % REPORT_WINDOWS == 0) {
            if (progress_interrupted(progress))
                return error_set(LMU_INTERRUPTED, "interrupted while evaluating");
            progress_report(progress, "evaluating", (double)first, (double)text->count, "tokens", NULL);
        }
        /* Of what was predicted before, only the last order-2 inputs can matter besides the input of the first new target. */
        int64_t again = length - scored, useful = model->order - 2 > 0 ? model->order - 2 : 0;
        int64_t start = first + (again > useful ? again - useful : 0);
        EvalResult *part = eval_part(cut, text->count, w);
        if (!cut->carry || w == 0) {
            history_reset(&history);
            int32_t token;
            shard_read(text, start, 1, &token);
            history_advance(model, &history, (uint32_t)token, &history);
        }
        for (int64_t i = start + 1; i <= first + length; i++) {
            int32_t token;
            shard_read(text, i, 1, &token);
            double probability = history_advance(model, &history, (uint32_t)token, &history);
            if (i <= first + again)
                continue;
            eval_add(out, &token, 1, lengths, -log(probability));
            if (part)
                eval_add(part, &token, 1, lengths, -log(probability));
        }
    }
    progress_report(progress, "evaluating", (double)text->count, (double)text->count, "tokens", NULL);
    return LMU_OK;
}
