#include "model/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/format.h"
#include "base/json.h"
#include "base/memory.h"
#include "model/model.h"

static const Field fields[] = {
    FIELD_COUNT_OF(ModelConfig, dim, "128", 1, 65536, "channels", "width of the residual stream"),
    FIELD_COUNT_OF(ModelConfig, layers, "4", 1, 64, "layers", "number of blocks"),
    FIELD_COUNT_OF(ModelConfig, order, "8", 1, 256, "coefficients",
                   "order q of the Legendre memory: coefficients a channel"),
    FIELD_COUNT_OF(ModelConfig, reduced, "0", 0, 256, "rows",
                   "rows q' of implicit attention's queries, keys and values; 0 means the order"),
    {.name = "theta",
     .type = FIELD_REALS,
     .offset = offsetof(ModelConfig, theta),
     .initial = "32",
     .low = 0.1,
     .high = 1e6,
     .unit = "steps",
     .help = "window of the Legendre memory; one for all layers or a comma-separated list with one for each; in the "
             "place of theta-groups that an architecture has by default",
     .empties = "theta_groups"},
    FIELD_REALS_OF(
        ModelConfig, theta_groups, NULL, 0.1, 1e6, "steps",
        "windows of as many groups of neighbouring channels, of dim / groups each, in every layer; instead of theta"),
    FIELD_FLAG_OF(ModelConfig, scaled, "false", "keep the memory in the basis in which it is dissipative"),
    FIELD_CHOICE_OF(ModelConfig, memory_activation, "gelu", MEMORY_ACTIVATIONS,
                    "function of implicit attention's queries, keys and values; none: they are linear in the memory"),
    FIELD_COUNT_OF(ModelConfig, memory_heads, "1", 1, 1024, "heads",
                   "heads of implicit attention, each on dim / heads neighbouring channels with parameters of its own"),
    FIELD_CHOICE_OF(
        ModelConfig, memory_scale, "sqrt", MEMORY_SCALES,
        "what implicit attention's scores are multiplied by; sqrt: one over the root of a head's channels; learned: "
        "that times a number of each head, which starts at 1"),
    FIELD_FLAG_OF(ModelConfig, memory_projection, "true",
                  "multiply what implicit attention gives by a dim x dim matrix"),
    FIELD_CHOICE_OF(
        ModelConfig, init, "uniform", INIT_STYLES,
        "how matrices start; uniform: in +-1/sqrt(inputs); gpt2: normal of deviation 0.02, those that end a "
        "residual branch smaller by sqrt(2 layers); zero: as uniform, those that end a branch 0. Biases start "
        "at 0 but for uniform"),
    FIELD_CHOICE_OF(ModelConfig, norm, "layer", "layer|rms|none", "kind of norm"),
    FIELD_CHOICE_OF(ModelConfig, feed_forward, "gelu", "gelu|relu|relu2|swiglu", "kind of feed-forward network"),
    FIELD_REAL_OF(ModelConfig, feed_width, "4", 0.01, 64, "times dim", "width of the feed-forward network"),
    FIELD_CHOICE_OF(
        ModelConfig, attention, "plain", ATTENTION_KINDS,
        "causal attention of lmu-attention; plain: without positions; rope: rotary positions, and queries and keys "
        "over their RMS"),
    FIELD_REAL_OF(ModelConfig, attention_width, "1", 0.01, 64, "times dim",
                  "channels of causal attention's queries, keys and values (transformers, lmu-attention)"),
    FIELD_FLAG_OF(ModelConfig, induction, "false",
                  "causal attention looks for what followed tokens like this one: queries and keys are one projection, "
                  "and a token's key is that of the token before it (transformers, lmu-attention)"),
    FIELD_COUNT_OF(ModelConfig, heads, "0", 0, 1024, "heads",
                   "heads of causal attention; 0 means one for every 64 of its channels, or the next smaller number "
                   "that shares them evenly (transformers, lmu-attention)"),
    FIELD_COUNT_OF(ModelConfig, context, "1024", 1, 1 << 20, "tokens",
                   "tokens that causal attention, which refuses a text beyond them, and n-gram heads reach back over"),
    FIELD_COUNT_OF(
        ModelConfig, window, "0", 0, 1 << 20, "tokens",
        "tokens that a token attends to, itself included, so that a text of any length takes constant memory; "
        "0: all of the context, and no further (transformers, lmu-attention)"),
    FIELD_COUNT_OF(
        ModelConfig, recall, "0", 0, 16, "orders",
        "n-gram heads: to each token is added, by a gain for each channel, the embedding of what followed when its "
        "latest 1, 2, .. N tokens last occurred in the window or context; 0: none"),
    FIELD_COUNT_OF(
        ModelConfig, ngram_slots, "0", 0, 1 << 24, "slots",
        "table of n-grams: training counts what follows two and three tokens, in so many slots each, and to each "
        "token is added, by a gain for each channel, the embedding of what followed most often; 0: none"),
    FIELD_REAL_OF(ModelConfig, dropout, "0", 0, 0.95, "probability",
                  "dropout behind embedding, memory and feed-forward while training"),
};

