#include <math.h>
#include <string.h>

#include "study/fit.h"

/* No number, and what is unbounded, are null in JSON. */
static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *interval(Interval of)
{
    return interval_is_none(of) ? json_null() : json_pack("[o, o]", number(of.low), number(of.high));
}

static json_t *cell_to_json(const SeriesCell *cell)
{
    const Result *first = cell->run[0];
    json_t *ids = json_array(), *seeds = json_array();
    for (size_t i = 0; i < cell->runs; i++) {
        json_array_append_new(ids, json_string(cell->run[i]->id));
        json_array_append_new(seeds, json_integer(cell->run[i]->seed));
    }
    return json_pack("{s:s, s:I, s:o, s:o, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:o, s:f, s:o, s:o, s:o}", "size",
                     cell->size, "budget", (json_int_t)cell->budget, "runs", ids, "seeds", seeds, "width",
                     (json_int_t)first->width, "non_embedding", (json_int_t)first->non_embedding, "parameters",
                     (json_int_t)first->parameters, "flops_token", first->flops_token, "tokens", cell->tokens, "flops",
                     cell->flops, "seconds", cell->seconds, "bits_per_byte", cell->loss, "carried_bits_per_byte",
                     number(cell->carried), "nats", cell->nats, "seed_deviation", number(cell->deviation),
                     "seed_interval", interval(cell->seeds), "interval", interval(cell->text));
}

static json_t *series_to_json(const Series *series)
{
    json_t *cells = json_array();
    for (size_t i = 0; i < series->cells; i++)
        json_array_append_new(cells, cell_to_json(&series->cell[i]));
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:o}", "label", series->label, "model", series->model, "optimizer",
                     series->optimizer, "variant", series->variant, "corpus", series->corpus, "counts", series->counts,
                     "cells", cells);
}

static json_t *power_law_to_json(const PowerLaw *law, bool with_floor)
{
    if (law->refusal)
        return json_pack("{s:s}", "refusal", law->refusal);
    json_t *json = json_pack("{s:f, s:f, s:f, s:f, s:f}", "a", law->a, "b", law->b, "a_error", law->a_error, "b_error",
                             law->b_error, "deviation", law->deviation);
    if (with_floor) {
        json_object_set_new(json, "irreducible", json_real(law->floor));
        json_object_set_new(json, "irreducible_error", json_real(law->floor_error));
    }
    return json;
}

static json_t *law_to_json(const LawFit *law)
{
    json_t *x = json_array(), *bits = json_array(), *nats = json_array();
    for (size_t i = 0; i < law->cells; i++) {
        json_array_append_new(x, json_real(law_x(law->kind, law->cell[i])));
        json_array_append_new(bits, json_real(law->cell[i]->loss));
        json_array_append_new(nats, json_real(law->cell[i]->nats));
    }
    json_t *json = json_pack("{s:s, s:s, s:s}", "over", law_names[law->kind], "series", law->series->label, "corpus",
                             law->series->corpus);
    if (law->size)
        json_object_set_new(json, "size", json_string(law->size));
    if (law->budget)
        json_object_set_new(json, "budget", json_integer(law->budget));
    json_object_set_new(json, "x", x);
    json_object_set_new(json, "bits_per_byte",
                        json_pack("{s:o, s:o, s:o}", "loss", bits, "power", power_law_to_json(&law->bits[0], false),
                                  "power_and_irreducible", power_law_to_json(&law->bits[1], true)));
    json_object_set_new(json, "nats",
                        json_pack("{s:o, s:o, s:o}", "loss", nats, "power", power_law_to_json(&law->nats[0], false),
                                  "power_and_irreducible", power_law_to_json(&law->nats[1], true)));
    return json;
}

static json_t *headline_to_json(const Headline *headline)
{
    if (interval_is_none(headline->value))
        return json_null();
    return json_pack("{s:o, s:o, s:o, s:o}", "value", interval(headline->value), "interval",
                     interval(headline->interval), "least", interval(headline->least), "most",
                     interval(headline->most));
}

static json_t *ratio_to_json(const Ratio *ratio)
{
    json_t *json = json_pack("{s:I, s:f}", "budget", (json_int_t)ratio->a->budget, "trained_tokens", ratio->a->tokens);
    for (int cost = 0; cost < COSTS; cost++) {
        json_t *value = interval_is_none(ratio->value[cost])
                            ? json_null()
                            : json_pack("{s:o, s:o}", "value", interval(ratio->value[cost]), "interval",
                                        interval(ratio->interval[cost]));
        json_object_set_new(json, cost_names[cost], value);
    }
    return json;
}

/* 0 where a run has no time. */
static double pair_spread(const Pair *pair, int which)
{
    const Pace *pace = &pair->pace[which];
    return pace->least > 0 ? pace->most / pace->least : 0;
}

static json_t *pair_to_json(const Pair *pair)
{
    json_t *ratios = json_array(), *budgets = json_array(), *headline = json_object();
    for (int i = 0; i < HEADLINE_BUDGETS; i++)
        if (pair->has_budget[i])
            json_array_append_new(budgets, json_integer(headline_budgets[i]));
    json_object_set_new(headline, "budgets", budgets);
    for (int cost = 0; cost < COSTS; cost++)
        json_object_set_new(headline, cost_names[cost], headline_to_json(&pair->headline[cost]));
    for (size_t i = 0; i < pair->ratios; i++)
        json_array_append_new(ratios, ratio_to_json(&pair->ratio[i]));
    return json_pack("{s:s, s:s, s:s, s:s, s:[I, I], s:[f, f], s:s?, s:o, s:o}", "model", pair->a->label, "baseline",
                     pair->b->label, "corpus", pair->a->corpus, "size", pair->size, "non_embedding",
                     (json_int_t)pair->ratio[0].a->run[0]->non_embedding,
                     (json_int_t)pair->curve[0].run[0]->non_embedding, "seconds_spread", pair_spread(pair, 0),
                     pair_spread(pair, 1), "seconds_withheld", pair->untimed, "headline", headline, "ratios", ratios);
}

json_t *study_fit_to_json(const StudyFit *fit)
{
    json_t *series = json_array(), *laws = json_array(), *pairs = json_array(), *notes = json_array();
    for (size_t i = 0; i < fit->series.count; i++)
        json_array_append_new(series, series_to_json(&fit->series.list[i]));
    for (size_t i = 0; i < fit->laws; i++)
        json_array_append_new(laws, law_to_json(&fit->law[i]));
    for (size_t i = 0; i < fit->pairs; i++)
        json_array_append_new(pairs, pair_to_json(&fit->pair[i]));
    for (size_t i = 0; i < fit->series.notes.count; i++)
        json_array_append_new(notes, json_string(fit->series.notes.value[i]));
    return json_pack("{s:i, s:I, s:I, s:I, s:o, s:o, s:o, s:o}", "version", 1, "runs", (json_int_t)fit->series.runs,
                     "resamples", (json_int_t)fit->resamples, "seed", (json_int_t)fit->seed, "series", series, "laws",
                     laws, "pairs", pairs, "notes", notes);
}
