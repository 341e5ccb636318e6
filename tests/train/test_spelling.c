/* --spelling against a table of n-grams spelled out in strings, in double. */
#include <math.h>

#include "base/random.h"
#include "kernel/backend.h"
#include "train/optimiser.h"
#include "train/spelling.h"
#include "training.h"

enum { CHANNELS = 7, MOST_NGRAMS = 4096, SYMBOLS = 32 };

/* The tokens of a tokenizer and their n-grams, as strings in which a byte is ":" and its hexadecimal digits, and a mark ":--". */
typedef struct Table {
    int64_t tokens;
    char (*token)[3 * SYMBOLS + 1]; /* "" for a special token */
    int64_t ngrams;
    char ngram[MOST_NGRAMS][10];
} Table;

/* A file with each of two strings in the place of the other. */
static void exchange(const char *path, const char *a, const char *b)
{
    char *text, *out;
    size_t size, used = 0;
    assert_done(file_read(path, (size_t)1 << 20, &text, &size));
    out = malloc(2 * size + 1);
    assert_non_null(out);
    for (const char *at = text; at < text + size;) {
        bool first = strncmp(at, a, strlen(a)) == 0, second = strncmp(at, b, strlen(b)) == 0;
        const char *put = first ? b : second ? a : at;
        size_t length = first || second ? strlen(put) : 1;
        memcpy(out + used, put, length);
        used += length;
        at += first ? strlen(a) : second ? strlen(b) : 1;
    }
    assert_done(file_write(path, out, used));
    free(text);
    free(out);
}

/* Of words, a ruler that is longer than what is spelled, and zeros, which come first in any order: no text has them, so they take
 * the place of @, with the name that byte 0 has in a tokenizer's file. */
static Tokenizer *small_tokenizer(int64_t vocabulary)
{
    char *path = scratch_path("tokenizer.json"),
         *inputs[] = {scratch_text(
             "words.txt", "river rivers run running runner the then them there other mother the river the "
                          "runner the other stone stones stony \xc3\xa9t\xc3\xa9 \xc3\xa9t\xc3\xa9s @@ @@@ @@ @@\n"
                          "----------------------------------------------------------------\n"
                          "----------------------------------------------------------------\n")};
    Tokenizer *tokenizer;
    assert_done(tokenizer_train(inputs, 1, vocabulary, 1, NULL, &tokenizer));
    assert_done(tokenizer_save(tokenizer, path));
    tokenizer_close(tokenizer);
    exchange(path, "@", "\xc4\x80");
    assert_done(tokenizer_open(path, &tokenizer));
    return tokenizer;
}

static bool has(const Table *table, int64_t token, const char *ngram)
{
    return strstr(table->token[token], ngram) != NULL;
}

static void spell_token(const char *bytes, size_t size, char *out)
{
    size_t used = (size_t)sprintf(out, ":--");
    for (size_t i = 0; i < size && used < 3 * SYMBOLS; i++)
        used += (size_t)sprintf(out + used, ":%02x", (unsigned char)bytes[i]);
    if (used < 3 * SYMBOLS)
        strcpy(out + used, ":--");
}

/* All n-grams that two tokens and more have, each once. */
static Table *spell_out(const Tokenizer *tokenizer)
{
    Table *table = calloc(1, sizeof *table);
    size_t longest = 0;
    assert_non_null(table);
    table->tokens = tokenizer_size(tokenizer);
    table->token = calloc((size_t)table->tokens, sizeof *table->token);
    assert_non_null(table->token);
    for (int64_t i = 0; i < table->tokens; i++) {
        size_t size;
        const char *bytes = tokenizer_bytes(tokenizer, (uint32_t)i, &size);
        if (!tokenizer_is_special(tokenizer, (uint32_t)i))
            spell_token(bytes, size, table->token[i]);
        longest = size > longest ? size : longest;
    }
    assert_true(longest > SYMBOLS);
    for (int64_t i = 0; i < table->tokens; i++)
        for (const char *at = table->token[i]; *at; at += 3)
            for (size_t n = 2; n <= 3 && strlen(at) >= 3 * n; n++) {
                char ngram[10] = {0};
                int64_t owners = 0, known = 0;
                memcpy(ngram, at, 3 * n);
                for (int64_t other = 0; other < table->tokens; other++)
                    owners += has(table, other, ngram);
                while (known < table->ngrams && strcmp(table->ngram[known], ngram) != 0)
                    known++;
                if (owners > 1 && known == table->ngrams) {
                    assert_true(known < MOST_NGRAMS);
                    memcpy(table->ngram[table->ngrams++], ngram, sizeof ngram);
                }
            }
    return table;
}

static void table_close(Table *table)
{
    free(table->token);
    free(table);
}

/* AdamW of n-grams (Loshchilov & Hutter 2019, algorithm 2, without decay), whose sum is added to the tokens that have them. */
static void reference_step(const Table *table, const AdamW *o, const double *gradient, double *first, double *second,
                           double *values)
{
    for (int64_t g = 0; g < table->ngrams; g++)
        for (int64_t d = 0; d < CHANNELS; d++) {
            double sum = 0, *m = first + g * CHANNELS + d, *v = second + g * CHANNELS + d;
            for (int64_t i = 0; i < table->tokens; i++)
                sum += has(table, i, table->ngram[g]) ? o->gradient_scale * gradient[i * CHANNELS + d] : 0;
            *m = o->beta1 * *m + (1 - o->beta1) * sum;
            *v = o->beta2 * *v + (1 - o->beta2) * sum * sum;
            double step = o->rate * *m / (1 - pow(o->beta1, (double)o->step)) /
                          (sqrt(*v / (1 - pow(o->beta2, (double)o->step))) + o->epsilon);
            for (int64_t i = 0; i < table->tokens; i++)
                values[i * CHANNELS + d] -= has(table, i, table->ngram[g]) ? step : 0;
        }
}

