#include "text/prepare.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "base/machine.h"
#include "base/memory.h"
#include "base/random.h"
#include "text/document_set.h"
#include "text/encoder.h"
#include "text/pieces.h"
#include "text/shard.h"
#include "text/spool.h"

#define COPIED_IDS 16384 /* at a time, from the spool to a shard */

typedef enum Side { SIDE_TRAIN, SIDE_VALID, SIDES } Side;

/* What becomes of a document in the spool. */
typedef enum Mark { MARK_INPUT, MARK_VALID, MARK_DROPPED } Mark;

typedef struct Preparing {
    const PrepareOptions *options;
    const Tokenizer *tokenizer;
    Progress *progress;
    int threads;
    double fraction;
    char *fresh; /* the directory that is being written */
    int lock;    /* a descriptor of it that holds its lock, or -1 */
    ShardWriter *shard[SIDES];
    Encoder **encoder; /* one a thread */
    Pieces batch[2];   /* one is encoded while the other is read */
    Pieces *encoding;  /* the former */
    IdList *list;      /* the ids of each of its pieces */
    size_t list_capacity;
    Spool *spool;
    SpoolRecord document; /* the one that goes into the spool */
    DocumentHash hash;    /* of its text, where duplicates are dropped */
    DocumentSet seen;
    int64_t documents; /* of the inputs, in the spool and not dropped */
    int64_t held_out;  /* of those */
    PrepareResult result;
} Preparing;

static void preparing_close(Preparing *p)
{
    for (int side = 0; side < SIDES; side++)
        shard_writer_abort(p->shard[side]);
    for (int i = 0; p->encoder && i < p->threads; i++)
        encoder_close(p->encoder[i]);
    free(p->encoder);
    for (size_t i = 0; i < p->list_capacity; i++)
        free(p->list[i].id);
    free(p->list);
    pieces_free(&p->batch[0]);
    pieces_free(&p->batch[1]);
    spool_close(p->spool);
    document_set_free(&p->seen);
    if (p->fresh)
        directory_remove(p->fresh);
    free(p->fresh);
    if (p->lock >= 0)
        close(p->lock);
}

static lmu_status interrupted(const Preparing *p)
{
    return progress_interrupted(p->progress) ? error_set(LMU_INTERRUPTED, "interrupted; nothing was written") : LMU_OK;
}

/* ---- where it is written ---- */

/* Refuses a place that holds what prepare did not write. */
static lmu_status place_check(const char *path)
{
    if (!file_exists(path))
        return LMU_OK;
    if (!file_is_directory(path))
        return error_set(LMU_USAGE, "%s: is a file; prepare writes a directory, name another", path);
    char **names;
    size_t count;
    TRY(directory_list(path, &names, &count));
    lmu_status status = LMU_OK;
    for (size_t i = 0; i < count && status == LMU_OK; i++)
        if (strcmp(names[i], PREPARE_TRAIN) != 0 && strcmp(names[i], PREPARE_VALID) != 0 &&
            strcmp(names[i], PREPARE_TOKENIZER) != 0)
            status =
                error_set(LMU_USAGE,
                          "%s: holds \"%s\", which lmu prepare did not write; it replaces the whole directory, so name "
                          "another",
                          path, names[i]);
    directory_list_free(names);
    return status;
}

/* Whether `name` is that of a directory which prepare writes for `target` (of `length` letters): TARGET.PID.new. */
static bool is_fresh_name(const char *name, const char *target, size_t length)
{
    if (strncmp(name, target, length) != 0 || name[length] != '.' || !isdigit((unsigned char)name[length + 1]))
        return false;
    const char *end = name + length + 1;
    end += strspn(end, "0123456789");
    return strcmp(end, ".new") == 0;
}

/* Locks a directory; -1: somebody else holds it, or it is not there. */
static int directory_lock(const char *path)
{
    int lock = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) != 0) {
        close(lock);
        lock = -1;
    }
    return lock;
}

