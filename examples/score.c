/* How well a model knows a text: the surprise of a file, in nats a token and bits a byte.
 *
 *     cc score.c $(pkg-config --cflags --libs lmu) -lm -o score
 *     ./score RUN FILE                                                                                                     */
#include <lmu.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void check(lmu_status status)
{
    if (status != LMU_OK) {
        fprintf(stderr, "score: %s\n", lmu_error_message());
        exit(1);
    }
}

typedef struct Score {
    lmu_stream *stream;
    size_t vocabulary;
    float *logits; /* [V] behind the last id */
    double nats;
    long tokens;
} Score;

/* -ln p of an id under the logits. */
static double surprise(const float *logits, size_t vocabulary, uint32_t id)
{
    double largest = logits[0], sum = 0;
    for (size_t i = 1; i < vocabulary; i++)
        largest = logits[i] > largest ? logits[i] : largest;
    for (size_t i = 0; i < vocabulary; i++)
        sum += exp(logits[i] - largest);
    return log(sum) + largest - logits[id];
}

static void score(Score *s, const uint32_t *ids, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        s->nats += surprise(s->logits, s->vocabulary, ids[i]);
        s->tokens++;
        check(lmu_stream_feed_logits(s->stream, &ids[i], 1, s->logits));
    }
}

int main(int argc, char **argv)
{
    lmu_model *model;
    lmu_text *text;
    Score s = {0};
    char bytes[1 << 14];
    size_t size, count;
    double all = 0;
    const uint32_t *ids;
    if (argc != 3) {
        fprintf(stderr, "usage: score RUN FILE\n");
        return 2;
    }
    FILE *file = fopen(argv[2], "rb");
    if (!file) {
        perror(argv[2]);
        return 1;
    }
    check(lmu_model_open(argv[1], NULL, &model));
    check(lmu_stream_open(model, &s.stream));
    check(lmu_text_open(model, 0, &text));
    s.vocabulary = lmu_model_vocabulary(model);
    s.logits = malloc(s.vocabulary * sizeof *s.logits);
    if (!s.logits || lmu_model_end_of_text(model) < 0)
        return 1;
    uint32_t start = (uint32_t)lmu_model_end_of_text(model); /* behind which a text begins */
    check(lmu_stream_feed_logits(s.stream, &start, 1, s.logits));
    while ((size = fread(bytes, 1, sizeof bytes, file)) > 0) {
        all += (double)size;
        check(lmu_text_push(text, bytes, size, &ids, &count));
        score(&s, ids, count);
    }
    check(lmu_text_end(text, &ids, &count));
    score(&s, ids, count);
    if (s.tokens > 0)
        printf("%ld tokens, %.4f nats a token, %.4f bits a byte\n", s.tokens, s.nats / (double)s.tokens,
               s.nats / log(2) / all);

    fclose(file);
    free(s.logits);
    lmu_text_close(text);
    lmu_stream_close(s.stream);
    lmu_model_close(model);
    return 0;
}
