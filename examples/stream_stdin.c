/* Reads standard input without end, in constant memory, and tells after each piece how much of it was read. With a state FILE it goes on
 * where the last one ended.
 *
 *     cc stream_stdin.c $(pkg-config --cflags --libs lmu) -o stream_stdin
 *     tail -f log | ./stream_stdin RUN state.safetensors                                                                   */
#include <lmu.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void check(lmu_status status)
{
    if (status != LMU_OK) {
        fprintf(stderr, "stream_stdin: %s\n", lmu_error_message());
        exit(1);
    }
}

int main(int argc, char **argv)
{
    lmu_model *model;
    lmu_stream *stream;
    lmu_text *text;
    const uint32_t *ids;
    size_t count;
    char bytes[4096];
    ssize_t size;
    if (argc != 3) {
        fprintf(stderr, "usage: stream_stdin RUN STATE\n");
        return 2;
    }
    check(lmu_model_open(argv[1], NULL, &model));
    check(lmu_stream_open(model, &stream));
    check(lmu_text_open(model, 0, &text));
    if (access(argv[2], F_OK) == 0)
        check(lmu_stream_load(stream, text, argv[2]));
    while ((size = read(STDIN_FILENO, bytes, sizeof bytes)) > 0) {
        check(lmu_text_push(text, bytes, (size_t)size, &ids, &count));
        check(lmu_stream_feed(stream, ids, count));
        printf("%lld tokens\n", (long long)lmu_stream_position(stream));
        fflush(stdout);
    }
    check(lmu_stream_save(stream, text, argv[2])); /* the text has not ended: more may come */

    lmu_text_close(text);
    lmu_stream_close(stream);
    lmu_model_close(model);
    return 0;
}
