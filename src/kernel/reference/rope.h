/* Rotary positions (Su et al. 2021) on queries and keys of unit RMS (Zhang & Sennrich 2019; Henry et al. 2020, "query-key
 * normalization"). */

static void rope_angles(Backend *b, int64_t n, int64_t pairs, const double *frequency, const int32_t *position,
                        Real *ANGLES)
{
    (void)b;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < pairs; j++) {
            double angle = (double)position[i] * frequency[j];
            OUT(ANGLES)[2 * i * pairs + j] = (real)cos(angle);
            OUT(ANGLES)[(2 * i + 1) * pairs + j] = (real)sin(angle);
        }
}

static void rope(Backend *b, int64_t n, int64_t d, int64_t heads, double epsilon, Array X, const Real *ANGLES, Array Y,
                 Real *RSTD)
{
    (void)b;
    int64_t e = d / heads, pairs = e / 2;
    for (int64_t i = 0; i < n; i++) {
        const real *cosine = IN(ANGLES) + i * e, *sine = cosine + pairs;
        for (int64_t h = 0; h < 2 * heads; h++) { /* of the queries, then of the keys */
            const real *x = NUMBERS(X) + i * 3 * d + h * e;
            real *y = NUMBERS(Y) + i * 3 * d + h * e, square = 0;
            for (int64_t j = 0; j < e; j++)
                square += x[j] * x[j] / (real)e;
            real rstd = 1 / sqrt(square + (real)epsilon);
            for (int64_t j = 0; j < pairs; j++) {
                real first = x[j] * rstd, second = x[j + pairs] * rstd;
                y[j] = first * cosine[j] - second * sine[j];
                y[j + pairs] = first * sine[j] + second * cosine[j];
            }
            OUT(RSTD)[i * 2 * heads + h] = rstd;
        }
        for (int64_t j = i * 3 * d + 2 * d; j < (i + 1) * 3 * d; j++)
            NUMBERS(Y)[j] = NUMBERS(X)[j];
    }
}

/* With u = x rstd and y = R u: dx = rstd (R^T dy - u mean(u R^T dy)) = rstd R^T (dy - y mean(y dy)), as R is orthogonal. */
static void rope_back(Backend *b, int64_t n, int64_t d, int64_t heads, Array Y, const Real *ANGLES, const Real *RSTD,
                      Array DY, Array DX, bool add)
{
    (void)b;
    int64_t e = d / heads, pairs = e / 2;
    for (int64_t i = 0; i < n; i++) {
        const real *cosine = IN(ANGLES) + i * e, *sine = cosine + pairs;
        for (int64_t h = 0; h < 2 * heads; h++) {
            const real *y = NUMBERS(Y) + i * 3 * d + h * e, *dy = NUMBERS(DY) + i * 3 * d + h * e;
            real *dx = NUMBERS(DX) + i * 3 * d + h * e, rstd = IN(RSTD)[i * 2 * heads + h], along = 0;
            for (int64_t j = 0; j < e; j++)
                along += y[j] * dy[j] / (real)e;
            for (int64_t j = 0; j < pairs; j++) {
                real first = dy[j] - y[j] * along, second = dy[j + pairs] - y[j + pairs] * along;
                STORE(dx[j], rstd * (first * cosine[j] + second * sine[j]), add);
                STORE(dx[j + pairs], rstd * (second * cosine[j] - first * sine[j]), add);
            }
        }
        for (int64_t j = i * 3 * d + 2 * d; j < (i + 1) * 3 * d; j++)
            STORE(NUMBERS(DX)[j], NUMBERS(DY)[j], add);
    }
}
