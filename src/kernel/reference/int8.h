/* Matrices of bytes; the layout stands in kernel/int8.h. */

/* The largest magnitude of n numbers; infinite or NaN if one is. */
static real magnitude(int64_t n, const real *x)
{
    real most = 0;
    for (int64_t i = 0; i < n; i++)
        most = fabs(x[i]) > most || isnan(x[i]) ? fabs(x[i]) : most;
    return most;
}

static void clear_int8(const Int8Matrix *to)
{
    memset(to->packed, INT8_ZERO, int8_bytes(to->rows, to->columns));
    memset(to->scale, 0, (size_t)int8_scales(to->rows) * sizeof *to->scale);
}

static void quantize_int8(Backend *b, const Real *W, const Int8Matrix *to)
{
    (void)b;
    clear_int8(to);
    for (int64_t r = 0; r < to->rows; r++) {
        const real *row = IN(W) + r * to->columns, most = magnitude(to->columns, row);
        to->scale[r] = isfinite(most) ? (float)(most / 127) : NAN;
        if (!isfinite(most) || most < (real)INT8_LEAST)
            continue;
        for (int64_t c = 0; c < to->columns; c++)
            to->packed[int8_place(to, r, c)] = (uint8_t)((int)rint(row[c] * (127 / most)) + INT8_ZERO);
    }
}

static void put_int8(Backend *b, const int8_t *w, const float *scale, const Int8Matrix *to)
{
    (void)b;
    clear_int8(to);
    memcpy(to->scale, scale, (size_t)to->rows * sizeof *scale);
    for (int64_t r = 0; r < to->rows; r++)
        for (int64_t c = 0; c < to->columns; c++)
            to->packed[int8_place(to, r, c)] = (uint8_t)(w[r * to->columns + c] + INT8_ZERO);
}

static void get_int8(Backend *b, const Int8Matrix *from, int64_t first, int64_t count, int8_t *w)
{
    (void)b;
    for (int64_t i = first; i < first + count; i++)
        w[i - first] = (int8_t)(from->packed[int8_place(from, i / from->columns, i % from->columns)] - INT8_ZERO);
}

static void product_rows_int8(Backend *b, int64_t n, const Int8Matrix *w, const Real *X, const Real *BIAS, Real *Y)
{
    int8_t *rounded = b->workspace; /* [columns] */
    for (int64_t i = 0; i < n; i++) {
        const real *x = IN(X) + i * w->columns, most = magnitude(w->columns, x);
        bool counts = isfinite(most) && most >= (real)INT8_LEAST;
        real factor = counts ? 127 / most : 0, scale = isfinite(most) ? most / 127 : (real)NAN;
        for (int64_t c = 0; c < w->columns; c++)
            rounded[c] = counts ? (int8_t)rint(x[c] * factor) : 0;
        for (int64_t r = 0; r < w->rows; r++) {
            int32_t total = 0;
            for (int64_t c = 0; c < w->columns; c++)
                total += rounded[c] * (w->packed[int8_place(w, r, c)] - INT8_ZERO);
            OUT(Y)[i * w->rows + r] = (real)total * scale * (real)w->scale[r] + (BIAS ? IN(BIAS)[r] : 0);
        }
    }
}

static size_t product_rows_int8_workspace(Backend *b, int64_t n, int64_t k)
{
    (void)b, (void)n;
    return (size_t)k;
}

static void gather_int8(Backend *b, int64_t n, int64_t bag, const int32_t *ids, const Real *WEIGHT,
                        const Int8Matrix *table, Real *Y)
{
    (void)b;
    memset(Y, 0, (size_t)(n * table->columns) * sizeof(real));
    for (int64_t k = 0; k < n * bag; k++)
        for (int64_t j = 0; ids[k] >= 0 && j < table->columns; j++)
            OUT(Y)[k / bag * table->columns + j] += (WEIGHT ? IN(WEIGHT)[k] : 1) * (real)int8_weight(table, ids[k], j);
}
