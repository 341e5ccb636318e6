/* Long short-term memory (Hochreiter & Schmidhuber 1997; Gers et al. 2000) on packed rows:
 *
 *     a = z_t + R h_{t-1}    i, g, o = sigmoid(a_i), tanh(a_g), sigmoid(a_o)    f = sigmoid(a_f + 1)
 *     c_t = f c_{t-1} + i g    h_t = o tanh(c_t)
 *
 * Gates stand in the order i, f, g, o. The forget gate starts open: its bias is 1 before anything is learned
 * (Jozefowicz et al. 2015). */

static real sigmoid(real x)
{
    return 1 / (1 + exp(-x));
}

static void lstm(Backend *b, const Rows *rows, int64_t h, const Real *Z, const Real *R, const Int8Matrix *bytes,
                 Real *STATE, Real *START, Real *GATES, Real *CELL, Real *Y)
{
    (void)b;
    for (int r = 0; r < rows->count; r++) {
        real *start = OUT(START) + r * 2 * h;
        if (STATE)
            memcpy(start, OUT(STATE) + rows->slot[r] * 2 * h, (size_t)(2 * h) * sizeof(real));
        else
            memset(start, 0, (size_t)(2 * h) * sizeof(real));
        const real *before = start, *cell_before = start + h;
        for (int64_t t = rows->offset[r]; t < rows->offset[r + 1]; t++) {
            real *gate = OUT(GATES) + t * 4 * h, *cell = OUT(CELL) + t * h, *y = OUT(Y) + t * h;
            for (int64_t j = 0; j < 4 * h; j++) {
                real a = IN(Z)[t * 4 * h + j] + (j / h == 1 ? 1 : 0);
                for (int64_t k = 0; k < h; k++)
                    a += (bytes ? (real)int8_weight(bytes, j, k) : IN(R)[j * h + k]) * before[k];
                gate[j] = j / h == 2 ? tanh(a) : sigmoid(a);
            }
            for (int64_t j = 0; j < h; j++) {
                cell[j] = gate[h + j] * cell_before[j] + gate[j] * gate[2 * h + j];
                y[j] = gate[3 * h + j] * tanh(cell[j]);
            }
            before = y;
            cell_before = cell;
        }
        if (STATE) {
            memcpy(OUT(STATE) + rows->slot[r] * 2 * h, before, (size_t)h * sizeof(real));
            memcpy(OUT(STATE) + rows->slot[r] * 2 * h + h, cell_before, (size_t)h * sizeof(real));
        }
    }
}

static size_t lstm_workspace(Backend *b, int64_t tokens, int64_t h)
{
    (void)b, (void)tokens;
    return (size_t)(6 * h) * sizeof(real);
}

/* da [4H] of one step from dh and the gradient of its cell, which becomes that of the cell before. */
static void lstm_step_back(int64_t h, const real *gate, const real *cell, const real *cell_before, const real *dh,
                           real *dcell, real *da)
{
    for (int64_t j = 0; j < h; j++) {
        real i = gate[j], f = gate[h + j], g = gate[2 * h + j], o = gate[3 * h + j], top = tanh(cell[j]);
        real dc = dcell[j] + dh[j] * o * (1 - top * top);
        da[j] = dc * g * i * (1 - i);
        da[h + j] = dc * cell_before[j] * f * (1 - f);
        da[2 * h + j] = dc * i * (1 - g * g);
        da[3 * h + j] = dh[j] * top * o * (1 - o);
        dcell[j] = dc * f;
    }
}

static void lstm_back(Backend *b, const Rows *rows, int64_t h, const Real *R, const Real *START, const Real *GATES,
                      const Real *CELL, const Real *Y, const Real *DY, Real *DZ, bool add, Real *DR, bool add_r)
{
    real *da = b->workspace, *dh = da + 4 * h, *dcell = dh + h;
    if (DR && !add_r)
        memset(DR, 0, (size_t)(4 * h * h) * sizeof(real));
    for (int r = 0; r < rows->count; r++) {
        const real *start = IN(START) + r * 2 * h;
        memset(da, 0, (size_t)(4 * h) * sizeof(real));
        memset(dcell, 0, (size_t)h * sizeof(real));
        for (int64_t t = rows->offset[r + 1] - 1; t >= rows->offset[r]; t--) {
            bool first = t == rows->offset[r];
            const real *before = first ? start : IN(Y) + (t - 1) * h;
            const real *cell_before = first ? start + h : IN(CELL) + (t - 1) * h;
            for (int64_t k = 0; k < h; k++) {
                dh[k] = IN(DY)[t * h + k];
                for (int64_t j = 0; j < 4 * h; j++)
                    dh[k] += da[j] * IN(R)[j * h + k];
            }
            lstm_step_back(h, IN(GATES) + t * 4 * h, IN(CELL) + t * h, cell_before, dh, dcell, da);
            for (int64_t j = 0; DZ && j < 4 * h; j++)
                STORE(OUT(DZ)[t * 4 * h + j], da[j], add);
            for (int64_t j = 0; DR && j < 4 * h; j++)
                for (int64_t k = 0; k < h; k++)
                    OUT(DR)[j * h + k] += da[j] * before[k];
        }
    }
}
