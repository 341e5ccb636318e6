/* tokenizer.json in Hugging Face's form, the part of it that docs/formats.md describes. Whatever would make ids differ from
 * what the file asks for is refused by name, never ignored. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/memory.h"
#include "text/vocabulary.h"

/* ---- the byte alphabet: GPT-2 writes a token's bytes as printable characters ---- */

/* The character of a byte: itself where Latin-1 prints it, else the next one from U+0100 on. */
static uint32_t alphabet_code(int byte)
{
    if ((byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE)
        return (uint32_t)byte;
    if (byte <= ' ')
        return 0x100 + (uint32_t)byte;
    return byte == 0xAD ? 0x100 + 67 : 0x100 + 33 + (uint32_t)(byte - 0x7F);
}

/* The byte of a character, or -1. */
static int alphabet_byte(uint32_t code)
{
    int byte = -1;
    if (code < 0x100)
        byte = (int)code;
    else if (code <= 0x100 + ' ')
        byte = (int)code - 0x100;
    else if (code < 0x100 + 67)
        byte = (int)code - 0x100 - 33 + 0x7F;
    else if (code == 0x100 + 67)
        byte = 0xAD;
    return byte >= 0 && alphabet_code(byte) == code ? byte : -1;
}

/* Into out (2 * length + 1 bytes), NUL-terminated. */
static void alphabet_write(const Token *token, char *out)
{
    for (size_t i = 0; i < token->length; i++) {
        uint32_t code = alphabet_code((unsigned char)token->bytes[i]);
        if (code >= 0x80) {
            *out++ = (char)(0xC0 | code >> 6);
            *out++ = (char)(0x80 | (code & 0x3F));
        } else {
            *out++ = (char)code;
        }
    }
    *out = '\0';
}

/* The bytes that `text` (UTF-8) spells, into out (as long as text); false if a character is outside of the alphabet. */
static bool alphabet_read(const char *text, char *out, size_t *length)
{
    const unsigned char *at = (const unsigned char *)text;
    *length = 0;
    while (*at) {
        uint32_t code = *at++;
        if (code >= 0x80)
            code = code >= 0xC2 && code < 0xE0 ? (code & 0x1F) << 6 | (*at++ & 0x3F) : UINT32_MAX;
        int byte = alphabet_byte(code);
        if (byte < 0)
            return false;
        out[(*length)++] = (char)byte;
    }
    return true;
}

/* ---- reading ---- */

/* A tokenizer.json while it is read. */
typedef struct Reading {
    const char *path;
    json_t *root, *model, *vocab, *merges, *added; /* model .. added are borrowed from root */
    Arena *arena;                                  /* the tokens' bytes */
    Token *token;                                  /* by id */
    Merge *merge;
    size_t count, merge_count;
} Reading;

/* What a setting must be for us to read the file. */
typedef enum Demand {
    DEMAND_ANYTHING, /* it does not touch ids, or it is looked at elsewhere */
    DEMAND_NOTHING,  /* null, false or "" */
    DEMAND_TRUE,     /* true */
} Demand;

typedef struct Setting {
    const char *key;
    Demand demand;
} Setting;

static bool setting_is_met(const json_t *value, Demand demand)
{
    switch (demand) {
    case DEMAND_ANYTHING:
        return true;
    case DEMAND_NOTHING:
        return json_is_null(value) || json_is_false(value) || (json_is_string(value) && json_string_length(value) == 0);
    case DEMAND_TRUE:
        return json_is_true(value);
    }
    return false;
}

/* Holds every key of an object against the settings; a key that is not listed is refused unless it is null or false. */
static lmu_status settings_check(const char *path, const char *where, json_t *object, const Setting *setting,
                                 size_t count)
{
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        Demand demand = DEMAND_NOTHING;
        for (size_t i = 0; i < count; i++)
            if (strcmp(setting[i].key, key) == 0)
                demand = setting[i].demand;
        if (setting_is_met(value, demand))
            continue;
        char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        lmu_status status = error_set(LMU_FORMAT, "%s: %s%s = %.200s is not supported; lmu reads plain byte-level BPE",
                                      path, where, key, text ? text : "?");
        free(text);
        return status;
    }
    return LMU_OK;
}
#define SETTINGS_CHECK(path, where, object, settings)                                                                  \
    settings_check(path, where, object, settings, sizeof(settings) / sizeof *(settings))

