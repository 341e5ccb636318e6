/* lmu: language models made of Legendre Memory Units. The public header of liblmu.
 *
 * It depends on nothing but the C standard library and compiles alone, in C and in C++.
 *
 *     lmu_model *model;                              a trained model, shared by any number of streams
 *     lmu_stream *stream;                            what it has read of one text: a state of constant size
 *     if (lmu_model_open("run", NULL, &model) != LMU_OK || lmu_stream_open(model, &stream) != LMU_OK)
 *         return complain(lmu_error_message());
 *     lmu_stream_feed(stream, ids, count);           as often as there is more of the text, in pieces of any size
 *     lmu_stream_logits(stream, logits);             of the token that comes next
 *
 * A stream's numbers rest on its ids and on the places where logits were asked for, to the bit, and neither on the pieces in
 * which the ids came nor on the streams beside it; logits asked for at other places differ by rounding only.
 *
 * Threads: any thread may call anything of any model. Calls that work with a model or its streams take turns, since each
 * uses all the threads that the model was given; two threads must not work with one stream, text or writer at the same time.
 *
 * What a function gives out through a pointer stands as it was when the function fails, or is NULL. Functions that take an object
 * to close it accept NULL. */
#ifndef LMU_H
#define LMU_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define LMU_API __attribute__((visibility("default")))
#else
#define LMU_API
#endif

#define LMU_VERSION "0.1.0"

/* What a function that can fail returns. The sentence that goes with a failure (what was wrong, where, what to do) is
 * read with lmu_error_message() on the same thread. */
typedef enum lmu_status {
    LMU_OK = 0,
    LMU_USAGE,       /* an option, argument or call that makes no sense: the caller's to mend */
    LMU_IO,          /* the operating system refused: missing file, no permission, disk full */
    LMU_FORMAT,      /* a file's content is not what it should be */
    LMU_MISMATCH,    /* two things that are each valid do not belong together (tokenizer and shard, ...) */
    LMU_MEMORY,      /* no memory, or more asked for than the machine has */
    LMU_NUMERIC,     /* a loss or state that is not finite */
    LMU_INTERRUPTED, /* stopped by the user; what was promised to be saved is saved */
} lmu_status;

/* The message of this thread's last failure; "" if there was none. Valid until the thread's next failure. */
LMU_API const char *lmu_error_message(void);

/* The library's version, LMU_VERSION of the build. */
LMU_API const char *lmu_version(void);

/* -- models ------------------------------------------------------------------------------------------------------------- */

typedef struct lmu_model lmu_model;

/* What products of matrices multiply. */
typedef enum lmu_compute {
    LMU_COMPUTE_AUTO, /* bfloat16 where the CPU multiplies it, else float */
    LMU_COMPUTE_F32,
    LMU_COMPUTE_BF16, /* LMU_USAGE where the CPU does not */
} lmu_compute;

/* Zeroed: the defaults. */
typedef struct lmu_model_options {
    int threads; /* 0: as many as the machine allows */
    lmu_compute compute;
} lmu_model_options;

/* Opens a trained model: a run of `lmu train` (its best checkpoint is taken) or a checkpoint's directory. `options` NULL: the
 * defaults. LMU_IO: there is none; LMU_FORMAT, LMU_MISMATCH: its files are not whole or do not belong together. */
LMU_API lmu_status lmu_model_open(const char *path, const lmu_model_options *options, lmu_model **out);
/* Its streams, texts and writers are closed before. */
LMU_API void lmu_model_close(lmu_model *model);

/* V: ids go from 0 to V - 1, and logits have as many numbers. */
LMU_API size_t lmu_model_vocabulary(const lmu_model *model);
/* "lmu", "transformer", ... */
LMU_API const char *lmu_model_architecture(const lmu_model *model);
/* The id that ends a text, and behind which every text begins; -1: the tokenizer has none. */
LMU_API int64_t lmu_model_end_of_text(const lmu_model *model);
/* SHA-256 of the model, 64 hexadecimal digits: what tells whose a saved state is. */
LMU_API lmu_status lmu_model_digest(lmu_model *model, const char **digest);
/* The bytes of a token, `size` of them, not always whole characters; NULL: an id outside the vocabulary. Live as long as the model. */
LMU_API const char *lmu_model_token(const lmu_model *model, uint32_t id, size_t *size);

