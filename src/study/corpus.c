/* The corpora of a study: found or prepared, and held to the SHA-256 that the study's file names. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "study/study.h"
#include "text/bpe_train.h"
#include "text/prepare.h"
#include "text/shard.h"

#define CORPUS_INPUTS 64

lmu_status study_corpus_describe(const Study *study, const char *name, StudyCorpus *corpus)
{
    char origin[512];
    const json_t *json = study_member(study, "corpora", name);
    json_t *digests;
    snprintf(origin, sizeof origin, "%s: corpora.%s", study->path, name);
    *corpus = (StudyCorpus){.name = name};
    TRY(json_get_integer(origin, json, "vocabulary", VOCABULARY_LEAST, VOCABULARY_MOST, &corpus->vocabulary));
    TRY(json_get_object(origin, json, "sha256", &digests));
    TRY(json_get_string(origin, digests, PREPARE_TRAIN, &corpus->digest));
    return json_get_string(origin, digests, PREPARE_VALID, &corpus->held_out);
}

void study_corpus_close(StudyCorpus *corpus)
{
    free(corpus->directory);
    memset(corpus, 0, sizeof *corpus);
}

/* -- preparing -- */

typedef struct Inputs {
    char *path[CORPUS_INPUTS];
    size_t count;
} Inputs;

static void inputs_free(Inputs *inputs)
{
    for (size_t i = 0; i < inputs->count; i++)
        free(inputs->path[i]);
}

/* The texts that the study's file lists under a key, below `place`. */
static lmu_status get_inputs(const char *origin, const json_t *json, const char *key, const char *place, Inputs *inputs)
{
    const json_t *array = json_object_get(json, key);
    size_t index;
    json_t *name;
    if (array && (!json_is_array(array) || json_array_size(array) > CORPUS_INPUTS))
        return error_set(LMU_FORMAT, "%s: key \"%s\" must be an array of at most %d files or folders", origin, key,
                         CORPUS_INPUTS);
    json_array_foreach(array, index, name) {
        if (!json_is_string(name))
            return error_set(LMU_FORMAT, "%s: key \"%s\": entry %zu is no string", origin, key, index + 1);
        TRY(path_join(place, json_string_value(name), &inputs->path[inputs->count]));
        inputs->count++;
    }
    return LMU_OK;
}

static lmu_status prepare_corpus(const Study *study, const StudyCorpus *corpus, const char *place,
                                 const char *directory, Progress *progress)
{
    char origin[512];
    const json_t *json = study_member(study, "corpora", corpus->name);
    Inputs train = {.count = 0}, valid = {.count = 0};
    Tokenizer *tokenizer = NULL;
    PrepareResult result;
    lmu_status status;
    snprintf(origin, sizeof origin, "%s: corpora.%s", study->path, corpus->name);
    ATTEMPT(get_inputs(origin, json, "train", place, &train));
    ATTEMPT(get_inputs(origin, json, "valid", place, &valid));
    if (train.count == 0) {
        status = error_set(LMU_USAGE, "%s: has no " PREPARE_TRAIN ", and %s lists no texts under \"train\" to prepare",
                           place, origin);
        goto done;
    }
    progress_say(progress, "preparing the corpus %s in %s", corpus->name, directory);
    ATTEMPT(tokenizer_train(train.path, train.count, corpus->vocabulary, 0, progress, &tokenizer));
    PrepareOptions options = {.inputs = train.path,
                              .input_count = train.count,
                              .valid_inputs = valid.path,
                              .valid_count = valid.count,
                              .out = directory};
    status = prepare_run(&options, tokenizer, progress, &result);
done:
    tokenizer_close(tokenizer);
    inputs_free(&train);
    inputs_free(&valid);
    return status;
}

/* -- checking -- */

static lmu_status check_digest(const Study *study, const StudyCorpus *corpus, const char *name, const char *expected)
{
    char *path, found[DIGEST_SIZE];
    TRY(path_join(corpus->directory, name, &path));
    lmu_status status = digest_file(path, found);
    if (status == LMU_OK && strcmp(found, expected) != 0)
        status =
            error_set(LMU_MISMATCH, "%s: has the SHA-256 %s, not %s as %s says for the corpus %s: it is other data",
                      path, found, expected, study->path, corpus->name);
    free(path);
    return status;
}

static lmu_status check_digests(const Study *study, const StudyCorpus *corpus)
{
    TRY(check_digest(study, corpus, PREPARE_TRAIN, corpus->digest));
    return check_digest(study, corpus, PREPARE_VALID, corpus->held_out);
}

static lmu_status count_held_out(StudyCorpus *corpus)
{
    char *path;
    Shard shard;
    TRY(path_join(corpus->directory, PREPARE_VALID, &path));
    lmu_status status = shard_open(path, &shard);
    free(path);
    if (status == LMU_OK) {
        corpus->held_out_tokens = shard.count;
        shard_close(&shard);
    }
    return status;
}

lmu_status study_corpus_open(const Study *study, const char *name, const char *place, const char *out,
                             Progress *progress, StudyCorpus *corpus)
{
    char *below = NULL, *shard = NULL;
    lmu_status status;
    TRY(study_corpus_describe(study, name, corpus));
    ATTEMPT(path_join(out, "corpora", &below));
    ATTEMPT(directory_make(below));
    ATTEMPT(path_join(place ? place : below, place ? PREPARE_TRAIN : name, &shard));
    bool given = place && file_exists(shard);
    if (given) {
        corpus->directory = strdup(place);
        status = corpus->directory ? LMU_OK : error_set(LMU_MEMORY, "no memory for a path");
    } else {
        status = path_join(below, name, &corpus->directory);
    }
    ATTEMPT(status);
    if (!file_is_directory(corpus->directory)) {
        status = place ? prepare_corpus(study, corpus, place, corpus->directory, progress)
                       : error_set(LMU_USAGE,
                                   "where is the corpus %s? Give --corpus %s=PATH, a prepared directory or the folder "
                                   "of its texts",
                                   name, name);
        ATTEMPT(status);
    }
    status = check_digests(study, corpus);
    if (status == LMU_MISMATCH && !given)
        directory_remove(corpus->directory); /* prepared here, from other texts: the right ones can take its place */
    ATTEMPT(status);
    status = count_held_out(corpus);
done:
    free(below);
    free(shard);
    if (status != LMU_OK)
        study_corpus_close(corpus);
    return status;
}
