/* tokenizer.json in Hugging Face's form, the part of it that docs/formats.md describes. Whatever would make ids differ from
 * what the file asks for is refused by name, never ignored. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "text/alphabet.h"
#include "text/tokenizer_json.h"

static lmu_status token_take(Reading *r, const char *name, const json_t *id, const Token *token)
{
    size_t count = r->parts.count;
    if (!json_is_integer(id))
        return error_set(LMU_FORMAT, "%s: the id of token \"%.100s\" is no integer", r->path, name);
    json_int_t at = json_integer_value(id);
    if (at < 0 || (size_t)at >= count)
        return error_set(LMU_FORMAT, "%s: token \"%.100s\" has id %lld, but %zu tokens have the ids 0 to %zu", r->path,
                         name, (long long)at, count, count - 1);
    if (r->token[at].bytes)
        return error_set(LMU_FORMAT, "%s: token \"%.100s\" has id %lld, which another token has too", r->path, name,
                         (long long)at);
    char *copy = arena_alloc(r->arena, token->length + 1, 1);
    if (!copy)
        return LMU_MEMORY;
    memcpy(copy, token->bytes, token->length);
    r->token[at] = (Token){copy, token->length, token->special};
    return LMU_OK;
}

/* The bytes of a name of the vocabulary in the arena; false in *spelled if it is outside of the byte alphabet. */
static lmu_status name_read(Reading *r, const char *name, Token *out, bool *spelled)
{
    char *bytes = arena_alloc(r->arena, strlen(name) + 1, 1);
    if (!bytes)
        return LMU_MEMORY;
    *out = (Token){.bytes = bytes};
    *spelled = alphabet_read(name, bytes, &out->length);
    return LMU_OK;
}

static bool flag_of(const json_t *added, const char *key)
{
    return json_is_true(json_object_get(added, key));
}

static bool starts_with_space(const char *text)
{
    size_t length;
    return *text != '\0' && character_at(text, strlen(text), &length) == CHARACTER_SPACE;
}

/* What cannot be done as the flags ask, or would lose text that nobody asked to be special. */
static lmu_status added_flags_check(const Reading *r, const char *where, const char *content, const AddedToken *token)
{
    if (!token->special && (token->lstrip || token->rstrip))
        return error_set(LMU_FORMAT,
                         "%s: %s%s = true is not supported for a token that is not special: white space "
                         "would be lost",
                         r->path, where, token->lstrip ? "lstrip" : "rstrip");
    if (starts_with_space(content))
        for (size_t i = 0; i < r->parts.added_count; i++)
            if (r->new_token[i].rstrip)
                return error_set(LMU_FORMAT,
                                 "%s: %scontent starts with white space, which is not supported beside a token "
                                 "with rstrip",
                                 r->path, where);
    return LMU_OK;
}

/* Reads the flags of an added token; its id is read later. */
static lmu_status added_read(Reading *r, size_t index, json_t *added, AddedToken *out)
{
    static const Setting settings[] = {
        {"id", DEMAND_ANYTHING},         {"content", DEMAND_ANYTHING}, {"normalized", DEMAND_BOOLEAN},
        {"special", DEMAND_BOOLEAN},     {"lstrip", DEMAND_BOOLEAN},   {"rstrip", DEMAND_BOOLEAN},
        {"single_word", DEMAND_BOOLEAN},
    };
    char where[64];
    const char *content;
    snprintf(where, sizeof where, "added_tokens[%zu].", index);
    if (!json_is_object(added))
        return error_set(LMU_FORMAT, "%s: added_tokens[%zu] is no object", r->path, index);
    TRY(json_get_string(r->path, added, "content", &content));
    TRY(SETTINGS_CHECK(r->path, where, added, settings));
    if (!json_object_get(added, "special"))
        return error_set(LMU_FORMAT, "%s: %sspecial is missing", r->path, where);
    *out = (AddedToken){.special = flag_of(added, "special"),
                        .normalized = flag_of(added, "normalized"),
                        .single_word = flag_of(added, "single_word"),
                        .lstrip = flag_of(added, "lstrip"),
                        .rstrip = flag_of(added, "rstrip")};
    const json_t *known = json_object_get(r->vocab, content), *id = json_object_get(added, "id");
    out->beside = !known;
    if (known && !json_equal(known, id))
        return error_set(LMU_FORMAT, "%s: %sid is not the id that \"%.100s\" has in model.vocab", r->path, where,
                         content);
    if (known && !out->special) {
        Token token;
        bool spelled;
        TRY(name_read(r, content, &token, &spelled));
        out->plain = spelled && token.length == strlen(content) && memcmp(token.bytes, content, token.length) == 0;
        if (spelled && !out->plain)
            return error_set(LMU_FORMAT,
                             "%s: %scontent = \"%.100s\" is not supported: in model.vocab it stands for other "
                             "bytes",
                             r->path, where, content);
    }
    return LMU_OK;
}