/* A component that must be ByteLevel: the pre-tokenizer, the decoder, or (null as well) the post-processor. */
static lmu_status component_check(const Reading *r, const char *name, bool optional, const Setting *setting,
                                  size_t count)
{
    json_t *component = json_object_get(r->root, name);
    if (optional && (!component || json_is_null(component)))
        return LMU_OK;
    const char *type = json_string_value(json_object_get(component, "type"));
    if (!type || strcmp(type, "ByteLevel") != 0)
        return error_set(LMU_FORMAT, "%s: %s of type %s is not supported; lmu reads ByteLevel%s", r->path, name,
                         type ? type : "null", optional ? " or null" : "");
    char where[64];
    snprintf(where, sizeof where, "%s.", name);
    return settings_check(r->path, where, component, setting, count);
}

static lmu_status components_check(const Reading *r)
{
    static const Setting root[] = {
        {"version", DEMAND_ANYTHING},        {"added_tokens", DEMAND_ANYTHING}, {"pre_tokenizer", DEMAND_ANYTHING},
        {"post_processor", DEMAND_ANYTHING}, {"decoder", DEMAND_ANYTHING},      {"model", DEMAND_ANYTHING},
    };
    static const Setting splitter[] = {
        {"type", DEMAND_ANYTHING},
        {"trim_offsets", DEMAND_ANYTHING},
        {"add_prefix_space", DEMAND_NOTHING},
        {"use_regex", DEMAND_TRUE},
    };
    static const Setting harmless[] = {
        {"type", DEMAND_ANYTHING},
        {"trim_offsets", DEMAND_ANYTHING},
        {"add_prefix_space", DEMAND_ANYTHING},
        {"use_regex", DEMAND_ANYTHING},
    };
    static const Setting model[] = {
        {"type", DEMAND_ANYTHING},
        {"vocab", DEMAND_ANYTHING},
        {"merges", DEMAND_ANYTHING},
        {"fuse_unk", DEMAND_ANYTHING}, /* without an unknown token it does nothing */
    };
    TRY(SETTINGS_CHECK(r->path, "", r->root, root));
    TRY(component_check(r, "pre_tokenizer", false, splitter, sizeof splitter / sizeof *splitter));
    TRY(component_check(r, "post_processor", true, harmless, sizeof harmless / sizeof *harmless));
    TRY(component_check(r, "decoder", false, harmless, sizeof harmless / sizeof *harmless));
    const json_t *type = json_object_get(r->model, "type"); /* older files have none */
    if (type && (!json_is_string(type) || strcmp(json_string_value(type), "BPE") != 0))
        return error_set(LMU_FORMAT, "%s: a model of type %s is not supported; lmu reads BPE", r->path,
                         json_is_string(type) ? json_string_value(type) : "null");
    return SETTINGS_CHECK(r->path, "model.", r->model, model);
}

static lmu_status token_take(Reading *r, const char *name, const json_t *id, const char *bytes, size_t length,
                             bool special)
{
    if (!json_is_integer(id))
        return error_set(LMU_FORMAT, "%s: the id of token \"%.100s\" is no integer", r->path, name);
    json_int_t at = json_integer_value(id);
    if (at < 0 || (size_t)at >= r->count)
        return error_set(LMU_FORMAT, "%s: token \"%.100s\" has id %lld, but %zu tokens have the ids 0 to %zu", r->path,
                         name, (long long)at, r->count, r->count - 1);
    if (r->token[at].bytes)
        return error_set(LMU_FORMAT, "%s: token \"%.100s\" has id %lld, which another token has too", r->path, name,
                         (long long)at);
    char *copy = arena_alloc(r->arena, length + 1, 1);
    if (!copy)
        return LMU_MEMORY;
    memcpy(copy, bytes, length);
    r->token[at] = (Token){copy, length, special};
    return LMU_OK;
}

