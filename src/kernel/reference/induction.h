/* What causal attention takes where a token's key is the query of the token before it. */

static void induction(Backend *b, const Rows *rows, int64_t d, Array U, Real *STATE, Array Y)
{
    (void)b;
    for (int r = 0; r < rows->count; r++) {
        real *state = STATE ? OUT(STATE) + rows->slot[r] * d : NULL;
        for (int64_t i = rows->offset[r]; i < rows->offset[r + 1]; i++) {
            const real *z = NUMBERS(U) + i * 2 * d, *before = i > rows->offset[r] ? z - 2 * d : state;
            real *y = NUMBERS(Y) + i * 3 * d;
            for (int64_t j = 0; j < d; j++) {
                y[j] = z[j];
                y[d + j] = before ? before[j] : 0;
                y[2 * d + j] = z[d + j];
            }
        }
        int64_t last = rows->offset[r + 1] - 1;
        for (int64_t j = 0; j < d && state && last >= rows->offset[r]; j++)
            state[j] = NUMBERS(U)[last * 2 * d + j];
    }
}

static void induction_back(Backend *b, const Rows *rows, int64_t d, Array DY, Array DU, bool add)
{
    (void)b;
    for (int r = 0; r < rows->count; r++)
        for (int64_t i = rows->offset[r]; i < rows->offset[r + 1]; i++) {
            const real *dy = NUMBERS(DY) + i * 3 * d;
            real *du = NUMBERS(DU) + i * 2 * d;
            bool followed = i + 1 < rows->offset[r + 1];
            for (int64_t j = 0; j < d; j++) {
                STORE(du[j], dy[j] + (followed ? dy[3 * d + d + j] : 0), add);
                STORE(du[d + j], dy[2 * d + j], add);
            }
        }
}
