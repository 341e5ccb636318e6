/* Planning: which steps run, and which again, which gradients are stored or added, and where every buffer lies.
 *
 * A buffer lives from the step that first writes it to the last that reads it. Buffers are placed by size, largest first, each at
 * the lowest address where it meets no placed buffer that lives at the same time. Two kinds of sharing come before that: an
 * operator whose `in_place` is set writes its output over its first input when nothing reads that value later, and one whose
 * `gradient_in_place` is set turns its output's gradient into that of its first input when it is the first writer of it. */
#include <stdlib.h>
#include <string.h>

#include "tensor/graph_internal.h"

#define END_OF_RUN (1 << 30)

static Buffer *plan_buffer(Graph *g, const Tensor *tensor, bool half, int first)
{
    Buffer *buffer = arena_alloc(g->arena, 1, sizeof *buffer);
    if (!buffer)
        return NULL;
    int64_t numbers = tensor_stride(tensor), extent = tensor->lead == LEAD_NONE ? 1 : tensor->shape[0];
    if (numbers < 0 || __builtin_mul_overflow(numbers, extent, &numbers) || numbers > INT64_MAX / 1024) {
        error_set(LMU_MEMORY, "no memory for a tensor of %lld x %lld numbers", (long long)extent,
                  (long long)tensor_stride(tensor));
        return NULL;
    }
    buffer->bytes = (size_t)numbers * (tensor->integer ? sizeof(int32_t)
                                       : half          ? sizeof(uint16_t)
                                                       : g->backend->real_size);
    buffer->bytes = (buffer->bytes + 63) / 64 * 64;
    buffer->first = buffer->last = first;
    buffer->integer = tensor->integer;
    buffer->next = g->buffers;
    g->buffers = buffer;
    return buffer;
}

static void buffer_live(Buffer *buffer, int step)
{
    if (buffer && step > buffer->last)
        buffer->last = step;
}

/* Marks the tensors whose gradient is wanted, in building order. */
static void plan_wanted(Graph *g)
{
    for (Tensor *tensor = g->tensors; tensor; tensor = tensor->next) {
        bool learnt = tensor->kind == TENSOR_PARAM && tensor->param->role != PARAM_COUNTS;
        tensor->wanted = g->mode == GRAPH_TRAIN && (learnt || tensor->differentiable);
    }
    for (Node *node = g->first; node; node = node->next)
        for (int i = 0; i < node->inputs; i++)
            node->out->wanted = node->out->wanted || node->in[i]->wanted;
}

/* Marks (in backward_step) the nodes on a path to the result, and refuses those that cannot be differentiated. */
static lmu_status plan_reached(Graph *g)
{
    g->result->producer->backward_step = 0;
    for (Node *node = g->last; node; node = node->previous) {
        if (node->backward_step < 0 || !node->out->wanted) {
            node->backward_step = -1;
            continue;
        }
        if (!node->op->backward && !node->op->forms_gradient)
            return error_set(LMU_USAGE,
                             "operator %s has no backward pass, yet parameters lie behind it: it cannot be trained",
                             node->op->name);
        if (node->op->forms_gradient && node->out != g->result)
            return error_set(LMU_USAGE, "operator %s forms its own gradient: only the graph's result can be one",
                             node->op->name);
        for (int i = 0; i < node->inputs; i++)
            if (node->in[i]->producer && node->in[i]->wanted)
                node->in[i]->producer->backward_step = 0;
    }
    return LMU_OK;
}

static bool keeps_input(const Node *node, const Tensor *tensor)
{
    for (int i = 0; i < node->inputs; i++)
        if (node->in[i] == tensor && (node->op->keeps & KEEPS_INPUT(i)))
            return true;
    return false;
}

static bool reads(const Node *node, const Tensor *tensor)
{
    for (int i = 0; i < node->inputs; i++)
        if (node->in[i] == tensor)
            return true;
    return false;
}

/* True if the value is read outside its block. */
static bool value_leaves(const Node *node)
{
    for (const Node *reader = node->next; reader; reader = reader->next)
        if (reader->block != node->block && reads(reader, node->out))
            return true;
    return node->out->kept;
}

