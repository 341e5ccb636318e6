/* Matrix products. */

static void product(Backend *b, const Product *p, Array A, Array B, const Real *BIAS, Array C)
{
    (void)b;
    for (int64_t i = 0; i < p->m; i++)
        for (int64_t j = 0; j < p->n; j++) {
            real total = BIAS ? IN(BIAS)[j] : 0;
            for (int64_t k = 0; k < p->k; k++)
                total += NUMBERS(A)[p->transpose_a ? k * p->m + i : i * p->k + k] *
                         NUMBERS(B)[p->transpose_b ? j * p->k + k : k * p->n + j];
            STORE(NUMBERS(C)[i * p->n + j], total, p->add);
        }
}

static size_t product_workspace(Backend *b, int64_t m, int64_t n, int64_t k)
{
    (void)b, (void)m, (void)n, (void)k;
    return 0;
}

static void column_sum(Backend *b, int64_t n, int64_t d, Array X, Real *Y, bool add)
{
    (void)b;
    for (int64_t j = 0; j < d; j++) {
        real total = 0;
        for (int64_t i = 0; i < n; i++)
            total += NUMBERS(X)[i * d + j];
        STORE(OUT(Y)[j], total, add);
    }
}

static size_t packed_bytes(Backend *b, int64_t m, int64_t k)
{
    (void)b;
    return (size_t)(m * k) * sizeof(real);
}

static void pack(Backend *b, int64_t m, int64_t k, const Real *W, void *packed)
{
    (void)b;
    memcpy(packed, W, (size_t)(m * k) * sizeof(real));
}

static void product_rows(Backend *b, int64_t n, int64_t m, int64_t k, const Real *X, const void *packed,
                         const Real *BIAS, Real *Y)
{
    Product p = {.transpose_b = true, .m = n, .n = m, .k = k};
    product(b, &p, array_of(X), array_of(packed), BIAS, array_of(Y));
}

static size_t packed_bytes_bf16(Backend *b, int64_t m, int64_t k)
{
    (void)b;
    return (size_t)(m * k) * sizeof(uint16_t);
}

static void pack_bf16(Backend *b, int64_t m, int64_t k, const Real *W, void *packed)
{
    to_bf16(b, m * k, W, packed);
}

static real widen_bf16(uint16_t x)
{
    uint32_t bits = (uint32_t)x << 16;
    float wide;
    memcpy(&wide, &bits, sizeof wide);
    return wide;
}

static void product_rows_bf16(Backend *b, int64_t n, int64_t m, int64_t k, const Real *X, const void *packed,
                              const Real *BIAS, Real *Y)
{
    uint16_t *x = b->workspace;
    const uint16_t *w = packed;
    to_bf16(b, n * k, X, x);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < m; j++) {
            real total = BIAS ? IN(BIAS)[j] : 0;
            for (int64_t l = 0; l < k; l++)
                total += widen_bf16(x[i * k + l]) * widen_bf16(w[j * k + l]);
            OUT(Y)[i * m + j] = total;
        }
}

static size_t product_rows_bf16_workspace(Backend *b, int64_t n, int64_t k)
{
    (void)b;
    return (size_t)(n * k) * sizeof(uint16_t);
}
