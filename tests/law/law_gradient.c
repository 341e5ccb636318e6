/* The gradient law: directional derivatives by central differences, in double. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "law.h"

#define STEP 1e-4
#define DIRECTIONS 2
#define WHOLE (-1) /* all parameters together */

/* Rows of 5, 0, 19 and 33 tokens after prefixes of 3, 7, 0 and 18. */
static const int64_t prefix[4] = {3, 7, 0, 18}, count[4] = {5, 0, 19, 33}, slot[4] = {2, 4, 0, 3};

typedef struct Probe {
    LawSubject *s;
    LawBatch batch;
    State *start, *state; /* after the prefix; working copy */
    double *values, *moved, *gradient, *direction, *input_gradient;
} Probe;

static double probe_value(Probe *p, double *magnitude)
{
    for (int r = 0; r < p->batch.rows; r++)
        state_copy(p->state, slot[r], p->start, slot[r]);
    subject_run(p->s, &p->batch, p->state);
    return subject_value(p->s, &p->batch, magnitude);
}

static Probe probe_open(const LawCase *law, LawShape shape, const Mutation *mutation)
{
    LawOptions options = {
        .kind = BACKEND_DOUBLE, .mode = GRAPH_TRAIN, .shape = shape, .rows = 5, .tokens = 64, .mutation = mutation};
    Probe p = {.s = subject_open(law, &options)};
    p.start = subject_state(p.s, 5);
    p.state = subject_state(p.s, 5);
    LawBatch before = {0};
    for (int r = 0; r < 4; r++) {
        batch_row(&before, r, 0, prefix[r], slot[r]);
        batch_row(&p.batch, r, prefix[r], count[r], slot[r]);
    }
    subject_run(p.s, &before, p.start);
    size_t length = (size_t)p.s->params->length;
    p.values = law_new(length, sizeof(double));
    p.moved = law_new(length, sizeof(double));
    p.gradient = law_new(length, sizeof(double));
    p.direction = law_new(length, sizeof(double));
    p.input_gradient = law_new((size_t)p.s->tokens * 512, sizeof(double));
    KERNEL(p.s->backend, get_f64, p.s->params->length, p.s->params->values, p.values);
    return p;
}

static void probe_close(Probe *p)
{
    state_close(p->start);
    state_close(p->state);
    subject_close(p->s);
    free(p->values);
    free(p->moved);
    free(p->gradient);
    free(p->direction);
    free(p->input_gradient);
}

/* Relative to the larger of the two, or to what is lost in rounding where both are nearly 0. */
static double slope_error(double finite, double exact, double typical, double magnitude)
{
    if (!isfinite(finite) || !isfinite(exact))
        return LAW_BROKEN;
    double scale = fmax(fmax(fabs(finite), fabs(exact)), fmax(0.05 * typical, 2e-6 * magnitude));
    return finite == exact ? 0 : fabs(finite - exact) / scale;
}

static void move_parameters(Probe *p, double step)
{
    Params *params = p->s->params;
    for (int64_t i = 0; i < params->length; i++)
        p->moved[i] = p->values[i] + step * p->direction[i];
    params_write_begin(params);
    KERNEL(params->backend, put_f64, params->length, p->moved, params->values);
    params_write_end(params);
}

/* Along a random unit vector in parameter `which`, or in all of them. */
static double parameter_error(Probe *p, int which, uint64_t draw)
{
    const Params *params = p->s->params;
    memset(p->direction, 0, (size_t)params->length * sizeof *p->direction);
    double square = 0, exact = 0, gradient = 0, magnitude;
    int64_t numbers = 0;
    for (size_t k = 0; k < params->count; k++) {
        const Param *param = params->list[k];
        bool moves = (which == WHOLE || which == (int)k) && param->role != PARAM_COUNTS;
        for (int64_t i = param->offset; moves && i < param->offset + param->size; i++) {
            p->direction[i] = random_normal(random_key(draw, "direction", k, 0), (uint64_t)i);
            square += p->direction[i] * p->direction[i];
            gradient += p->gradient[i] * p->gradient[i];
            numbers++;
        }
    }
    if (numbers == 0)
        return 0; /* counts have no gradient */
    for (int64_t i = 0; i < params->length; i++) {
        p->direction[i] /= sqrt(square);
        exact += p->direction[i] * p->gradient[i];
    }
    move_parameters(p, STEP);
    double above = probe_value(p, &magnitude);
    move_parameters(p, -STEP);
    double below = probe_value(p, &magnitude);
    move_parameters(p, 0);
    return slope_error((above - below) / (2 * STEP), exact, sqrt(gradient / (double)numbers), magnitude);
}

/* Along a random direction of one input's numbers; probe->input_gradient holds its gradient. */
static double input_error(Probe *p, int input, uint64_t draw)
{
    int64_t width = p->s->model.width[input], n = 0;
    double square = 0, exact = 0, gradient = 0, magnitude;
    p->s->nudge_key = draw;
    for (int r = 0; r < p->batch.rows; r++) { /* the same draws as the subject's */
        uint64_t key = random_key(draw, "law input", (uint64_t)input, (uint64_t)p->batch.stream[r]);
        for (int64_t i = prefix[r] * width; i < (prefix[r] + count[r]) * width; i++, n++) {
            double direction = random_normal(key, (uint64_t)i);
            square += direction * direction;
            exact += direction * p->input_gradient[n];
            gradient += p->input_gradient[n] * p->input_gradient[n];
        }
    }
    double step = STEP / sqrt(square);
    p->s->nudge[input] = step;
    double above = probe_value(p, &magnitude);
    p->s->nudge[input] = -step;
    double below = probe_value(p, &magnitude);
    p->s->nudge[input] = 0;
    return slope_error((above - below) / (2 * STEP), exact / sqrt(square), sqrt(gradient / (double)n), magnitude);
}

double law_gradient(const LawCase *law, LawShape shape, const Mutation *mutation)
{
    Probe p = probe_open(law, shape, mutation);
    double worst = 0, magnitude;
    for (int input = 0; input < p.s->model.inputs; input++)
        for (uint64_t draw = 0; draw < DIRECTIONS; draw++) {
            probe_value(&p, &magnitude);
            subject_input_gradient(p.s, &p.batch, input, p.input_gradient);
            worst = fmax(worst, input_error(&p, input, draw));
        }
    probe_value(&p, &magnitude);
    subject_gradients(p.s, p.gradient);
    for (int which = WHOLE; p.s->params->count > 0 && which < (int)p.s->params->count; which++)
        for (uint64_t draw = 0; draw < DIRECTIONS; draw++)
            worst = fmax(worst, parameter_error(&p, which, draw));
    probe_close(&p);
    return worst;
}
