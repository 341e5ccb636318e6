/* Bytes that one side appends and the other takes, and events of a stream in them (server-sent events: WHATWG HTML, 9.2). */
#ifndef LMU_SERVE_BYTE_QUEUE_H
#define LMU_SERVE_BYTE_QUEUE_H

#include <jansson.h>
#include <stddef.h>

#include "base/error.h"

/* Start from a zeroed one. */
typedef struct ByteQueue {
    char *data;
    size_t start, end, capacity; /* what is there: [start, end) */
} ByteQueue;

void bytes_free(ByteQueue *queue); /* and zeroes it */
size_t bytes_size(const ByteQueue *queue);
lmu_status bytes_put(ByteQueue *queue, const void *data, size_t size);
/* Moves as much as is there, at most `room` bytes, to `out`; returns how much. */
size_t bytes_take(ByteQueue *queue, void *out, size_t room);

/* One event: "data: TEXT\n\n". The text has no line break: JSON that is written compactly never has. */
lmu_status bytes_put_event(ByteQueue *queue, const char *text);
/* The same of a JSON value. */
lmu_status bytes_put_json(ByteQueue *queue, const json_t *value);

#define EVENT_DONE "[DONE]" /* the text of the last event, as OpenAI ends its streams */
#define JSON_DIGITS 10      /* of real numbers in what we answer */

#endif