const FieldTable model_table = {"Model", fields, sizeof fields / sizeof *fields};

/* What config.json says beside the table: which architecture, and how many tokens it knows. */
static const Field identity_fields[] = {
    FIELD_STRING_OF(ModelConfig, arch, NULL, "NAME", "architecture"),
    FIELD_COUNT_OF(ModelConfig, vocabulary, NULL, 1, 1 << 24, "tokens", "size of the vocabulary"),
};
static const FieldTable identity_table = {"Identity", identity_fields, 2};

static lmu_status config_defaults(ModelConfig *config, const Architecture *arch)
{
    char text[512], *rest = text;
    snprintf(text, sizeof text, "%s", arch->defaults);
    for (char *pair = strtok_r(text, " ", &rest); pair; pair = strtok_r(NULL, " ", &rest)) {
        char *value = strchr(pair, '=');
        *value++ = 0;
        TRY(fields_set(&model_table, config, pair, value));
    }
    return LMU_OK;
}

static lmu_status unknown_architecture(const char *name)
{
    char known[512] = "";
    const char *names[64];
    size_t count = 0;
    for (; architectures[count] && count < 64; count++) {
        names[count] = architectures[count]->name;
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", count ? ", " : "", names[count]);
    }
    const char *nearest = name_nearest(name, names, count);
    return error_set(LMU_USAGE, "there is no architecture %s%s%s%s; known: %s", name, nearest ? " (did you mean " : "",
                     nearest ? nearest : "", nearest ? "?)" : "", known);
}

/* With the defaults of the table. */
static lmu_status config_init(ModelConfig *config, const char *arch)
{
    memset(config, 0, sizeof *config);
    if (!architecture_find(arch))
        return unknown_architecture(arch);
    TRY(fields_init(&model_table, config));
    TRY(fields_init(&identity_table, config));
    return fields_set(&identity_table, config, "arch", arch);
}

lmu_status model_config_init(ModelConfig *config, const char *arch)
{
    TRY(config_init(config, arch));
    return config_defaults(config, architecture_find(arch));
}

void model_config_free(ModelConfig *config)
{
    fields_free(&model_table, config);
    fields_free(&identity_table, config);
}

int64_t model_config_channels(const ModelConfig *config)
{
    int64_t unit = 2 * (config->heads > 0 ? config->heads : 1);
    if (config->attention_width == 1)
        return config->dim;
    int64_t units = (int64_t)(config->attention_width * (double)config->dim / (double)unit + 0.5);
    return units > 1 ? units * unit : unit;
}

int64_t model_config_heads(const ModelConfig *config)
{
    int64_t channels = model_config_channels(config), heads = channels / 64;
    bool rotary = config->attention == ATTENTION_ROPE || architecture_find(config->arch)->rotary;
    bool pairs = rotary || config->attention_width != 1; /* rope turns pairs of channels */
    if (config->heads > 0)
        return config->heads;
    while (heads > 1 && channels % (pairs ? 2 * heads : heads) != 0)
        heads--;
    return heads > 1 ? heads : 1;
}

int64_t model_config_reach(const ModelConfig *config)
{
    return config->window > 0 ? config->window : config->context;
}

static bool has_word(const char *words, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = words; (at = strstr(at, word)); at += length)
        if ((at == words || at[-1] == ' ') && (!at[length] || at[length] == ' '))
            return true;
    return false;
}

bool model_config_reads(const ModelConfig *config, const char *option)
{
    static const char all[] = "dim layers init norm context recall ngram_slots dropout";
    bool reach = strcmp(option, "window") == 0 && config->recall > 0; /* of n-gram heads */
    return reach || has_word(all, option) || has_word(architecture_find(config->arch)->reads, option);
}

void model_option_readers(const char *option, char *out, size_t size)
{
    *out = '\0';
    for (size_t i = 0, used; architectures[i]; i++)
        if (has_word(architectures[i]->reads, option)) {
            used = strlen(out);
            snprintf(out + used, size - used, "%s%s", used ? ", " : "", architectures[i]->name);
        }
}

