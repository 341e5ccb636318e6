#include "text/windows.h"

#include "base/random.h"
#include "text/score.h"

lmu_status windows_open(const Shard *shard, int64_t length, uint64_t seed, Windows *out)
{
    *out = (Windows){0};
    if (length < 1)
        return error_set(LMU_USAGE, "a window must hold at least 1 token, not %lld", (long long)length);
    /* The last window needs one token more than it has inputs: its last target. */
    int64_t count = shard->count > 0 ? (shard->count - 1) / length : 0;
    if (count < 1)
        return error_set(LMU_USAGE,
                         "the data holds %lld tokens, fewer than one window of %lld + 1: use more text or a "
                         "smaller length",
                         (long long)shard->count, (long long)length);
    *out = (Windows){.shard = shard, .seed = seed, .length = length, .count = count};
    return LMU_OK;
}

lmu_status windows_open_lanes(const Shard *shard, int64_t length, int64_t lanes, uint64_t seed, Windows *out)
{
    Windows windows;
    *out = (Windows){0};
    TRY(windows_open(shard, length, seed, &windows));
    if (lanes < 1 || lanes > windows.count)
        return error_set(LMU_USAGE,
                         "the data holds %lld windows of %lld tokens, too few for %lld lanes of them: use more text, a "
                         "smaller length or fewer lanes (a smaller batch)",
                         (long long)windows.count, (long long)length, (long long)lanes);
    windows.lanes = lanes;
    windows.steps = windows.count / lanes;
    windows.spare = windows.count % lanes;
    windows.count -= windows.spare;
    *out = windows;
    return LMU_OK;
}

bool windows_starts(const Windows *windows, int64_t sample)
{
    return windows->lanes == 0 || sample % windows->count < windows->lanes;
}

/* The window that a lane reads in a step of a pass, behind the spare ones that this pass leaves out at the front. */
static int64_t lanes_window(const Windows *windows, uint64_t pass, int64_t step, int64_t lane)
{
    uint64_t key = random_key(windows->seed, "lanes", pass, 0);
    int64_t before =
        (int64_t)random_below(random_key(windows->seed, "lanes", pass, 1), 0, (uint64_t)windows->spare + 1);
    return before + (int64_t)random_permute(key, (uint64_t)windows->lanes, (uint64_t)lane) * windows->steps + step;
}

int64_t windows_offset(const Windows *windows, int64_t sample)
{
    uint64_t pass = (uint64_t)(sample / windows->count);
    uint64_t place = (uint64_t)(sample % windows->count);
    if (windows->lanes > 0)
        return lanes_window(windows, pass, (int64_t)place / windows->lanes, (int64_t)place % windows->lanes) *
               windows->length;
    uint64_t key = random_key(windows->seed, "windows", pass, 0);
    return (int64_t)random_permute(key, (uint64_t)windows->count, place) * windows->length;
}

void windows_read(const Windows *windows, int64_t sample, int32_t *out)
{
    shard_read(windows->shard, windows_offset(windows, sample), windows->length + 1, out);
}

int eval_window(const EvalCut *cut, int64_t count, int64_t index, int64_t *first, int64_t *length, int64_t *scored)
{
    int64_t context = cut->context;
    int64_t stride = cut->carry ? context : cut->stride;
    int64_t targets = count - 1; /* the first token is predicted by nothing */
    if (context < 1 || stride < 1 || stride > context || index < 0 || targets < 1)
        return 0;
    if (index > (targets - 1) / stride) /* begins behind the last input; also keeps the product below from overflow */
        return 0;
    int64_t start = index * stride;
    int64_t end = start < targets - context ? start + context : targets;
    /* What the window before has predicted already: window 0 comes after nothing. */
    int64_t done = 0;
    if (index > 0)
        done = start - stride < targets - context ? start - stride + context : targets;
    if (done >= targets)
        return 0;
    *first = start;
    *length = end - start;
    *scored = end - done;
    return 1;
}

EvalResult *eval_part(const EvalCut *cut, int64_t count, int64_t index)
{
    if (!cut->part)
        return NULL;
    int64_t stride = cut->carry ? cut->context : cut->stride;
    int64_t windows = (count - 1 + stride - 1) / stride;
    return &cut->part[index * cut->parts / windows];
}
