/* The study's file: read, and checked before anything is trained. */
#include "study/study.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/format.h"
#include "base/json.h"
#include "base/memory.h"
#include "text/ngram.h"

/* Settings that a study decides itself. */
static const char *const reserved[] = {"data", "tokens", "time", "seed", "evaluate_every", "evaluate_tokens"};
/* Members of a size and of a model that are no settings. */
static const char *const special[] = {"non_embedding", "width_multiple", "ngram", "arch"};
static const char *const special_of[] = {"sizes", "sizes", "models", "models"};

const json_t *study_member(const Study *study, const char *section, const char *name)
{
    return json_object_get(json_object_get(study->json, section), name);
}

static bool is_one_of(const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

lmu_status settings_read(const char *origin, const json_t *settings, ModelConfig *model, TrainConfig *train)
{
    json_t *of_model = json_object(), *of_training = json_object(), *value;
    const char *key;
    lmu_status status = LMU_OK;
    json_object_foreach((json_t *)settings, key, value) {
        if (is_one_of(key, reserved, sizeof reserved / sizeof *reserved)) {
            status =
                error_set(LMU_FORMAT, "%s: key \"%s\" is for the study to set: budgets and seeds stand in its grids",
                          origin, key);
            goto done;
        }
        json_object_set(fields_find(&train_table, key) ? of_training : of_model, key, value);
    }
    ATTEMPT(fields_from_json(&train_table, train, origin, of_training));
    status = fields_from_json(&model_table, model, origin, of_model);
done:
    json_decref(of_model);
    json_decref(of_training);
    return status;
}

void settings_drop_special(json_t *settings)
{
    for (size_t i = 0; i < sizeof special / sizeof *special; i++)
        json_object_del(settings, special[i]);
}

const StudyGrid *study_grid(const Study *study, const char *name)
{
    for (size_t i = 0; i < study->grids; i++)
        if (strcmp(study->grid[i].name, name) == 0)
            return &study->grid[i];
    return NULL;
}

/* -- checks -- */

static lmu_status check_settings(const Study *study, const char *section, const char *name, const char *arch,
                                 const json_t *settings)
{
    char origin[512];
    ModelConfig model = {0};
    TrainConfig train = {0};
    json_t *plain = json_copy((json_t *)settings);
    lmu_status status;
    snprintf(origin, sizeof origin, "%s: %s%s%s", study->path, section, *name ? "." : "", name);
    for (size_t i = 0; i < sizeof special / sizeof *special; i++)
        if (strcmp(special_of[i], section) == 0)
            json_object_del(plain, special[i]);
    status = model_config_init(&model, arch);
    if (status != LMU_OK)
        status = error_prefix(LMU_FORMAT, "%s: ", origin);
    ATTEMPT(status);
    ATTEMPT(fields_init(&train_table, &train));
    status = settings_read(origin, plain, &model, &train);
done:
    json_decref(plain);
    model_config_free(&model);
    fields_free(&train_table, &train);
    return status;
}

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* `where` ends in a colon and a space, or is empty. */
static lmu_status check_keys(const Study *study, const char *where, const json_t *json, const char *const *known,
                             size_t count)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)json, key, value) {
        char suggestion[SUGGESTION_SIZE];
        if (!is_one_of(key, known, count))
            return error_set(LMU_FORMAT, "%s: %sunknown key \"%s\"%s", study->path, where, key,
                             name_suggestion(key, known, count, suggestion));
    }
    return LMU_OK;
}

static lmu_status check_corpora(const Study *study)
{
    static const char *const known[] = {"train", "valid", "vocabulary", "sha256"};
    const json_t *corpora = json_object_get(study->json, "corpora");
    json_t *corpus;
    const char *name;
    if (!json_is_object(corpora))
        return error_set(LMU_FORMAT, "%s: key \"corpora\" must be an object of named corpora", study->path);
    json_object_foreach((json_t *)corpora, name, corpus) {
        char where[256];
        if (!json_is_object(corpus))
            return error_set(LMU_FORMAT, "%s: corpora.%s must be an object", study->path, name);
        snprintf(where, sizeof where, "corpora.%s: ", name);
        TRY(check_keys(study, where, corpus, known, COUNT(known)));
    }
    return LMU_OK;
}

