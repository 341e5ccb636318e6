/* Corpora: finding the files, and cutting them into documents. */
#include "text/corpus.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "text/json_line.h"
#include "text/pretokenize.h"
#include "text/source.h"

#define CORPUS_DEPTH 64               /* of directories: a loop of links ends here */
#define CORPUS_READ ((size_t)1 << 18) /* bytes asked of a source at a time, at least */
#define CORPUS_PART ((size_t)1 << 20) /* a document longer than this comes in parts of about this size */

typedef enum FileKind { KIND_NONE, KIND_TEXT, KIND_LINES } FileKind;

typedef struct CorpusFile {
    char *path;
    FileKind kind;
    int64_t size;
    dev_t device; /* with inode: which file it is, by whatever name */
    ino_t inode;
} CorpusFile;

/* The documents skipped for one fault. */
typedef struct CorpusSkips {
    int64_t count;
    char *first; /* message about the first of them */
} CorpusSkips;

struct Corpus {
    CorpusFile *file;
    size_t count, capacity;
    int64_t size;
    const char *field;
    bool skip_bad;
    size_t part; /* bytes */
    const Progress *progress;
    CorpusSkips skips[CORPUS_FAULTS];
    CorpusFault fault; /* what the error just met is */

    /* Where reading stands. */
    size_t current;    /* file */
    int64_t before;    /* bytes of the files before it */
    Source *source;    /* of the current file; NULL between files */
    int64_t line;      /* last line cut, from 1 */
    int64_t documents; /* of the current file, bad ones too */
    bool continues;    /* the current document has given a part, and goes on */
    int64_t given;     /* bytes of the current file in parts given before */
    char *rest;        /* of the current line's text, in the buffer: what is to be given yet */
    size_t rest_size;
    char *buffer; /* bytes read and not yet cut: [start, end) */
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
    corpus->file[corpus->count++] = (CorpusFile){copy, kind_of(path), about->st_size, about->st_dev, about->st_ino};
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
        char *inner;
        status = path_join(path, names[i], &inner);
        if (status == LMU_OK)
            status = entry_add(corpus, inner, depth);
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
    corpus->field = "text";
    corpus->part = CORPUS_PART;
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
    for (int fault = 0; fault < CORPUS_FAULTS; fault++)
        free(corpus->skips[fault].first);
    free(corpus->file);
    free(corpus->buffer);
    free(corpus);
}

static int file_compare(const void *a, const void *b)
{
    const CorpusFile *x = *(CorpusFile *const *)a, *y = *(CorpusFile *const *)b;
    if (x->device != y->device)
        return x->device < y->device ? -1 : 1;
    return (x->inode > y->inode) - (x->inode < y->inode);
}

lmu_status corpus_refuse_repeats(const Corpus *a, const Corpus *b)
{
    const CorpusFile **file;
    size_t count = 0;
    TRY(memory_new(&file, a->count + (b ? b->count : 0), sizeof *file, "the list of files"));
    for (size_t i = 0; i < a->count; i++)
        file[count++] = &a->file[i];
    for (size_t i = 0; b && i < b->count; i++)
        file[count++] = &b->file[i];
    qsort(file, count, sizeof *file, file_compare);
    lmu_status status = LMU_OK;
    for (size_t i = 1; i < count && status == LMU_OK; i++)
        if (file_compare(&file[i - 1], &file[i]) == 0)
            status = error_set(
                LMU_USAGE,
                "%s and %s are one file, so that held-out text may be training text too: name it once, or drop what "
                "occurs twice (--deduplicate)",
                file[i - 1]->path, file[i]->path);
    free(file);
    return status;
}

void corpus_use_field(Corpus *corpus, const char *field)
{
    corpus->field = field;
}

void corpus_skip_bad(Corpus *corpus)
{
    corpus->skip_bad = true;
}

void corpus_keep_whole(Corpus *corpus)
{
    corpus->part = SIZE_MAX;
}

void corpus_watch(Corpus *corpus, const Progress *progress)
{
    corpus->progress = progress;
}

const char *corpus_fault_name(CorpusFault fault)
{
    static const char *const names[CORPUS_FAULTS] = {
        [CORPUS_UNREADABLE] = "files that cannot be read",
        [CORPUS_DAMAGED] = "zstd files that are damaged or truncated",
        [CORPUS_BINARY] = "files that are no text",
        [CORPUS_EMPTY] = "files without a document",
        [CORPUS_NO_JSON] = "lines that are not valid JSON",
        [CORPUS_NO_FIELD] = "lines without the field as a string",
    };
    return names[fault];
}

