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
    bool plain;
} TokenName;

static int token_compare(const Token *a, const Token *b)
{
    size_t shorter = a->length < b->length ? a->length : b->length;
    int order = memcmp(a->bytes, b->bytes, shorter);
    return order != 0 ? order : (a->length > b->length) - (a->length < b->length);
}

static int name_compare(const void *a, const void *b)
{
    const TokenName *left = a, *right = b;
    int order = token_compare(left->token, right->token);
    return order != 0 ? order : (int)left->plain - (int)right->plain;
}

/* Whether files write the token's bytes as they are, plain or added: then there can be but one of them. */
static bool is_written_as_it_is(const Token *token)
{
    for (size_t i = 0; i < token->length; i++)
        if (token->bytes[i] <= ' ' || token->bytes[i] > '~')
            return false;
    return true;
}

/* Sorts the tokens by their bytes. A plain token and an added one may have the same, such as two spaces: text becomes the one by
 * merges and the other before them. */
static lmu_status names_sort(const char *origin, const Tokenizer *tokenizer, TokenName *name)
{
    for (size_t i = 0; i < tokenizer->count; i++)
        name[i] = (TokenName){&tokenizer->token[i], (uint32_t)i, tokenizer->plain[i]};
    qsort(name, tokenizer->count, sizeof *name, name_compare);
    for (size_t i = 1; i < tokenizer->count; i++)
        if (token_compare(name[i - 1].token, name[i].token) == 0 &&
            (name[i - 1].plain == name[i].plain || is_written_as_it_is(name[i].token)))
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
    TRY(memory_new(&tokenizer->plain, count, sizeof *tokenizer->plain, "the vocabulary"));
    TRY(memory_new(&tokenizer->bytes, total, 1, "the vocabulary"));
    char *bytes = tokenizer->bytes;
    tokenizer->count = count;
    for (size_t i = 0; i < count; i++) {
        memcpy(bytes, token[i].bytes, token[i].length);
        tokenizer->token[i] = (Token){bytes, token[i].length, token[i].special};
        tokenizer->length[i] = token[i].special ? 0 : (uint32_t)token[i].length;
        tokenizer->plain[i] = true;
        bytes += token[i].length;
    }
    return LMU_OK;
}

static lmu_status bytes_index(const char *origin, Tokenizer *tokenizer)
{
    for (int byte = 0; byte < 256; byte++)
        tokenizer->byte_id[byte] = NO_ID;
    for (size_t i = 0; i < tokenizer->count; i++)
        if (tokenizer->token[i].length == 1 && tokenizer->plain[i])
            tokenizer->byte_id[(unsigned char)tokenizer->token[i].bytes[0]] = (uint32_t)i;
    for (int byte = 0; byte < 256; byte++)
        if (tokenizer->byte_id[byte] == NO_ID)
            return error_set(LMU_FORMAT,
                             "%s: the vocabulary has no token for byte 0x%02X; a byte-level one has all 256", origin,
                             byte);
    return LMU_OK;
}

/* Longer names first, so that the first that matches is the longest; then by id. */
static int added_compare(const void *a, const void *b, void *tokens)
{
    uint32_t left = ((const AddedToken *)a)->id, right = ((const AddedToken *)b)->id;
    const Token *token = tokens;
    if (token[left].length != token[right].length)
        return token[left].length > token[right].length ? -1 : 1;
    return (left > right) - (left < right);
}

static lmu_status added_index(Tokenizer *tokenizer, const AddedToken *added, size_t count)
{
    tokenizer->end_of_text = -1;
    tokenizer->text_only = true;
    for (int i = 0; i < 2; i++)
        TRY(memory_new(&tokenizer->added[i].token, count, sizeof *added, "the added tokens"));
    for (size_t i = 0; i < count; i++) {
        const Token *token = &tokenizer->token[added[i].id];
        AddedSet *set = &tokenizer->added[added[i].normalized];
        set->token[set->count++] = added[i];
        set->first[(unsigned char)token->bytes[0]] = true;
        set->lstrip |= added[i].lstrip;
        tokenizer->plain[added[i].id] = added[i].plain;
        tokenizer->text_only &= added[i].special;
        if (added[i].special && token->length == strlen(TOKENIZER_END_OF_TEXT) &&
            memcmp(token->bytes, TOKENIZER_END_OF_TEXT, token->length) == 0)
            tokenizer->end_of_text = (int64_t)added[i].id;
    }
    for (int i = 0; i < 2; i++)
        qsort_r(tokenizer->added[i].token, tokenizer->added[i].count, sizeof *added, added_compare, tokenizer->token);
    return LMU_OK;
}

