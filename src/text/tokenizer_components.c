/* The components of a tokenizer.json: what of them lmu follows, what touches no ids, and what is refused by name. */
#include <stdlib.h>
#include <string.h>

#include "text/tokenizer_json.h"

static bool setting_is_met(const json_t *value, Demand demand)
{
    switch (demand) {
    case DEMAND_ANYTHING:
        return true;
    case DEMAND_NOTHING:
        return json_is_null(value) || json_is_false(value) ||
               (json_is_number(value) && json_number_value(value) == 0) ||
               (json_is_string(value) && json_string_length(value) == 0);
    case DEMAND_BOOLEAN:
        return json_is_boolean(value);
    }
    return false;
}

static lmu_status setting_refuse(const char *path, const char *where, const char *key, const json_t *value)
{
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    lmu_status status = error_set(LMU_FORMAT, "%s: %s%s = %.200s is not supported; lmu reads plain byte-level BPE",
                                  path, where, key, text ? text : "?");
    free(text);
    return status;
}

lmu_status settings_check(const char *path, const char *where, json_t *object, const Setting *setting, size_t count)
{
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value) {
        Demand demand = DEMAND_NOTHING;
        for (size_t i = 0; i < count; i++)
            if (strcmp(setting[i].key, key) == 0)
                demand = setting[i].demand;
        if (!setting_is_met(value, demand))
            return setting_refuse(path, where, key, value);
    }
    return LMU_OK;
}

static const char *type_of(const json_t *component)
{
    const char *type = json_string_value(json_object_get(component, "type"));
    return type ? type : "null";
}

static bool is_type(const json_t *component, const char *type)
{
    return strcmp(type_of(component), type) == 0;
}

/* ---- pre-tokenizer: [Digits,] [Split,] ByteLevel ---- */

static lmu_status digits_read(const char *path, const char *where, json_t *component, PretokenRule *rule)
{
    static const Setting settings[] = {{"type", DEMAND_ANYTHING}, {"individual_digits", DEMAND_BOOLEAN}};
    TRY(SETTINGS_CHECK(path, where, component, settings));
    rule->digits = json_is_true(json_object_get(component, "individual_digits")) ? DIGITS_SINGLE : DIGITS_APART;
    return LMU_OK;
}

/* A Split is one of the expressions that we know. As they leave out no character, "Removed" of all that is none of their matches
 * is the same as "Isolated". */
static lmu_status split_read(const char *path, const char *where, json_t *component, PretokenRule *rule)
{
    static const Setting settings[] = {{"type", DEMAND_ANYTHING},
                                       {"pattern", DEMAND_ANYTHING},
                                       {"behavior", DEMAND_ANYTHING},
                                       {"invert", DEMAND_BOOLEAN}};
    const char *behaviour,
        *expression = json_string_value(json_object_get(json_object_get(component, "pattern"), "Regex"));
    PretokenDigits digits = rule->digits;
    TRY(SETTINGS_CHECK(path, where, component, settings));
    if (!expression || !pretoken_rule_find(expression, rule)) {
        char *text = json_dumps(json_object_get(component, "pattern"), JSON_ENCODE_ANY | JSON_COMPACT);
        lmu_status status = error_set(LMU_FORMAT, "%s: %spattern = %.300s is not supported; lmu knows those of %s",
                                      path, where, text ? text : "nothing", pretoken_rule_names);
        free(text);
        return status;
    }
    rule->digits = digits;
    TRY(json_get_string(path, component, "behavior", &behaviour));
    bool invert = json_is_true(json_object_get(component, "invert"));
    if (strcmp(behaviour, "Isolated") != 0 && !(invert && strcmp(behaviour, "Removed") == 0))
        return error_set(LMU_FORMAT,
                         "%s: %sbehavior = \"%s\"%s is not supported; lmu reads Isolated, and Removed with invert",
                         path, where, behaviour, invert ? " with invert" : "");
    return LMU_OK;
}

