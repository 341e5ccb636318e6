/* The daemon: connections, requests as they come in, answers as they go out. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/machine.h"
#include "base/memory.h"
#include "serve/server.h"

#define HTTP_THREADS 4
#define CONNECTION_MEMORY ((size_t)64 << 10) /* request line and headers of a request are in it */
#define STREAM_PART ((size_t)16 << 10)       /* bytes that are asked of a streaming answer at a time */
#define DISCARD_LIMIT ((size_t)64 << 20) /* bytes of a body that are read only so that the client reads our refusal */
#define GRACE 30.0                       /* seconds that an answer may take beyond --request-time to be read */

/* -- connections -------------------------------------------------------------------------------------------------------- */

static void link_add(Server *server, struct MHD_Connection *connection, void **context)
{
    Link *link;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (!info || memory_new(&link, 1, sizeof *link, "a connection") != LMU_OK)
        return; /* its first request is refused */
    link->fd = info->connect_fd;
    link->since = machine_seconds();
    pthread_mutex_lock(&server->links_lock);
    link->next = server->links;
    link->place = &server->links;
    if (link->next)
        link->next->place = &link->next;
    server->links = link;
    pthread_mutex_unlock(&server->links_lock);
    atomic_fetch_add(&server->metrics.connections, 1);
    *context = link;
}

/* The socket is still open: who finds a link in the list may use it. */
static void link_remove(Server *server, void **context)
{
    Link *link = *context;
    if (!link)
        return;
    pthread_mutex_lock(&server->links_lock);
    *link->place = link->next;
    if (link->next)
        link->next->place = link->place;
    pthread_mutex_unlock(&server->links_lock);
    atomic_fetch_sub(&server->metrics.connections, 1);
    free(link);
    *context = NULL;
}

static void notify_connection(void *context, struct MHD_Connection *connection, void **link,
                              enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED)
        link_add(context, connection, link);
    else
        link_remove(context, link);
}

