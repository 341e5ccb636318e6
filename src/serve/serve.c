#include "serve/serve.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/machine.h"
#include "infer/memory_view.h"
#include "serve/page.h"
#include "serve/server.h"

#define WATCH_TIME 0.05 /* seconds between two looks */

static void pause_briefly(void)
{
    nanosleep(&(struct timespec){.tv_nsec = (long)(WATCH_TIME * 1e9)}, NULL);
}

static lmu_status server_open(Server *server, char *url, size_t size)
{
    const ServeSettings *settings = server->settings;
    char rest[UTF8_ROOM(256)];
    Utf8Stream stream = {.count = 0};
    size_t length = strlen(settings->name);
    if (length == 0 || length > 256 || utf8_push(&stream, settings->name, length, rest) != length ||
        memcmp(rest, settings->name, length) != 0)
        return error_set(LMU_USAGE, "the model's name has 1 to 256 bytes of UTF-8: --name gives it one");
    TRY(page_policy((const char *)page_html, page_html_size, &server->policy));
    if (settings->key_file)
        TRY(api_keys_open(settings->key_file, &server->keys));
    TRY(text_pool_open(server->engine->tokenizer, &server->texts));
    TRY(batch_open(server->engine, &settings->batch, &server->metrics, &server->batch));
    return http_open(server, url, size);
}

/* What works, but not all of it. */
static void warn(const Server *server)
{
    char line[256];
    size_t text = (batch_state_bytes(server->batch) + 2) / 3 * 4;
    if (text < server->settings->body_bytes || !server->hooks->log)
        return;
    snprintf(line, sizeof line, "a state of this model is %zu bytes as text: more than --body, so that none comes back",
             text);
    server->hooks->log(server->hooks->context, line);
}

/* Jobs end before connections, which may sleep on them; who answers needs the batch until then. */
static void server_close(Server *server)
{
    if (server->batch && server->daemon) {
        batch_cancel(server->batch);
        while (batch_jobs(server->batch) > 0)
            pause_briefly();
    }
    http_close(server);
    batch_close(server->batch);
    memory_view_close(server->memory);
    text_pool_close(server->texts);
    api_keys_close(server->keys);
    free(server->policy);
    pthread_mutex_destroy(&server->links_lock);
    pthread_mutex_destroy(&server->log_lock);
}

/* Until all requests are answered, or the time is over. */
static void wait_for_answers(Server *server, double until)
{
    while (atomic_load(&server->exchanges) > 0 && machine_seconds() < until) {
        http_watch(server);
        pause_briefly();
    }
}

lmu_status serve_run(Engine *engine, const ServeSettings *settings, const ServeHooks *hooks)
{
    static const double last_words = 1; /* seconds in which cancelled requests are told so */
    Server server = {.engine = engine, .settings = settings, .hooks = hooks, .created = (int64_t)time(NULL)};
    char url[320];
    pthread_mutex_init(&server.links_lock, NULL);
    pthread_mutex_init(&server.log_lock, NULL);
    lmu_status status = server_open(&server, url, sizeof url);
    if (status == LMU_OK) {
        warn(&server);
        hooks->ready(hooks->context, url);
        while (!atomic_load(hooks->interrupt)) {
            http_watch(&server);
            pause_briefly();
        }
        atomic_store(&server.draining, true);
        batch_drain(server.batch);
        wait_for_answers(&server, machine_seconds() + settings->deadline);
        batch_cancel(server.batch);
        wait_for_answers(&server, machine_seconds() + last_words);
    }
    server_close(&server);
    return status;
}