int64_t corpus_skipped(const Corpus *corpus, CorpusFault fault, const char **first)
{
    *first = corpus->skips[fault].first ? corpus->skips[fault].first : "";
    return corpus->skips[fault].count;
}

int64_t corpus_position(const Corpus *corpus)
{
    return corpus->before + (corpus->source ? source_position(corpus->source) : 0);
}

int64_t corpus_size(const Corpus *corpus)
{
    return corpus->size;
}

/* Sets the error as error_set() does, and notes what kind of fault it is. */
#define FAULT(corpus, kind, ...) ((corpus)->fault = (kind), error_set(LMU_FORMAT, __VA_ARGS__))

/* Reads more of the current file behind buffer[start, end). */
static lmu_status buffer_fill(Corpus *corpus, size_t *got)
{
    if (progress_interrupted(corpus->progress))
        return error_set(LMU_INTERRUPTED, "interrupted; nothing was written");
    if (corpus->start > 0) {
        memmove(corpus->buffer, corpus->buffer + corpus->start, corpus->end - corpus->start);
        corpus->end -= corpus->start;
        corpus->start = 0;
    }
    TRY(memory_grow(&corpus->buffer, &corpus->buffer_capacity, corpus->end + CORPUS_READ, 1,
                    corpus->file[corpus->current].path));
    lmu_status status =
        source_read(corpus->source, corpus->buffer + corpus->end, corpus->buffer_capacity - corpus->end, got);
    corpus->fault = status == LMU_FORMAT ? CORPUS_DAMAGED : CORPUS_UNREADABLE;
    TRY(status);
    corpus->end += *got;
    return LMU_OK;
}

/* Gives text as a document, or as the next part of one. */
static lmu_status part_give(Corpus *corpus, const char *text, size_t size, bool continues, Document *out)
{
    out->text = malloc(size + 1);
    if (!out->text)
        return error_set(LMU_MEMORY, "no memory for a document of %zu bytes", size);
    if (size > 0)
        memcpy(out->text, text, size);
    out->text[size] = '\0';
    out->size = size;
    out->continues = corpus->continues = continues;
    return LMU_OK;
}

/* ---- .txt ---- */

/* The whole current file as one document. */
static lmu_status text_next(Corpus *corpus, Document *out)
{
    const char *path = corpus->file[corpus->current].path;
    if (corpus->documents > 0 && !corpus->continues)
        return LMU_OK;
    size_t held = corpus->end - corpus->start, cut = held, seen = 0, got = 1;
    while (got > 0 && cut == held) {
        if (held > corpus->part && held > seen) /* a cut needs two bytes behind it: see these again */
            cut = pretoken_cut(corpus->buffer + corpus->start, held, seen > corpus->part + 1 ? seen - 1 : corpus->part);
        if (cut < held)
            break;
        seen = held;
        TRY(buffer_fill(corpus, &got));
        cut = held = corpus->end - corpus->start;
    }
    const char *text = corpus->buffer + corpus->start;
    if (held == 0 && corpus->given == 0)
        return FAULT(corpus, CORPUS_EMPTY, "%s: is empty; there is no text to read", path);
    const char *nul = memchr(text, '\0', cut);
    if (nul)
        return FAULT(corpus, CORPUS_BINARY, "%s: byte %lld is NUL, so this is no text (a binary file, or UTF-16?)",
                     path, (long long)(corpus->given + (nul - text)));
    TRY(part_give(corpus, text, cut, cut < held, out));
    corpus->start += cut;
    corpus->given += (int64_t)cut;
    return LMU_OK;
}

/* ---- .jsonl ---- */

