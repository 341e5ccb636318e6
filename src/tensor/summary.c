#include "tensor/summary.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "tensor/graph_internal.h"

/* Bytes that live at each step; the largest sum is the peak. */
static lmu_status find_peak(const Graph *g, PlanSummary *out)
{
    size_t *change, live = 0;
    TRY(memory_new(&change, (size_t)g->step_count + 1, sizeof *change, "a summary"));
    for (const Buffer *buffer = g->buffers; buffer; buffer = buffer->next) {
        change[buffer->first < 0 ? 0 : buffer->first] += buffer->bytes;
        if (buffer->last < g->step_count)
            change[buffer->last + 1] -= buffer->bytes; /* wraps round, and back where it is added */
    }
    for (int step = 0; step < g->step_count; step++) {
        live += change[step];
        if (live > out->peak_bytes) {
            out->peak_bytes = live;
            out->peak = step;
        }
    }
    free(change);
    return LMU_OK;
}

/* The step that writes a tensor's gradient first. */
static int gradient_written(const Graph *g, const Tensor *tensor)
{
    int written = g->step_count;
    for (const Node *node = g->first; node; node = node->next)
        for (int i = 0; i < node->inputs; i++)
            if (node->in[i] == tensor && node->backward_step >= 0 && node->backward_step < written)
                written = node->backward_step;
    return tensor == g->result ? tensor->producer->forward_step : written;
}

/* One tensor in `buffer`, written at step `written`: takes the place of one written before it in the same buffer. */
static void note(PlanSummary *out, const Buffer *buffer, int written, const Buffer **buffers, int *since,
                 PlannedBuffer tensor)
{
    if (!buffer || buffer->first > out->peak || buffer->last < out->peak || written > out->peak)
        return;
    size_t k = 0;
    while (k < out->count && buffers[k] != buffer)
        k++;
    if (k < out->count && since[k] > written)
        return;
    out->count += k == out->count;
    buffers[k] = buffer;
    since[k] = written;
    tensor.bytes = buffer->bytes;
    tensor.first = buffer->first < 0 ? 0 : buffer->first;
    tensor.last = buffer->last < out->steps ? buffer->last : out->steps - 1;
    out->live[k] = tensor;
}

static void note_all(const Graph *g, PlanSummary *out, const Buffer **buffers, int *since)
{
    for (const Tensor *tensor = g->tensors; tensor; tensor = tensor->next) {
        if (tensor->kind != TENSOR_INPUT)
            continue;
        note(out, tensor->buffer, -1, buffers, since, (PlannedBuffer){tensor, .kind = PLANNED_INPUT});
        note(out, tensor->gradient, gradient_written(g, tensor), buffers, since,
             (PlannedBuffer){tensor, .kind = PLANNED_GRADIENT});
    }
    for (const Node *node = g->first; node; node = node->next) {
        for (int i = -1; i < node->saves; i++) {
            const Tensor *tensor = i < 0 ? node->out : node->saved[i];
            PlannedBuffer value = {tensor, node, .kind = i < 0 ? PLANNED_VALUE : PLANNED_SAVED};
            note(out, tensor->buffer, node->forward_step, buffers, since, value);
            value.again = true;
            note(out, tensor->recomputed, node->recompute_step, buffers, since, value);
        }
        note(out, node->out->gradient, gradient_written(g, node->out), buffers, since,
             (PlannedBuffer){node->out, node, .kind = PLANNED_GRADIENT});
    }
}

static int by_size(const void *a, const void *b)
{
    const PlannedBuffer *x = a, *y = b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    return x->first != y->first ? (x->first > y->first ? 1 : -1) : (x->last > y->last) - (x->last < y->last);
}

static lmu_status find_live(const Graph *g, PlanSummary *out)
{
    const Buffer **buffers = NULL;
    int *since = NULL;
    size_t count = 0;
    lmu_status status;
    for (const Buffer *buffer = g->buffers; buffer; buffer = buffer->next)
        count++;
    ATTEMPT(memory_new(&buffers, count, sizeof *buffers, "a summary"));
    ATTEMPT(memory_new(&since, count, sizeof *since, "a summary"));
    ATTEMPT(memory_new(&out->live, count, sizeof *out->live, "a summary"));
    note_all(g, out, buffers, since);
    qsort(out->live, out->count, sizeof *out->live, by_size);
done:
    free(buffers);
    free(since);
    return status;
}

/* Bytes of the forms of parameters that the graph reads: packed or rounded weights. */
static size_t derived_total(const Graph *g)
{
    size_t total = 0;
    for (const Node *node = g->first; node; node = node->next) {
        const Node *other = g->first;
        while (other->derived != node->derived)
            other = other->next;
        if (node->derived && other == node)
            total += derived_bytes(node->derived);
    }
    return total;
}

lmu_status graph_summary(const Graph *g, int64_t length, PlanSummary *out)
{
    *out = (PlanSummary){.activations = g->memory_bytes,
                         .constants = (size_t)g->constant_numbers * g->backend->real_size,
                         .derived = derived_total(g),
                         .workspace = g->workspace,
                         .steps = g->step_count};
    for (int i = 0; i < g->step_count; i++) {
        const Step *step = &g->steps[i];
        out->forward += !step->backward && !step->recompute;
        if (!step->recompute)
            continue;
        out->repeated++;
        out->repeated_flops += step->node->op->flops ? step->node->op->flops(step->node, length) : 0;
    }
    TRY(find_peak(g, out));
    return find_live(g, out);
}

void plan_summary_free(PlanSummary *summary)
{
    free(summary->live);
    memset(summary, 0, sizeof *summary);
}

const char *step_direction(const Step *step)
{
    return step->backward ? "backward" : step->recompute ? "forward again" : "forward";
}
