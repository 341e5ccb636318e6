/* What a checkpoint's model gives for rows of token ids, for compare.py to hold against PyTorch: print_gradients CHECKPOINT IDS OUT
 *
 * IDS is a text file with a row a line, ids apart by spaces; a row of n + 1 ids is n tokens and their targets. Into the
 * directory OUT go outputs.safetensors, with the logits [N x V] and losses [N] of all rows, and gradients.safetensors, with the
 * gradient of the mean loss by each parameter. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "model/model.h"
#include "model/safetensors.h"
#include "op/op.h"

enum { ROW_LIMIT = 64, TOKEN_LIMIT = 1 << 16 };

typedef struct Batch {
    int rows;
    int64_t tokens, count[ROW_LIMIT];
    int32_t ids[TOKEN_LIMIT], targets[TOKEN_LIMIT];
} Batch;

static lmu_status batch_read(const char *path, Batch *batch)
{
    FILE *file = fopen(path, "r");
    char *line = NULL;
    size_t size = 0;
    if (!file)
        return error_set(LMU_IO, "%s cannot be read", path);
    while (batch->rows < ROW_LIMIT && getline(&line, &size, file) > 0) {
        int64_t *count = &batch->count[batch->rows++];
        char *at = line, *end;
        for (long id = strtol(at, &end, 10); end != at && batch->tokens < TOKEN_LIMIT;
             id = strtol(at = end, &end, 10)) {
            batch->ids[batch->tokens] = (int32_t)id;
            if (++*count > 1)
                batch->targets[batch->tokens - 1] = (int32_t)id;
            batch->tokens++;
        }
        if (--*count < 1) /* the last is a target alone */
            break;
        batch->tokens--;
    }
    free(line);
    fclose(file);
    return batch->rows > 0 && batch->count[batch->rows - 1] > 0
               ? LMU_OK
               : error_set(LMU_FORMAT, "%s: every line must hold two ids or more", path);
}

/* Logits of every token, which no graph of the program keeps. */
static lmu_status logits_run(Model *model, const Batch *batch, float *logits)
{
    Graph *g;
    int64_t shape[] = {model->config.vocabulary, model->config.dim};
    TRY(graph_open(model->backend, model->params, GRAPH_SCORE, batch->rows, batch->tokens, 0, &g));
    Tensor *embedding = graph_param(g, "embedding.weight", 2, shape, (Init){INIT_NORMAL, 0.02}, PARAM_TABLE);
    Tensor *result = op_linear(g, model->arch->build(g, &model->config, graph_ids(g), embedding), embedding, NULL);
    Run run = {.rows = batch->rows, .count = batch->count, .ids = batch->ids};
    lmu_status status;
    ATTEMPT(graph_plan(g, result));
    ATTEMPT(graph_run(g, &run));
    graph_get_f32(g, result, batch->tokens * model->config.vocabulary, logits);
done:
    graph_close(g);
    return status;
}

static lmu_status losses_run(Model *model, const Batch *batch, float *losses)
{
    Graph *g;
    Tensor *result;
    TRY(params_train(model->params));
    TRY(model_graph(model, GRAPH_TRAIN, batch->rows, batch->tokens, 0, &g, &result));
    Run run = {.rows = batch->rows,
               .count = batch->count,
               .ids = batch->ids,
               .targets = batch->targets,
               .first_micro_batch = true,
               .loss_scale = 1.0 / (double)batch->tokens};
    lmu_status status = graph_run(g, &run);
    if (status == LMU_OK)
        graph_get_f32(g, result, batch->tokens, losses);
    graph_close(g);
    return status;
}

static lmu_status print_all(Model *model, const Batch *batch, float *logits, float *losses, const char *directory)
{
    SafetensorsTensor tensors[] = {
        {.name = "logits",
         .type = SAFETENSORS_F32,
         .rank = 2,
         .shape = {batch->tokens, model->config.vocabulary},
         .data = logits},
        {.name = "losses", .type = SAFETENSORS_F32, .rank = 1, .shape = {batch->tokens}, .data = losses},
    };
    TRY(logits_run(model, batch, logits));
    TRY(losses_run(model, batch, losses));
    char *outputs = NULL, *gradients = NULL;
    ParamVector vector = {"", model->params->gradients};
    lmu_status status;
    ATTEMPT(path_join(directory, "outputs.safetensors", &outputs));
    ATTEMPT(path_join(directory, "gradients.safetensors", &gradients));
    ATTEMPT(safetensors_write(outputs, &(SafetensorsContent){.tensors = tensors, .count = 2}));
    status = params_save(model->params, &vector, 1, gradients);
done:
    free(outputs);
    free(gradients);
    return status;
}

static lmu_status run(char **argument)
{
    static Batch batch;
    Backend *backend = NULL;
    Model *model = NULL;
    float *logits = NULL, *losses = NULL;
    lmu_status status;
    ATTEMPT(batch_read(argument[1], &batch));
    ATTEMPT(backend_open(BACKEND_CPU, 0, false, &backend));
    ATTEMPT(model_load(backend, argument[0], &model));
    ATTEMPT(memory_new(&logits, (size_t)(batch.tokens * model->config.vocabulary), sizeof *logits, "logits"));
    ATTEMPT(memory_new(&losses, (size_t)batch.tokens, sizeof *losses, "losses"));
    ATTEMPT(print_all(model, &batch, logits, losses, argument[2]));
done:
    free(logits);
    free(losses);
    model_close(model);
    backend_close(backend);
    return status;
}

int main(int count, char **argument)
{
    if (count != 4) {
        fprintf(stderr, "usage: print_gradients CHECKPOINT IDS OUT\n");
        return 2;
    }
    if (run(argument + 1) != LMU_OK) {
        fprintf(stderr, "print_gradients: %s\n", lmu_error_message());
        return 1;
    }
    return 0;
}
