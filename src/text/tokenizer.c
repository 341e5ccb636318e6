/* The tokenizer as a whole: built from its parts, asked about them. Reading and writing its file is tokenizer_json.c's,
 * encoding is encoder.c's. */
#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "text/bytes_hash.h"
#include "text/vocabulary.h"

/* A token by its bytes, sorted: how results of merges are found. */
typedef struct TokenName {
    const Token *token;
    uint32_t id;
} TokenName;

static int token_compare(const Token *a, const Token *b)
{
    size_t shorter = a->length < b->length ? a->length : b->length;
    int order = memcmp(a->bytes, b->bytes, shorter);
    return order != 0 ? order : (a->length > b->length) - (a->length < b->length);
}

static int name_compare(const void *a, const void *b)
{
    return token_compare(((const TokenName *)a)->token, ((const TokenName *)b)->token);
}

static lmu_status names_sort(const char *origin, const Tokenizer *tokenizer, TokenName *name)
{
    for (size_t i = 0; i < tokenizer->count; i++)
        name[i] = (TokenName){&tokenizer->token[i], (uint32_t)i};
    qsort(name, tokenizer->count, sizeof *name, name_compare);
    for (size_t i = 1; i < tokenizer->count; i++)
        if (name_compare(&name[i - 1], &name[i]) == 0)
            return error_set(LMU_FORMAT, "%s: ids %u and %u are the same token", origin, name[i - 1].id, name[i].id);
    return LMU_OK;
}

static lmu_status tokens_copy(const char *origin, Tokenizer *tokenizer, const Token *token, size_t count)
{
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        if (token[i].length == 0)
            return error_set(LMU_FORMAT, "%s: the token with id %zu is empty", origin, i);
        if (token[i].length > UINT32_MAX)
            return error_set(LMU_FORMAT, "%s: the token with id %zu is longer than 4 GiB", origin, i);
        total += token[i].length;
    }
    TRY(memory_new(&tokenizer->token, count, sizeof *tokenizer->token, "the vocabulary"));
    TRY(memory_new(&tokenizer->length, count, sizeof *tokenizer->length, "the vocabulary"));
    TRY(memory_new(&tokenizer->special, count, sizeof *tokenizer->special, "the vocabulary"));
    TRY(memory_new(&tokenizer->bytes, total, 1, "the vocabulary"));
    char *bytes = tokenizer->bytes;
    tokenizer->count = count;
    for (size_t i = 0; i < count; i++) {
        memcpy(bytes, token[i].bytes, token[i].length);
        tokenizer->token[i] = (Token){bytes, token[i].length, token[i].special};
        tokenizer->length[i] = token[i].special ? 0 : (uint32_t)token[i].length;
        bytes += token[i].length;
    }
    return LMU_OK;
}

static lmu_status bytes_index(const char *origin, Tokenizer *tokenizer)
{
    for (int byte = 0; byte < 256; byte++)
        tokenizer->byte_id[byte] = NO_ID;
    for (size_t i = 0; i < tokenizer->count; i++)
        if (tokenizer->token[i].length == 1 && !tokenizer->token[i].special)
            tokenizer->byte_id[(unsigned char)tokenizer->token[i].bytes[0]] = (uint32_t)i;
    for (int byte = 0; byte < 256; byte++)
        if (tokenizer->byte_id[byte] == NO_ID)
            return error_set(LMU_FORMAT,
                             "%s: the vocabulary has no token for byte 0x%02X; a byte-level one has all 256", origin,
                             byte);
    return LMU_OK;
}

/* Longer names first, so that the first that matches is the longest; then by id. */
static int special_compare(const void *a, const void *b, void *tokens)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    const Token *token = tokens;
    if (token[left].length != token[right].length)
        return token[left].length > token[right].length ? -1 : 1;
    return (left > right) - (left < right);
}

