#include "text/cooccurrence.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/random.h"

#define REACH 2 /* how many tokens away a neighbour may stand: at once it counts 2, behind that 1 */
#define SMOOTHING 0.75
#define ITERATIONS 4
#define PORTION 64  /* vectors between two looks at whether to go on */
#define TINY 1e-12f /* of a vector's squares, before which nothing is left of it but rounding */

/* The entries of a V x V matrix that are there, by rows. */
typedef struct Sparse {
    int64_t rows;
    int64_t *start;  /* [rows + 1] */
    int32_t *column; /* [start[rows]] */
    float *value;
} Sparse;

static void sparse_free(Sparse *m)
{
    free(m->start);
    free(m->column);
    free(m->value);
}

static lmu_status sparse_new(int64_t rows, int64_t entries, Sparse *m)
{
    m->rows = rows;
    TRY(memory_new(&m->start, (size_t)rows + 1, sizeof *m->start, "counts of neighbours"));
    TRY(memory_new(&m->column, (size_t)entries, sizeof *m->column, "counts of neighbours"));
    return memory_new(&m->value, (size_t)entries, sizeof *m->value, "counts of neighbours");
}

static lmu_status go_on(const Progress *progress)
{
    return progress_interrupted(progress)
               ? error_set(LMU_INTERRUPTED, "interrupted while counting what stands beside tokens")
               : LMU_OK;
}

/* -- counts -- */

/* Two tokens of a window as one number, by which they are sorted: the first, the one behind it, whether at once. */
static uint64_t pair_of(int32_t first, int32_t second, int distance)
{
    return (uint64_t)(uint32_t)first << 32 | (uint64_t)(uint32_t)second << 1 | (distance == 1);
}

static int by_number(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static lmu_status read_pairs(const Windows *windows, int64_t samples, Progress *progress, uint64_t **out, size_t *count)
{
    int64_t length = windows->length + 1;
    int32_t *window;
    uint64_t *pair = NULL;
    lmu_status status;
    double bytes = 2.0 * (double)samples * (double)length * REACH * sizeof *pair; /* and to sort them */
    *count = 0;
    TRY(memory_check(bytes, "counts of neighbours", "count less text"));
    TRY(memory_new(&window, (size_t)length, sizeof *window, "a window"));
    ATTEMPT(memory_new(&pair, (size_t)samples * (size_t)length * REACH, sizeof *pair, "counts of neighbours"));
    for (int64_t s = 0; s < samples; s++) {
        ATTEMPT(go_on(progress));
        windows_read(windows, s, window);
        for (int64_t t = 0; t < length; t++)
            for (int k = 1; k <= REACH && t + k < length; k++)
                pair[(*count)++] = pair_of(window[t], window[t + k], k);
    }
    qsort(pair, *count, sizeof *pair, by_number);
    *out = pair;
    pair = NULL;
done:
    free(window);
    free(pair);
    return status;
}

/* C from sorted pairs. */
static lmu_status count_pairs(const uint64_t *pair, size_t pairs, int64_t vocabulary, Sparse *m)
{
    int64_t entries = 0;
    for (size_t i = 0; i < pairs; i++)
        entries += i == 0 || pair[i] >> 1 != pair[i - 1] >> 1;
    TRY(sparse_new(vocabulary, entries, m));
    entries = 0;
    for (size_t first = 0, next; first < pairs; first = next, entries++) {
        int64_t count = 0;
        for (next = first; next < pairs && pair[next] >> 1 == pair[first] >> 1; next++)
            count += pair[next] & 1 ? 2 : 1;
        m->column[entries] = (int32_t)(pair[first] >> 1 & INT32_MAX);
        m->value[entries] = (float)count;
        m->start[(pair[first] >> 32) + 1]++;
    }
    for (int64_t row = 0; row < vocabulary; row++)
        m->start[row + 1] += m->start[row];
    return LMU_OK;
}

static lmu_status transpose(const Sparse *m, Sparse *out)
{
    int64_t *next;
    lmu_status status;
    TRY(memory_new(&next, (size_t)m->rows, sizeof *next, "counts of neighbours"));
    ATTEMPT(sparse_new(m->rows, m->start[m->rows], out));
    for (int64_t i = 0; i < m->start[m->rows]; i++)
        out->start[m->column[i] + 1]++;
    for (int64_t row = 0; row < m->rows; row++)
        out->start[row + 1] += out->start[row];
    memcpy(next, out->start, (size_t)m->rows * sizeof *next);
    for (int64_t row = 0; row < m->rows; row++)
        for (int64_t i = m->start[row]; i < m->start[row + 1]; i++) {
            int64_t at = next[m->column[i]]++;
            out->column[at] = (int32_t)row;
            out->value[at] = m->value[i];
        }
done:
    free(next);
    return status;
}

/* Positive pointwise mutual information in the place of counts; entries of which nothing is left go. */
static lmu_status weigh(Sparse *m)
{
    double *context, whole = 0;
    int64_t kept = 0;
    TRY(memory_new(&context, (size_t)m->rows, sizeof *context, "counts of neighbours"));
    for (int64_t i = 0; i < m->start[m->rows]; i++)
        context[m->column[i]] += (double)m->value[i];
    for (int64_t v = 0; v < m->rows; v++)
        whole += context[v] = pow(context[v], SMOOTHING);
    for (int64_t u = 0, first = 0; u < m->rows; u++) {
        double all = 0;
        int64_t end = m->start[u + 1];
        for (int64_t i = first; i < end; i++)
            all += (double)m->value[i];
        for (int64_t i = first; i < end; i++) {
            double information = log((double)m->value[i] / all * whole / context[m->column[i]]);
            if (information <= 0)
                continue;
            m->column[kept] = m->column[i];
            m->value[kept++] = (float)information;
        }
        first = end;
        m->start[u + 1] = kept;
    }
    free(context);
    return LMU_OK;
}

/* -- orthogonal iteration: vectors of V numbers side by side -- */

static float dot(const float *x, const float *y, int64_t n)
{
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++)
        sum += x[i] * y[i];
    return sum;
}