/* How many added tokens are not in the model's vocabulary, after checking that each is one that we can honour. */
static lmu_status added_check(Reading *r, size_t *beside)
{
    static const Setting settings[] = {
        {"id", DEMAND_ANYTHING},
        {"content", DEMAND_ANYTHING},
        {"normalized", DEMAND_ANYTHING}, /* there is no normalizer */
        {"special", DEMAND_TRUE},
    };
    size_t index;
    json_t *added;
    *beside = 0;
    json_array_foreach(r->added, index, added)
    {
        char where[64];
        const char *content;
        snprintf(where, sizeof where, "added_tokens[%zu].", index);
        if (!json_is_object(added))
            return error_set(LMU_FORMAT, "%s: added_tokens[%zu] is no object", r->path, index);
        TRY(json_get_string(r->path, added, "content", &content));
        TRY(SETTINGS_CHECK(r->path, where, added, settings));
        if (!json_object_get(added, "special"))
            return error_set(LMU_FORMAT, "%s: %sspecial is missing", r->path, where);
        const json_t *known = json_object_get(r->vocab, content), *id = json_object_get(added, "id");
        if (!known)
            ++*beside;
        else if (!json_equal(known, id))
            return error_set(LMU_FORMAT, "%s: %sid is not the id that \"%.100s\" has in model.vocab", r->path, where,
                             content);
    }
    return LMU_OK;
}

static lmu_status tokens_read(Reading *r)
{
    size_t beside, index;
    const char *name;
    json_t *id, *added;
    TRY(added_check(r, &beside));
    r->count = json_object_size(r->vocab) + beside;
    if (r->count == 0 || (int64_t)r->count > TOKENIZER_MOST_IDS)
        return error_set(LMU_FORMAT, "%s: a vocabulary of %zu tokens; 1 to %lld are supported", r->path, r->count,
                         (long long)TOKENIZER_MOST_IDS);
    TRY(memory_new(&r->token, r->count, sizeof *r->token, "the vocabulary"));
    json_array_foreach(r->added, index, added)
    {
        name = json_string_value(json_object_get(added, "content"));
        TRY(token_take(r, name, json_object_get(added, "id"), name, strlen(name), true));
    }
    json_object_foreach(r->vocab, name, id)
    {
        if (json_is_integer(id) && json_integer_value(id) >= 0 && (size_t)json_integer_value(id) < r->count) {
            const Token *token = &r->token[json_integer_value(id)];
            if (token->special && strlen(name) == token->length && memcmp(name, token->bytes, token->length) == 0)
                continue;
        }
        size_t length;
        char *bytes = arena_alloc(r->arena, strlen(name) + 1, 1);
        if (!bytes)
            return LMU_MEMORY;
        if (!alphabet_read(name, bytes, &length))
            return error_set(LMU_FORMAT, "%s: token \"%.100s\" holds a character outside of the byte alphabet", r->path,
                             name);
        TRY(token_take(r, name, id, bytes, length, false));
    }
    return LMU_OK;
}

static lmu_status merge_part(const Reading *r, size_t index, const char *name, size_t length, uint32_t *out)
{
    const json_t *id = json_object_getn(r->vocab, name, length);
    if (!id)
        return error_set(LMU_FORMAT, "%s: merge %zu uses \"%.*s\", which is not in the vocabulary", r->path, index,
                         (int)(length < 100 ? length : 100), name);
    *out = (uint32_t)json_integer_value(id); /* tokens_read() checked its range */
    return LMU_OK;
}

/* A merge is "LEFT RIGHT" or [LEFT, RIGHT]. */
static lmu_status merge_read(const Reading *r, size_t index, const json_t *value, Merge *out)
{
    if (json_is_string(value)) {
        const char *text = json_string_value(value), *space = strchr(text, ' ');
        if (space && space != text && space[1] != '\0' && !strchr(space + 1, ' ')) {
            TRY(merge_part(r, index, text, (size_t)(space - text), &out->left));
            return merge_part(r, index, space + 1, strlen(space + 1), &out->right);
        }
    } else if (json_array_size(value) == 2) {
        const json_t *left = json_array_get(value, 0), *right = json_array_get(value, 1);
        if (json_is_string(left) && json_is_string(right)) {
            TRY(merge_part(r, index, json_string_value(left), json_string_length(left), &out->left));
            return merge_part(r, index, json_string_value(right), json_string_length(right), &out->right);
        }
    }
    return error_set(LMU_FORMAT, "%s: merge %zu is neither \"LEFT RIGHT\" nor [\"LEFT\", \"RIGHT\"]", r->path, index);
}

