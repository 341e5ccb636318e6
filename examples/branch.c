/* Reads a prompt once and goes on from it in several ways, all together: the streams branch, and each has a seed of its own.
 *
 *     cc branch.c $(pkg-config --cflags --libs lmu) -o branch
 *     ./branch RUN 'The king said'                                                                                         */
#include <lmu.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BRANCHES 4

static void check(lmu_status status)
{
    if (status != LMU_OK) {
        fprintf(stderr, "branch: %s\n", lmu_error_message());
        exit(1);
    }
}

typedef struct Branch {
    lmu_stream *stream;
    lmu_writer *writer;
    lmu_event event;
    float *logits;
    char output[4096];
    size_t size;
} Branch;

static void branch_next(Branch *b)
{
    check(lmu_writer_next(b->writer, b->logits, lmu_stream_position(b->stream), &b->event));
    if (b->event.size <= sizeof b->output - b->size) {
        memcpy(b->output + b->size, b->event.text, b->event.size);
        b->size += b->event.size;
    }
}

int main(int argc, char **argv)
{
    lmu_model *model;
    lmu_stream *prompt;
    lmu_text *text;
    const uint32_t *ids;
    size_t count;
    Branch branch[BRANCHES] = {0};
    if (argc != 3) {
        fprintf(stderr, "usage: branch RUN PROMPT\n");
        return 2;
    }
    check(lmu_model_open(argv[1], NULL, &model));
    check(lmu_stream_open(model, &prompt));
    check(lmu_text_open(model, 0, &text));
    check(lmu_text_push(text, argv[2], strlen(argv[2]), &ids, &count));
    check(lmu_stream_feed(prompt, ids, count));
    check(lmu_text_end(text, &ids, &count));
    check(lmu_stream_feed(prompt, ids, count));

    for (int i = 0; i < BRANCHES; i++) {
        lmu_settings settings = lmu_settings_default();
        settings.seed = (uint64_t)i;
        settings.max_tokens = 30;
        branch[i].logits = malloc(lmu_model_vocabulary(model) * sizeof *branch[i].logits);
        if (!branch[i].logits)
            return 1;
        check(lmu_stream_branch(prompt, &branch[i].stream));
        check(lmu_writer_open(model, &settings, &branch[i].writer));
        check(lmu_stream_logits(branch[i].stream, branch[i].logits));
        branch_next(&branch[i]);
    }
    for (;;) { /* all that go on read their last id together */
        lmu_part part[BRANCHES];
        int running[BRANCHES], parts = 0;
        for (int i = 0; i < BRANCHES; i++)
            if (branch[i].event.finish == LMU_FINISH_NONE) {
                running[parts] = i;
                part[parts++] = (lmu_part){branch[i].stream, &branch[i].event.id, 1, branch[i].logits};
            }
        if (parts == 0)
            break;
        check(lmu_streams_feed(part, (size_t)parts));
        for (int i = 0; i < parts; i++)
            branch_next(&branch[running[i]]);
    }
    for (int i = 0; i < BRANCHES; i++) {
        printf("%d: %s%.*s\n", i, argv[2], (int)branch[i].size, branch[i].output);
        free(branch[i].logits);
        lmu_writer_close(branch[i].writer);
        lmu_stream_close(branch[i].stream);
    }
    lmu_text_close(text);
    lmu_stream_close(prompt);
    lmu_model_close(model);
    return 0;
}
