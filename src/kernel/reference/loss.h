/* Tables and the loss. */

static void gather(Backend *b, int64_t n, int64_t bag, int64_t d, const int32_t *ids, const Real *WEIGHT,
                   const Real *TABLE, Real *Y)
{
    (void)b;
    memset(Y, 0, (size_t)(n * d) * sizeof(real));
    for (int64_t k = 0; k < n * bag; k++)
        for (int64_t j = 0; ids[k] >= 0 && j < d; j++)
            OUT(Y)[k / bag * d + j] += (WEIGHT ? IN(WEIGHT)[k] : 1) * IN(TABLE)[ids[k] * d + j];
}

static void gather_back(Backend *b, int64_t n, int64_t bag, int64_t v, int64_t d, const int32_t *ids,
                        const Real *WEIGHT, const Real *DY, Real *DTABLE, bool add)
{
    (void)b;
    if (!add)
        memset(DTABLE, 0, (size_t)(v * d) * sizeof(real));
    for (int64_t k = 0; k < n * bag; k++)
        for (int64_t j = 0; ids[k] >= 0 && j < d; j++)
            OUT(DTABLE)[ids[k] * d + j] += (WEIGHT ? IN(WEIGHT)[k] : 1) * IN(DY)[k / bag * d + j];
}

/* d -= the shares of a soft target's parts, times `factor` */
static void subtract_parts(const SoftTarget *soft, double factor, real *d)
{
    for (int k = 0; k < SOFT_PARTS; k++)
        for (int64_t i = 0; i < soft->part[k].length; i++) {
            const int32_t *pair = soft->part[k].pairs + 2 * i;
            d[pair[0]] -= (real)(factor * soft->part[k].factor * pair[1]);
        }
}

static void cross_entropy(Backend *b, int64_t n, int64_t v, Real *LOGITS, const int32_t *targets,
                          const SoftTarget *soft, double factor, Array DLOGITS, Real *LOSS)
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
        real own = soft ? (real)soft[i].own : 1, *d = NUMBERS(DLOGITS) + i * v;
        for (int64_t j = 0; j < v; j++)
            d[j] = target < 0 ? 0 : (exp(x[j] - top) / total - (j == target) * own) * (real)factor;
        if (soft && target >= 0)
            subtract_parts(&soft[i], factor, d);
    }
}