/* Removes what processes that were killed have left in `parent`: directories of ours that nobody has locked. */
static void leftovers_remove(const char *parent, const char *target, size_t length)
{
    char **names;
    size_t count;
    if (directory_list(parent, &names, &count) != LMU_OK) {
        error_clear(); /* what cannot be listed is not there yet, or will be complained of when it is written to */
        return;
    }
    for (size_t i = 0; i < count; i++) {
        char *path = NULL;
        bool fresh = is_fresh_name(names[i], target, length) && path_join(parent, names[i], &path) == LMU_OK;
        int lock = fresh ? directory_lock(path) : -1;
        if (lock >= 0) {
            if (directory_remove(path) != LMU_OK)
                error_clear();
            close(lock);
        }
        free(path);
    }
    directory_list_free(names);
}

static lmu_status place_open(Preparing *p)
{
    const char *out = p->options->out;
    size_t length = strlen(out);
    while (length > 1 && out[length - 1] == '/')
        length--;
    const char *slash = memrchr(out, '/', length), *last = slash ? slash + 1 : out;
    size_t name = length - (size_t)(last - out);
    if (name == 0 || (name <= 2 && strncmp(last, "..", name) == 0))
        return error_set(LMU_USAGE, "\"%s\" is no name for a new directory", out);
    TRY(place_check(out));
    char *parent = slash ? strndup(out, (size_t)(last - out)) : strdup(".");
    if (!parent)
        return error_set(LMU_MEMORY, "no memory for a file name");
    leftovers_remove(parent, last, name);
    free(parent);
    if (asprintf(&p->fresh, "%.*s.%ld.new", (int)length, out, (long)getpid()) < 0) {
        p->fresh = NULL;
        return error_set(LMU_MEMORY, "no memory for a file name");
    }
    TRY(directory_remove(p->fresh));
    TRY(directory_make(p->fresh));
    p->lock = directory_lock(p->fresh); /* -1 where the file system has no locks: then others leave it alone, too */
    return LMU_OK;
}

static lmu_status shard_begin(Preparing *p, Side side, const char *name)
{
    char *path;
    TRY(path_join(p->fresh, name, &path));
    lmu_status status =
        shard_writer_open(path, tokenizer_size(p->tokenizer), tokenizer_hash(p->tokenizer), &p->shard[side]);
    free(path);
    return status;
}

static lmu_status shard_finish(Preparing *p, Side side)
{
    PrepareSide *written = side == SIDE_TRAIN ? &p->result.train : &p->result.valid;
    ShardWriter *writer = p->shard[side];
    p->shard[side] = NULL;
    written->tokens = shard_writer_count(writer);
    return shard_writer_commit(writer, written->documents, written->bytes);
}

/* ---- reading: every document into the spool ---- */

static lmu_status piece_encode(void *context, int thread, size_t index)
{
    Preparing *p = context;
    const Piece *piece = &p->encoding->piece[index];
    TRY(interrupted(p));
    IdList ids = p->list[index]; /* not in its place, where other threads write beside it */
    ids.count = 0;
    lmu_status status = encoder_encode(p->encoder[thread], piece->text, piece->size, p->options->specials, &ids);
    p->list[index] = ids;
    return status;
}

/* The document that went into the spool is complete; or void, if it could not be read to its end. */
static lmu_status document_end(Preparing *p, Mark mark, bool spoilt)
{
    bool first = true;
    if (p->options->deduplicate && !spoilt)
        TRY(document_set_add(&p->seen, &p->hash, &first));
    p->result.duplicates += !first;
    p->document.mark = spoilt || !first ? MARK_DROPPED : mark;
    p->documents += p->document.mark == MARK_INPUT;
    TRY(spool_end(p->spool, &p->document));
    p->document = (SpoolRecord){0};
    p->hash = (DocumentHash){0};
    return LMU_OK;
}

