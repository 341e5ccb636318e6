/* Norms over the last axis: LayerNorm (Ba et al. 2016), y = gain (x - mean) rstd + bias, with the biased variance;
 * RMSNorm (Zhang & Sennrich 2019), y = gain x rstd, rstd = 1/sqrt(mean(x^2) + epsilon). */

static void norm(Backend *b, NormKind kind, int64_t n, int64_t d, double epsilon, const Real *X, const Real *GAIN,
                 const Real *BIAS, Array Y, Real *MEAN, Real *RSTD)
{
    (void)b;
    for (int64_t i = 0; i < n; i++) {
        const real *x = IN(X) + i * d;
        real mean = 0, square = 0;
        if (kind == NORM_LAYER)
            for (int64_t j = 0; j < d; j++)
                mean += x[j] / (real)d;
        for (int64_t j = 0; j < d; j++)
            square += (x[j] - mean) * (x[j] - mean) / (real)d;
        real rstd = 1 / sqrt(square + (real)epsilon);
        for (int64_t j = 0; j < d; j++)
            NUMBERS(Y)[i * d + j] = IN(GAIN)[j] * ((x[j] - mean) * rstd) + (BIAS ? IN(BIAS)[j] : 0);
        OUT(RSTD)[i] = rstd;
        if (MEAN)
            OUT(MEAN)[i] = mean;
    }
}

static void norm_back(Backend *b, NormKind kind, int64_t n, int64_t d, const Real *X, const Real *GAIN,
                      const Real *MEAN, const Real *RSTD, const Real *DY, Real *DX, bool add)
{
    (void)b;
    for (int64_t i = 0; i < n; i++) {
        const real *x = IN(X) + i * d, *dy = IN(DY) + i * d;
        real mean = kind == NORM_LAYER ? IN(MEAN)[i] : 0, rstd = IN(RSTD)[i];
        real g = 0, gx = 0; /* means of dy gain and of dy gain xhat */
        for (int64_t j = 0; j < d; j++) {
            real dg = dy[j] * IN(GAIN)[j];
            g += dg / (real)d;
            gx += dg * (x[j] - mean) * rstd / (real)d;
        }
        if (kind == NORM_RMS)
            g = 0;
        for (int64_t j = 0; j < d; j++)
            STORE(OUT(DX)[i * d + j], rstd * (dy[j] * IN(GAIN)[j] - g - (x[j] - mean) * rstd * gx), add);
    }
}

static void norm_back_parameters(Backend *b, NormKind kind, int64_t n, int64_t d, const Real *X, const Real *MEAN,
                                 const Real *RSTD, const Real *DY, Real *DGAIN, bool add_gain, Real *DBIAS,
                                 bool add_bias)
{
    (void)b;
    for (int64_t j = 0; j < d; j++) {
        real gain = 0, bias = 0;
        for (int64_t i = 0; i < n; i++) {
            real mean = kind == NORM_LAYER ? IN(MEAN)[i] : 0;
            gain += IN(DY)[i * d + j] * (IN(X)[i * d + j] - mean) * IN(RSTD)[i];
            bias += IN(DY)[i * d + j];
        }
        STORE(OUT(DGAIN)[j], gain, add_gain);
        if (DBIAS)
            STORE(OUT(DBIAS)[j], bias, add_bias);
    }
}