static lmu_status merges_read(Reading *r)
{
    r->merge_count = json_array_size(r->merges);
    if (r->merge_count >= UINT32_MAX)
        return error_set(LMU_FORMAT, "%s: too many merges", r->path);
    TRY(memory_new(&r->merge, r->merge_count, sizeof *r->merge, "the merges"));
    size_t index;
    json_t *value;
    json_array_foreach(r->merges, index, value) TRY(merge_read(r, index, value, &r->merge[index]));
    return LMU_OK;
}

static lmu_status array_find(const Reading *r, json_t *object, const char *key, bool optional, json_t **out)
{
    *out = json_object_get(object, key);
    if (json_is_array(*out) || (optional && (!*out || json_is_null(*out))))
        return LMU_OK;
    return error_set(LMU_FORMAT, "%s: key \"%s\" is missing or no array", r->path, key);
}

lmu_status tokenizer_open(const char *path, Tokenizer **out)
{
    lmu_status status;
    Reading r = {.path = path};
    TRY(json_read_file(path, &r.root));
    r.arena = arena_open();
    if (!r.arena) {
        status = error_set(LMU_MEMORY, "%s: no memory for the vocabulary", path);
        goto done;
    }
    ATTEMPT(json_get_object(path, r.root, "model", &r.model));
    ATTEMPT(components_check(&r));
    ATTEMPT(json_get_object(path, r.model, "vocab", &r.vocab));
    ATTEMPT(array_find(&r, r.model, "merges", false, &r.merges));
    ATTEMPT(array_find(&r, r.root, "added_tokens", true, &r.added));
    ATTEMPT(tokens_read(&r));
    ATTEMPT(merges_read(&r));
    ATTEMPT(tokenizer_build(path, r.token, r.count, r.merge, r.merge_count, out));
done:
    json_decref(r.root);
    arena_close(r.arena);
    free(r.token);
    free(r.merge);
    return status;
}

/* ---- writing ---- */

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
        if (token->special)
            memcpy(name, token->bytes, token->length);
        else
            alphabet_write(token, name);
        out->name[i] = name;
    }
    return LMU_OK;
}

static json_t *added_to_json(const Tokenizer *tokenizer, const Names *names)
{
    json_t *list = json_array();
    for (size_t i = 0; i < tokenizer->count; i++)
        if (tokenizer->token[i].special)
            json_array_append_new(list, json_pack("{s:I, s:s, s:b, s:b, s:b, s:b, s:b}", "id", (json_int_t)i, "content",
                                                  names->name[i], "single_word", 0, "lstrip", 0, "rstrip", 0,
                                                  "normalized", 0, "special", 1));
    return list;
}

static json_t *model_to_json(const Tokenizer *tokenizer, const Names *names)
{
    json_t *vocab = json_object(), *merges = json_array();
    for (size_t i = 0; i < tokenizer->count; i++)
        json_object_set_new(vocab, names->name[i], json_integer((json_int_t)i));
    for (size_t i = 0; i < tokenizer->merge_count; i++) {
        const Merge *merge = &tokenizer->merge[i];
        json_array_append_new(merges, json_sprintf("%s %s", names->name[merge->left], names->name[merge->right]));
    }
    return json_pack("{s:s, s:n, s:n, s:n, s:n, s:b, s:b, s:b, s:o, s:o}", "type", "BPE", "dropout", "unk_token",
                     "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", 0, "byte_fallback", 0,
                     "ignore_merges", 0, "vocab", vocab, "merges", merges);
}

static json_t *byte_level(int add_prefix_space)
{
    return json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", add_prefix_space, "trim_offsets",
                     1, "use_regex", 1);
}

lmu_status tokenizer_save(const Tokenizer *tokenizer, const char *path)
{
    lmu_status status;
    json_t *root = NULL;
    Names names = {0};
    ATTEMPT(names_open(tokenizer, &names));
    root = json_pack("{s:s, s:n, s:n, s:o, s:n, s:o, s:n, s:o, s:o}", "version", "1.0", "truncation", "padding",
                     "added_tokens", added_to_json(tokenizer, &names), "normalizer", "pre_tokenizer", byte_level(0),
                     "post_processor", "decoder", byte_level(1), "model", model_to_json(tokenizer, &names));
    if (!root)
        status = error_set(LMU_MEMORY, "%s: no memory to write the tokenizer", path);
    else
        status = json_write_file(path, root);
done:
    json_decref(root);
    arena_close(names.arena);
    free(names.name);
    return status;
}
