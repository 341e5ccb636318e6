#include "study/power_law.h"

#include <gsl/gsl_blas.h>
#include <gsl/gsl_errno.h>
#include <gsl/gsl_multifit_nlinear.h>
#include <math.h>
#include <string.h>

/* What is fitted: p = (log a', log b, log floor), where a' = a x0^-b and x0 is the geometric mean of x, so that a' and b hang
 * little on each other. */
typedef struct Points {
    const double *x, *loss;
    size_t n, parameters;
    double centre; /* log x0 */
} Points;

typedef struct Fit {
    double p[3], covariance[3][3];
    double squares; /* sum of squared residuals */
} Fit;

double power_law_at(const PowerLaw *law, double x)
{
    return law->floor + law->a * pow(x, -law->b);
}

/* The falling part and the whole of the law at point i. */
static double law_part(const Points *points, const gsl_vector *p, size_t i, double *whole)
{
    double u = log(points->x[i]) - points->centre;
    double part = exp(gsl_vector_get(p, 0) - exp(gsl_vector_get(p, 1)) * u);
    *whole = part + (points->parameters == 3 ? exp(gsl_vector_get(p, 2)) : 0);
    return part;
}

static int residuals(const gsl_vector *p, void *data, gsl_vector *out)
{
    const Points *points = data;
    for (size_t i = 0; i < points->n; i++) {
        double whole;
        law_part(points, p, i, &whole);
        if (!isfinite(whole) || !(whole > 0))
            return GSL_EDOM;
        gsl_vector_set(out, i, log(whole) - log(points->loss[i]));
    }
    return GSL_SUCCESS;
}

static int slopes(const gsl_vector *p, void *data, gsl_matrix *out)
{
    const Points *points = data;
    for (size_t i = 0; i < points->n; i++) {
        double whole, u = log(points->x[i]) - points->centre;
        double part = law_part(points, p, i, &whole);
        gsl_matrix_set(out, i, 0, part / whole);
        gsl_matrix_set(out, i, 1, -part / whole * exp(gsl_vector_get(p, 1)) * u);
        if (points->parameters == 3)
            gsl_matrix_set(out, i, 2, exp(gsl_vector_get(p, 2)) / whole);
    }
    return GSL_SUCCESS;
}

/* Where the search starts: the straight line of log(loss - floor) over log x. False: it does not fall. */
static bool start_from(const Points *points, double floor, double p[3])
{
    double mean = 0, xx = 0, xy = 0, n = (double)points->n;
    for (size_t i = 0; i < points->n; i++)
        mean += log(points->loss[i] - floor) / n;
    for (size_t i = 0; i < points->n; i++) {
        double u = log(points->x[i]) - points->centre;
        xx += u * u;
        xy += u * (log(points->loss[i] - floor) - mean);
    }
    p[0] = mean;
    p[1] = log(-xy / xx);
    p[2] = log(floor);
    return -xy / xx > 1e-9;
}

/* One search by GSL from *fit's parameters. False: it found nothing. */
static bool search(gsl_multifit_nlinear_workspace *space, gsl_matrix *covariance, Points *points, Fit *fit)
{
    size_t k = points->parameters;
    int info;
    gsl_multifit_nlinear_fdf problem = {.f = residuals, .df = slopes, .n = points->n, .p = k, .params = points};
    gsl_vector_view start = gsl_vector_view_array(fit->p, k);
    if (gsl_multifit_nlinear_init(&start.vector, &problem, space) != GSL_SUCCESS)
        return false;
    /* Its status is not asked for: a search that creeps along a valley to its last step has no better place to offer. */
    gsl_multifit_nlinear_driver(500, 1e-12, 1e-12, 0, NULL, NULL, &info, space);
    for (size_t i = 0; i < k; i++)
        fit->p[i] = gsl_vector_get(space->x, i);
    gsl_blas_ddot(space->f, space->f, &fit->squares);
    double variance = fit->squares / (double)(points->n - k);
    if (gsl_multifit_nlinear_covar(space->J, 0, covariance) != GSL_SUCCESS)
        return false;
    for (size_t i = 0; i < k; i++)
        for (size_t j = 0; j < k; j++)
            fit->covariance[i][j] = variance * gsl_matrix_get(covariance, i, j);
    return isfinite(fit->squares);
}

