/* Writing tokenizer.json in Hugging Face's form. */
#include <stdlib.h>
#include <string.h>

#include "text/alphabet.h"
#include "text/tokenizer_json.h"

/* Token names as the file has them, by id. */
typedef struct Names {
    Arena *arena;
    const char **name;
} Names;

static lmu_status names_open(const Tokenizer *tokenizer, Names *out)
{
    out->arena = arena_open();
    if (!out->arena)
        return error_set(LMU_MEMORY, "no memory for the vocabulary");
    TRY(memory_new(&out->name, tokenizer->count, sizeof *out->name, "the vocabulary"));
    for (size_t i = 0; i < tokenizer->count; i++) {
        const Token *token = &tokenizer->token[i];
        char *name = arena_alloc(out->arena, 2 * token->length + 1, 1);
        if (!name)
            return LMU_MEMORY;
        if (!tokenizer->plain[i])
            memcpy(name, token->bytes, token->length);
        else
            alphabet_write(token, name);
        out->name[i] = name;
    }
    return LMU_OK;
}

static int id_compare(const void *a, const void *b)
{
    uint32_t left = ((const AddedToken *)a)->id, right = ((const AddedToken *)b)->id;
    return (left > right) - (left < right);
}

/* The added tokens in the order of their ids: readers number those that are not in the vocabulary by their place. */
static lmu_status added_list(const Tokenizer *tokenizer, AddedToken **out, size_t *count)
{
    const AddedSet *set = tokenizer->added;
    *count = set[0].count + set[1].count;
    TRY(memory_new(out, *count, sizeof **out, "the added tokens"));
    for (size_t i = 0; i < *count; i++)
        (*out)[i] = i < set[0].count ? set[0].token[i] : set[1].token[i - set[0].count];
    qsort(*out, *count, sizeof **out, id_compare);
    return LMU_OK;
}

static json_t *added_to_json(const AddedToken *added, size_t count, const Names *names)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list,
                              json_pack("{s:I, s:s, s:b, s:b, s:b, s:b, s:b}", "id", (json_int_t)added[i].id, "content",
                                        names->name[added[i].id], "single_word", (int)added[i].single_word, "lstrip",
                                        (int)added[i].lstrip, "rstrip", (int)added[i].rstrip, "normalized",
                                        (int)added[i].normalized, "special", (int)added[i].special));
    return list;
}

static json_t *model_to_json(const Tokenizer *tokenizer, const AddedToken *added, size_t count, const Names *names)
{
    json_t *vocab = json_object(), *merges = json_array();
    for (size_t i = 0, next = 0; i < tokenizer->count; i++) {
        bool is_added = next < count && added[next].id == i;
        if (!is_added || !added[next].beside)
            json_object_set_new(vocab, names->name[i], json_integer((json_int_t)i));
        next += is_added;
    }
    for (size_t i = 0; i < tokenizer->merge_count; i++) {
        const Merge *merge = &tokenizer->merge[i];
        json_array_append_new(merges, json_sprintf("%s %s", names->name[merge->left], names->name[merge->right]));
    }
    return json_pack("{s:s, s:n, s:n, s:n, s:n, s:b, s:b, s:b, s:o, s:o}", "type", "BPE", "dropout", "unk_token",
                     "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", 0, "byte_fallback", 0,
                     "ignore_merges", (int)tokenizer->ignore_merges, "vocab", vocab, "merges", merges);
}

lmu_status tokenizer_save(const Tokenizer *tokenizer, const char *path)
{
    lmu_status status;
    json_t *root = NULL;
    Names names = {0};
    AddedToken *added = NULL;
    size_t count;
    ATTEMPT(names_open(tokenizer, &names));
    ATTEMPT(added_list(tokenizer, &added, &count));
    root = json_pack("{s:s, s:n, s:n, s:o, s:n, s:o, s:n, s:{s:s, s:b, s:b, s:b}, s:o}", "version", "1.0", "truncation",
                     "padding", "added_tokens", added_to_json(added, count, &names), "normalizer", "pre_tokenizer",
                     pre_tokenizer_to_json(tokenizer), "post_processor", "decoder", "type", "ByteLevel",
                     "add_prefix_space", 1, "trim_offsets", 1, "use_regex", 1, "model",
                     model_to_json(tokenizer, added, count, &names));
    if (!root)
        status = error_set(LMU_MEMORY, "%s: no memory to write the tokenizer", path);
    else
        status = json_write_file(path, root);
done:
    json_decref(root);
    arena_close(names.arena);
    free(names.name);
    free(added);
    return status;
}