/* y += M M^T x, with room for V numbers. */
static void add_gram(const Sparse *m, const float *x, float *room, float *y)
{
    memset(room, 0, (size_t)m->rows * sizeof *room);
    for (int64_t row = 0; row < m->rows; row++)
        for (int64_t i = m->start[row]; i < m->start[row + 1]; i++)
            room[m->column[i]] += m->value[i] * x[row];
    for (int64_t row = 0; row < m->rows; row++) {
        float sum = 0;
        for (int64_t i = m->start[row]; i < m->start[row + 1]; i++)
            sum += m->value[i] * room[m->column[i]];
        y[row] += sum;
    }
}

static lmu_status apply(const Sparse m[2], int64_t count, int threads, float *vectors)
{
    int64_t n = m->rows;
    float *room;
    TRY(memory_new(&room, (size_t)threads * 2 * (size_t)n, sizeof *room, "counts of neighbours"));
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int thread = 0; thread < threads; thread++)
        for (int64_t k = thread; k < count; k += threads) {
            float *x = vectors + k * n, *between = room + 2 * thread * n, *y = between + n;
            memset(y, 0, (size_t)n * sizeof *y);
            add_gram(&m[0], x, between, y);
            add_gram(&m[1], x, between, y);
            memcpy(x, y, (size_t)n * sizeof *y);
        }
    free(room);
    return LMU_OK;
}

/* Gram and Schmidt's, each vector twice, as once leaves what rounding puts in. One of which nothing is left becomes 0. */
static lmu_status orthonormalise(int64_t count, int64_t n, int threads, Progress *progress, float *vectors)
{
    float *share;
    lmu_status status = LMU_OK;
    TRY(memory_new(&share, (size_t)count, sizeof *share, "vectors of tokens"));
    for (int64_t k = 0; k < count; k++) {
        if (k % PORTION == 0)
            ATTEMPT(go_on(progress));
        float *x = vectors + k * n, before = dot(x, x, n);
        for (int pass = 0; pass < 2; pass++) {
#pragma omp parallel num_threads(threads)
            {
#pragma omp for schedule(static)
                for (int64_t j = 0; j < k; j++)
                    share[j] = dot(vectors + j * n, x, n);
#pragma omp for schedule(static)
                for (int64_t i = 0; i < n; i += 1024)
                    for (int64_t j = 0, end = i + 1024 < n ? i + 1024 : n; j < k; j++)
                        for (int64_t at = i; at < end; at++)
                            x[at] -= share[j] * vectors[j * n + at];
            }
        }
        float left = dot(x, x, n), scale = left > TINY * before ? 1 / sqrtf(left) : 0;
        for (int64_t i = 0; i < n; i++)
            x[i] *= scale;
    }
done:
    free(share);
    return status;
}

