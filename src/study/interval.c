#include "study/interval.h"

#include <gsl/gsl_cdf.h>
#include <math.h>
#include <stdlib.h>

bool interval_is_none(Interval interval)
{
    return isnan(interval.low) || isnan(interval.high);
}

Interval interval_geometric_mean(const Interval *of, size_t count)
{
    double low = 0, high = 0; /* sums of logarithms; log 0 is -infinity and exp of that 0 */
    if (!count)
        return INTERVAL_NONE;
    for (size_t i = 0; i < count; i++) {
        low += log(of[i].low);
        high += log(of[i].high);
    }
    return (Interval){exp(low / (double)count), exp(high / (double)count)};
}

static int order(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* No interpolation between draws: half of them may be infinite. */
Interval interval_percentile(double *low, double *high, size_t count)
{
    if (!count)
        return INTERVAL_NONE;
    qsort(low, count, sizeof *low, order);
    if (high != low)
        qsort(high, count, sizeof *high, order);
    double last = (double)(count - 1);
    return (Interval){low[(size_t)floor(0.025 * last)], high[(size_t)ceil(0.975 * last)]};
}

Interval interval_student(double mean, double deviation, size_t count)
{
    if (count < 2)
        return INTERVAL_NONE;
    double half = gsl_cdf_tdist_Pinv(0.975, (double)(count - 1)) * deviation / sqrt((double)count);
    return (Interval){mean - half, mean + half};
}
