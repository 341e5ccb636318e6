/* Corpora as documents, one after the other. An input is a file or a directory:
 *
 *     NAME.txt     one document, the bytes as they are
 *     NAME.jsonl   one document a line: an object whose field "text" is a string; blank lines are skipped
 *     NAME.*.zst   either of them, compressed with zstd
 *     DIRECTORY    every such file under it, in the order of the bytes of their paths; other files and names that start
 *                  with a dot are passed over
 *
 * Files are read as a stream, and a long document comes in parts, so that memory is needed for some megabytes of text (for a
 * line of .jsonl: for the line). Messages name the file, the line where there are lines, and what is wrong. */
#ifndef LMU_TEXT_CORPUS_H
#define LMU_TEXT_CORPUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/progress.h"

/* A document or a part of one. Parts end where a cut changes no pre-token (pretoken_cut()), the same at every reading. */
typedef struct Document {
    char *text; /* size bytes; the receiver's to free */
    size_t size;
    bool continues; /* the next one is a further part of the same document */
    bool spoilt;    /* its last part, empty: the rest cannot be read, forget all of it (only after corpus_skip_bad()) */
} Document;

/* What can be wrong with a document or a file. */
typedef enum CorpusFault {
    CORPUS_UNREADABLE, /* a file that cannot be opened or read */
    CORPUS_DAMAGED,    /* a .zst file that is damaged, truncated or none */
    CORPUS_BINARY,     /* a .txt file with a NUL byte: a binary file, or UTF-16 */
    CORPUS_EMPTY,      /* a file that holds no document */
    CORPUS_NO_JSON,    /* a line that is no JSON, or holds half a surrogate pair or U+0000 */
    CORPUS_NO_FIELD,   /* a line that is no object with the field, or whose field is no string */
    CORPUS_FAULTS
} CorpusFault;

/* "lines that are not valid JSON": for a report. */
const char *corpus_fault_name(CorpusFault fault);

typedef struct Corpus Corpus;

/* Finds the files of the inputs, in the order given; fails if there is none. */
lmu_status corpus_open(char *const *inputs, size_t count, Corpus **out);
void corpus_close(Corpus *corpus); /* accepts NULL */

/* Fails (LMU_USAGE) if a file is read twice, by whatever names: by one of the two or by both. b may be NULL. */
lmu_status corpus_refuse_repeats(const Corpus *a, const Corpus *b);

/* How the corpus is read; each before the first document. */
void corpus_use_field(Corpus *corpus, const char *field);    /* instead of "text"; borrowed */
void corpus_skip_bad(Corpus *corpus);                        /* bad documents and files are counted, not errors */
void corpus_keep_whole(Corpus *corpus);                      /* documents come in one part, whatever their size */
void corpus_watch(Corpus *corpus, const Progress *progress); /* reading ends soon after an interruption; borrowed */

/* The next document or part; *out is zeroed (text NULL) at the end. */
lmu_status corpus_next(Corpus *corpus, Document *out);

/* How many documents and files were skipped for a fault, and the message about the first of them (borrowed; "" for none). */
int64_t corpus_skipped(const Corpus *corpus, CorpusFault fault, const char **first);

/* Bytes of files read so far and altogether, as they lie on disk. */
int64_t corpus_position(const Corpus *corpus);
int64_t corpus_size(const Corpus *corpus);

#endif
