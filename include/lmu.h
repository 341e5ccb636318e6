/* lmu: language models made of Legendre Memory Units. The public header of liblmu.
 *
 * It depends on nothing but the C standard library and compiles alone, in C and in C++. */
#ifndef LMU_H
#define LMU_H

#ifdef __cplusplus
extern "C" {
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
const char *lmu_error_message(void);

/* The library's version, LMU_VERSION of the build. */
const char *lmu_version(void);

#ifdef __cplusplus
}
#endif
#endif
