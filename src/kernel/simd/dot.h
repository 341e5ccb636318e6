/* Dot products of rows, for one kind of number: included once for each, with DOT_NUMBER (of memory), DOT_VECTOR (LANES of them, or
 * of pairs), DOT_LOAD, DOT_ADD(sum, a, b), and the names DOT_OPERAND, DOT_BLOCK and DOT_PRODUCT. */

/* c [m x n] += sum over segments and channels of a_i b_j: a [m x d] and b [n x d] in each of `segments` segments. c has a
 * row stride; d is a multiple of LANES. */
typedef struct DOT_OPERAND { /* the vectors: data + segment * segment_stride + i * row */
    const DOT_NUMBER *data;
    int64_t row, segment;
} DOT_OPERAND;

#ifndef DOT_COLUMNS
#define DOT_COLUMNS 4
#define DOT_ROWS (LANES / DOT_COLUMNS) /* so that the sums of a block fill one vector */
#endif

/* rows x columns sums, the others of the block left out. */
INLINE void DOT_BLOCK(int rows, int columns, int64_t segments, int64_t d, DOT_OPERAND a, DOT_OPERAND b, float *c,
                      int64_t c_row)
{
    vec total[DOT_ROWS * DOT_COLUMNS] = {{0}};
    for (int64_t s = 0; s < segments; s++)
        for (int64_t l = 0; l < d; l += LANES) {
            DOT_VECTOR right[DOT_COLUMNS];
            for (int j = 0; j < columns; j++)
                right[j] = DOT_LOAD(b.data + s * b.segment + j * b.row + l);
            for (int i = 0; i < rows; i++) {
                DOT_VECTOR left = DOT_LOAD(a.data + s * a.segment + i * a.row + l);
                for (int j = 0; j < columns; j++)
                    total[i * DOT_COLUMNS + j] = DOT_ADD(total[i * DOT_COLUMNS + j], left, right[j]);
            }
        }
    float sums[LANES];
    store(sums, reduce_each(total));
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++)
            c[i * c_row + j] += sums[i * DOT_COLUMNS + j];
}

static inline void __attribute__((unused))
DOT_PRODUCT(int64_t m, int64_t n, int64_t segments, int64_t d, DOT_OPERAND a, DOT_OPERAND b, float *c, int64_t c_row)
{
    for (int64_t i = 0; i < m; i += i + DOT_ROWS <= m ? DOT_ROWS : 1)
        for (int64_t j = 0; j < n; j += j + DOT_COLUMNS <= n ? DOT_COLUMNS : 1) {
            bool rows = i + DOT_ROWS <= m, columns = j + DOT_COLUMNS <= n;
            DOT_OPERAND left = {a.data + i * a.row, a.row, a.segment}, right = {b.data + j * b.row, b.row, b.segment};
            float *out = c + i * c_row + j;
            if (rows && columns)
                DOT_BLOCK(DOT_ROWS, DOT_COLUMNS, segments, d, left, right, out, c_row);
            else if (rows)
                DOT_BLOCK(DOT_ROWS, 1, segments, d, left, right, out, c_row);
            else if (columns)
                DOT_BLOCK(1, DOT_COLUMNS, segments, d, left, right, out, c_row);
            else
                DOT_BLOCK(1, 1, segments, d, left, right, out, c_row);
        }
}

#undef DOT_NUMBER
#undef DOT_VECTOR
#undef DOT_LOAD
#undef DOT_ADD
#undef DOT_OPERAND
#undef DOT_BLOCK
#undef DOT_PRODUCT