/* True if the backward pass, or a step that is run again for it, reads what the node's forward step writes. */
static bool needed_again(const Node *node)
{
    if (node->backward_step >= 0 && (node->saves > 0 || (node->op->keeps & KEEPS_OUTPUT)))
        return true;
    for (const Node *reader = node->next; reader; reader = reader->next)
        if ((reader->recompute_step >= 0 && reads(reader, node->out)) ||
            (reader->backward_step >= 0 && keeps_input(reader, node->out)))
            return true;
    return false;
}

/* Marks (in recompute_step) the nodes that run again. What leaves a block is kept, with what its node saves. The last block is
 * left as it is: all of it would be computed again, and live, as soon as the loss is. (Only logits of a large vocabulary may
 * then be the peak, by less than a tenth of the whole for 50,257 tokens.) */
static void plan_recomputed(Graph *g)
{
    if (!(g->flags & GRAPH_RECOMPUTE))
        return;
    for (Node *node = g->last; node; node = node->previous)
        if (node->block && node->block != g->blocks && !value_leaves(node) && needed_again(node))
            node->recompute_step = 0;
}

/* Before the first backward step of a block: its forward steps once more. */
static void plan_block_again(Graph *g, Node *node)
{
    int block = node->block;
    while (node->previous && node->previous->block == block)
        node = node->previous;
    for (; node && node->block == block; node = node->next) {
        if (node->recompute_step < 0)
            continue;
        node->recompute_step = g->step_count;
        g->steps[g->step_count++] = (Step){.node = node, .recompute = true};
    }
}

static lmu_status plan_steps(Graph *g)
{
    size_t nodes = 0;
    int again = 0; /* the block whose turn it is */
    for (Node *node = g->first; node; node = node->next)
        nodes++;
    TRY(memory_new(&g->steps, 3 * nodes, sizeof *g->steps, "a plan"));
    for (Node *node = g->first; node; node = node->next) {
        node->forward_step = g->step_count;
        g->steps[g->step_count++] = (Step){.node = node};
    }
    for (Node *node = g->last; node; node = node->previous) {
        if (node->backward_step < 0)
            continue;
        if (node->op->forms_gradient) {
            node->backward_step = node->forward_step;
            continue;
        }
        if (node->block && node->block != again)
            plan_block_again(g, node);
        again = node->block;
        node->backward_step = g->step_count;
        g->steps[g->step_count++] = (Step){.node = node, .backward = true};
    }
    return LMU_OK;
}

static bool lives_twice(const Tensor *tensor)
{
    return tensor->producer && tensor->producer->recompute_step >= 0;
}

/* The last step that reads a tensor's value: in its second life or, of a tensor that lives twice, in its first, which ends
 * with the forward pass. */
static int value_last_read(const Tensor *tensor, bool second)
{
    if (tensor->kept || tensor->kind == TENSOR_INPUT)
        return END_OF_RUN;
    const Node *producer = tensor->producer;
    bool backward = second || !lives_twice(tensor);
    int last = second ? producer->recompute_step : producer->forward_step;
    if (backward && (producer->op->keeps & KEEPS_OUTPUT) && producer->backward_step > last)
        last = producer->backward_step;
    for (const Node *node = producer->next; node; node = node->next) {
        if (!reads(node, tensor))
            continue;
        if (!second && node->forward_step > last)
            last = node->forward_step;
        if (backward && node->recompute_step > last)
            last = node->recompute_step;
        if (backward && keeps_input(node, tensor) && node->backward_step > last)
            last = node->backward_step;
    }
    return last;
}