static void draw(uint64_t key, int64_t count, int threads, float *out)
{
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t i = 0; i < count; i++)
        out[i] = (float)random_normal(key, (uint64_t)i);
}

static lmu_status iterate(const Sparse m[2], int64_t dim, uint64_t seed, int threads, Progress *progress, float *basis)
{
    draw(random_key(seed, "cooccurrence", 0, 0), dim * m->rows, threads, basis);
    for (int k = 0; k < ITERATIONS; k++) {
        for (int64_t done = 0; done < dim; done += PORTION) {
            progress_report(progress, "vectors of tokens", (double)(k * dim + done), (double)(ITERATIONS * dim),
                            "vectors", NULL);
            TRY(go_on(progress));
            TRY(apply(m, dim - done < PORTION ? dim - done : PORTION, threads, basis + done * m->rows));
        }
        TRY(orthonormalise(dim, m->rows, threads, progress, basis));
    }
    progress_report(progress, "vectors of tokens", (double)(ITERATIONS * dim), (double)(ITERATIONS * dim), "vectors",
                    NULL);
    return LMU_OK;
}

/* Row v of out: the basis at v, turned, times a number that makes the mean square of tokens that occur 1. */
static lmu_status turn(const float *basis, int64_t vocabulary, int64_t dim, uint64_t seed, int threads,
                       Progress *progress, float *out)
{
    float *rotation;
    double squares = 0;
    int64_t occur = 0;
    lmu_status status;
    TRY(memory_new(&rotation, (size_t)(dim * dim), sizeof *rotation, "vectors of tokens"));
    draw(random_key(seed, "cooccurrence", 1, 0), dim * dim, threads, rotation);
    ATTEMPT(orthonormalise(dim, dim, threads, progress, rotation));
    memset(out, 0, (size_t)(vocabulary * dim) * sizeof *out);
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t v = 0; v < vocabulary; v++)
        for (int64_t k = 0; k < dim; k++)
            for (int64_t d = 0; d < dim; d++)
                out[v * dim + d] += basis[k * vocabulary + v] * rotation[k * dim + d];
    for (int64_t v = 0; v < vocabulary; v++) {
        double own = (double)dot(out + v * dim, out + v * dim, dim);
        squares += own;
        occur += own > 0;
    }
    float scale = squares > 0 ? (float)sqrt((double)(occur * dim) / squares) : 0;
    for (int64_t i = 0; i < vocabulary * dim; i++)
        out[i] *= scale;
done:
    free(rotation);
    return status;
}

lmu_status cooccurrence_vectors(const Windows *windows, int64_t samples, int64_t vocabulary, int64_t dim, uint64_t seed,
                                int threads, Progress *progress, float *out)
{
    if (dim < 1 || dim > vocabulary)
        return error_set(LMU_USAGE, "vectors of %lld numbers cannot be made for %lld tokens: as many are the most",
                         (long long)dim, (long long)vocabulary);
    Sparse m[2] = {{0}, {0}};
    uint64_t *pair = NULL;
    float *basis = NULL;
    size_t pairs;
    lmu_status status;
    ATTEMPT(read_pairs(windows, samples < windows->count ? samples : windows->count, progress, &pair, &pairs));
    ATTEMPT(count_pairs(pair, pairs, vocabulary, &m[0]));
    free(pair); /* as many bytes as the matrices may take */
    pair = NULL;
    ATTEMPT(transpose(&m[0], &m[1]));
    ATTEMPT(weigh(&m[0]));
    ATTEMPT(weigh(&m[1]));
    ATTEMPT(memory_new(&basis, (size_t)(dim * vocabulary), sizeof *basis, "vectors of tokens"));
    ATTEMPT(iterate(m, dim, seed, threads, progress, basis));
    ATTEMPT(turn(basis, vocabulary, dim, seed, threads, progress, out));
done:
    free(pair);
    free(basis);
    sparse_free(&m[0]);
    sparse_free(&m[1]);
    return status;
}