/* The next line of the current file, without its line break; NULL at the end. */
static lmu_status line_next(Corpus *corpus, char **line, size_t *length)
{
    *line = NULL;
    for (size_t seen = 0, got = 1;;) {
        size_t held = corpus->end - corpus->start;
        char *first = corpus->buffer + corpus->start;
        char *end = held > seen ? memchr(first + seen, '\n', held - seen) : NULL;
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

/* A line that json_line_text() makes nothing of: what is wrong with it, or, should the parser find nothing, its text. */
static lmu_status line_parse(Corpus *corpus, const char *line, size_t length, Document *out)
{
    char origin[4200];
    snprintf(origin, sizeof origin, "%s:%lld", corpus->file[corpus->current].path, (long long)corpus->line);
    json_error_t problem;
    json_t *root = json_loadb(line, length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &problem);
    if (!root)
        return FAULT(corpus, CORPUS_NO_JSON, "%s: column %d: not valid JSON: %s", origin, problem.column, problem.text);
    lmu_status status;
    const json_t *text = json_object_get(root, corpus->field);
    if (!json_is_object(root))
        status =
            FAULT(corpus, CORPUS_NO_FIELD, "%s: not an object; a line is {\"%s\": \"...\"}", origin, corpus->field);
    else if (!text)
        status = FAULT(corpus, CORPUS_NO_FIELD, "%s: the field \"%s\" is missing", origin, corpus->field);
    else if (!json_is_string(text))
        status = FAULT(corpus, CORPUS_NO_FIELD, "%s: the field \"%s\" is not a string", origin, corpus->field);
    else
        status = part_give(corpus, json_string_value(text), json_string_length(text), false, out);
    json_decref(root);
    return status;
}

/* Gives the next part of the current line's text. */
static lmu_status rest_give(Corpus *corpus, Document *out)
{
    char *text = corpus->rest;
    size_t cut = corpus->rest_size;
    if (cut > corpus->part)
        cut = pretoken_cut(text, cut, corpus->part);
    corpus->rest += cut;
    corpus->rest_size -= cut;
    return part_give(corpus, text, cut, corpus->rest_size > 0, out);
}

/* The next line of the current file that is not blank, as a document. */
static lmu_status lines_next(Corpus *corpus, Document *out)
{
    char *line;
    size_t length;
    if (corpus->continues)
        return rest_give(corpus, out);
    do {
        TRY(line_next(corpus, &line, &length));
        if (!line && corpus->documents == 0)
            return FAULT(corpus, CORPUS_EMPTY, "%s: is empty; there is no document to read",
                         corpus->file[corpus->current].path);
        if (!line)
            return LMU_OK;
    } while (is_blank(line, length));
    corpus->documents++;
    if (!json_line_text(line, length, corpus->field, &corpus->rest, &corpus->rest_size))
        return line_parse(corpus, line, length, out);
    return rest_give(corpus, out);
}

/* ---- documents ---- */

static void file_leave(Corpus *corpus)
{
    source_close(corpus->source);
    corpus->source = NULL;
    corpus->continues = false;
    corpus->before += corpus->file[corpus->current].size;
    corpus->current++;
}

/* The next document of the current file; text NULL at the file's end. */
static lmu_status document_next(Corpus *corpus, Document *out)
{
    const CorpusFile *file = &corpus->file[corpus->current];
    if (!corpus->source) {
        corpus->fault = CORPUS_UNREADABLE;
        TRY(memory_grow(&corpus->buffer, &corpus->buffer_capacity, CORPUS_READ, 1, file->path));
        TRY(source_open(file->path, &corpus->source));
        corpus->start = corpus->end = 0;
        corpus->line = corpus->documents = corpus->given = 0;
    }
    if (file->kind == KIND_LINES)
        return lines_next(corpus, out);
    TRY(text_next(corpus, out));
    corpus->documents = 1;
    return LMU_OK;
}

/* Counts what has just failed, and goes on behind it: with the next line, or the next file. */
static lmu_status fault_skip(Corpus *corpus, Document *out)
{
    CorpusSkips *skips = &corpus->skips[corpus->fault];
    bool begun = corpus->continues;
    if (!skips->first && !(skips->first = strdup(lmu_error_message())))
        return error_set(LMU_MEMORY, "no memory for a message");
    skips->count++;
    error_clear();
    if (corpus->fault != CORPUS_NO_JSON && corpus->fault != CORPUS_NO_FIELD)
        file_leave(corpus);
    if (!begun)
        return LMU_OK;
    out->spoilt = true;
    return part_give(corpus, "", 0, false, out);
}

lmu_status corpus_next(Corpus *corpus, Document *out)
{
    *out = (Document){0};
    while (corpus->current < corpus->count) {
        lmu_status status = document_next(corpus, out);
        if (status == LMU_OK && !out->text)
            file_leave(corpus);
        else if ((status == LMU_IO || status == LMU_FORMAT) && corpus->skip_bad)
            status = fault_skip(corpus, out);
        TRY(status);
        if (out->text)
            return LMU_OK;
    }
    return LMU_OK;
}