/* Reads the flags of all added tokens and counts those that are not in the vocabulary. */
static lmu_status added_list(Reading *r, size_t *beside)
{
    size_t index;
    json_t *added;
    *beside = 0;
    r->parts.added_count = json_array_size(r->added);
    TRY(memory_new(&r->new_token, r->parts.added_count, sizeof *r->new_token, "the added tokens"));
    r->parts.added = r->new_token;
    json_array_foreach(r->added, index, added) {
        TRY(added_read(r, index, added, &r->new_token[index]));
        *beside += r->new_token[index].beside;
    }
    json_array_foreach(r->added, index, added) {
        char where[64];
        snprintf(where, sizeof where, "added_tokens[%zu].", index);
        TRY(added_flags_check(r, where, json_string_value(json_object_get(added, "content")), &r->new_token[index]));
    }
    return LMU_OK;
}

/* Whether an added token has this id and this name already. */
static bool is_added(const Reading *r, const char *name, const json_t *id)
{
    if (!json_is_integer(id) || json_integer_value(id) < 0 || (size_t)json_integer_value(id) >= r->parts.count)
        return false;
    const Token *token = &r->token[json_integer_value(id)];
    return token->bytes && strlen(name) == token->length && memcmp(name, token->bytes, token->length) == 0;
}