/* -- streams ------------------------------------------------------------------------------------------------------------ */

typedef struct lmu_stream lmu_stream;

/* A stream that has read nothing. The model is borrowed. */
LMU_API lmu_status lmu_stream_open(lmu_model *model, lmu_stream **out);
LMU_API void lmu_stream_close(lmu_stream *stream);
/* Back to the start of a text. */
LMU_API void lmu_stream_reset(lmu_stream *stream);
/* A new stream that has read what this one has, and goes its own way from there. */
LMU_API lmu_status lmu_stream_branch(const lmu_stream *stream, lmu_stream **out);
/* Makes `to` what `from` is. LMU_USAGE: streams of two models. */
LMU_API lmu_status lmu_stream_copy(lmu_stream *to, const lmu_stream *from);
/* Ids read so far. */
LMU_API int64_t lmu_stream_position(const lmu_stream *stream);

/* Reads all of the ids, or none: LMU_USAGE names the first that is outside the vocabulary, or says that the text would be longer
 * than the model's context (a transformer without a window has one; a Legendre memory has none). */
LMU_API lmu_status lmu_stream_feed(lmu_stream *stream, const uint32_t *ids, size_t count);
/* The logits of the id behind all that was read into logits[V]: their softmax is the model's distribution. LMU_USAGE: nothing
 * was read yet. */
LMU_API lmu_status lmu_stream_logits(lmu_stream *stream, float *logits);
/* Reads the ids and gives the logits behind each of them into logits[count x V]. */
LMU_API lmu_status lmu_stream_feed_logits(lmu_stream *stream, const uint32_t *ids, size_t count, float *logits);

/* What one stream reads of a run with others. */
typedef struct lmu_part {
    lmu_stream *stream;
    const uint32_t *ids;
    size_t count;  /* 0 allowed */
    float *logits; /* [V], of the id behind them; NULL: not wanted */
} lmu_part;
/* Lets streams of one model, all different, read together: each its own number of ids, in as few runs of the model as can be. Each is to
 * the bit what it would be alone. LMU_USAGE names the part that is refused; none has then read anything. */
LMU_API lmu_status lmu_streams_feed(const lmu_part *parts, size_t count);

/* -- text --------------------------------------------------------------------------------------------------------------- */

/* Text into ids as it comes, in pieces of any size: ids come out as soon as no continuation can change them. They are those of
 * the whole text, wherever it was divided. Any bytes are text, UTF-8 or not. */
typedef struct lmu_text lmu_text;

/* `specials` not 0: text that spells a special token ("<|endoftext|>") becomes that token. The model is borrowed. */
LMU_API lmu_status lmu_text_open(lmu_model *model, int specials, lmu_text **out);
LMU_API void lmu_text_close(lmu_text *text);
/* Takes `size` bytes; *ids are those that are certain now, *count of them, possibly none. They stand until the text is used again. */
LMU_API lmu_status lmu_text_push(lmu_text *text, const char *bytes, size_t size, const uint32_t **ids, size_t *count);
/* The text ends here: the rest of its ids. Another text may follow. */
LMU_API lmu_status lmu_text_end(lmu_text *text, const uint32_t **ids, size_t *count);

/* -- writing ------------------------------------------------------------------------------------------------------------ */

/* How a text is gone on with. lmu_settings_default() gives what leaves the model's distribution alone. What changes it comes in
 * this order: bias, penalties, temperature, top_k, top_p, min_p; docs/cli.md tells of each at lmu generate. */