static void specials_index(Tokenizer *tokenizer)
{
    tokenizer->end_of_text = -1;
    for (size_t i = 0; i < tokenizer->count; i++) {
        const Token *token = &tokenizer->token[i];
        if (!token->special)
            continue;
        tokenizer->special[tokenizer->special_count++] = (uint32_t)i;
        tokenizer->special_first[(unsigned char)token->bytes[0]] = true;
        if (token->length == strlen(TOKENIZER_END_OF_TEXT) &&
            memcmp(token->bytes, TOKENIZER_END_OF_TEXT, token->length) == 0)
            tokenizer->end_of_text = (int64_t)i;
    }
    qsort_r(tokenizer->special, tokenizer->special_count, sizeof(uint32_t), special_compare, tokenizer->token);
}

/* The token that a merge makes, or NO_ID. */
static uint32_t merge_result(const Tokenizer *tokenizer, const TokenName *name, Merge merge, char *scratch)
{
    const Token *left = &tokenizer->token[merge.left], *right = &tokenizer->token[merge.right];
    memcpy(scratch, left->bytes, left->length);
    memcpy(scratch + left->length, right->bytes, right->length);
    Token joined = {scratch, left->length + right->length, false};
    TokenName key = {&joined, 0};
    const TokenName *found = bsearch(&key, name, tokenizer->count, sizeof *name, name_compare);
    return found ? found->id : NO_ID;
}

static MergeSlot *slot_find(const Tokenizer *tokenizer, uint64_t pair)
{
    size_t at = hash_mix(pair) & tokenizer->slot_mask;
    while (tokenizer->slot[at].pair != NO_PAIR && tokenizer->slot[at].pair != pair)
        at = (at + 1) & tokenizer->slot_mask;
    return &tokenizer->slot[at];
}

static lmu_status merge_add(const char *origin, Tokenizer *tokenizer, const TokenName *name, size_t rank, char *scratch)
{
    Merge merge = tokenizer->merge[rank];
    if (tokenizer->token[merge.left].special || tokenizer->token[merge.right].special)
        return error_set(LMU_FORMAT, "%s: merge %zu uses a special token", origin, rank);
    uint32_t result = merge_result(tokenizer, name, merge, scratch);
    if (result == NO_ID)
        return error_set(LMU_FORMAT, "%s: merge %zu makes a token that is not in the vocabulary", origin, rank);
    if (tokenizer->token[result].special)
        return error_set(LMU_FORMAT,
                         "%s: merge %zu makes the special token with id %u, so that plain text would become it", origin,
                         rank, result);
    MergeSlot *slot = slot_find(tokenizer, pair_key(merge.left, merge.right));
    if (slot->pair != NO_PAIR)
        return error_set(LMU_FORMAT, "%s: merge %zu repeats merge %u", origin, rank, slot->rank);
    *slot = (MergeSlot){pair_key(merge.left, merge.right), (uint32_t)rank, result};
    return LMU_OK;
}

static lmu_status merges_index(const char *origin, Tokenizer *tokenizer, const Merge *merge, size_t count)
{
    size_t slots = 16, longest = 1;
    while (slots < 2 * count)
        slots *= 2;
    for (size_t i = 0; i < tokenizer->count; i++)
        if (tokenizer->token[i].length > longest)
            longest = tokenizer->token[i].length;

    lmu_status status;
    TokenName *name = NULL;
    char *scratch = NULL;
    ATTEMPT(memory_new(&tokenizer->merge, count, sizeof *merge, "the merges"));
    ATTEMPT(memory_new(&tokenizer->slot, slots, sizeof *tokenizer->slot, "the merges"));
    ATTEMPT(memory_new(&name, tokenizer->count, sizeof *name, "the vocabulary"));
    ATTEMPT(memory_new(&scratch, longest, 2, "the merges"));
    if (count > 0)
        memcpy(tokenizer->merge, merge, count * sizeof *merge);
    tokenizer->merge_count = count;
    tokenizer->slot_mask = slots - 1;
    for (size_t i = 0; i < slots; i++)
        tokenizer->slot[i].pair = NO_PAIR;
    ATTEMPT(names_sort(origin, tokenizer, name));
    for (size_t rank = 0; rank < count; rank++)
        ATTEMPT(merge_add(origin, tokenizer, name, rank, scratch));
done:
    free(name);
    free(scratch);
    return status;
}