static lmu_status batch_spool(Preparing *p, Mark mark)
{
    const Pieces *batch = p->encoding;
    size_t piece = 0;
    for (size_t i = 0; i < batch->document_count; i++) {
        const Document *document = &batch->document[i];
        for (; piece < batch->piece_count && batch->piece[piece].document == i; piece++) {
            TRY(spool_put(p->spool, p->list[piece].id, p->list[piece].count));
            p->document.tokens += (int64_t)p->list[piece].count;
        }
        p->document.bytes += (int64_t)document->size;
        if (p->options->deduplicate)
            document_hash_add(&p->hash, document->text, document->size);
        if (!document->continues)
            TRY(document_end(p, mark, document->spoilt));
    }
    return LMU_OK;
}

static lmu_status batches_spool(Preparing *p, Corpus *corpus, Mark mark)
{
    p->encoding = &p->batch[0];
    TRY(pieces_read(p->encoding, corpus));
    while (p->encoding->document_count > 0) {
        Pieces *next = p->encoding == &p->batch[0] ? &p->batch[1] : &p->batch[0];
        TRY(interrupted(p));
        TRY(memory_grow(&p->list, &p->list_capacity, p->encoding->piece_count, sizeof *p->list, "token ids"));
        TRY(pieces_visit_reading(p->encoding, p->threads, piece_encode, p, next, corpus));
        TRY(batch_spool(p, mark));
        pieces_clear(p->encoding);
        p->encoding = next;
        progress_report(p->progress, "tokenising", (double)corpus_position(corpus), (double)corpus_size(corpus),
                        "bytes", NULL);
    }
    return LMU_OK;
}

static void skips_add(Preparing *p, const Corpus *corpus)
{
    for (int fault = 0; fault < CORPUS_FAULTS; fault++) {
        PrepareDropped *skipped = &p->result.skipped[fault];
        const char *first;
        skipped->count += corpus_skipped(corpus, (CorpusFault)fault, &first);
        if (skipped->first[0] == '\0')
            snprintf(skipped->first, sizeof skipped->first, "%s", first);
    }
}

static lmu_status corpus_spool(Preparing *p, char *const *inputs, size_t count, Mark mark)
{
    Corpus *corpus;
    TRY(corpus_open(inputs, count, &corpus));
    corpus_watch(corpus, p->progress);
    if (p->options->field)
        corpus_use_field(corpus, p->options->field);
    if (p->options->skip_bad)
        corpus_skip_bad(corpus);
    if (p->batch[0].whole)
        corpus_keep_whole(corpus);
    lmu_status status = batches_spool(p, corpus, mark);
    skips_add(p, corpus);
    corpus_close(corpus);
    return status;
}

/* ---- writing: from the spool to the sides ---- */

/* Moves the next `count` ids of the spool to a side, as a document of `bytes` bytes. */
static lmu_status document_write(Preparing *p, int64_t count, int64_t bytes, Side side)
{
    uint32_t id[COPIED_IDS], end = (uint32_t)tokenizer_end_of_text(p->tokenizer);
    PrepareSide *written = side == SIDE_TRAIN ? &p->result.train : &p->result.valid;
    while (count > 0) {
        size_t part = count < COPIED_IDS ? (size_t)count : COPIED_IDS;
        TRY(interrupted(p));
        TRY(spool_read(p->spool, id, part));
        TRY(shard_writer_put(p->shard[side], id, part));
        count -= (int64_t)part;
    }
    written->documents++;
    written->bytes += bytes;
    return shard_writer_put(p->shard[side], &end, 1);
}

/* Whether a document of the inputs, by its index among those not dropped, is held out. */
static bool is_held_out(const Preparing *p, int64_t index)
{
    if (p->held_out == 0)
        return false;
    uint64_t key = random_key(p->options->seed, "held-out documents", 0, 0);
    return random_permute(key, (uint64_t)p->documents, (uint64_t)index) < (uint64_t)p->held_out;
}