typedef struct lmu_bias {
    int32_t id;
    double bias; /* [-100, 100], added to the id's logit */
} lmu_bias;
typedef struct lmu_settings {
    double temperature;        /* >= 0; 0: always the likeliest */
    int64_t top_k;             /* 0: all */
    double top_p;              /* (0, 1]; 1: all */
    double min_p;              /* [0, 1]; 0: all */
    double repetition_penalty; /* [0.01, 100], of ids in prompt and output; 1: none */
    double presence_penalty;   /* [-2, 2], of ids in the output */
    double frequency_penalty;  /* [-2, 2], for each time */
    const lmu_bias *bias;
    size_t bias_count;
    uint64_t seed;           /* the same seed gives the same text, in whatever company */
    int64_t max_tokens;      /* >= 0 */
    const char *const *stop; /* stop_count strings, before which the text ends */
    size_t stop_count;
    int specials;     /* not 0: special tokens are written by their names */
    int alternatives; /* 0 to LMU_ALTERNATIVES likeliest ids, told with each token */
} lmu_settings;
#define LMU_ALTERNATIVES 20
LMU_API lmu_settings lmu_settings_default(void);

typedef enum lmu_finish {
    LMU_FINISH_NONE,        /* it goes on */
    LMU_FINISH_LENGTH,      /* max_tokens are chosen */
    LMU_FINISH_STOP,        /* a stop string came */
    LMU_FINISH_END_OF_TEXT, /* the id came that ends a text */
} lmu_finish;

typedef struct lmu_logprob {
    int32_t id;
    double logprob; /* nats, <= 0, of the model's own distribution */
} lmu_logprob;

/* What a token brought. */
typedef struct lmu_event {
    uint32_t id; /* to be fed to the stream, if it is to go on */
    const char *
        text; /* what is certain now: whole characters of UTF-8, `size` bytes, possibly none; stands until the next call */
    size_t size;
    double logprob; /* of the id */
    lmu_logprob alternatives[LMU_ALTERNATIVES];
    int alternatives_count;
    lmu_finish finish;
} lmu_event;

/* All that one text being written needs apart from its stream. */
typedef struct lmu_writer lmu_writer;

/* The settings are copied; NULL: the defaults. The model is borrowed. LMU_USAGE names what is out of its range. */
LMU_API lmu_status lmu_writer_open(lmu_model *model, const lmu_settings *settings, lmu_writer **out);
LMU_API void lmu_writer_close(lmu_writer *writer);
/* Ids of the prompt, which the repetition penalty asks for. */
LMU_API lmu_status lmu_writer_read(lmu_writer *writer, const uint32_t *ids, size_t count);
/* Chooses the id behind `position` ids (lmu_stream_position) from its logits[V]. LMU_USAGE: the text has ended. LMU_NUMERIC: the
 * logits are not finite. */
LMU_API lmu_status lmu_writer_next(lmu_writer *writer, const float *logits, int64_t position, lmu_event *event);

/* -- states ------------------------------------------------------------------------------------------------------------- */

/* Writes what a stream has read to a file, atomically, with the text (NULL: none) in whose pieces it came. Another process with the same
 * model loads it and goes on with the same bits. The format is in docs/formats.md: a safetensors file. */
LMU_API lmu_status lmu_stream_save(lmu_stream *stream, const lmu_text *text, const char *path);
/* The same bytes into memory; lmu_free(*data). */
LMU_API lmu_status lmu_stream_export(lmu_stream *stream, const lmu_text *text, void **data, size_t *size);
/* Puts the stream and the text, NULL if none was saved, where the saved ones stood. The bytes may come from anywhere: format,
 * sizes and numbers are checked before anything is touched. LMU_MISMATCH: the state of another model. */
LMU_API lmu_status lmu_stream_load(lmu_stream *stream, lmu_text *text, const char *path);
LMU_API lmu_status lmu_stream_import(lmu_stream *stream, lmu_text *text, const void *data, size_t size);

LMU_API void lmu_free(void *data);

#ifdef __cplusplus
}
#endif
#endif
