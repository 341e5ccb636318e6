/* Which activations, and which of their gradients, are kept in bfloat16.
 *
 * Where products multiply bfloat16 their operands would be rounded on every use. Instead the operator that makes such a tensor
 * writes it rounded, if it can and if all who read it can read it so; it then takes half the memory, and half the time to
 * move. What an operator can do is said by fields of its row. Whatever nobody multiplies, the residual stream above all,
 * stays float. */
#include "tensor/graph_internal.h"

/* The operators that read a tensor: whether all can read it rounded, how many there are, and the last of them with the place it
 * reads it at. */
typedef struct Readers {
    bool half;
    int count, input;
    const Node *node;
} Readers;

static Readers tensor_readers(const Tensor *tensor)
{
    Readers readers = {.half = true};
    for (const Node *node = tensor->producer->next; node; node = node->next)
        for (int i = 0; i < node->inputs; i++) {
            if (node->in[i] != tensor)
                continue;
            readers.half = readers.half && (node->op->half_inputs & KEEPS_INPUT(i));
            readers.count++;
            readers.input = i;
            readers.node = node;
        }
    return readers;
}

void plan_types(Graph *g)
{
    if (g->mode != GRAPH_TRAIN || g->backend->compute != COMPUTE_BF16)
        return;
    for (Tensor *tensor = g->tensors; tensor; tensor = tensor->next) {
        if (tensor->kind != TENSOR_ACTIVATION || !tensor->producer || tensor->integer || tensor->kept)
            continue;
        const Operator *op = tensor->producer->op;
        Readers readers = tensor_readers(tensor);
        tensor->half = op->half_output && readers.count > 0 && readers.half;
        /* Gradients are added up in float: a rounded one has a single writer. */
        tensor->half_gradient = tensor->wanted && op->half_gradient && readers.count == 1 &&
                                (readers.node->op->half_gradients & KEEPS_INPUT(readers.input));
    }
}