static lmu_status documents_write(Preparing *p)
{
    SpoolRecord record;
    bool found;
    TRY(spool_rewind(p->spool));
    for (int64_t index = 0;;) {
        TRY(spool_next(p->spool, &record, &found));
        if (!found)
            return LMU_OK;
        if (record.mark == MARK_DROPPED) {
            TRY(spool_pass(p->spool, record.tokens));
            continue;
        }
        bool valid = record.mark == MARK_VALID || is_held_out(p, index);
        index += record.mark == MARK_INPUT;
        TRY(document_write(p, record.tokens, record.bytes, valid ? SIDE_VALID : SIDE_TRAIN));
    }
}

/* ---- holding out a part of a single document ---- */

/* A place between two tokens; bytes 0: none. */
typedef struct Cut {
    int64_t tokens, bytes; /* before it */
} Cut;

/* Where a document is cut so that about `fraction` of it follows: at the last border of tokens before that place which follows a
 * line break; without one in the tenth of the text before it, at one before a space, and without that, between two characters. */
static lmu_status cut_find(Preparing *p, const SpoolRecord *record, Cut *out)
{
    int64_t target = (int64_t)((double)record->bytes * (1 - p->fraction)), least = target - target / 10;
    Cut line = {0}, space = {0}, other = {0}, at = {0};
    bool line_ended = false;
    for (; at.tokens < record->tokens && (at.bytes <= target || other.bytes == 0); at.tokens++) {
        uint32_t id;
        size_t length;
        TRY(spool_read(p->spool, &id, 1));
        const char *bytes = tokenizer_bytes(p->tokenizer, id, &length);
        if (at.bytes > 0 && line_ended)
            line = at;
        if (at.bytes > 0 && bytes[0] == ' ')
            space = at;
        if (at.bytes > 0 && ((unsigned char)bytes[0] & 0xC0) != 0x80)
            other = at;
        line_ended = bytes[length - 1] == '\n';
        at.bytes += (int64_t)length;
    }
    *out = line.bytes > 0 && line.bytes >= least ? line : space.bytes > 0 && space.bytes >= least ? space : other;
    return LMU_OK;
}

static lmu_status single_write(Preparing *p)
{
    SpoolRecord record;
    bool found;
    Cut cut;
    for (int pass = 0; pass < 2; pass++) {
        TRY(spool_rewind(p->spool));
        TRY(spool_next(p->spool, &record, &found));
        while (record.mark != MARK_INPUT) {
            TRY(spool_pass(p->spool, record.tokens));
            TRY(spool_next(p->spool, &record, &found));
        }
        if (pass == 0)
            TRY(cut_find(p, &record, &cut));
    }
    if (cut.bytes == 0)
        return error_set(LMU_USAGE, "the only document has %" PRId64 " bytes: too short to hold out a part of it",
                         record.bytes);
    int64_t rest = record.bytes - cut.bytes;
    progress_say(p->progress,
                 "There is one document, so its last %.1f%% (%" PRId64 " of %" PRId64 " bytes) are held out.",
                 100.0 * (double)rest / (double)record.bytes, rest, record.bytes);
    TRY(document_write(p, cut.tokens, cut.bytes, SIDE_TRAIN));
    return document_write(p, record.tokens - cut.tokens, rest, SIDE_VALID);
}

/* ---- the whole ---- */

/* The message about a document that was skipped, of the first fault that has one. */
static const char *first_skipped(const Preparing *p)
{
    for (int fault = 0; fault < CORPUS_FAULTS; fault++)
        if (p->result.skipped[fault].count > 0)
            return p->result.skipped[fault].first;
    return "";
}

static lmu_status sides_write(Preparing *p)
{
    const PrepareOptions *options = p->options;
    TRY(corpus_spool(p, options->inputs, options->input_count, MARK_INPUT));
    if (options->valid_count > 0)
        TRY(corpus_spool(p, options->valid_inputs, options->valid_count, MARK_VALID));
    if (p->documents == 0)
        return error_set(LMU_FORMAT, "no document of the inputs can be read; the first: %s", first_skipped(p));
    if (options->valid_count == 0 && p->documents == 1)
        return single_write(p);
    if (options->valid_count == 0) {
        p->held_out = llround((double)p->documents * p->fraction);
        p->held_out = p->held_out < 1 ? 1 : p->held_out;
        p->held_out = p->held_out > p->documents - 1 ? p->documents - 1 : p->held_out;
    }
    TRY(documents_write(p));
    if (p->result.valid.documents == 0)
        return error_set(LMU_FORMAT, "no held-out document is left: they cannot be read, or all are training text too");
    return LMU_OK;
}

