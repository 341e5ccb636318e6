/* Tables and the loss. */

static void gather(Backend *b, int64_t n, int64_t d, const int32_t *ids, const Real *TABLE, Real *Y)
{
    (void)b;
    for (int64_t i = 0; i < n; i++)
        if (ids[i] >= 0)
            memcpy(OUT(Y) + i * d, IN(TABLE) + ids[i] * d, (size_t)d * sizeof(real));
        else
            memset(OUT(Y) + i * d, 0, (size_t)d * sizeof(real));
}

static void gather_back(Backend *b, int64_t n, int64_t v, int64_t d, const int32_t *ids, const Real *DY, Real *DTABLE,
                        bool add)
{
    (void)b;
    if (!add)
        memset(DTABLE, 0, (size_t)(v * d) * sizeof(real));
    for (int64_t i = 0; i < n; i++)
        if (ids[i] >= 0)
            for (int64_t j = 0; j < d; j++)
                OUT(DTABLE)[ids[i] * d + j] += IN(DY)[i * d + j];
}

static void cross_entropy(Backend *b, int64_t n, int64_t v, Real *LOGITS, const int32_t *targets, double factor,
                          Array DLOGITS, Real *LOSS)
{
    (void)b;
    for (int64_t i = 0; i < n; i++) {
        real *x = OUT(LOGITS) + i * v, top = x[0], total = 0;
        for (int64_t j = 1; j < v; j++)
            top = x[j] > top ? x[j] : top;
        for (int64_t j = 0; j < v; j++)
            total += exp(x[j] - top);
        int32_t target = targets[i];
        OUT(LOSS)[i] = target < 0 ? 0 : log(total) + top - x[target];
        if (factor == 0)
            continue;
        for (int64_t j = 0; j < v; j++)
            NUMBERS(DLOGITS)[i * v + j] = target < 0 ? 0 : (exp(x[j] - top) / total - (j == target)) * (real)factor;
    }
}
