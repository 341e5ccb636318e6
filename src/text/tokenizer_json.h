/* Reading tokenizer.json in parts, for the files that do it. */
#ifndef LMU_TEXT_TOKENIZER_JSON_H
#define LMU_TEXT_TOKENIZER_JSON_H

#include "base/json.h"
#include "base/memory.h"
#include "text/vocabulary.h"

/* What a setting must be for us to read the file. */
typedef enum Demand {
    DEMAND_ANYTHING, /* it does not touch ids, or it is looked at elsewhere */
    DEMAND_NOTHING,  /* null, false, 0 or "" */
    DEMAND_BOOLEAN,  /* true or false */
} Demand;

typedef struct Setting {
    const char *key;
    Demand demand;
} Setting;

/* Holds every key of an object against the settings; a key that is not listed is refused unless it is null, false, 0 or "".
 * `where` is put before the key in messages. */
lmu_status settings_check(const char *path, const char *where, json_t *object, const Setting *setting, size_t count);
#define SETTINGS_CHECK(path, where, object, settings)                                                                  \
    settings_check(path, where, object, settings, sizeof(settings) / sizeof *(settings))

/* Reads everything but the vocabulary, the merges and the added tokens into parts; whatever would make ids differ from what the
 * file asks for is refused by name. */
lmu_status components_read(const char *path, json_t *root, json_t *model, TokenizerParts *parts);
/* The value that we write for the pre-tokenizer; NULL: no memory. */
json_t *pre_tokenizer_to_json(const Tokenizer *tokenizer);

/* Tokens and merges while they are read from a file. `vocab` and `added` are borrowed. */
typedef struct Reading {
    const char *path;
    json_t *vocab, *added;
    Arena *arena;          /* the tokens' bytes */
    Token *token;          /* by id */
    AddedToken *new_token; /* those of `added` */
    Merge *merge;
    TokenizerParts parts;
} Reading;

/* Reads the vocabulary and the added tokens. */
lmu_status tokens_read(Reading *r);
/* Both names of a merge, of these lengths, into the merge with this index. */
lmu_status merge_read_names(Reading *r, size_t index, const char *left, size_t left_length, const char *right,
                            size_t right_length);
lmu_status reading_open(Reading *r, const char *path);
void reading_close(Reading *r);

/* GPT-2's files: a vocabulary (vocab.json, encoder.json) and the merges beside it (merges.txt, vocab.bpe). */
lmu_status gpt2_open(const char *path, json_t *vocab, Tokenizer **out);

#endif