lmu_status tokens_read(Reading *r)
{
    size_t beside, index;
    const char *name;
    json_t *id, *added;
    TRY(added_list(r, &beside));
    r->parts.count = json_object_size(r->vocab) + beside;
    if (r->parts.count == 0 || (int64_t)r->parts.count > TOKENIZER_MOST_IDS)
        return error_set(LMU_FORMAT, "%s: a vocabulary of %zu tokens; 1 to %lld are supported", r->path, r->parts.count,
                         (long long)TOKENIZER_MOST_IDS);
    TRY(memory_new(&r->token, r->parts.count, sizeof *r->token, "the vocabulary"));
    r->parts.token = r->token;
    json_array_foreach(r->added, index, added) {
        name = json_string_value(json_object_get(added, "content"));
        id = json_object_get(added, "id");
        TRY(token_take(r, name, id, &(Token){name, strlen(name), r->new_token[index].special}));
        r->new_token[index].id = (uint32_t)json_integer_value(id);
    }
    json_object_foreach(r->vocab, name, id) {
        Token token;
        bool spelled;
        if (is_added(r, name, id))
            continue;
        TRY(name_read(r, name, &token, &spelled));
        if (!spelled)
            return error_set(LMU_FORMAT, "%s: token \"%.100s\" holds a character outside of the byte alphabet", r->path,
                             name);
        TRY(token_take(r, name, id, &token));
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

lmu_status merge_read_names(Reading *r, size_t index, const char *left, size_t left_length, const char *right,
                            size_t right_length)
{
    TRY(merge_part(r, index, left, left_length, &r->merge[index].left));
    return merge_part(r, index, right, right_length, &r->merge[index].right);
}

/* A merge is "LEFT RIGHT" or [LEFT, RIGHT]. */
static lmu_status merge_read(Reading *r, size_t index, const json_t *value)
{
    if (json_is_string(value)) {
        const char *text = json_string_value(value), *space = strchr(text, ' ');
        if (space && space != text && space[1] != '\0' && !strchr(space + 1, ' '))
            return merge_read_names(r, index, text, (size_t)(space - text), space + 1, strlen(space + 1));
    } else if (json_array_size(value) == 2) {
        const json_t *left = json_array_get(value, 0), *right = json_array_get(value, 1);
        if (json_is_string(left) && json_is_string(right))
            return merge_read_names(r, index, json_string_value(left), json_string_length(left),
                                    json_string_value(right), json_string_length(right));
    }
    return error_set(LMU_FORMAT, "%s: merge %zu is neither \"LEFT RIGHT\" nor [\"LEFT\", \"RIGHT\"]", r->path, index);
}

static lmu_status merges_read(Reading *r, json_t *merges)
{
    size_t index;
    json_t *value;
    r->parts.merge_count = json_array_size(merges);
    if (r->parts.merge_count >= UINT32_MAX)
        return error_set(LMU_FORMAT, "%s: too many merges", r->path);
    TRY(memory_new(&r->merge, r->parts.merge_count, sizeof *r->merge, "the merges"));
    r->parts.merge = r->merge;
    json_array_foreach(merges, index, value)
        TRY(merge_read(r, index, value));
    return LMU_OK;
}

static lmu_status array_find(const char *path, json_t *object, const char *key, bool optional, json_t **out)
{
    *out = json_object_get(object, key);
    if (json_is_array(*out) || (optional && (!*out || json_is_null(*out))))
        return LMU_OK;
    return error_set(LMU_FORMAT, "%s: key \"%s\" is missing or no array", path, key);
}

lmu_status reading_open(Reading *r, const char *path)
{
    *r = (Reading){.path = path, .arena = arena_open()};
    return r->arena ? LMU_OK : error_set(LMU_MEMORY, "%s: no memory for the vocabulary", path);
}

void reading_close(Reading *r)
{
    arena_close(r->arena);
    free(r->token);
    free(r->new_token);
    free(r->merge);
}

static lmu_status json_open(const char *path, json_t *root, Tokenizer **out)
{
    lmu_status status;
    Reading r;
    json_t *model, *merges;
    TRY(json_get_object(path, root, "model", &model));
    TRY(reading_open(&r, path));
    ATTEMPT(components_read(path, root, model, &r.parts));
    ATTEMPT(json_get_object(path, model, "vocab", &r.vocab));
    ATTEMPT(array_find(path, model, "merges", false, &merges));
    ATTEMPT(array_find(path, root, "added_tokens", true, &r.added));
    ATTEMPT(tokens_read(&r));
    ATTEMPT(merges_read(&r, merges));
    ATTEMPT(tokenizer_build_parts(path, &r.parts, out));
done:
    reading_close(&r);
    return status;
}

/* The file of a directory that holds a tokenizer. */
static lmu_status directory_find(const char *directory, char **out)
{
    static const char *const names[] = {"tokenizer.json", "vocab.json", "encoder.json"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        TRY(path_join(directory, names[i], out));
        if (file_exists(*out))
            return LMU_OK;
        free(*out);
    }
    *out = NULL;
    return error_set(LMU_IO, "%s: the directory holds no tokenizer: neither tokenizer.json nor vocab.json", directory);
}

lmu_status tokenizer_open(const char *path, Tokenizer **out)
{
    lmu_status status;
    json_t *root = NULL;
    char *inside = NULL;
    if (file_is_directory(path)) {
        TRY(directory_find(path, &inside));
        path = inside;
    }
    ATTEMPT(json_read_file(path, &root));
    /* A vocabulary alone maps names to ids; of the two forms it alone has ids at the root. */
    bool bare = json_is_object(root) && json_is_integer(json_object_iter_value(json_object_iter(root)));
    status = bare ? gpt2_open(path, root, out) : json_open(path, root, out);
done:
    json_decref(root);
    free(inside);
    return status;
}
