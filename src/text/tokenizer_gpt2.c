/* GPT-2's own files: a vocabulary as JSON, from names to ids, and a text of merges, one a line. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "text/tokenizer_json.h"

#define VERSION_LINE "#version"

/* The merges that lie beside a vocabulary. */
static lmu_status merges_find(const char *vocabulary, char **out)
{
    static const char *const names[] = {"merges.txt", "vocab.bpe"};
    const char *slash = strrchr(vocabulary, '/');
    char *directory = slash ? strndup(vocabulary, (size_t)(slash - vocabulary) + 1) : strdup(".");
    *out = NULL;
    for (size_t i = 0; directory && i < sizeof names / sizeof *names; i++) {
        if (path_join(directory, names[i], out) != LMU_OK || file_exists(*out))
            break;
        free(*out);
        *out = NULL;
    }
    bool memory = directory != NULL;
    free(directory);
    if (*out)
        return LMU_OK;
    if (!memory)
        return error_set(LMU_MEMORY, "%s: no memory for a path", vocabulary);
    return error_set(LMU_IO, "%s: a vocabulary alone is no tokenizer; put its merges.txt (or vocab.bpe) beside it",
                     vocabulary);
}

/* Lines of the merges, without the version and without what follows the last line break. */
static size_t lines_count(const char *text, size_t size)
{
    size_t count = 0;
    for (const char *at = text, *end = text + size; at < end; count++) {
        const char *line = memchr(at, '\n', (size_t)(end - at));
        at = line ? line + 1 : end;
    }
    return count;
}

static lmu_status line_read(Reading *r, const char *path, size_t number, const char *line, size_t length, size_t index)
{
    const char *space = memchr(line, ' ', length);
    const char *right = space ? space + 1 : NULL;
    size_t rest = space ? length - (size_t)(right - line) : 0;
    if (!space || space == line || rest == 0 || memchr(right, ' ', rest) || memchr(line, '\r', length))
        return error_set(LMU_FORMAT, "%s: line %zu is no merge; \"LEFT RIGHT\" and a line break is one", path, number);
    return merge_read_names(r, index, line, (size_t)(space - line), right, rest);
}

static lmu_status merges_read(Reading *r, const char *path, const char *text, size_t size)
{
    const char *at = text, *end = text + size;
    size_t most = lines_count(text, size), number = 0;
    if (memchr(text, '\0', size))
        return error_set(LMU_FORMAT, "%s: a NUL byte; merges are text", path);
    if (most >= UINT32_MAX)
        return error_set(LMU_FORMAT, "%s: too many merges", path);
    TRY(memory_new(&r->merge, most, sizeof *r->merge, "the merges"));
    r->parts.merge = r->merge;
    while (at < end) {
        const char *line = at, *stop = memchr(at, '\n', (size_t)(end - at));
        size_t length = (size_t)((stop ? stop : end) - line);
        at = stop ? stop + 1 : end;
        number++;
        if (length >= strlen(VERSION_LINE) && memcmp(line, VERSION_LINE, strlen(VERSION_LINE)) == 0)
            continue;
        if (length == 0 && at == end)
            break; /* an empty line at the end, as GPT-2's own file has */
        TRY(line_read(r, path, number, line, length, r->parts.merge_count));
        r->parts.merge_count++;
    }
    return LMU_OK;
}

/* The files do not say which tokens are special: GPT-2 has one. */
static lmu_status added_make(Reading *r)
{
    json_t *id = json_object_get(r->vocab, TOKENIZER_END_OF_TEXT);
    r->added = json_array();
    if (!r->added)
        return error_set(LMU_MEMORY, "%s: no memory for the added tokens", r->path);
    if (id)
        json_array_append_new(r->added,
                              json_pack("{s:O, s:s, s:b}", "id", id, "content", TOKENIZER_END_OF_TEXT, "special", 1));
    return LMU_OK;
}

lmu_status gpt2_open(const char *path, json_t *vocab, Tokenizer **out)
{
    lmu_status status;
    Reading r;
    char *merges = NULL, *text = NULL;
    size_t size;
    TRY(reading_open(&r, path));
    r.vocab = vocab;
    r.parts.rule = pretoken_gpt2;
    ATTEMPT(merges_find(path, &merges));
    ATTEMPT(file_read(merges, JSON_FILE_LIMIT, &text, &size));
    ATTEMPT(added_make(&r));
    ATTEMPT(tokens_read(&r));
    ATTEMPT(merges_read(&r, merges, text, size));
    ATTEMPT(tokenizer_build_parts(path, &r.parts, out));
done:
    json_decref(r.added);
    reading_close(&r);
    free(merges);
    free(text);
    return status;
}
