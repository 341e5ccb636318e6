/* serve_load: many clients of a running `lmu serve` at a time, each with one stream after the other on a connection that it keeps.
 *
 *     serve_load --port 8080 --clients 20 --seconds 10
 *     serve_load --port 8080 --clients 20 --requests 10000 --tokens 4
 *
 * One JSON object: requests and errors, tokens a second, p50 and p99 of the time to the first token and between tokens, and the
 * server's resident memory before and after. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/field.h"
#include "base/machine.h"
#include "base/memory.h"

typedef struct LoadOptions {
    char *host, *prompt;
    int64_t port, clients, requests, tokens;
    double seconds;
} LoadOptions;

static const Field fields[] = {
    FIELD_STRING_OF(LoadOptions, host, "127.0.0.1", "ADDRESS", "of the server, in digits"),
    FIELD_STRING_OF(LoadOptions, prompt, "The ", "TEXT", "the prompt, as it stands in a JSON string"),
    FIELD_COUNT_OF(LoadOptions, port, "8080", 1, 65535, NULL, "of the server"),
    FIELD_COUNT_OF(LoadOptions, clients, "20", 1, 1000, NULL, "at a time"),
    FIELD_COUNT_OF(LoadOptions, requests, "0", 0, 1e9, NULL, "end after so many; 0: after --seconds"),
    FIELD_COUNT_OF(LoadOptions, tokens, "64", 1, 1e6, "tokens", "of each text"),
    {.name = "seconds",
     .type = FIELD_DURATION,
     .offset = offsetof(LoadOptions, seconds),
     .initial = "10",
     .low = 0.1,
     .high = 1e6,
     .unit = "time",
     .help = "begin requests for so long"},
};
static const FieldTable table = {"Options", fields, sizeof fields / sizeof *fields};

/* Times in seconds. */
typedef struct Times {
    double *value;
    size_t count, capacity;
} Times;

typedef enum Part { PART_HEAD, PART_SIZE, PART_DATA, PART_END } Part;

typedef struct Client {
    int fd;
    bool waits; /* for an answer */
    double sent, last;
    Part part;
    size_t rest;    /* bytes of the chunk */
    char line[512]; /* of the answer, or of an event */
    size_t used;
    bool ok, done; /* 200; [DONE] came */
    int64_t events;
} Client;

typedef struct Load {
    LoadOptions options;
    struct sockaddr_in address;
    Client *client;
    Times first, next;
    int64_t begun, finished, errors, events;
} Load;