/* `divided`: a Split or Digits came before, `split`: a Split. */
static lmu_status byte_level_read(const char *path, const char *where, json_t *component, bool divided, bool split,
                                  TokenizerParts *parts)
{
    static const Setting settings[] = {{"type", DEMAND_ANYTHING},
                                       {"trim_offsets", DEMAND_ANYTHING},
                                       {"add_prefix_space", DEMAND_BOOLEAN},
                                       {"use_regex", DEMAND_BOOLEAN}};
    json_t *use = json_object_get(component, "use_regex"), *prefix = json_object_get(component, "add_prefix_space");
    TRY(SETTINGS_CHECK(path, where, component, settings));
    parts->prefix_space = json_is_true(prefix);
    if (parts->prefix_space && divided)
        return error_set(LMU_FORMAT,
                         "%s: %sadd_prefix_space = true behind another pre-tokenizer is not supported: it "
                         "would put a space into the middle of text",
                         path, where);
    if (json_is_false(use)) {
        if (!split)
            parts->rule.kind = PRETOKEN_WHOLE;
    } else if (split && parts->rule.kind != PRETOKEN_GPT2) {
        return error_set(LMU_FORMAT,
                         "%s: %suse_regex = true behind a Split is not supported: text would be divided twice", path,
                         where);
    }
    return LMU_OK;
}

static lmu_status pre_tokenizer_refuse(const char *path, const char *where, const json_t *component)
{
    return error_set(LMU_FORMAT,
                     "%s: %.*s of type %s is not supported; lmu reads ByteLevel, or a Sequence of Digits, "
                     "Split and ByteLevel in this order, of which ByteLevel is a must",
                     path, (int)(strlen(where) - 1), where, type_of(component));
}

static lmu_status sequence_read(const char *path, json_t *list, TokenizerParts *parts)
{
    static const char *const order[] = {"Digits", "Split", "ByteLevel"};
    size_t index, place = 0;
    json_t *component;
    bool split = false, byte_level = false;
    json_array_foreach(list, index, component) {
        char where[64];
        snprintf(where, sizeof where, "pre_tokenizer.pretokenizers[%zu].", index);
        while (place < 3 && !is_type(component, order[place]))
            place++;
        if (place == 0)
            TRY(digits_read(path, where, component, &parts->rule));
        else if (place == 1)
            TRY(split_read(path, where, component, &parts->rule));
        else if (place == 2)
            TRY(byte_level_read(path, where, component, index > 0, split, parts));
        else
            return pre_tokenizer_refuse(path, where, component);
        split |= place == 1;
        byte_level |= place == 2;
        place++;
    }
    return byte_level ? LMU_OK
                      : error_set(LMU_FORMAT, "%s: pre_tokenizer has no ByteLevel; lmu reads byte-level BPE", path);
}

static lmu_status pre_tokenizer_read(const char *path, json_t *root, TokenizerParts *parts)
{
    static const Setting settings[] = {{"type", DEMAND_ANYTHING}, {"pretokenizers", DEMAND_ANYTHING}};
    json_t *component = json_object_get(root, "pre_tokenizer");
    parts->rule = pretoken_gpt2;
    if (is_type(component, "ByteLevel"))
        return byte_level_read(path, "pre_tokenizer.", component, false, false, parts);
    if (!is_type(component, "Sequence"))
        return pre_tokenizer_refuse(path, "pre_tokenizer.", component);
    TRY(SETTINGS_CHECK(path, "pre_tokenizer.", component, settings));
    return sequence_read(path, json_object_get(component, "pretokenizers"), parts);
}

/* ---- the others ---- */

static lmu_status decoder_check(const char *path, const json_t *root)
{
    const json_t *decoder = json_object_get(root, "decoder");
    if (!is_type(decoder, "ByteLevel"))
        return error_set(LMU_FORMAT, "%s: decoder of type %s is not supported; lmu reads ByteLevel", path,
                         type_of(decoder));
    return LMU_OK;
}

