#include "infer/recollection.h"

#include <math.h>

#include "kernel/legendre_system.h"

int64_t recollection_reach(double theta, const int64_t *delay, int64_t delays)
{
    int64_t reach = 0;
    while (reach < delays && (double)delay[reach] + 0.5 <= theta)
        reach++;
    return reach;
}

void recollection_readout(int64_t order, double theta, bool scaled, const int64_t *delay, int64_t delays, double *c)
{
    for (int64_t d = 0; d < delays; d++) {
        double *row = c + d * order;
        legendre_readout(order, ((double)delay[d] + 0.5) / theta, row);
        for (int64_t i = 0; scaled && i < order; i++)
            row[i] *= sqrt((double)(2 * i + 1) / theta);
    }
}

void recollect(int64_t order, int64_t channels, int64_t channel, const float *m, const double *c, int64_t delays,
               float *out)
{
    for (int64_t d = 0; d < delays; d++) {
        double sum = 0;
        for (int64_t i = 0; i < order; i++)
            sum += c[d * order + i] * (double)m[i * channels + channel];
        out[d] = (float)sum;
    }
}

double recollection_cosine(const float *a, const float *b, int64_t channels)
{
    double product = 0, aa = 0, bb = 0;
    for (int64_t i = 0; i < channels; i++) {
        product += (double)a[i] * (double)b[i];
        aa += (double)a[i] * (double)a[i];
        bb += (double)b[i] * (double)b[i];
    }
    double cosine = product / sqrt(aa * bb);
    return isfinite(cosine) ? cosine : 0;
}

void recalled_token_find(const float *similarity, int64_t vocabulary, int64_t id, RecalledToken *out)
{
    int64_t found = 0;
    *out = (RecalledToken){.id = id, .similarity = similarity[id], .rank = 1, .nearest = {-1, -1, -1}};
    for (int64_t v = 0; v < vocabulary; v++) {
        out->rank += similarity[v] > similarity[id];
        int64_t place = found;
        while (place > 0 && similarity[v] > similarity[out->nearest[place - 1]])
            place--;
        if (place == RECOLLECTION_NEAREST)
            continue;
        found += found < RECOLLECTION_NEAREST;
        for (int64_t i = found - 1; i > place; i--)
            out->nearest[i] = out->nearest[i - 1];
        out->nearest[place] = v;
    }
    for (int64_t i = 0; i < found; i++)
        out->nearness[i] = similarity[out->nearest[i]];
}