/* FNV-1a, 64 bits: kept in files, so it must never change. */
static void hash_add(uint64_t *hash, const void *data, size_t size)
{
    for (const unsigned char *byte = data; size > 0; byte++, size--)
        *hash = (*hash ^ *byte) * UINT64_C(0x100000001B3);
}

static void hash_add_number(uint64_t *hash, uint64_t number)
{
    unsigned char byte[8];
    for (int i = 0; i < 8; i++)
        byte[i] = (unsigned char)(number >> 8 * i);
    hash_add(hash, byte, sizeof byte);
}

static uint64_t hash_of(const Tokenizer *tokenizer)
{
    static const char kind[] = "byte-level BPE, GPT-2 pre-tokens";
    uint64_t hash = UINT64_C(0xCBF29CE484222325);
    hash_add(&hash, kind, sizeof kind);
    hash_add_number(&hash, tokenizer->count);
    for (size_t i = 0; i < tokenizer->count; i++) {
        hash_add_number(&hash, tokenizer->token[i].length);
        hash_add_number(&hash, tokenizer->token[i].special);
        hash_add(&hash, tokenizer->token[i].bytes, tokenizer->token[i].length);
    }
    hash_add_number(&hash, tokenizer->merge_count);
    for (size_t i = 0; i < tokenizer->merge_count; i++)
        hash_add_number(&hash, pair_key(tokenizer->merge[i].left, tokenizer->merge[i].right));
    return hash;
}

lmu_status tokenizer_build(const char *origin, const Token *token, size_t count, const Merge *merge, size_t merge_count,
                           Tokenizer **out)
{
    lmu_status status;
    Tokenizer *tokenizer = NULL;
    TRY(memory_new(&tokenizer, 1, sizeof *tokenizer, "a tokenizer"));
    ATTEMPT(tokens_copy(origin, tokenizer, token, count));
    ATTEMPT(bytes_index(origin, tokenizer));
    specials_index(tokenizer);
    ATTEMPT(merges_index(origin, tokenizer, merge, merge_count));
    tokenizer->hash = hash_of(tokenizer);
    *out = tokenizer;
    return LMU_OK;
done:
    tokenizer_close(tokenizer);
    return status;
}

void tokenizer_close(Tokenizer *tokenizer)
{
    if (!tokenizer)
        return;
    free(tokenizer->token);
    free(tokenizer->bytes);
    free(tokenizer->merge);
    free(tokenizer->length);
    free(tokenizer->special);
    free(tokenizer->slot);
    free(tokenizer);
}

const MergeSlot *tokenizer_merge(const Tokenizer *tokenizer, uint32_t left, uint32_t right)
{
    const MergeSlot *slot = slot_find(tokenizer, pair_key(left, right));
    return slot->pair == NO_PAIR ? NULL : slot;
}

uint32_t tokenizer_special_at(const Tokenizer *tokenizer, const char *text, size_t size)
{
    if (size == 0 || !tokenizer->special_first[(unsigned char)text[0]])
        return NO_ID;
    for (size_t i = 0; i < tokenizer->special_count; i++) {
        const Token *token = &tokenizer->token[tokenizer->special[i]];
        if (token->length <= size && memcmp(token->bytes, text, token->length) == 0)
            return tokenizer->special[i];
    }
    return NO_ID;
}

int64_t tokenizer_size(const Tokenizer *tokenizer)
{
    return (int64_t)tokenizer->count;
}

uint64_t tokenizer_hash(const Tokenizer *tokenizer)
{
    return tokenizer->hash;
}

int64_t tokenizer_end_of_text(const Tokenizer *tokenizer)
{
    return tokenizer->end_of_text;
}

const char *tokenizer_bytes(const Tokenizer *tokenizer, uint32_t id, size_t *size)
{
    if (id >= tokenizer->count)
        return NULL;
    *size = tokenizer->token[id].length;
    return tokenizer->token[id].bytes;
}

bool tokenizer_is_special(const Tokenizer *tokenizer, uint32_t id)
{
    return id < tokenizer->count && tokenizer->token[id].special;
}

const uint32_t *tokenizer_lengths(const Tokenizer *tokenizer)
{
    return tokenizer->length;
}
