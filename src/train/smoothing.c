#include "train/smoothing.h"

#include <stdlib.h>

#include "base/memory.h"
#include "text/followers.h"

_Static_assert(SOFT_PARTS == FOLLOWERS_ORDERS, "a part of a target for each order");

#define REPORT_WINDOWS 1024
#define BYTES_COUNTED 6 /* of a token: 177 MiB of 32 M */

/* Times that a context of k+1 tokens must have been met for half of what is left of the share. */
static const double half[FOLLOWERS_ORDERS] = {3, 1};

struct Smoothing {
    Followers *followers;
    const Windows *windows;
    SoftTarget *targets; /* [rows x T] */
    int32_t *window;     /* [T + 1] */
};

lmu_status smoothing_open(const Windows *windows, int64_t vocabulary, int64_t rows, Smoothing **out)
{
    lmu_status status;
    Smoothing *s;
    TRY(memory_new(&s, 1, sizeof *s, "n-gram smoothing"));
    ATTEMPT(followers_open(vocabulary, &s->followers));
    s->windows = windows;
    ATTEMPT(memory_new(&s->targets, (size_t)(rows * windows->length), sizeof *s->targets, "n-gram smoothing"));
    ATTEMPT(memory_new(&s->window, (size_t)windows->length + 1, sizeof *s->window, "n-gram smoothing"));
done:
    if (status != LMU_OK) {
        smoothing_close(s);
        s = NULL;
    }
    *out = s;
    return status;
}

void smoothing_close(Smoothing *s)
{
    if (!s)
        return;
    followers_close(s->followers);
    free(s->targets);
    free(s->window);
    free(s);
}

/* Windows that are counted of the first so many. */
static int64_t windows_counted(const Windows *windows, int64_t samples)
{
    int64_t most = SMOOTHING_TOKENS / windows->length;
    most = most < windows->count ? most : windows->count;
    return samples < most ? samples : most;
}

double smoothing_bytes(const Windows *windows, int64_t rows, double tokens)
{
    double most = (double)(windows_counted(windows, INT64_MAX) * windows->length);
    return BYTES_COUNTED * (tokens < most ? tokens : most) + (double)(rows * windows->length) * sizeof(SoftTarget);
}

static SoftTarget soften(const Followers *followers, const int32_t *text, int64_t count, double share)
{
    FollowerList list[FOLLOWERS_ORDERS];
    SoftTarget target = {.own = 1};
    followers_find(followers, text, count, list);
    for (int k = FOLLOWERS_ORDERS - 1; k >= 0; k--) {
        if (list[k].length == 0)
            continue;
        double met = (double)list[k].total, weight = share * met / (met + half[k]);
        target.part[k] = (SoftPart){list[k].pairs, list[k].length, weight / met};
        target.own -= weight;
        share -= weight;
    }
    return target;
}

const SoftTarget *smoothing_targets(Smoothing *s, const int32_t *ids, int64_t rows, double share)
{
    int64_t length = s->windows->length;
    if (!(share > 0))
        return NULL;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < length; i++)
            s->targets[r * length + i] = soften(s->followers, ids + r * length, i + 1, share);
    return s->targets;
}

lmu_status smoothing_count(Smoothing *s, int64_t first, int64_t end, Progress *progress)
{
    const Windows *w = s->windows;
    end = windows_counted(w, end);
    for (int64_t sample = first; sample < end; sample++) {
        windows_read(w, sample, s->window);
        lmu_status status = followers_count(s->followers, s->window, w->length + 1);
        if (status != LMU_OK)
            return error_prefix(status, "--ngram-smoothing, without which the run can go on (--resume "
                                        "--ngram-smoothing 0): ");
        int64_t done = sample + 1 - first;
        if (done % REPORT_WINDOWS == 0 || (sample + 1 == end && done > REPORT_WINDOWS))
            progress_report(progress, "counting n-grams", (double)done, (double)(end - first), "windows", NULL);
        if (done % REPORT_WINDOWS == 0 && progress_interrupted(progress))
            return error_set(LMU_INTERRUPTED, "interrupted while counting n-grams");
    }
    return LMU_OK;
}