static Params *table_of_embeddings(Backend *backend, int64_t tokens)
{
    Params *params;
    Param *param;
    assert_done(params_open(backend, &params));
    assert_done(params_get(params, "before", 1, (int64_t[]){3}, (Init){INIT_ONES, 0}, PARAM_VECTOR, &param));
    assert_done(params_get(params, "embedding.weight", 2, (int64_t[]){tokens, CHANNELS}, (Init){INIT_NORMAL, 0.02},
                           PARAM_TABLE, &param));
    assert_done(params_seal(params, 3));
    assert_done(params_train(params));
    return params;
}

/* Every third token has a gradient in each step, the special one among them. */
static void draw_gradient(const Params *params, const Param *table, int step, double *gradient)
{
    for (int64_t i = 0; i < table->shape[0]; i++)
        for (int64_t d = 0; d < CHANNELS; d++)
            gradient[i * CHANNELS + d] =
                (i + step) % 3 == 0
                    ? (double)(float)random_normal(random_key(1, "g", (uint64_t)step, (uint64_t)i), (uint64_t)d)
                    : 0;
    KERNEL(params->backend, put_f64, table->size, gradient, real_at(params->backend, params->gradients, table->offset));
}

static void check_steps(BackendKind kind, double tolerance)
{
    enum { STEPS = 9 };
    Backend *backend;
    Spelling *spelling;
    Tokenizer *tokenizer = small_tokenizer(300);
    Table *spelled = spell_out(tokenizer);
    assert_in_range(spelled->ngrams, 20, 400);
    assert_done(backend_open(kind, 2, true, &backend));
    Params *params = table_of_embeddings(backend, spelled->tokens);
    const Param *table = params_find(params, "embedding.weight");
    assert_done(spelling_open(tokenizer, params, &spelling));
    TrainConfig config = default_training();
    size_t numbers = (size_t)(spelled->ngrams * CHANNELS);
    double *first = calloc(numbers, sizeof *first), *second = calloc(numbers, sizeof *second);
    double *all = vector_read(params, params->values), *gradient = calloc((size_t)table->size, sizeof *gradient);
    for (int step = 1; step <= STEPS; step++) {
        AdamW adamw = optimiser_adamw(&config, 0.01 * step, step == 4 ? 0.25 : 1, step);
        draw_gradient(params, table, step, gradient);
        reference_step(spelled, &adamw, gradient, first, second, all + table->offset);
        spelling_step(spelling, params, &adamw);
    }
    double *values = vector_read(params, params->values);
    for (int64_t i = 0; i < params->length; i++)
        if (fabs(values[i] - all[i]) > tolerance)
            fail_msg("%s: number %lld is %.9g, not %.9g", backend->name, (long long)i, values[i], all[i]);
    free(values);
    free(gradient);
    free(all);
    free(first);
    free(second);
    fields_free(&train_table, &config);
    spelling_close(spelling);
    params_close(params);
    backend_close(backend);
    table_close(spelled);
    tokenizer_close(tokenizer);
}

static void steps_are_those_of_a_table_of_ngrams(void **state)
{
    (void)state;
    check_steps(BACKEND_DOUBLE, 1e-12);
    check_steps(BACKEND_REFERENCE, 1e-5);
    check_steps(BACKEND_CPU, 1e-5);
}

static void tokens_without_a_spelling_stay(void **state)
{
    (void)state;
    Backend *backend;
    Spelling *spelling;
    Tokenizer *tokenizer = small_tokenizer(300);
    assert_done(backend_open(BACKEND_DOUBLE, 1, false, &backend));
    Params *params = table_of_embeddings(backend, tokenizer_size(tokenizer));
    const Param *table = params_find(params, "embedding.weight");
    assert_done(spelling_open(tokenizer, params, &spelling));
    TrainConfig config = default_training();
    double *before = vector_read(params, params->values);
    KERNEL(backend, fill, params->learnt, 1, params->gradients);
    AdamW adamw = optimiser_adamw(&config, 0.5, 1, 1);
    spelling_step(spelling, params, &adamw);
    double *after = vector_read(params, params->values);
    int64_t moved = 0;
    for (int64_t i = 0; i < tokenizer_size(tokenizer); i++) {
        int64_t at = table->offset + i * CHANNELS;
        size_t size;
        tokenizer_bytes(tokenizer, (uint32_t)i, &size);
        bool same = memcmp(before + at, after + at, CHANNELS * sizeof *after) == 0;
        moved += !same;
        if (tokenizer_is_special(tokenizer, (uint32_t)i))
            assert_true(same);
    }
    assert_true(moved > 43 &&
                moved < tokenizer_size(tokenizer)); /* bytes that no other token begins or ends with stay, too */
    assert_memory_equal(before, after, 3 * sizeof *after);
    free(before);
    free(after);
    fields_free(&train_table, &config);
    spelling_close(spelling);
    params_close(params);
    tokenizer_close(tokenizer);
    /* Bytes alone have nothing in common. */
    tokenizer = small_tokenizer(257);
    params = table_of_embeddings(backend, tokenizer_size(tokenizer));
    assert_refused(spelling_open(tokenizer, params, &spelling), LMU_USAGE,
                   "--spelling: no two tokens of this tokenizer begin, go on or end alike");
    params_close(params);
    tokenizer_close(tokenizer);
    backend_close(backend);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_are_those_of_a_table_of_ngrams),
        cmocka_unit_test(tokens_without_a_spelling_stay),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