static void note(Times *times, double value)
{
    if (memory_grow(&times->value, &times->capacity, times->count + 1, sizeof *times->value, "times") == LMU_OK)
        times->value[times->count++] = value;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double quantile(Times *times, double share)
{
    if (times->count == 0)
        return 0;
    qsort(times->value, times->count, sizeof *times->value, compare);
    return 1e3 * times->value[(size_t)(share * (double)(times->count - 1))];
}

static int dial(const Load *load)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    if (fd < 0 || connect(fd, (const struct sockaddr *)&load->address, sizeof load->address) != 0) {
        if (fd >= 0)
            close(fd);
        return -1;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    return fd;
}

/* The number behind a metric's name; -1: none. */
static double metric(const Load *load, const char *name)
{
    static char answer[1 << 16];
    static const char request[] = "GET /metrics HTTP/1.0\r\nHost: lmu\r\n\r\n";
    size_t used = 0;
    ssize_t got;
    int fd = dial(load);
    if (fd < 0 || write(fd, request, sizeof request - 1) < 0)
        return -1;
    while (used < sizeof answer - 1 && (got = read(fd, answer + used, sizeof answer - 1 - used)) > 0)
        used += (size_t)got;
    answer[used] = '\0';
    close(fd);
    char pattern[80];
    snprintf(pattern, sizeof pattern, "\n%s ", name);
    const char *place = strstr(answer, pattern);
    return place ? strtod(place + strlen(pattern), NULL) : -1;
}

static void fail(Load *load, Client *client)
{
    load->errors++;
    close(client->fd);
    client->fd = -1;
    client->waits = false;
}

static void begin(Load *load, Client *client)
{
    char body[2048], request[4096];
    int64_t number = load->begun++;
    if (client->fd < 0 && (client->fd = dial(load)) < 0) {
        load->errors++;
        usleep(1000);
        return;
    }
    snprintf(body, sizeof body, "{\"prompt\":\"%.1500s\",\"max_tokens\":%lld,\"seed\":%lld,\"stream\":true}",
             load->options.prompt, (long long)load->options.tokens, (long long)number);
    int size =
        snprintf(request, sizeof request, "POST /v1/completions HTTP/1.1\r\nHost: lmu\r\nContent-Length: %zu\r\n\r\n%s",
                 strlen(body), body);
    int fd = client->fd;
    *client = (Client){.fd = fd, .waits = true, .sent = machine_seconds()};
    if (write(fd, request, (size_t)size) != size)
        fail(load, client);
}

static void take_event(Load *load, Client *client)
{
    double now = machine_seconds();
    if (strncmp(client->line, "data: ", 6) != 0)
        return;
    if (strcmp(client->line + 6, "[DONE]") == 0) {
        client->done = true;
        return;
    }
    note(client->events == 0 ? &load->first : &load->next, now - (client->events == 0 ? client->sent : client->last));
    client->last = now;
    client->events++;
    load->events++;
}

/* A line is whole: of the head, the size of a chunk, or of an event. */
static void take_line(Load *load, Client *client)
{
    client->line[client->used < sizeof client->line ? client->used : sizeof client->line - 1] = '\0';
    size_t used = client->used;
    client->used = 0;
    if (client->part == PART_HEAD) {
        if (strncmp(client->line, "HTTP/1.1 200", 12) == 0)
            client->ok = true;
        if (used == 0)
            client->part = PART_SIZE;
    } else if (client->part == PART_SIZE && used > 0) {
        client->rest = strtoul(client->line, NULL, 16);
        client->part = client->rest > 0 ? PART_DATA : PART_END;
    } else if (client->part == PART_END)
        client->waits = false; /* the empty line behind the last chunk */
    else if (client->part == PART_DATA)
        take_event(load, client);
}

/* Events may go over chunks: their lines are kept apart from those of the sizes by where they end. */
static void take_bytes(Load *load, Client *client, const char *data, size_t size)
{
    for (size_t i = 0; i < size && client->waits; i++) {
        bool event = client->part == PART_DATA;
        if (data[i] == '\n')
            take_line(load, client);
        else if (data[i] != '\r') {
            if (client->used < sizeof client->line - 1)
                client->line[client->used] = data[i];
            client->used++;
        }
        if (event && --client->rest == 0)
            client->part = PART_SIZE;
    }
}

static void receive(Load *load, Client *client)
{
    char data[1 << 14];
    ssize_t got = read(client->fd, data, sizeof data);
    if (got <= 0) {
        fail(load, client);
        return;
    }
    take_bytes(load, client, data, (size_t)got);
    if (client->part > PART_HEAD && !client->ok)
        fail(load, client); /* a refusal: its body is of no interest */
    else if (!client->waits) {
        load->finished++;
        if (!client->done)
            load->errors++;
    }
}

static void run(Load *load)
{
    const LoadOptions *o = &load->options;
    struct pollfd look[1000];
    double until = machine_seconds() + o->seconds;
    for (;;) {
        int waiting = 0;
        bool more = o->requests > 0 ? load->begun < o->requests : machine_seconds() < until;
        for (int64_t i = 0; i < o->clients; i++) {
            Client *client = &load->client[i];
            if (!client->waits && more) {
                begin(load, client);
                more = o->requests == 0 || load->begun < o->requests;
            }
            look[i] = (struct pollfd){.fd = client->waits ? client->fd : -1, .events = POLLIN};
            waiting += client->waits;
        }
        if (waiting == 0 && !more)
            return;
        if (poll(look, (nfds_t)o->clients, 1000) < 0)
            return;
        for (int64_t i = 0; i < o->clients; i++)
            if (look[i].revents)
                receive(load, &load->client[i]);
    }
}

static lmu_status load_open(Load *load, int argc, char **argv, bool *help)
{
    FieldGroup group = {&table, &load->options};
    TRY(fields_init(&table, &load->options));
    TRY(fields_parse(&group, 1, argc, argv, help));
    load->address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)load->options.port)};
    if (inet_pton(AF_INET, load->options.host, &load->address.sin_addr) != 1)
        return error_set(LMU_USAGE, "--host: '%s' is no address", load->options.host);
    TRY(memory_new(&load->client, (size_t)load->options.clients, sizeof *load->client, "clients"));
    for (int64_t i = 0; i < load->options.clients; i++)
        load->client[i].fd = -1;
    return LMU_OK;
}

int main(int argc, char **argv)
{
    static Load load;
    bool help = false;
    if (load_open(&load, argc, argv, &help) != LMU_OK) {
        fprintf(stderr, "serve_load: %s\n", lmu_error_message());
        return 2;
    }
    if (help) {
        fields_help(stdout, &(FieldGroup){&table, &load.options}, 1);
        return 0;
    }
    double before = metric(&load, "process_resident_memory_bytes"), start = machine_seconds();
    if (before < 0) {
        fprintf(stderr, "serve_load: no server answers at %s, port %lld\n", load.options.host,
                (long long)load.options.port);
        return 1;
    }
    run(&load);
    double seconds = machine_seconds() - start;
    printf("{\"clients\": %lld, \"seconds\": %.2f, \"requests\": %lld, \"errors\": %lld, \"events\": %lld, "
           "\"events_per_second\": %.0f, \"first_p50_ms\": %.2f, \"first_p99_ms\": %.2f, \"next_p50_ms\": %.3f, "
           "\"next_p99_ms\": %.3f, \"resident_before\": %.0f, \"resident_after\": %.0f}\n",
           (long long)load.options.clients, seconds, (long long)load.finished, (long long)load.errors,
           (long long)load.events, (double)load.events / seconds, quantile(&load.first, 0.5),
           quantile(&load.first, 0.99), quantile(&load.next, 0.5), quantile(&load.next, 0.99), before,
           metric(&load, "process_resident_memory_bytes"));
    return load.errors > 0;
}