/* Members that would be passed over beside others. */
static lmu_status check_member(const Study *study, const char *section, const char *name, const json_t *settings)
{
    if (json_object_get(settings, "ngram") && json_object_size(settings) > 1)
        return error_set(LMU_FORMAT, "%s: %s.%s: counts (\"ngram\") have no other settings", study->path, section,
                         name);
    if (json_object_get(settings, "non_embedding") && json_object_get(settings, "dim"))
        return error_set(LMU_FORMAT,
                         "%s: %s.%s: the width is given by \"dim\" or solved for by \"non_embedding\", not both",
                         study->path, section, name);
    return LMU_OK;
}

static lmu_status check_section(const Study *study, const char *section)
{
    const json_t *object = json_object_get(study->json, section);
    json_t *settings;
    const char *name;
    if (!json_is_object(object))
        return error_set(LMU_FORMAT, "%s: key \"%s\" must be an object of named settings", study->path, section);
    json_object_foreach((json_t *)object, name, settings) {
        const char *arch = ARCHITECTURE_DEFAULT;
        if (!json_is_object(settings))
            return error_set(LMU_FORMAT, "%s: %s.%s must be an object", study->path, section, name);
        TRY(check_member(study, section, name, settings));
        if (json_object_get(settings, "arch"))
            TRY(json_get_string(study->path, settings, "arch", &arch));
        int64_t number;
        if (json_object_get(settings, "ngram"))
            TRY(json_get_integer(study->path, settings, "ngram", 1, NGRAM_ORDER_MAX, &number));
        else if (strcmp(section, "models") == 0 && !json_object_get(settings, "arch"))
            return error_set(LMU_FORMAT, "%s: models.%s has neither \"arch\" nor \"ngram\"", study->path, name);
        if (json_object_get(settings, "non_embedding"))
            TRY(json_get_integer(study->path, settings, "non_embedding", 1, INT64_MAX / 2, &number));
        if (json_object_get(settings, "width_multiple"))
            TRY(json_get_integer(study->path, settings, "width_multiple", 1, 65536, &number));
        TRY(check_settings(study, section, name, arch, settings));
    }
    return LMU_OK;
}

static lmu_status unknown_name(const Study *study, const StudyGrid *grid, const char *section, const char *name)
{
    const char *names[256], *key;
    char suggestion[SUGGESTION_SIZE];
    json_t *value;
    size_t count = 0;
    json_object_foreach(json_object_get(study->json, section), key, value)
        if (count < 256)
            names[count++] = key;
    return error_set(LMU_FORMAT, "%s: grid %s: there is no \"%s\" in \"%s\"%s", study->path, grid->name, name, section,
                     name_suggestion(name, names, count, suggestion));
}

/* An array of names of a section. */
static lmu_status get_names(const Study *study, const StudyGrid *grid, const json_t *json, const char *section,
                            const json_t **out)
{
    size_t index;
    json_t *name;
    *out = json_object_get(json, section);
    if (!json_is_array(*out) || json_array_size(*out) == 0)
        return error_set(LMU_FORMAT, "%s: grid %s: key \"%s\" must be an array of at least one name", study->path,
                         grid->name, section);
    json_array_foreach(*out, index, name) {
        if (!json_is_string(name))
            return error_set(LMU_FORMAT, "%s: grid %s: key \"%s\": name %zu is no string", study->path, grid->name,
                             section, index + 1);
        if (!study_member(study, section, json_string_value(name)))
            return unknown_name(study, grid, section, json_string_value(name));
    }
    return LMU_OK;
}