/* A text that is there twice would be learned and then held out. */
static lmu_status repeats_refuse(const PrepareOptions *options)
{
    Corpus *inputs, *valid = NULL;
    TRY(corpus_open(options->inputs, options->input_count, &inputs));
    lmu_status status = LMU_OK;
    if (options->valid_count > 0)
        status = corpus_open(options->valid_inputs, options->valid_count, &valid);
    if (status == LMU_OK)
        status = corpus_refuse_repeats(inputs, valid);
    corpus_close(inputs);
    corpus_close(valid);
    return status;
}

static lmu_status preparing_open(Preparing *p)
{
    if (!p->options->deduplicate)
        TRY(repeats_refuse(p->options));
    if (tokenizer_end_of_text(p->tokenizer) < 0)
        return error_set(LMU_USAGE, "the tokenizer has no special token %s to put after each document",
                         TOKENIZER_END_OF_TEXT);
    if (!(p->options->valid_fraction >= 0 && p->options->valid_fraction < 1))
        return error_set(LMU_USAGE, "a held-out fraction of %g: it lies between 0 and 1", p->options->valid_fraction);
    p->fraction = p->options->valid_fraction > 0 ? p->options->valid_fraction : 0.05;
    p->threads = p->options->threads > 0 ? p->options->threads : machine_threads(NULL, 0);
    p->batch[0].whole = p->batch[1].whole = pieces_change_ids(p->tokenizer, p->options->specials);
    TRY(memory_new(&p->encoder, (size_t)p->threads, sizeof *p->encoder, "the encoders"));
    for (int i = 0; i < p->threads; i++) {
        TRY(encoder_open(p->tokenizer, &p->encoder[i]));
        encoder_watch(p->encoder[i], p->progress);
    }
    TRY(place_open(p));
    TRY(spool_open(p->fresh, tokenizer_size(p->tokenizer), &p->spool));
    TRY(shard_begin(p, SIDE_TRAIN, PREPARE_TRAIN));
    return shard_begin(p, SIDE_VALID, PREPARE_VALID);
}

static lmu_status preparing_finish(Preparing *p)
{
    TRY(shard_finish(p, SIDE_TRAIN));
    TRY(shard_finish(p, SIDE_VALID));
    char *path;
    TRY(path_join(p->fresh, PREPARE_TOKENIZER, &path));
    lmu_status status = tokenizer_save(p->tokenizer, path);
    free(path);
    TRY(status);
    TRY(interrupted(p));
    TRY(place_check(p->options->out)); /* again: it may have changed while we worked */
    return directory_replace(p->fresh, p->options->out);
}

lmu_status prepare_check(const char *directory)
{
    static const char *const names[] = {PREPARE_TRAIN, PREPARE_VALID, PREPARE_TOKENIZER};
    if (!file_is_directory(directory))
        return error_set(LMU_IO, "%s: there is no such directory; one that lmu prepare wrote is expected",
                         *directory ? directory : "\"\"");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!directory_holds(directory, names[i]))
            return error_set(LMU_IO, "%s: has no %s; a directory that lmu prepare wrote is expected", directory,
                             names[i]);
    return LMU_OK;
}

lmu_status prepare_run(const PrepareOptions *options, const Tokenizer *tokenizer, Progress *progress,
                       PrepareResult *result)
{
    lmu_status status;
    Preparing p = {.options = options, .tokenizer = tokenizer, .progress = progress, .lock = -1};
    ATTEMPT(preparing_open(&p));
    ATTEMPT(sides_write(&p));
    ATTEMPT(preparing_finish(&p));
    *result = p.result;
done:
    preparing_close(&p);
    return status;
}
