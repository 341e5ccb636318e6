/* What followed earlier occurrences: n-gram heads (Akyurek et al. 2024). */

/* The id at a place of row r's stream: one of the run, or of the ring, which may come from a file; what is no id is -1. */
static int32_t recall_id(const Rows *rows, int r, int64_t window, int64_t vocabulary, const int32_t *ids,
                         const Real *STATE, int64_t place)
{
    int64_t i = place - rows->position[r];
    if (i >= 0)
        return ids[rows->offset[r] + i];
    real kept = IN(STATE)[rows->slot[r] * window + place % window];
    return kept >= 0 && kept < (real)vocabulary ? (int32_t)kept : -1;
}

static void recall(Backend *b, const Rows *rows, int64_t orders, int64_t window, int64_t vocabulary, const int32_t *ids,
                   const Real *STATE, int32_t *next)
{
    (void)b;
#define ID(place) recall_id(rows, r, window, vocabulary, ids, STATE, place)
    for (int r = 0; r < rows->count; r++)
        for (int64_t i = rows->offset[r]; i < rows->offset[r + 1]; i++) {
            int64_t place = rows->position[r] + i - rows->offset[r], first = place < window ? 0 : place - window + 1;
            int64_t found = 0; /* orders whose latest occurrence has been met */
            for (int64_t s = place - 1; s >= first && found < orders; s--) {
                int64_t same = 0;
                while (same < orders && s - same >= first && ID(s - same) >= 0 && ID(s - same) == ID(place - same))
                    same++;
                for (; found < same; found++)
                    next[i * orders + found] = ID(s + 1);
            }
            for (; found < orders; found++)
                next[i * orders + found] = -1;
        }
#undef ID
}

static void recall_keep(Backend *b, const Rows *rows, int64_t window, const int32_t *ids, Real *STATE)
{
    (void)b;
    for (int r = 0; r < rows->count; r++)
        for (int64_t i = rows->offset[r]; i < rows->offset[r + 1]; i++)
            OUT(STATE)[rows->slot[r] * window + (rows->position[r] + i - rows->offset[r]) % window] = (real)ids[i];
}

static size_t recall_workspace(Backend *b, int64_t window, int64_t tokens)
{
    (void)b;
    (void)window;
    (void)tokens;
    return 0;
}
