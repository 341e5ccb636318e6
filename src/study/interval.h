/* Two numbers between which a third lies: a 95% interval, or what is known of a number that could only be bounded. */
#ifndef LMU_STUDY_INTERVAL_H
#define LMU_STUDY_INTERVAL_H

#include <stdbool.h>
#include <stddef.h>

/* low == high: the number itself. high infinite: "more than low"; low 0: "less than high"; both: nothing is known. Both NaN: not
 * measured. */
typedef struct Interval {
    double low, high;
} Interval;

#define INTERVAL_NONE ((Interval){NAN, NAN})

bool interval_is_none(Interval interval);

/* The geometric mean of positive numbers of which only bounds are known; none of no numbers. */
Interval interval_geometric_mean(const Interval *of, size_t count);

/* From the 2.5th percentile of `low` to the 97.5th of `high`, of `count` draws each, outwards to the next draw; the arrays are
 * sorted and may be one array. None of no draws. */
Interval interval_percentile(double *low, double *high, size_t count);

/* Student's 95% interval for the mean of `count` >= 2 numbers with this mean and standard deviation; else none. */
Interval interval_student(double mean, double deviation, size_t count);

#endif