/* One life of a node's output: in the memory of its first input, if it may lie there. */
static Buffer *plan_output(Graph *g, Node *node, bool second)
{
    Tensor *from = node->inputs > 0 ? node->in[0] : NULL, *out = node->out;
    int step = second ? node->recompute_step : node->forward_step;
    bool share = node->op->in_place && from->kind == TENSOR_ACTIVATION && from->lead == out->lead &&
                 from->half == out->half && tensor_stride(from) == tensor_stride(out) &&
                 value_last_read(from, second && lives_twice(from)) == step && !(g->flags & GRAPH_NO_REUSE);
    Buffer *buffer = !share                               ? plan_buffer(g, out, out->half, step)
                     : second && from->recomputed != NULL ? from->recomputed
                                                          : from->buffer;
    buffer_live(buffer, value_last_read(out, second));
    return buffer;
}

/* The lives of what a node writes in its forward step. */
static lmu_status plan_value(Graph *g, Node *node)
{
    bool twice = node->recompute_step >= 0;
    if (!(node->out->buffer = plan_output(g, node, false)) ||
        (twice && !(node->out->recomputed = plan_output(g, node, true))))
        return LMU_MEMORY;
    for (int i = 0; i < node->saves; i++) {
        Tensor *saved = node->saved[i];
        if (!(saved->buffer = plan_buffer(g, saved, false, node->forward_step)) ||
            (twice && !(saved->recomputed = plan_buffer(g, saved, false, node->recompute_step))))
            return LMU_MEMORY;
        buffer_live(twice ? saved->recomputed : saved->buffer, node->backward_step);
    }
    return LMU_OK;
}

static lmu_status plan_values(Graph *g)
{
    for (Tensor *tensor = g->tensors; tensor; tensor = tensor->next)
        if (tensor->kind == TENSOR_INPUT) {
            if (!(tensor->buffer = plan_buffer(g, tensor, false, -1)))
                return LMU_MEMORY;
            tensor->buffer->last = END_OF_RUN;
        }
    for (Node *node = g->first; node; node = node->next)
        TRY(plan_value(g, node));
    return LMU_OK;
}

static ParamUse *param_use(const Graph *g, const Param *param)
{
    ParamUse *use = g->uses;
    while (use->param != param)
        use = use->next;
    return use;
}

/* One gradient that a step writes: stored if it is the first write, else added. */
static lmu_status plan_gradient(Graph *g, int index, int i)
{
    Step *step = &g->steps[index];
    Node *node = step->node;
    Tensor *in = node->in[i];
    if (!in->wanted)
        return LMU_OK;
    if (in->kind == TENSOR_PARAM) {
        ParamUse *use = param_use(g, in->param);
        step->add[i] = use->first_write >= 0;
        use->first_write = step->add[i] ? use->first_write : index;
        use->last_write = index;
        return LMU_OK;
    }
    step->add[i] = in->gradient != NULL;
    if (!in->gradient) {
        bool share = i == 0 && node->op->gradient_in_place && in->kind == TENSOR_ACTIVATION &&
                     in->lead == node->out->lead && tensor_stride(in) == tensor_stride(node->out) &&
                     in->half_gradient == node->out->half_gradient && node->out->gradient->last <= index &&
                     !(g->flags & GRAPH_NO_REUSE);
        in->gradient = share ? node->out->gradient : plan_buffer(g, in, in->half_gradient, index);
        if (!in->gradient)
            return LMU_MEMORY;
    }
    int read = in->producer && in->producer->backward_step >= 0 && !in->kept ? in->producer->backward_step : END_OF_RUN;
    buffer_live(in->gradient, index);
    buffer_live(in->gradient, read);
    return LMU_OK;
}

static lmu_status plan_gradients(Graph *g)
{
    Node *last = g->result->producer;
    if (!last->op->forms_gradient && last->backward_step >= 0) {
        if (!(g->result->gradient = plan_buffer(g, g->result, false, last->forward_step)))
            return LMU_MEMORY;
        buffer_live(g->result->gradient, last->backward_step);
    }
    for (int index = 0; index < g->step_count; index++) {
        const Step *step = &g->steps[index];
        if (!step->backward && !(step->node->op->forms_gradient && step->node->backward_step >= 0))
            continue;
        for (int i = 0; i < step->node->inputs; i++)
            TRY(plan_gradient(g, index, i));
    }
    return LMU_OK;
}