static int compare_counts(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* An array of counts, each a number or text such as "2M", into ascending order. */
static lmu_status get_counts(const Study *study, const StudyGrid *grid, const json_t *json, const char *key,
                             int64_t low, int64_t **out, size_t *count)
{
    const json_t *array = json_object_get(json, key);
    size_t index;
    json_t *item;
    *count = json_array_size(array);
    if (*count == 0)
        return error_set(LMU_FORMAT, "%s: grid %s: key \"%s\" must be an array of at least one count", study->path,
                         grid->name, key);
    TRY(memory_new(out, *count, sizeof **out, "a study"));
    json_array_foreach(array, index, item) {
        int64_t value = json_is_integer(item) ? json_integer_value(item) : -1;
        if (json_is_string(item) && !parse_count(json_string_value(item), &value))
            value = -1;
        if (value < low || value > (int64_t)1e15)
            return error_set(
                LMU_FORMAT,
                "%s: grid %s: key \"%s\": number %zu must be a count of at least %lld, such as 2000000 or \"2M\"",
                study->path, grid->name, key, index + 1, (long long)low);
        (*out)[index] = value;
    }
    qsort(*out, *count, sizeof **out, compare_counts);
    for (size_t i = 1; i < *count; i++)
        if ((*out)[i] == (*out)[i - 1])
            return error_set(LMU_FORMAT, "%s: grid %s: key \"%s\" has %lld twice", study->path, grid->name, key,
                             (long long)(*out)[i]);
    return LMU_OK;
}

static lmu_status check_vary(const Study *study, const StudyGrid *grid)
{
    const char *key;
    json_t *values, *value;
    size_t index;
    json_object_foreach((json_t *)grid->vary, key, values) {
        if (json_array_size(values) == 0)
            return error_set(LMU_FORMAT, "%s: grid %s: vary.%s must be an array of values", study->path, grid->name,
                             key);
        json_array_foreach(values, index, value) {
            const char *text = json_string_value(value);
            double factor;
            if (text && text[0] == 'x' && parse_real(text + 1, &factor) && factor > 0) {
                const Field *field = fields_find(&train_table, key);
                field = field ? field : fields_find(&model_table, key);
                if (field && (field->type == FIELD_REAL || field->type == FIELD_COUNT))
                    continue;
            }
            json_t *settings = json_pack("{s:O}", key, value);
            lmu_status status = check_settings(study, "grids", grid->name, ARCHITECTURE_DEFAULT, settings);
            json_decref(settings);
            TRY(status);
        }
    }
    return LMU_OK;
}

static lmu_status check_variants(const Study *study, const StudyGrid *grid)
{
    const char *name;
    json_t *settings;
    json_object_foreach((json_t *)grid->variants, name, settings)
        TRY(check_settings(study, grid->name, name, ARCHITECTURE_DEFAULT, settings));
    return LMU_OK;
}

static lmu_status get_optional(const Study *study, const StudyGrid *grid, const json_t *json, const char *key,
                               const json_t **out)
{
    *out = json_object_get(json, key);
    if (*out && !json_is_object(*out))
        return error_set(LMU_FORMAT, "%s: grid %s: key \"%s\" must be an object", study->path, grid->name, key);
    return LMU_OK;
}

static lmu_status read_grid(Study *study, const json_t *json, StudyGrid *grid)
{
    static const char *const known[] = {"name",    "note",  "corpus",   "tuned_by", "models",     "sizes",
                                        "budgets", "seeds", "variants", "vary",     "optimizers", "carried"};
    char where[256];
    if (!json_is_object(json))
        return error_set(LMU_FORMAT, "%s: grids must be objects", study->path);
    TRY(json_get_string(study->path, json, "name", &grid->name));
    for (StudyGrid *other = study->grid; other < grid; other++)
        if (strcmp(other->name, grid->name) == 0)
            return error_set(LMU_FORMAT, "%s: two grids have the name %s", study->path, grid->name);
    snprintf(where, sizeof where, "grid %s: ", grid->name);
    TRY(check_keys(study, where, json, known, COUNT(known)));
    TRY(json_get_string(study->path, json, "corpus", &grid->corpus));
    if (!study_member(study, "corpora", grid->corpus))
        return unknown_name(study, grid, "corpora", grid->corpus);
    TRY(get_names(study, grid, json, "models", &grid->models));
    TRY(get_names(study, grid, json, "sizes", &grid->sizes));
    TRY(get_names(study, grid, json, "optimizers", &grid->optimizers));
    TRY(get_counts(study, grid, json, "budgets", 1, &grid->budget, &grid->budgets));
    TRY(get_counts(study, grid, json, "seeds", 0, &grid->seed, &grid->seeds));
    TRY(get_optional(study, grid, json, "variants", &grid->variants));
    TRY(get_optional(study, grid, json, "vary", &grid->vary));
    if (json_object_get(json, "carried") && !json_is_boolean(json_object_get(json, "carried")))
        return error_set(LMU_FORMAT, "%s: grid %s: key \"carried\" must be true or false", study->path, grid->name);
    grid->carried = json_is_true(json_object_get(json, "carried"));
    TRY(check_variants(study, grid));
    TRY(check_vary(study, grid));
    if (!json_object_get(json, "tuned_by"))
        return LMU_OK;
    TRY(json_get_string(study->path, json, "tuned_by", &grid->tuned_by));
    for (StudyGrid *other = study->grid; other < grid; other++)
        if (strcmp(other->name, grid->tuned_by) == 0)
            return LMU_OK;
    return error_set(LMU_FORMAT, "%s: grid %s: tuned_by names %s, which is no grid before it", study->path, grid->name,
                     grid->tuned_by);
}

static lmu_status read_grids(Study *study)
{
    const json_t *array = json_object_get(study->json, "grids");
    size_t count = json_array_size(array);
    if (count == 0)
        return error_set(LMU_FORMAT, "%s: key \"grids\" must be an array of grids", study->path);
    TRY(memory_new(&study->grid, count, sizeof *study->grid, "a study"));
    for (size_t i = 0; i < count; i++) {
        study->grids++; /* so that what a failing one holds is freed */
        TRY(read_grid(study, json_array_get(array, i), &study->grid[i]));
    }
    return LMU_OK;
}

lmu_status study_open(const char *path, Study **out)
{
    static const char *const members[] = {"title",  "note",  "corpora",    "settings",
                                          "models", "sizes", "optimizers", "grids"};
    Study *study;
    lmu_status status;
    TRY(memory_new(&study, 1, sizeof *study, "a study"));
    study->path = strdup(path);
    if (!study->path) {
        status = error_set(LMU_MEMORY, "no memory for a study");
        goto done;
    }
    ATTEMPT(json_read_file(path, &study->json));
    ATTEMPT(json_get_string(path, study->json, "title", &study->title));
    const json_t *settings = json_object_get(study->json, "settings");
    if (settings)
        ATTEMPT(check_settings(study, "settings", "", ARCHITECTURE_DEFAULT, settings));
    ATTEMPT(check_keys(study, "", study->json, members, COUNT(members)));
    ATTEMPT(check_corpora(study));
    ATTEMPT(check_section(study, "models"));
    ATTEMPT(check_section(study, "sizes"));
    ATTEMPT(check_section(study, "optimizers"));
    status = read_grids(study);
done:
    if (status == LMU_OK)
        *out = study;
    else
        study_close(study);
    return status;
}

void study_close(Study *study)
{
    if (!study)
        return;
    for (size_t i = 0; i < study->grids; i++) {
        free(study->grid[i].budget);
        free(study->grid[i].seed);
    }
    free(study->grid);
    json_decref(study->json);
    free(study->path);
    free(study);
}
