/* Power laws of a loss: L(x) = a x^-b, and L(x) = floor + a x^-b with a floor that no x goes below (Hestness et al. 2017, Kaplan et
 * al. 2020). Fitted by Levenberg-Marquardt to the logarithm of the loss, every point with the same weight: a relative error
 * counts as much at a small loss as at a large one. The parameters are fitted as logarithms and so are positive. */
#ifndef LMU_STUDY_POWER_LAW_H
#define LMU_STUDY_POWER_LAW_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

typedef struct PowerLaw {
    double a, b, floor;                   /* floor: 0 without one */
    double a_error, b_error, floor_error; /* standard errors, by the curvature at the optimum and the residuals there */
    double deviation;                     /* root mean square of log(measured / law) */
    size_t points;
    const char *refusal; /* why there is no fit; NULL: there is one */
} PowerLaw;

/* n points. There is no fit (see refusal) of fewer points than parameters + 1, of one x, of x or loss that are 0, of a loss that does not
 * fall, or where the best floor is 0: that is the law without it. Fails only for want of memory. */
lmu_status power_law_fit(const double *x, const double *loss, size_t n, bool with_floor, PowerLaw *out);

double power_law_at(const PowerLaw *law, double x);

#endif