static int buffer_larger(const void *a, const void *b)
{
    const Buffer *x = *(Buffer *const *)a, *y = *(Buffer *const *)b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    return x->first != y->first ? (x->first > y->first ? 1 : -1) : 0;
}

static int buffer_lower(const void *a, const void *b)
{
    const Buffer *x = *(Buffer *const *)a, *y = *(Buffer *const *)b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* The lowest offset where `buffer` fits among the `count` placed ones that live at the same time. */
static size_t place_buffer(const Graph *g, const Buffer *buffer, Buffer **placed, size_t count, Buffer **scratch)
{
    size_t meets = 0, offset = 0;
    for (size_t i = 0; i < count; i++)
        if ((g->flags & GRAPH_NO_REUSE) || (placed[i]->first <= buffer->last && buffer->first <= placed[i]->last))
            scratch[meets++] = placed[i];
    qsort(scratch, meets, sizeof *scratch, buffer_lower);
    for (size_t i = 0; i < meets; i++) {
        if (offset + buffer->bytes <= scratch[i]->offset)
            break;
        size_t end = scratch[i]->offset + scratch[i]->bytes;
        offset = end > offset ? end : offset;
    }
    return offset;
}

static lmu_status plan_memory(Graph *g)
{
    size_t count = 0;
    for (Buffer *buffer = g->buffers; buffer; buffer = buffer->next)
        count++;
    Buffer **order;
    TRY(memory_new(&order, 2 * count, sizeof *order, "a memory plan"));
    size_t filled = 0;
    for (Buffer *buffer = g->buffers; buffer; buffer = buffer->next)
        order[filled++] = buffer;
    qsort(order, count, sizeof *order, buffer_larger);
    for (size_t i = 0; i < count; i++) {
        order[i]->offset = place_buffer(g, order[i], order, i, order + count);
        size_t end = order[i]->offset + order[i]->bytes;
        g->memory_bytes = end > g->memory_bytes ? end : g->memory_bytes;
    }
    free(order);
    if (g->flags & GRAPH_OUTLINE)
        return LMU_OK;
    TRY(backend_alloc(g->backend, g->memory_bytes, &g->memory));
    for (const Node *node = g->first; node; node = node->next)
        if (node->derived)
            derived_want(node->derived);
    TRY(params_reserve(g->params));
    return backend_reserve(g->backend, g->workspace);
}

static lmu_status plan_constants(Graph *g)
{
    for (Tensor *tensor = g->tensors; tensor; tensor = tensor->next)
        if (tensor->kind == TENSOR_CONSTANT)
            g->constant_numbers += (tensor_stride(tensor) + 15) / 16 * 16;
    if (g->flags & GRAPH_OUTLINE)
        return LMU_OK;
    TRY(backend_alloc(g->backend, (size_t)g->constant_numbers * g->backend->real_size, &g->constants));
    int64_t offset = 0;
    for (Tensor *tensor = g->tensors; tensor; tensor = tensor->next) {
        if (tensor->kind != TENSOR_CONSTANT)
            continue;
        if (!(tensor->buffer = arena_alloc(g->arena, 1, sizeof *tensor->buffer)))
            return LMU_MEMORY;
        tensor->buffer->offset = (size_t)offset * g->backend->real_size;
        int64_t numbers = tensor_stride(tensor);
        KERNEL(g->backend, put_f64, numbers, tensor->constant, real_at(g->backend, g->constants, offset));
        offset += (numbers + 15) / 16 * 16;
    }
    return LMU_OK;
}

lmu_status graph_plan(Graph *g, Tensor *result)
{
    TRY(graph_status(g));
    if (!result || !result->producer)
        return error_set(LMU_USAGE, "a graph needs an operator's output as its result");
    g->result = result;
    result->kept = true;
    plan_wanted(g);
    plan_types(g);
    TRY(plan_reached(g));
    plan_recomputed(g);
    TRY(plan_steps(g));
    TRY(plan_values(g));
    TRY(plan_gradients(g));
    TRY(plan_memory(g));
    TRY(plan_constants(g));
    g->planned = true;
    return LMU_OK;
}
