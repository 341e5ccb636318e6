/* Moving data and pointwise functions. */

static void put_bytes(Backend *b, size_t bytes, const void *host, void *to)
{
    (void)b;
    memcpy(to, host, bytes);
}

static void get_bytes(Backend *b, size_t bytes, const void *from, void *host)
{
    (void)b;
    memcpy(host, from, bytes);
}

static void put_f32(Backend *b, int64_t n, const float *host, Real *Y)
{
    (void)b;
    for (int64_t i = 0; i < n; i++)
        OUT(Y)[i] = (real)host[i];
}

static void put_f64(Backend *b, int64_t n, const double *host, Real *Y)
{
    (void)b;
    for (int64_t i = 0; i < n; i++)
        OUT(Y)[i] = (real)host[i];
}

static void get_f32(Backend *b, int64_t n, const Real *X, float *host)
{
    (void)b;
    for (int64_t i = 0; i < n; i++)
        host[i] = (float)IN(X)[i];
}

static void get_f64(Backend *b, int64_t n, const Real *X, double *host)
{
    (void)b;
    for (int64_t i = 0; i < n; i++)
        host[i] = (double)IN(X)[i];
}

static void to_bf16(Backend *b, int64_t n, const Real *X, uint16_t *y)
{
    (void)b;
    for (int64_t i = 0; i < n; i++) {
        float x = (float)IN(X)[i];
        uint32_t bits;
        memcpy(&bits, &x, sizeof bits);
        y[i] = isnan(x) ? (uint16_t)(bits >> 16 | 0x40) : (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
    }
}

static void fill(Backend *b, int64_t n, double value, Real *Y)
{
    (void)b;
    for (int64_t i = 0; i < n; i++)
        OUT(Y)[i] = (real)value;
}

static void copy(Backend *b, int64_t n, const Real *X, Real *Y, bool add)
{
    (void)b;
    for (int64_t i = 0; i < n; i++)
        STORE(OUT(Y)[i], IN(X)[i], add);
}

static void scale(Backend *b, int64_t n, double factor, Real *Y)
{
    (void)b;
    for (int64_t i = 0; i < n; i++)
        OUT(Y)[i] *= (real)factor;
}

static void sum(Backend *b, int64_t n, const Real *A, const Real *B, Real *Y)
{
    (void)b;
    for (int64_t i = 0; i < n; i++)
        OUT(Y)[i] = IN(A)[i] + IN(B)[i];
}

static void multiply(Backend *b, int64_t n, const Real *A, const Real *B, Real *Y, bool add)
{
    (void)b;
    for (int64_t i = 0; i < n; i++)
        STORE(OUT(Y)[i], IN(A)[i] * IN(B)[i], add);
}

static void weighted_sum(Backend *b, int64_t n, int64_t parts, int64_t d, const Real *X, const Real *GAIN, Real *Y)
{
    (void)b;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < d; j++) {
            real total = 0;
            for (int64_t k = 0; k < parts; k++)
                total += IN(GAIN)[k * d + j] * IN(X)[(i * parts + k) * d + j];
            OUT(Y)[i * d + j] = total;
        }
}

static void weighted_sum_back(Backend *b, int64_t n, int64_t parts, int64_t d, const Real *X, const Real *GAIN,
                              const Real *DY, Real *DX, bool add, Real *DGAIN, bool add_gain)
{
    (void)b;
    for (int64_t at = 0; at < parts * d; at++) {
        real total = 0;
        for (int64_t i = 0; i < n; i++) {
            real dy = IN(DY)[i * d + at % d];
            total += IN(X)[i * parts * d + at] * dy;
            if (DX)
                STORE(OUT(DX)[i * parts * d + at], IN(GAIN)[at] * dy, add);
        }
        if (DGAIN)
            STORE(OUT(DGAIN)[at], total, add_gain);
    }
}

/* f(x); gelu is the erf form, x Phi(x) (Hendrycks & Gimpel 2016). */
static real activation_value(Activation kind, real x)
{
    switch (kind) {
    case ACTIVATION_GELU:
        return x * (real)0.5 * (1 + erf(x * (real)0.70710678118654752440));
    case ACTIVATION_RELU:
        return x > 0 ? x : 0;
    case ACTIVATION_RELU2:
        return x > 0 ? x * x : 0;
    case ACTIVATION_SILU:
        return x / (1 + exp(-x));
    case ACTIVATION_NONE:
        return x;
    }
    return 0;
}

/* f'(x) */
static real activation_slope(Activation kind, real x)
{
    switch (kind) {
    case ACTIVATION_GELU:
        return (real)0.5 * (1 + erf(x * (real)0.70710678118654752440)) +
               x * exp(x * x * (real)-0.5) * (real)0.39894228040143267794;
    case ACTIVATION_RELU:
        return x > 0 ? 1 : 0;
    case ACTIVATION_RELU2:
        return x > 0 ? 2 * x : 0;
    case ACTIVATION_SILU: {
        real s = 1 / (1 + exp(-x));
        return s * (1 + x * (1 - s));
    }
    case ACTIVATION_NONE:
        return 1;
    }
    return 0;
}

static void activate(Backend *b, Activation kind, int64_t n, int64_t d, Array X, Array Y)
{
    (void)b;
    for (int64_t i = 0; i < n * d; i++)
        NUMBERS(Y)[i] = activation_value(kind, NUMBERS(X)[i]);
}

static void activate_back(Backend *b, Activation kind, int64_t n, int64_t d, Array X, Array DY, Array DX, bool add)
{
    (void)b;
    for (int64_t i = 0; i < n * d; i++)
        STORE(NUMBERS(DX)[i], NUMBERS(DY)[i] * activation_slope(kind, NUMBERS(X)[i]), add);
}

static void dropout(Backend *b, const Rows *rows, int64_t d, uint64_t key, double rate, const Real *X, Real *Y,
                    bool add)
{
    (void)b;
    real kept = (real)(1 / (1 - rate));
    for (int r = 0; r < rows->count; r++) {
        uint64_t row_key = random_key(key, "dropout row", (uint64_t)rows->sample[r], 0);
        for (int64_t i = rows->offset[r]; i < rows->offset[r + 1]; i++)
            for (int64_t j = 0; j < d; j++) {
                uint64_t counter = (uint64_t)((rows->position[r] + i - rows->offset[r]) * d + j);
                bool keep = random_uniform(row_key, counter) >= rate;
                STORE(OUT(Y)[i * d + j], keep ? IN(X)[i * d + j] * kept : 0, add);
            }
    }
}