bool link_left(const Link *link)
{
    struct pollfd look = {.fd = link->fd, .events = POLLRDHUP};
    return poll(&look, 1, 0) > 0 && (look.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

void http_watch(Server *server)
{
    const ServeSettings *settings = server->settings;
    double now = machine_seconds();
    bool changed = false;
    pthread_mutex_lock(&server->links_lock);
    for (Link *link = server->links; link; link = link->next) {
        double limit = link->busy ? settings->request_time + GRACE : settings->idle_time;
        if (now - link->since > limit)
            shutdown(link->fd, SHUT_RDWR);
        if (!link->job || link->job->cancel != CANCEL_NOT)
            continue;
        if (link_left(link))
            job_cancel(link->job, CANCEL_LEFT);
        else if (now - link->job->arrived > settings->request_time)
            job_cancel(link->job, CANCEL_TIME);
        changed = changed || link->job->cancel != CANCEL_NOT;
    }
    pthread_mutex_unlock(&server->links_lock);
    if (changed)
        batch_wake(server->batch);
}

/* -- a request begins --------------------------------------------------------------------------------------------------- */

static bool route_matches(const Route *route, const char *url, const char **word)
{
    size_t size = strlen(route->path);
    *word = "";
    if (size == 1 || route->path[size - 1] != '/')
        return strcmp(route->path, url) == 0;
    if (strncmp(route->path, url, size) != 0 || url[size] == '\0')
        return false;
    *word = url + size;
    return true;
}

static const char *header(const Exchange *exchange, const char *name)
{
    return MHD_lookup_connection_value(exchange->connection, MHD_HEADER_KIND, name);
}

static lmu_status refuse_method(Exchange *exchange, const char *method)
{
    const Route *route = exchange->route;
    if (strcmp(method, route->method) == 0 || (strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0))
        return LMU_OK;
    if (strcmp(method, "OPTIONS") == 0)
        return api_error_set(&exchange->error, 204, NULL, NULL, "%s", "");
    return api_error_set(&exchange->error, 405, NULL, NULL, "%.16s is not for %s: it takes %s", method, route->path,
                         route->method);
}

/* Whether a browser says that a page of another site sends the request. To addresses of plain http that are not this machine's own
 * browsers send Origin alone. */
static bool from_other_site(Exchange *exchange)
{
    const char *site = header(exchange, "Sec-Fetch-Site"), *origin = header(exchange, "Origin");
    const char *host = header(exchange, "Host"), *name = origin ? strstr(origin, "://") : NULL;
    if (site)
        return strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0;
    return origin && !(name && host && strcasecmp(name + 3, host) == 0);
}

/* Whether the request is refused by its headers alone. */
static lmu_status judge(Exchange *exchange, const char *method)
{
    const Server *server = exchange->server;
    ApiError *error = &exchange->error;
    const char *length = header(exchange, "Content-Length");
    if (!exchange->link)
        return api_error_set(error, 503, NULL, NULL, "No memory for the connection");
    if (!exchange->route)
        return api_error_set(error, 404, "not_found", NULL, "There is nothing at this address");
    TRY(refuse_method(exchange, method));
    if (server->keys && !exchange->route->open && !api_keys_accept(server->keys, header(exchange, "Authorization")))
        return api_error_set(error, 401, "invalid_api_key", NULL,
                             "No valid API key: send one of this server's in the header Authorization: Bearer KEY");
    if (exchange->route->works && from_other_site(exchange))
        return api_error_set(error, 403, NULL, NULL, "Pages of other sites may not use this server");
    if (exchange->route->works && server->draining)
        return api_error_set(error, 503, "shutting_down", NULL, "The server is shutting down");
    if (length && strtoull(length, NULL, 10) > server->settings->body_bytes)
        return api_error_set(error, 413, NULL, NULL, "The body has %.20s bytes; this server takes %zu", length,
                             server->settings->body_bytes);
    return LMU_OK;
}

/* What stands in a log stays on its line. */
static void write_name(Exchange *exchange, const char *method, const char *url)
{
    snprintf(exchange->request, sizeof exchange->request, "%.16s %s", method, url);
    for (char *c = exchange->request; *c; c++)
        if (*c < 0x20 || *c > 0x7e)
            *c = '?';
}

static Exchange *exchange_open(Server *server, struct MHD_Connection *connection, const char *url, const char *method)
{
    Exchange *exchange;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    const char *word = "";
    if (memory_new(&exchange, 1, sizeof *exchange, "a request") != LMU_OK)
        return NULL;
    exchange->server = server;
    exchange->connection = connection;
    exchange->link = info ? info->socket_context : NULL;
    exchange->began = machine_seconds();
    while (routes[exchange->place].path && !route_matches(&routes[exchange->place], url, &word))
        exchange->place++;
    exchange->route = routes[exchange->place].path ? &routes[exchange->place] : NULL;
    snprintf(exchange->word, sizeof exchange->word, "%s", word);
    write_name(exchange, method, url);
    atomic_fetch_add(&server->exchanges, 1);
    exchange->discards = judge(exchange, method) != LMU_OK;
    return exchange;
}

/* -- a request is answered ---------------------------------------------------------------------------------------------- */

static void add_header(struct MHD_Response *response, const char *name, const char *value)
{
    MHD_add_response_header(response, name, value);
}

/* Headers that go with a status or a route. */
static void add_headers(const Exchange *exchange, struct MHD_Response *response, const char *type)
{
    bool get = exchange->route && strcmp(exchange->route->method, "GET") == 0;
    if (type)
        add_header(response, "Content-Type", type);
    add_header(response, "X-Content-Type-Options", "nosniff");
    if (exchange->status == 200 && exchange->route->answer == routes[0].answer)
        add_header(response, "Content-Security-Policy", exchange->server->policy);
    else
        add_header(response, "Cache-Control", "no-store");
    if (exchange->status == 204 || exchange->status == 405)
        add_header(response, "Allow", get ? "GET, HEAD, OPTIONS" : "POST, OPTIONS");
    if (exchange->status == 401)
        add_header(response, "WWW-Authenticate", "Bearer");
    if (exchange->status == 429 || exchange->status == 503)
        add_header(response, "Retry-After", "1");
}

static enum MHD_Result queue_reply(Exchange *exchange, Reply *reply)
{
    struct MHD_Response *response =
        reply->text ? MHD_create_response_from_buffer(reply->size, reply->text, MHD_RESPMEM_MUST_FREE)
        : completions_streams(exchange) && reply->status == 200
            ? MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_PART, completions_read, exchange, NULL)
            : MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    if (!response) {
        free(reply->text);
        return MHD_NO;
    }
    exchange->status = reply->status;
    exchange->answered = true;
    add_headers(exchange, response, reply->type);
    enum MHD_Result result = MHD_queue_response(exchange->connection, reply->status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result queue_error(Exchange *exchange)
{
    const ApiError *error = &exchange->error;
    Reply reply = {.status = error->status};
    if (error->status != 204) {
        reply.type = "application/json";
        reply.text = api_error_text(error);
        if (!reply.text)
            return MHD_NO;
        reply.size = strlen(reply.text);
    }
    return queue_reply(exchange, &reply);
}

static void set_busy(Exchange *exchange)
{
    if (!exchange->link)
        return;
    pthread_mutex_lock(&exchange->server->links_lock);
    if (!exchange->link->busy)
        exchange->link->since = machine_seconds();
    exchange->link->busy = true;
    pthread_mutex_unlock(&exchange->server->links_lock);
}

static enum MHD_Result answer(Exchange *exchange)
{
    Reply reply = {0};
    set_busy(exchange);
    if (exchange->error.status != 0)
        return queue_error(exchange);
    lmu_status status = exchange->route->answer(exchange, &reply);
    if (status == LMU_OK && exchange->suspended)
        return MHD_YES;
    if (status == LMU_OK)
        return queue_reply(exchange, &reply);
    free(reply.text);
    api_error_take(&exchange->error, status, false, NULL);
    return queue_error(exchange);
}

/* A part of the body. False: so much is of no use that the connection is closed. */
static bool take_body(Exchange *exchange, const char *data, size_t size)
{
    size_t limit = exchange->server->settings->body_bytes;
    exchange->got += size;
    if (!exchange->discards && exchange->got > limit) {
        api_error_set(&exchange->error, 413, NULL, NULL, "The body has more than the %zu bytes that this server takes",
                      limit);
        exchange->discards = true;
    }
    if (exchange->discards) {
        bytes_free(&exchange->body);
        return exchange->got <= limit + DISCARD_LIMIT;
    }
    lmu_status status = bytes_put(&exchange->body, data, size);
    api_error_take(&exchange->error, status, false, NULL);
    exchange->discards = status != LMU_OK;
    return true;
}

static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *url, const char *method,
                              const char *version, const char *data, size_t *size, void **slot)
{
    Exchange *exchange = *slot;
    (void)version;
    if (!exchange) {
        *slot = exchange = exchange_open(context, connection, url, method);
        if (!exchange)
            return MHD_NO;
        /* A client that waits for our leave to send its body can be refused before. */
        return exchange->discards && header(exchange, "Expect") ? answer(exchange) : MHD_YES;
    }
    if (*size > 0) {
        bool goes_on = take_body(exchange, data, *size);
        *size = 0;
        return goes_on ? MHD_YES : MHD_NO;
    }
    return answer(exchange);
}

/* -- a request is over -------------------------------------------------------------------------------------------------- */

/* What the engine may still be writing is not looked at. */
static void describe_job(Job *job, char *out, size_t size)
{
    *out = '\0';
    pthread_mutex_lock(&job->lock);
    if (job->stage == JOB_OVER)
        snprintf(out, size, ", %lld tokens read, %lld written", (long long)job_tokens_read(job),
                 (long long)job_tokens_written(job));
    pthread_mutex_unlock(&job->lock);
}

static void log_exchange(Exchange *exchange)
{
    const ServeHooks *hooks = exchange->server->hooks;
    char line[256], job[80] = "";
    if (!hooks->log || (exchange->route && exchange->route->open) || exchange->status == 0)
        return;
    if (exchange->job)
        describe_job(exchange->job, job, sizeof job);
    snprintf(line, sizeof line, "%s %u%s, %.3f s", exchange->request, exchange->status, job,
             machine_seconds() - exchange->began);
    pthread_mutex_lock(&exchange->server->log_lock);
    hooks->log(hooks->context, line);
    pthread_mutex_unlock(&exchange->server->log_lock);
}

static void completed(void *context, struct MHD_Connection *connection, void **slot,
                      enum MHD_RequestTerminationCode code)
{
    Server *server = context;
    Exchange *exchange = *slot;
    (void)connection;
    if (!exchange)
        return;
    if (exchange->link) {
        pthread_mutex_lock(&server->links_lock);
        exchange->link->job = NULL;
        exchange->link->busy = false;
        exchange->link->since = machine_seconds();
        pthread_mutex_unlock(&server->links_lock);
    }
    if (exchange->job) {
        job_cancel(exchange->job, CANCEL_LEFT); /* which says nothing to a job that is over */
        batch_wake(server->batch);
    }
    if (code != MHD_REQUEST_TERMINATED_COMPLETED_OK)
        exchange->status = 499;
    metrics_request(&server->metrics, exchange->place, exchange->status);
    log_exchange(exchange);
    job_unref(exchange->job);
    memory_look_close(exchange->look);
    bytes_free(&exchange->body);
    free(exchange);
    *slot = NULL;
    atomic_fetch_sub(&server->exchanges, 1);
}

/* -- the daemon --------------------------------------------------------------------------------------------------------- */

/* A listening socket at the first address of the host that can be had. */
static lmu_status listen_at(const char *host, int port, int *out)
{
    struct addrinfo *list, hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    char service[16];
    int problem, fd = -1, reason = 0, yes = 1;
    snprintf(service, sizeof service, "%d", port);
    if ((problem = getaddrinfo(host, service, &hints, &list)) != 0)
        return error_set(LMU_IO, "--host %s: %s", host, gai_strerror(problem));
    for (const struct addrinfo *address = list; address && fd < 0; address = address->ai_next) {
        fd = socket(address->ai_family, address->ai_socktype | SOCK_CLOEXEC, address->ai_protocol);
        if (fd >= 0)
            setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
        if (fd >= 0 && bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, SOMAXCONN) == 0)
            break;
        reason = errno;
        if (fd >= 0)
            close(fd);
        fd = -1;
    }
    freeaddrinfo(list);
    if (fd < 0)
        return error_set(LMU_IO, "cannot listen on %s, port %d: %s%s", host, port, strerror(reason),
                         reason == EADDRINUSE ? "; --port chooses another, 0 any that is free" : "");
    *out = fd;
    return LMU_OK;
}

static void write_url(int fd, const char *host, char *url, size_t size)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    int port = 0;
    if (getsockname(fd, (struct sockaddr *)&address, &length) == 0)
        port = ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                                   : ((struct sockaddr_in *)&address)->sin_port);
    bool brackets = strchr(host, ':') != NULL;
    snprintf(url, size, "http://%s%s%s:%d", brackets ? "[" : "", host, brackets ? "]" : "", port);
}

lmu_status http_open(Server *server, char *url, size_t size)
{
    const ServeSettings *settings = server->settings;
    int fd = -1;
    TRY(listen_at(settings->host, settings->port, &fd));
    write_url(fd, settings->host, url, size);
    size_t count = 0;
    for (; routes[count].path; count++)
        server->metrics.route[count] = routes[count].path;
    server->metrics.route[count] = "other";
    server->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, handle, server,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_THREAD_POOL_SIZE, (unsigned)HTTP_THREADS, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)settings->connections, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)(settings->idle_time + 1),
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY, MHD_OPTION_NOTIFY_COMPLETED, completed, server,
        MHD_OPTION_NOTIFY_CONNECTION, notify_connection, server, MHD_OPTION_END);
    if (server->daemon)
        return LMU_OK;
    close(fd);
    return error_set(LMU_IO, "the HTTP server cannot start: too few threads or files are allowed");
}

void http_close(Server *server)
{
    if (server->daemon)
        MHD_stop_daemon(server->daemon);
    server->daemon = NULL;
}
