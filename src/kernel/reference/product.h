/* Matrix products. */

static void product(Backend *b, const Product *p, const Real *A, const Real *B, const Real *BIAS, Real *C)
{
    (void)b;
    for (int64_t i = 0; i < p->m; i++)
        for (int64_t j = 0; j < p->n; j++) {
            real total = BIAS ? IN(BIAS)[j] : 0;
            for (int64_t k = 0; k < p->k; k++)
                total += IN(A)[p->transpose_a ? k * p->m + i : i * p->k + k] *
                         IN(B)[p->transpose_b ? j * p->k + k : k * p->n + j];
            STORE(OUT(C)[i * p->n + j], total, p->add);
        }
}

static size_t product_workspace(Backend *b, int64_t m, int64_t n, int64_t k)
{
    (void)b, (void)m, (void)n, (void)k;
    return 0;
}

static void column_sum(Backend *b, int64_t n, int64_t d, const Real *X, Real *Y, bool add)
{
    (void)b;
    for (int64_t j = 0; j < d; j++) {
        real total = 0;
        for (int64_t i = 0; i < n; i++)
            total += IN(X)[i * d + j];
        STORE(OUT(Y)[j], total, add);
    }
}

static int64_t packed_size(Backend *b, int64_t m, int64_t k)
{
    (void)b;
    return m * k;
}

static void pack(Backend *b, int64_t m, int64_t k, const Real *W, Real *PACKED)
{
    (void)b;
    memcpy(PACKED, W, (size_t)(m * k) * sizeof(real));
}

static void product_rows(Backend *b, int64_t n, int64_t m, int64_t k, const Real *X, const Real *PACKED,
                         const Real *BIAS, Real *Y)
{
    Product p = {.transpose_b = true, .m = n, .n = m, .k = k};
    product(b, &p, X, PACKED, BIAS, Y);
}
