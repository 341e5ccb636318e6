/* Goes on from a prompt.
 *
 *     cc generate.c $(pkg-config --cflags --libs lmu) -o generate
 *     ./generate RUN 'It was a dark'                                                                                       */
#include <lmu.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(lmu_status status)
{
    if (status != LMU_OK) {
        fprintf(stderr, "generate: %s\n", lmu_error_message());
        exit(1);
    }
}

int main(int argc, char **argv)
{
    lmu_model *model;
    lmu_stream *stream;
    lmu_text *text;
    lmu_writer *writer;
    lmu_settings settings = lmu_settings_default();
    const uint32_t *ids;
    size_t count;
    if (argc != 3) {
        fprintf(stderr, "usage: generate RUN PROMPT\n");
        return 2;
    }
    settings.temperature = 0.8;
    settings.top_p = 0.95;
    settings.max_tokens = 100;
    check(lmu_model_open(argv[1], NULL, &model));
    check(lmu_stream_open(model, &stream));
    check(lmu_text_open(model, 0, &text));
    check(lmu_writer_open(model, &settings, &writer));

    check(lmu_text_push(text, argv[2], strlen(argv[2]), &ids, &count));
    check(lmu_stream_feed(stream, ids, count));
    check(lmu_text_end(text, &ids, &count));
    check(lmu_stream_feed(stream, ids, count));
    fputs(argv[2], stdout);

    float *logits = malloc(lmu_model_vocabulary(model) * sizeof *logits);
    lmu_event event = {0};
    while (logits && event.finish == LMU_FINISH_NONE) {
        check(lmu_stream_logits(stream, logits));
        check(lmu_writer_next(writer, logits, lmu_stream_position(stream), &event));
        fwrite(event.text, 1, event.size, stdout);
        fflush(stdout);
        check(lmu_stream_feed(stream, &event.id, 1));
    }
    putchar('\n');

    free(logits);
    lmu_writer_close(writer);
    lmu_text_close(text);
    lmu_stream_close(stream);
    lmu_model_close(model);
    return 0;
}
