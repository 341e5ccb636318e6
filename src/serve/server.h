/* What the files that serve share. */
#ifndef LMU_SERVE_SERVER_H
#define LMU_SERVE_SERVER_H

#include <microhttpd.h>

#include "serve/api_keys.h"
#include "serve/serve.h"

typedef struct Exchange Exchange;
typedef struct MemoryLook MemoryLook;

/* An answer, but for one that streams. */
typedef struct Reply {
    unsigned status;
    const char *type; /* Content-Type */
    char *text;       /* to be freed; NULL: none */
    size_t size;
} Reply;

typedef struct Route {
    const char *path; /* that which ends with / has one more word behind it, but for "/" itself */
    const char *method;
    bool open;  /* without a key, and not logged */
    bool works; /* is refused while the server shuts down */
    /* Fills the reply, or the exchange's error. */
    lmu_status (*answer)(Exchange *exchange, Reply *reply);
} Route;

/* A client's connection, from its beginning to its end. */
typedef struct Link {
    int fd;
    bool busy;    /* a whole request was brought */
    double since; /* when it was, or since when one is expected */
    Job *job;     /* of that request; the exchange's */
    struct Link *next, **place;
} Link;

typedef struct Server {
    Engine *engine;
    const ServeSettings *settings;
    const ServeHooks *hooks;
    Batch *batch;
    struct MemoryView *memory; /* the engine's thread's, opened by the first look; NULL: there was none */
    TextPool *texts;
    Metrics metrics;
    ApiKeys *keys; /* NULL: none are needed */
    struct MHD_Daemon *daemon;
    char *policy;    /* of the page */
    int64_t created; /* of the model, in seconds since 1970: when the server began */
    atomic_bool draining;
    atomic_size_t exchanges; /* requests that are not answered to the end */
    pthread_mutex_t links_lock;
    Link *links;
    pthread_mutex_t log_lock;
} Server;

/* One request and its answer. */
struct Exchange {
    Server *server;
    struct MHD_Connection *connection;
    Link *link;
    const Route *route; /* NULL: there is none */
    size_t place;       /* of the route in the metrics */
    char request[96];   /* method and path, for the log */
    char word[96];      /* behind a path that ends with / */
    bool answered;
    bool suspended; /* by the route: the answer comes later */
    bool discards;  /* the body is of no use */
    size_t got;     /* bytes of it */
    ByteQueue body;
    ApiError error;
    unsigned status;
    double began;
    Job *job;
    MemoryLook *look;
};

extern const Route routes[]; /* path NULL ends */

/* http.c: the daemon. */
lmu_status http_open(Server *server, char *url, size_t size); /* the URL that it is reached by */
void http_close(Server *server);
/* Closes connections that are too slow, cancels jobs whose client left or whose time is up. To be called a few times a second. */
void http_watch(Server *server);
/* The other side has closed, or its machine says that it is gone. For who holds the list's lock, or the connection's own request. */
bool link_left(const Link *link);

/* completions.c: what the route for completions does, and its streaming answer. */
lmu_status completions_answer(Exchange *exchange, Reply *reply);
bool completions_streams(const Exchange *exchange);
ssize_t completions_read(void *exchange, uint64_t position, char *out, size_t room);

/* memory.c: POST /memory. */
lmu_status memory_answer(Exchange *exchange, Reply *reply);
void memory_look_close(MemoryLook *look); /* accepts NULL */

/* The text as a reply's. */
lmu_status reply_json(Reply *reply, const json_t *value);

#endif
