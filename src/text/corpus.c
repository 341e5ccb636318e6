/* Corpora: finding the files, and cutting them into documents. */
#include "text/corpus.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "text/source.h"

#define CORPUS_DEPTH 64               /* of directories: a loop of links ends here */
#define CORPUS_READ ((size_t)1 << 18) /* bytes asked of a source at a time */

typedef enum FileKind { KIND_NONE, KIND_TEXT, KIND_LINES } FileKind;

typedef struct CorpusFile {
    char *path;
    FileKind kind;
    int64_t size;
} CorpusFile;

struct Corpus {
    CorpusFile *file;
    size_t count, capacity;
    int64_t size;

    /* Where reading stands. */
    size_t current;    /* file */
    int64_t before;    /* bytes of the files before it */
    Source *source;    /* of the current file; NULL between files */
    int64_t line;      /* last line cut, from 1 */
    int64_t documents; /* of the current file */
    char *buffer;      /* bytes read and not yet cut: [start, end) */
    size_t start, end, buffer_capacity;
};

static FileKind kind_of(const char *path)
{
    size_t length = strlen(path);
    if (length > 4 && memcmp(path + length - 4, ".zst", 4) == 0)
        length -= 4;
    if (length >= 4 && memcmp(path + length - 4, ".txt", 4) == 0)
        return KIND_TEXT;
    if (length >= 6 && memcmp(path + length - 6, ".jsonl", 6) == 0)
        return KIND_LINES;
    return KIND_NONE;
}

static lmu_status file_add(Corpus *corpus, const char *path, const struct stat *about)
{
    TRY(memory_grow(&corpus->file, &corpus->capacity, corpus->count + 1, sizeof *corpus->file, "the list of files"));
    char *copy = strdup(path);
    if (!copy)
        return error_set(LMU_MEMORY, "no memory for the list of files");
    corpus->file[corpus->count++] = (CorpusFile){copy, kind_of(path), about->st_size};
    corpus->size += about->st_size;
    return LMU_OK;
}

static lmu_status directory_add(Corpus *corpus, const char *path, int depth);

static lmu_status entry_add(Corpus *corpus, const char *path, int depth)
{
    struct stat about;
    if (stat(path, &about) != 0)
        return LMU_OK; /* a link to nowhere, or gone since */
    if (S_ISDIR(about.st_mode))
        return directory_add(corpus, path, depth + 1);
    return S_ISREG(about.st_mode) && kind_of(path) != KIND_NONE ? file_add(corpus, path, &about) : LMU_OK;
}

static lmu_status directory_add(Corpus *corpus, const char *path, int depth)
{
    if (depth > CORPUS_DEPTH)
        return error_set(LMU_IO, "%s: more than %d directories deep; is there a loop of links?", path, CORPUS_DEPTH);
    lmu_status status = LMU_OK;
    char **names;
    size_t count;
    TRY(directory_list(path, &names, &count));
    for (size_t i = 0; i < count && status == LMU_OK; i++) {
        if (names[i][0] == '.')
            continue;
        char *inner = path_join(path, names[i]);
        status = inner ? entry_add(corpus, inner, depth) : error_set(LMU_MEMORY, "no memory for the list of files");
        free(inner);
    }
    directory_list_free(names);
    return status;
}

static lmu_status input_add(Corpus *corpus, const char *path)
{
    struct stat about;
    if (stat(path, &about) != 0)
        return error_set(LMU_IO, "%s: no such file or directory", path);
    if (!S_ISDIR(about.st_mode)) {
        if (kind_of(path) == KIND_NONE)
            return error_set(LMU_USAGE, "%s: not a kind of text that is known: .txt, .jsonl, and either with .zst",
                             path);
        return file_add(corpus, path, &about);
    }
    size_t before = corpus->count;
    TRY(directory_add(corpus, path, 0));
    if (corpus->count == before)
        return error_set(LMU_USAGE, "%s: no .txt or .jsonl file (nor either with .zst) is in it", path);
    return LMU_OK;
}

lmu_status corpus_open(char *const *inputs, size_t count, Corpus **out)
{
    lmu_status status;
    Corpus *corpus = NULL;
    if (count == 0)
        return error_set(LMU_USAGE, "no input: name at least one file or directory of text");
    TRY(memory_new(&corpus, 1, sizeof *corpus, "a corpus"));
    for (size_t i = 0; i < count; i++)
        ATTEMPT(input_add(corpus, inputs[i]));
    *out = corpus;
    return LMU_OK;
done:
    corpus_close(corpus);
    return status;
}

void corpus_close(Corpus *corpus)
{
    if (!corpus)
        return;
    source_close(corpus->source);
    for (size_t i = 0; i < corpus->count; i++)
        free(corpus->file[i].path);
    free(corpus->file);
    free(corpus->buffer);
    free(corpus);
}

void corpus_rewind(Corpus *corpus)
{
    source_close(corpus->source);
    corpus->source = NULL;
    corpus->current = 0;
    corpus->before = 0;
}

int64_t corpus_position(const Corpus *corpus)
{
    return corpus->before + (corpus->source ? source_position(corpus->source) : 0);
}