lmu_status model_config_copy(ModelConfig *to, const ModelConfig *from)
{
    *to = *from; /* the table holds no other pointers */
    to->arch = strdup(from->arch);
    return to->arch ? LMU_OK : error_set(LMU_MEMORY, "no memory for a configuration");
}

static lmu_status config_check_theta(const ModelConfig *config)
{
    if (config->theta.count != 1 && config->theta.count != config->layers)
        return error_set(LMU_USAGE, "theta has %d values for %lld layers: give one, or one for each layer",
                         config->theta.count, (long long)config->layers);
    if (config->theta_groups.count > 0 && config->theta.count > 1)
        return error_set(LMU_USAGE, "theta gives each layer a window and theta_groups each group of channels: give one "
                                    "of the two");
    if (config->theta_groups.count > 0 && config->dim % config->theta_groups.count != 0)
        return error_set(
            LMU_USAGE,
            "%lld channels cannot be divided into the %d groups of theta_groups: dim must be a multiple of "
            "their number",
            (long long)config->dim, config->theta_groups.count);
    return LMU_OK;
}

static lmu_status config_check_memory(const ModelConfig *config)
{
    if (config->dim % config->memory_heads != 0)
        return error_set(LMU_USAGE,
                         "%lld channels cannot be divided among the %lld heads of memory_heads: dim must be a multiple "
                         "of their number",
                         (long long)config->dim, (long long)config->memory_heads);
    return config_check_theta(config);
}

lmu_status model_config_check(const ModelConfig *config)
{
    if (config->vocabulary < 1)
        return error_set(LMU_USAGE, "a model needs a vocabulary");
    if (config->attention_width != 1 && config->attention_width * (double)config->dim < (double)config->heads)
        return error_set(LMU_USAGE,
                         "an attention_width of %g times %lld channels is less than a channel for each of %lld heads: "
                         "choose fewer heads or a larger width",
                         config->attention_width, (long long)config->dim, (long long)config->heads);
    if (model_config_channels(config) % model_config_heads(config) != 0)
        return error_set(LMU_USAGE,
                         "%lld channels cannot be shared among %lld attention heads: dim must be a multiple of heads",
                         (long long)config->dim, (long long)config->heads);
    return config_check_memory(config);
}

/* What the table of identity describes: `draft` files may leave both out. */
static lmu_status read_identity(const char *path, const json_t *json, bool draft, ModelConfig *config)
{
    const char *arch = ARCHITECTURE_DEFAULT;
    int64_t vocabulary = 0;
    if (!draft || json_object_get(json, "arch"))
        TRY(json_get_string(path, json, "arch", &arch));
    if (!draft || json_object_get(json, "vocabulary"))
        TRY(json_get_integer(path, json, "vocabulary", 1, 1 << 24, &vocabulary));
    if ((draft ? model_config_init : config_init)(config, arch) != LMU_OK)
        return error_prefix(LMU_FORMAT, "%s: ", path);
    config->vocabulary = vocabulary;
    return LMU_OK;
}

static lmu_status read_config(const char *path, bool draft, ModelConfig *config)
{
    json_t *json = NULL, *body = NULL;
    memset(config, 0, sizeof *config);
    lmu_status status;
    ATTEMPT(json_read_file(path, &json));
    ATTEMPT(read_identity(path, json, draft, config));
    body = json_copy(json);
    json_object_del(body, "arch");
    json_object_del(body, "vocabulary");
    ATTEMPT(fields_from_json(&model_table, config, path, body));
    bool says = json_object_get(body, "theta") || json_object_get(body, "theta_groups") ||
                json_object_get(body, "memory_heads");
    if ((says || !draft) && config_check_memory(config) != LMU_OK) /* a draft's other keys may be overridden yet */
        status = error_prefix(LMU_FORMAT, "%s: ", path);
done:
    json_decref(json);
    json_decref(body);
    if (status != LMU_OK)
        model_config_free(config);
    return status;
}

lmu_status model_config_read(const char *path, ModelConfig *config)
{
    return read_config(path, false, config);
}

lmu_status model_config_read_draft(const char *path, ModelConfig *config)
{
    return read_config(path, true, config);
}

lmu_status model_config_to_json(const ModelConfig *config, json_t **out)
{
    json_t *json = json_object();
    if (!json)
        return error_set(LMU_MEMORY, "no memory for a configuration");
    lmu_status status = fields_to_json(&identity_table, config, json);
    if (status == LMU_OK)
        status = fields_to_json(&model_table, config, json);
    if (status == LMU_OK)
        *out = json;
    else
        json_decref(json);
    return status;
}