/* The best of several searches, each from another floor; of none that found anything false. */
static bool search_all(gsl_multifit_nlinear_workspace *space, gsl_matrix *covariance, Points *points, Fit *best)
{
    static const double shares[] = {0.9, 0.5, 0.99, 0.1}; /* of the lowest loss */
    double lowest = INFINITY;
    bool found = false;
    for (size_t i = 0; i < points->n; i++)
        lowest = fmin(lowest, points->loss[i]);
    for (size_t i = 0; i < (points->parameters == 3 ? sizeof shares / sizeof *shares : 1); i++) {
        Fit fit = {0};
        if (!start_from(points, points->parameters == 3 ? shares[i] * lowest : 0, fit.p))
            continue;
        if (search(space, covariance, points, &fit) && (!found || fit.squares < best->squares)) {
            *best = fit;
            found = true;
        }
    }
    return found;
}

/* From the logarithms: the error of a parameter is the parameter times the error of its logarithm. log a = log a' + b log x0. */
static void law_take(const Points *points, const Fit *fit, PowerLaw *law)
{
    double slope;
    law->b = exp(fit->p[1]);
    law->a = exp(fit->p[0] + law->b * points->centre);
    slope = law->b * points->centre;
    law->a_error = law->a * sqrt(fmax(0, fit->covariance[0][0] + 2 * slope * fit->covariance[0][1] +
                                             slope * slope * fit->covariance[1][1]));
    law->b_error = law->b * sqrt(fit->covariance[1][1]);
    if (points->parameters == 3) {
        law->floor = exp(fit->p[2]);
        law->floor_error = law->floor * sqrt(fit->covariance[2][2]);
    }
    law->deviation = sqrt(fit->squares / (double)points->n);
}

static const char *law_refuse(const Points *points)
{
    double first = points->x[0];
    size_t i = 1;
    if (points->n < points->parameters + 1)
        return points->parameters == 3 ? "too few points: 4 are needed" : "too few points: 3 are needed";
    for (size_t j = 0; j < points->n; j++)
        if (!(points->x[j] > 0) || !(points->loss[j] > 0))
            return "a point has no logarithm";
    while (i < points->n && points->x[i] == first)
        i++;
    return i == points->n ? "all points have one x" : NULL;
}

/* A floor below a thousandth of the lowest loss tells nothing, and its logarithm runs away. */
static const char *law_judge(const Points *points, const PowerLaw *law)
{
    double lowest = INFINITY;
    for (size_t i = 0; i < points->n; i++)
        lowest = fmin(lowest, points->loss[i]);
    if (!isfinite(law->a) || !isfinite(law->b) || law->b < 1e-6)
        return "the loss does not fall as a power";
    if (points->parameters == 3 && law->floor < 1e-3 * lowest)
        return "the best irreducible loss is 0";
    return NULL;
}

lmu_status power_law_fit(const double *x, const double *loss, size_t n, bool with_floor, PowerLaw *out)
{
    Points points = {.x = x, .loss = loss, .n = n, .parameters = with_floor ? 3 : 2};
    Fit fit;
    memset(out, 0, sizeof *out);
    out->points = n;
    out->refusal = law_refuse(&points);
    if (out->refusal)
        return LMU_OK;
    for (size_t i = 0; i < n; i++)
        points.centre += log(x[i]) / (double)n;
    gsl_multifit_nlinear_parameters options = gsl_multifit_nlinear_default_parameters();
    gsl_error_handler_t *handler = gsl_set_error_handler_off(); /* else GSL ends the program */
    gsl_multifit_nlinear_workspace *space =
        gsl_multifit_nlinear_alloc(gsl_multifit_nlinear_trust, &options, n, points.parameters);
    gsl_matrix *covariance = gsl_matrix_alloc(points.parameters, points.parameters);
    lmu_status status = space && covariance ? LMU_OK : error_set(LMU_MEMORY, "no memory for a fit");
    if (status == LMU_OK && search_all(space, covariance, &points, &fit)) {
        law_take(&points, &fit, out);
        out->refusal = law_judge(&points, out);
    } else {
        out->refusal = "the loss does not fall as a power";
    }
    gsl_matrix_free(covariance);
    gsl_multifit_nlinear_free(space);
    gsl_set_error_handler(handler);
    return status;
}