int64_t corpus_size(const Corpus *corpus)
{
    return corpus->size;
}

/* Reads more of the current file behind buffer[start, end). */
static lmu_status buffer_fill(Corpus *corpus, size_t *got)
{
    if (corpus->start > 0) {
        memmove(corpus->buffer, corpus->buffer + corpus->start, corpus->end - corpus->start);
        corpus->end -= corpus->start;
        corpus->start = 0;
    }
    TRY(memory_grow(&corpus->buffer, &corpus->buffer_capacity, corpus->end + CORPUS_READ, 1,
                    corpus->file[corpus->current].path));
    TRY(source_read(corpus->source, corpus->buffer + corpus->end, corpus->buffer_capacity - corpus->end, got));
    corpus->end += *got;
    return LMU_OK;
}

static lmu_status document_copy(const char *text, size_t size, Document *out)
{
    out->text = malloc(size + 1);
    if (!out->text)
        return error_set(LMU_MEMORY, "no memory for a document of %zu bytes", size);
    memcpy(out->text, text, size);
    out->text[size] = '\0';
    out->size = size;
    return LMU_OK;
}

/* The whole current file as one document. */
static lmu_status text_next(Corpus *corpus, Document *out)
{
    const char *path = corpus->file[corpus->current].path;
    if (corpus->documents > 0)
        return LMU_OK;
    for (size_t got = 1; got > 0;)
        TRY(buffer_fill(corpus, &got));
    if (corpus->end == 0)
        return error_set(LMU_FORMAT, "%s: is empty; there is no text to read", path);
    const char *nul = memchr(corpus->buffer, '\0', corpus->end);
    if (nul)
        return error_set(LMU_FORMAT, "%s: byte %zu is NUL, so this is no text (a binary file, or UTF-16?)", path,
                         (size_t)(nul - corpus->buffer));
    TRY(document_copy(corpus->buffer, corpus->end, out));
    corpus->start = corpus->end;
    return LMU_OK;
}

/* The next line of the current file, without its line break; NULL at the end. */
static lmu_status line_next(Corpus *corpus, const char **line, size_t *length)
{
    *line = NULL;
    for (size_t seen = 0, got = 1;;) {
        size_t held = corpus->end - corpus->start;
        const char *first = corpus->buffer + corpus->start;
        const char *end = held > seen ? memchr(first + seen, '\n', held - seen) : NULL;
        if (end || (got == 0 && held > 0)) {
            *line = first;
            *length = end ? (size_t)(end - first) : held;
            corpus->start += *length + (end != NULL);
            corpus->line++;
        }
        if (*line || got == 0)
            return LMU_OK;
        seen = held;
        TRY(buffer_fill(corpus, &got));
    }
}

static bool is_blank(const char *line, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (line[i] != ' ' && line[i] != '\t' && line[i] != '\r')
            return false;
    return true;
}

static lmu_status line_parse(const Corpus *corpus, const char *line, size_t length, Document *out)
{
    char origin[4200];
    snprintf(origin, sizeof origin, "%s:%lld", corpus->file[corpus->current].path, (long long)corpus->line);
    json_t *root;
    json_error_t problem;
    root = json_loadb(line, length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &problem);
    if (!root)
        return error_set(LMU_FORMAT, "%s: column %d: not valid JSON: %s", origin, problem.column, problem.text);
    lmu_status status;
    const json_t *text = json_object_get(root, "text");
    if (!json_is_object(root))
        status = error_set(LMU_FORMAT, "%s: not an object; a line is {\"text\": \"...\"}", origin);
    else if (!text)
        status = error_set(LMU_FORMAT, "%s: the field \"text\" is missing", origin);
    else if (!json_is_string(text))
        status = error_set(LMU_FORMAT, "%s: the field \"text\" is not a string", origin);
    else
        status = document_copy(json_string_value(text), json_string_length(text), out);
    json_decref(root);
    return status;
}

/* The next line of the current file that is not blank, as a document. */
static lmu_status lines_next(Corpus *corpus, Document *out)
{
    const char *line;
    size_t length;
    for (;;) {
        TRY(line_next(corpus, &line, &length));
        if (!line && corpus->documents == 0)
            return error_set(LMU_FORMAT, "%s: is empty; there is no document to read",
                             corpus->file[corpus->current].path);
        if (!line)
            return LMU_OK;
        if (!is_blank(line, length))
            return line_parse(corpus, line, length, out);
    }
}

lmu_status corpus_next(Corpus *corpus, Document *out)
{
    *out = (Document){0};
    while (corpus->current < corpus->count) {
        const CorpusFile *file = &corpus->file[corpus->current];
        if (!corpus->source) {
            TRY(source_open(file->path, &corpus->source));
            corpus->start = corpus->end = 0;
            corpus->line = corpus->documents = 0;
        }
        TRY(file->kind == KIND_TEXT ? text_next(corpus, out) : lines_next(corpus, out));
        if (out->text) {
            corpus->documents++;
            return LMU_OK;
        }
        source_close(corpus->source);
        corpus->source = NULL;
        corpus->before += file->size;
        corpus->current++;
    }
    return LMU_OK;
}