/* The token that a merge makes, or NO_ID. */
static uint32_t merge_result(const Tokenizer *tokenizer, const TokenName *name, Merge merge, char *scratch)
{
    const Token *left = &tokenizer->token[merge.left], *right = &tokenizer->token[merge.right];
    memcpy(scratch, left->bytes, left->length);
    memcpy(scratch + left->length, right->bytes, right->length);
    Token joined = {scratch, left->length + right->length, false};
    TokenName key = {&joined, 0, true};
    const TokenName *found = bsearch(&key, name, tokenizer->count, sizeof *name, name_compare);
    key.plain = false;
    if (!found)
        found = bsearch(&key, name, tokenizer->count, sizeof *name, name_compare);
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
    if (!tokenizer->plain[merge.left] || !tokenizer->plain[merge.right])
        return error_set(LMU_FORMAT, "%s: merge %zu uses a special token", origin, rank);
    uint32_t result = merge_result(tokenizer, name, merge, scratch);
    if (result == NO_ID)
        return error_set(LMU_FORMAT, "%s: merge %zu makes a token that is not in the vocabulary", origin, rank);
    if (!tokenizer->plain[result])
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

/* What more than the vocabulary, the merges and the names of special tokens decides ids. */
static void hash_add_more(uint64_t *hash, const Tokenizer *tokenizer)
{
    const char *expression = pretoken_rule_expression(&tokenizer->rule);
    if (expression)
        hash_add(hash, expression, strlen(expression));
    hash_add_number(hash, tokenizer->rule.digits);
    hash_add_number(hash, tokenizer->prefix_space);
    hash_add_number(hash, tokenizer->ignore_merges);
    for (int i = 0; i < 2; i++)
        for (size_t k = 0; k < tokenizer->added[i].count; k++) {
            const AddedToken *added = &tokenizer->added[i].token[k];
            hash_add_number(hash, added->id);
            hash_add_number(hash, (uint64_t)added->special | (uint64_t)added->normalized << 1 |
                                      (uint64_t)added->single_word << 2 | (uint64_t)added->lstrip << 3 |
                                      (uint64_t)added->rstrip << 4);
        }
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
    if (!tokenizer_is_simple(tokenizer))
        hash_add_more(&hash, tokenizer);
    return hash;
}

bool tokenizer_is_simple(const Tokenizer *tokenizer)
{
    if (tokenizer->rule.kind != PRETOKEN_GPT2 || tokenizer->rule.digits != DIGITS_AS_THE_RULE_SAYS ||
        tokenizer->prefix_space || tokenizer->ignore_merges || !tokenizer->text_only ||
        (tokenizer->added[0].count > 0 && tokenizer->added[1].count > 0))
        return false;
    for (int i = 0; i < 2; i++)
        for (size_t k = 0; k < tokenizer->added[i].count; k++) {
            const AddedToken *added = &tokenizer->added[i].token[k];
            if (added->single_word || added->lstrip || added->rstrip)
                return false;
        }
    return true;
}

/* The slot of a plain token's bytes, or the free one where they belong. */
static uint32_t *name_slot(const Tokenizer *tokenizer, const char *bytes, size_t size)
{
    for (size_t at = bytes_hash(bytes, size) & tokenizer->name_mask;; at = (at + 1) & tokenizer->name_mask) {
        uint32_t id = tokenizer->name[at];
        if (id == NO_ID ||
            (tokenizer->token[id].length == size && memcmp(tokenizer->token[id].bytes, bytes, size) == 0))
            return &tokenizer->name[at];
    }
}

uint32_t tokenizer_find(const Tokenizer *tokenizer, const char *bytes, size_t size)
{
    return *name_slot(tokenizer, bytes, size);
}

static lmu_status names_index(Tokenizer *tokenizer)
{
    size_t slots = 16;
    while (slots < 2 * tokenizer->count)
        slots *= 2;
    TRY(memory_new(&tokenizer->name, slots, sizeof *tokenizer->name, "the vocabulary"));
    tokenizer->name_mask = slots - 1;
    for (size_t i = 0; i < slots; i++)
        tokenizer->name[i] = NO_ID;
    for (size_t i = 0; i < tokenizer->count; i++)
        if (tokenizer->plain[i])
            *name_slot(tokenizer, tokenizer->token[i].bytes, tokenizer->token[i].length) = (uint32_t)i;
    return LMU_OK;
}

lmu_status tokenizer_build_parts(const char *origin, const TokenizerParts *parts, Tokenizer **out)
{
    lmu_status status;
    Tokenizer *tokenizer = NULL;
    TRY(memory_new(&tokenizer, 1, sizeof *tokenizer, "a tokenizer"));
    tokenizer->rule = parts->rule;
    tokenizer->prefix_space = parts->prefix_space;
    tokenizer->ignore_merges = parts->ignore_merges;
    ATTEMPT(tokens_copy(origin, tokenizer, parts->token, parts->count));
    ATTEMPT(added_index(tokenizer, parts->added, parts->added_count));
    ATTEMPT(bytes_index(origin, tokenizer));
    ATTEMPT(merges_index(origin, tokenizer, parts->merge, parts->merge_count));
    if (tokenizer->ignore_merges)
        ATTEMPT(names_index(tokenizer));
    tokenizer->hash = hash_of(tokenizer);
    *out = tokenizer;
    return LMU_OK;
done:
    tokenizer_close(tokenizer);
    return status;
}

lmu_status tokenizer_build(const char *origin, const Token *token, size_t count, const Merge *merge, size_t merge_count,
                           Tokenizer **out)
{
    AddedToken *added;
    TRY(memory_new(&added, count, sizeof *added, "the added tokens"));
    TokenizerParts parts = {.token = token,
                            .count = count,
                            .merge = merge,
                            .merge_count = merge_count,
                            .added = added,
                            .rule = pretoken_gpt2};
    for (size_t i = 0; i < count; i++)
        if (token[i].special)
            added[parts.added_count++] = (AddedToken){.id = (uint32_t)i, .special = true};
    lmu_status status = tokenizer_build_parts(origin, &parts, out);
    free(added);
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
    free(tokenizer->plain);
    free(tokenizer->name);
    for (int i = 0; i < 2; i++)
        free(tokenizer->added[i].token);
    free(tokenizer->slot);
    free(tokenizer);
}

const MergeSlot *tokenizer_merge(const Tokenizer *tokenizer, uint32_t left, uint32_t right)
{
    const MergeSlot *slot = slot_find(tokenizer, pair_key(left, right));
    return slot->pair == NO_PAIR ? NULL : slot;
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
