/* Corpora as documents, one after the other. An input is a file or a directory:
 *
 *     NAME.txt     one document, the bytes as they are
 *     NAME.jsonl   one document a line: an object whose field "text" is a string; blank lines are skipped
 *     NAME.*.zst   either of them, compressed with zstd
 *     DIRECTORY    every such file under it, in the order of the bytes of their paths; other files and names that start
 *                  with a dot are passed over
 *
 * Files are read as a stream: memory is needed for one document at a time. Messages name the file, the line where there are
 * lines, and what is wrong: no such file, an unknown ending, nothing in it, broken JSON, no field "text", no string, a NUL
 * byte (a binary file, or UTF-16), a zstd file that is damaged or truncated. */
#ifndef LMU_TEXT_CORPUS_H
#define LMU_TEXT_CORPUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

typedef struct Document {
    char *text; /* size bytes; the receiver's to free */
    size_t size;
} Document;

typedef struct Corpus Corpus;

/* Finds the files of the inputs, in the order given; fails if there is none. */
lmu_status corpus_open(char *const *inputs, size_t count, Corpus **out);
void corpus_close(Corpus *corpus); /* accepts NULL */

/* The next document; *out is zeroed (text NULL) at the end. A file that holds no document is an error. */
lmu_status corpus_next(Corpus *corpus, Document *out);
/* Back to the first document. */
void corpus_rewind(Corpus *corpus);

/* Bytes of files read so far and altogether, as they lie on disk. */
int64_t corpus_position(const Corpus *corpus);
int64_t corpus_size(const Corpus *corpus);

#endif