/* A post-processor adds special tokens around a whole text, which is asked for apart from encoding, or trims offsets. */
static lmu_status post_processor_check(const char *path, const json_t *component)
{
    static const char *const harmless[] = {"ByteLevel", "TemplateProcessing", "BertProcessing", "RobertaProcessing"};
    size_t index;
    json_t *part;
    if (!component || json_is_null(component))
        return LMU_OK;
    for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++)
        if (is_type(component, harmless[i]))
            return LMU_OK;
    if (!is_type(component, "Sequence"))
        return error_set(LMU_FORMAT, "%s: post_processor of type %s is not supported", path, type_of(component));
    json_array_foreach(json_object_get(component, "processors"), index, part) {
        if (is_type(part, "Sequence")) /* none is written in one, and depth has an end */
            return error_set(LMU_FORMAT, "%s: a post_processor Sequence in a Sequence is not supported", path);
        TRY(post_processor_check(path, part));
    }
    return LMU_OK;
}

lmu_status components_read(const char *path, json_t *root, json_t *model, TokenizerParts *parts)
{
    static const Setting whole[] = {
        {"version", DEMAND_ANYTHING},        {"added_tokens", DEMAND_ANYTHING}, {"pre_tokenizer", DEMAND_ANYTHING},
        {"post_processor", DEMAND_ANYTHING}, {"decoder", DEMAND_ANYTHING},      {"model", DEMAND_ANYTHING},
    };
    static const Setting inside[] = {
        {"type", DEMAND_ANYTHING},         {"vocab", DEMAND_ANYTHING},
        {"merges", DEMAND_ANYTHING},       {"fuse_unk", DEMAND_ANYTHING}, /* without an unknown token it does nothing */
        {"ignore_merges", DEMAND_BOOLEAN},
    };
    TRY(SETTINGS_CHECK(path, "", root, whole));
    TRY(pre_tokenizer_read(path, root, parts));
    TRY(post_processor_check(path, json_object_get(root, "post_processor")));
    TRY(decoder_check(path, root));
    const json_t *type = json_object_get(model, "type"); /* older files have none */
    if (type && !is_type(model, "BPE"))
        return error_set(LMU_FORMAT, "%s: a model of type %s is not supported; lmu reads BPE", path, type_of(model));
    parts->ignore_merges = json_is_true(json_object_get(model, "ignore_merges"));
    return SETTINGS_CHECK(path, "model.", model, inside);
}

/* ---- writing ---- */

static json_t *byte_level_to_json(bool prefix_space, bool use_regex)
{
    return json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", (int)prefix_space, "trim_offsets",
                     1, "use_regex", (int)use_regex);
}

json_t *pre_tokenizer_to_json(const Tokenizer *tokenizer)
{
    const PretokenRule *rule = &tokenizer->rule;
    bool split = rule->kind == PRETOKEN_WORDS || rule->kind == PRETOKEN_CASED;
    json_t *byte_level = byte_level_to_json(tokenizer->prefix_space, rule->kind == PRETOKEN_GPT2);
    if (!split && rule->digits == DIGITS_AS_THE_RULE_SAYS)
        return byte_level;
    json_t *list = json_array();
    if (rule->digits != DIGITS_AS_THE_RULE_SAYS)
        json_array_append_new(
            list, json_pack("{s:s, s:b}", "type", "Digits", "individual_digits", rule->digits == DIGITS_SINGLE));
    if (split)
        json_array_append_new(list, json_pack("{s:s, s:{s:s}, s:s, s:b}", "type", "Split", "pattern", "Regex",
                                              pretoken_rule_expression(rule), "behavior", "Isolated", "invert", 0));
    json_array_append_new(list, byte_level);
    return json_pack("{s:s, s:o}", "type", "Sequence", "pretokenizers", list);
}
