#include "serve/byte_queue.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

void bytes_free(ByteQueue *queue)
{
    free(queue->data);
    *queue = (ByteQueue){0};
}

size_t bytes_size(const ByteQueue *queue)
{
    return queue->end - queue->start;
}

lmu_status bytes_put(ByteQueue *queue, const void *data, size_t size)
{
    if (queue->start > 0 && queue->end + size > queue->capacity) {
        memmove(queue->data, queue->data + queue->start, bytes_size(queue));
        queue->end -= queue->start;
        queue->start = 0;
    }
    TRY(memory_grow(&queue->data, &queue->capacity, queue->end + size, 1, "what is to be sent"));
    if (size > 0)
        memcpy(queue->data + queue->end, data, size);
    queue->end += size;
    return LMU_OK;
}

size_t bytes_take(ByteQueue *queue, void *out, size_t room)
{
    size_t size = bytes_size(queue) < room ? bytes_size(queue) : room;
    if (size > 0)
        memcpy(out, queue->data + queue->start, size);
    queue->start += size;
    if (queue->start == queue->end)
        queue->start = queue->end = 0;
    return size;
}

lmu_status bytes_put_event(ByteQueue *queue, const char *text)
{
    TRY(bytes_put(queue, "data: ", 6));
    TRY(bytes_put(queue, text, strlen(text)));
    return bytes_put(queue, "\n\n", 2);
}

lmu_status bytes_put_json(ByteQueue *queue, const json_t *value)
{
    char *text = value ? json_dumps(value, JSON_COMPACT | JSON_REAL_PRECISION(JSON_DIGITS)) : NULL;
    if (!text)
        return error_set(LMU_MEMORY, "no memory for an answer");
    lmu_status status = bytes_put_event(queue, text);
    free(text);
    return status;
}
