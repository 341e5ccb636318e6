/* tokenizer.json: what is read, and every file that is refused, with its message. */
#include "text/testing.h"

#include <jansson.h>

#include "text/tokenizer.h"

/* A small valid file as JSON; each case spoils a copy of it. */
static json_t *valid;

static int valid_open(void **state)
{
    valid = json_load_file("tests/golden/text_tokenizer.json", 0, NULL);
    return valid ? scratch_open(state) : -1;
}

static int valid_close(void **state)
{
    json_decref(valid);
    return scratch_close(state);
}

/* "model.vocab" in an object; the last part of the path into *key. */
static json_t *find_parent(json_t *root, const char *path, const char **key)
{
    const char *dot;
    while ((dot = strchr(path, '.'))) {
        root = json_object_getn(root, path, (size_t)(dot - path));
        path = dot + 1;
    }
    *key = path;
    return root;
}

/* The valid file with the value at a path replaced (NULL: removed). */
static char *spoil(const char *path, const char *value)
{
    const char *key;
    json_t *root = json_deep_copy(valid), *parent = find_parent(root, path, &key);
    if (value) {
        json_t *parsed = json_loads(value, JSON_DECODE_ANY, NULL);
        assert_non_null(parsed);
        json_object_set_new(parent, key, parsed);
    } else {
        json_object_del(parent, key);
    }
    char *file = scratch_path("spoilt.json");
    assert_int_equal(json_dump_file(root, file, 0), 0);
    json_decref(root);
    return file;
}

typedef struct Case {
    const char *path, *value, *message;
} Case;

#define BYTE_LEVEL "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true}"
#define BARE_BYTE_LEVEL                                                                                                \
    "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, \"use_regex\": false}"
#define DIGITS "{\"type\": \"Digits\", \"individual_digits\": true}"
#define SPLIT(pattern, behavior, invert)                                                                               \
    "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"" pattern "\"}, \"behavior\": \"" behavior                       \
    "\", \"invert\": " invert "}"
#define SEQUENCE(list) "{\"type\": \"Sequence\", \"pretokenizers\": [" list "]}"
#define GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\\\p{L}+| ?\\\\p{N}+| ?[^\\\\s\\\\p{L}\\\\p{N}]+|\\\\s+(?!\\\\S)|\\\\s+"
#define LLAMA                                                                                                          \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}{1,3}| ?[^\\\\s\\\\p{L}\\\\p{N}]+"   \
    "[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+"

static const Case refused[] = {
    {"model", NULL, "key \"model\" is missing"},
    {"model", "5", "key \"model\" is an integer"},
    {"normalizer", "{\"type\": \"NFC\"}", "normalizer = {\"type\":\"NFC\"} is not supported"},
    {"truncation", "{\"max_length\": 5}", "truncation = {\"max_length\":5} is not supported"},
    {"padding", "{\"length\": 5}", "padding = {\"length\":5} is not supported"},
    {"something_new", "true", "something_new = true is not supported"},
    {"pre_tokenizer", "null", "pre_tokenizer of type null is not supported; lmu reads ByteLevel"},
    {"pre_tokenizer.type", "\"Whitespace\"", "pre_tokenizer of type Whitespace is not supported"},
    {"pre_tokenizer.add_prefix_space", "5", "pre_tokenizer.add_prefix_space = 5 is not supported"},
    {"pre_tokenizer.use_regex", "\"no\"", "pre_tokenizer.use_regex = \"no\" is not supported"},
    {"pre_tokenizer", SEQUENCE("{\"type\": \"Punctuation\"}," BYTE_LEVEL),
     "pre_tokenizer.pretokenizers[0] of type Punctuation is not supported; lmu reads ByteLevel, or a Sequence"},
    {"pre_tokenizer", SEQUENCE(BYTE_LEVEL "," DIGITS),
     "pre_tokenizer.pretokenizers[1] of type Digits is not supported"},
    {"pre_tokenizer", SEQUENCE(DIGITS "," DIGITS "," BYTE_LEVEL),
     "pre_tokenizer.pretokenizers[1] of type Digits is not supported"},
    {"pre_tokenizer", SEQUENCE("5"), "pre_tokenizer.pretokenizers[0] of type null is not supported"},
    {"pre_tokenizer", SEQUENCE(DIGITS), "pre_tokenizer has no ByteLevel"},
    {"pre_tokenizer", "{\"type\": \"Sequence\"}", "pre_tokenizer has no ByteLevel"},
    {"pre_tokenizer", "{\"type\": \"Sequence\", \"pretokenizers\": [], \"more\": 1}",
     "pre_tokenizer.more = 1 is not supported"},
    {"pre_tokenizer", SEQUENCE("{\"type\": \"Digits\", \"individual_digits\": 2}"),
     "pre_tokenizer.pretokenizers[0].individual_digits = 2 is not supported"},
    {"pre_tokenizer", SEQUENCE(SPLIT("\\\\p{L}+", "Isolated", "false") "," BYTE_LEVEL),
     "pre_tokenizer.pretokenizers[0].pattern = {\"Regex\":\"\\\\p{L}+\"} is not supported; lmu knows those of GPT-2, "
     "cl100k"},
    {"pre_tokenizer", SEQUENCE("{\"type\": \"Split\", \"pattern\": {\"String\": \" \"}, \"behavior\": \"Isolated\"}"),
     "pattern = {\"String\":\" \"} is not supported"},
    {"pre_tokenizer", SEQUENCE("{\"type\": \"Split\"}"), "pattern = nothing is not supported"},
    {"pre_tokenizer", SEQUENCE(SPLIT(LLAMA, "Removed", "false") "," BYTE_LEVEL),
     "behavior = \"Removed\" is not supported"},
    {"pre_tokenizer", SEQUENCE(SPLIT(LLAMA, "MergedWithNext", "true") "," BYTE_LEVEL),
     "behavior = \"MergedWithNext\" with invert is not supported"},
    {"pre_tokenizer", SEQUENCE(SPLIT(LLAMA, "Isolated", "false") "," BYTE_LEVEL),
     "pretokenizers[1].use_regex = true behind a Split is not supported"},
    {"pre_tokenizer",
     SEQUENCE(DIGITS ", {\"type\": \"ByteLevel\", \"add_prefix_space\": true, \"trim_offsets\": true}"),
     "pretokenizers[1].add_prefix_space = true behind another pre-tokenizer is not supported"},
    {"decoder", "null", "decoder of type null is not supported"},
    {"decoder.type", "\"WordPiece\"", "decoder of type WordPiece is not supported"},
    {"post_processor", "{\"type\": \"Whatever\"}", "post_processor of type Whatever is not supported"},
    {"post_processor", "{\"type\": \"Sequence\", \"processors\": [{\"type\": \"Whatever\"}]}",
     "post_processor of type Whatever is not supported"},
    {"post_processor", "{\"type\": \"Sequence\", \"processors\": [{\"type\": \"Sequence\"}]}",
     "a post_processor Sequence in a Sequence is not supported"},
    {"model.type", "\"WordPiece\"", "a model of type WordPiece is not supported; lmu reads BPE"},
    {"model.type", "null", "a model of type null is not supported"},
    {"model.dropout", "0.5", "model.dropout = 0.5 is not supported"},
    {"model.unk_token", "\"[UNK]\"", "model.unk_token = \"[UNK]\" is not supported"},
    {"model.continuing_subword_prefix", "\"##\"", "model.continuing_subword_prefix"},
    {"model.end_of_word_suffix", "\"</w>\"", "model.end_of_word_suffix"},
    {"model.byte_fallback", "true", "model.byte_fallback = true is not supported"},
    {"model.ignore_merges", "1", "model.ignore_merges = 1 is not supported"},
    {"model.vocab", NULL, "key \"vocab\" is missing"},
    {"model.vocab", "[]", "key \"vocab\" is an array"},
    {"model.vocab", "{}", "which is not in the vocabulary"},
    {"model.vocab.a", NULL, "tokens have the ids 0 to 275"},
    {"model.vocab.a", "\"x\"", "the id of token \"a\" is no integer"},
    {"model.vocab.a", "1.5", "the id of token \"a\" is no integer"},
    {"model.vocab.a", "-1", "token \"a\" has id -1, but 277 tokens have the ids 0 to 276"},
    {"model.vocab.a", "277", "token \"a\" has id 277"},
    {"model.vocab.a", "4294967296", "token \"a\" has id 4294967296"},
    {"model.vocab.a", "9223372036854775807", "token \"a\" has id 9223372036854775807"},
    {"model.vocab.a", "5", "has id 5, which another token has too"},
    {"model.vocab.a", "0", "has id 0, which another token has too"},
    {"model.vocab.a b", "277", "token \"a b\" holds a character outside of the byte alphabet"},
    {"model.vocab.\344\270\255", "277", "holds a character outside of the byte alphabet"},
    {"model.vocab.", "277", "the token with id 277 is empty"},
    {"model.merges", NULL, "key \"merges\" is missing or no array"},
    {"model.merges", "{}", "key \"merges\" is missing or no array"},
    {"model.merges", "[5]", "merge 0 is neither"},
    {"model.merges", "[\"ab\"]", "merge 0 is neither"},
    {"model.merges", "[\"t h\", \"a b c\"]", "merge 1 is neither"},
    {"model.merges", "[\" h\"]", "merge 0 is neither"},
    {"model.merges", "[\"t \"]", "merge 0 is neither"},
    {"model.merges", "[[\"t\"]]", "merge 0 is neither"},
    {"model.merges", "[[\"t\", 5]]", "merge 0 is neither"},
    {"model.merges", "[[\"t\", \"h\", \"e\"]]", "merge 0 is neither"},
    {"model.merges", "[\"t zzz\"]", "merge 0 uses \"zzz\", which is not in the vocabulary"},
    {"model.merges", "[\"x y\"]", "merge 0 makes a token that is not in the vocabulary"},
    {"model.merges", "[\"<|endoftext|> a\"]", "merge 0 uses a special token"},
    {"added_tokens", "5", "key \"added_tokens\" is missing or no array"},
    {"added_tokens", "[5]", "added_tokens[0] is no object"},
    {"added_tokens", "[{\"id\": 0}]", "key \"content\" is missing"},
    {"added_tokens", "[{\"id\": 0, \"content\": \"<|endoftext|>\"}]", "added_tokens[0].special is missing"},
    {"added_tokens", "[{\"id\": 0, \"content\": \"<|endoftext|>\", \"special\": 1}]", "added_tokens[0].special = 1"},
    {"added_tokens", "[{\"id\": 1, \"content\": \"<|endoftext|>\", \"special\": true}]",
     "added_tokens[0].id is not the id"},
    {"added_tokens", "[{\"id\": 277, \"content\": \"<s>\", \"special\": false, \"lstrip\": true}]",
     "added_tokens[0].lstrip = true is not supported for a token that is not special"},
    {"added_tokens", "[{\"id\": 277, \"content\": \"<s>\", \"special\": false, \"rstrip\": true}]",
     "added_tokens[0].rstrip = true is not supported for a token that is not special"},
    {"added_tokens",
     "[{\"id\": 277, \"content\": \"<s>\", \"special\": true, \"rstrip\": true},"
     " {\"id\": 278, \"content\": \" x\", \"special\": true}]",
     "added_tokens[1].content starts with white space"},
    {"added_tokens", "[{\"id\": 277, \"content\": \"<s>\", \"special\": true, \"unheard\": true}]",
     "added_tokens[0].unheard = true is not supported"},
    {"added_tokens",
     "[{\"id\": 277, \"content\": \"<s>\", \"special\": true}, {\"id\": 278, \"content\": \"<s>\", \"special\": true}]",
     "are the same token"},
    {"added_tokens", "[{\"id\": 277, \"content\": \"\", \"special\": true}]", "the token with id 277 is empty"},
    {"added_tokens", "[{\"id\": 278, \"content\": \"<s>\", \"special\": true}]", "token \"<s>\" has id 278"},
    {"added_tokens", "[{\"id\": \"x\", \"content\": \"<s>\", \"special\": true}]",
     "the id of token \"<s>\" is no integer"},
};

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        Tokenizer *tokenizer;
        char *file = spoil(refused[i].path, refused[i].value);
        assert_refused(tokenizer_open(file, &tokenizer), LMU_FORMAT, refused[i].message);
        assert_non_null(strstr(lmu_error_message(), "spoilt.json"));
    }
}

static void test_a_byte_is_missing(void **state)
{
    (void)state;
    Tokenizer *tokenizer;
    json_t *root = json_deep_copy(valid), *vocab = json_object_get(json_object_get(root, "model"), "vocab");
    char *file = scratch_path("spoilt.json");
    json_object_set_new(vocab, "zz", json_object_get(vocab, "Q") ? json_copy(json_object_get(vocab, "Q")) : NULL);
    json_object_del(vocab, "Q");
    assert_int_equal(json_dump_file(root, file, 0), 0);
    assert_refused(tokenizer_open(file, &tokenizer), LMU_FORMAT, "the vocabulary has no token for byte 0x51");
    json_decref(root);
}

static void test_merges_that_clash(void **state)
{
    (void)state;
    Tokenizer *tokenizer;
    json_t *root = json_deep_copy(valid), *model = json_object_get(root, "model"),
           *merges = json_object_get(model, "merges");
    char *file = scratch_path("spoilt.json");
    json_array_append(merges, json_array_get(merges, 0));
    assert_int_equal(json_dump_file(root, file, 0), 0);
    assert_refused(tokenizer_open(file, &tokenizer), LMU_FORMAT, "repeats merge 0");
    json_array_clear(merges);
    json_object_set_new(json_object_get(model, "vocab"), "zq", json_integer(277));
    json_array_append_new(merges, json_string("z q"));
    json_array_append_new(json_object_get(root, "added_tokens"),
                          json_pack("{s:i, s:s, s:b}", "id", 277, "content", "zq", "special", 1));
    assert_int_equal(json_dump_file(root, file, 0), 0);
    assert_refused(tokenizer_open(file, &tokenizer), LMU_FORMAT, "makes the special token with id 277");
    json_decref(root);
}

static void test_not_json(void **state)
{
    (void)state;
    Tokenizer *tokenizer;
    assert_refused(tokenizer_open(scratch_path("none.json"), &tokenizer), LMU_IO, "none.json");
    assert_int_equal(tokenizer_open(scratch, &tokenizer), LMU_IO);
    assert_refused(tokenizer_open(scratch_text("a.json", ""), &tokenizer), LMU_FORMAT, "a.json: not valid JSON");
    assert_refused(tokenizer_open(scratch_text("a.json", "[]"), &tokenizer), LMU_FORMAT, "a.json");
    assert_refused(tokenizer_open(scratch_text("a.json", "{\"model\": {\"vocab\": {\"a\": 1, \"a\": 2}}}"), &tokenizer),
                   LMU_FORMAT, "duplicate");
    assert_refused(tokenizer_open(scratch_write("a.json", "\177ELF\0\0\1\2\377\376", 10), &tokenizer), LMU_FORMAT,
                   "not valid JSON");
    char *text = json_dumps(valid, 0);
    for (size_t size = strlen(text) - 1; size > 0; size = size * 2 / 3)
        assert_refused(tokenizer_open(scratch_write("a.json", text, size), &tokenizer), LMU_FORMAT, "not valid JSON");
    free(text);
}

/* Every form of a valid file is the same tokenizer. */
static void test_forms(void **state)
{
    (void)state;
    static const Case accepted[] = {
        {"version", NULL, NULL},
        {"post_processor", "{\"type\": \"ByteLevel\", \"add_prefix_space\": true, \"trim_offsets\": false}", NULL},
        {"model.type", NULL, NULL},
        {"model.continuing_subword_prefix", "\"\"", NULL},
        {"model.end_of_word_suffix", "\"\"", NULL},
        {"model.fuse_unk", "true", NULL},
        {"model.byte_fallback", NULL, NULL},
        {"pre_tokenizer.use_regex", NULL, NULL},
        {"pre_tokenizer.trim_offsets", "false", NULL},
        {"decoder.add_prefix_space", "false", NULL},
        {"model.ignore_merges", "false", NULL},
        {"model.dropout", "0.0", NULL},
        {"post_processor", "{\"type\": \"TemplateProcessing\", \"single\": [], \"pair\": [], \"special_tokens\": {}}",
         NULL},
        {"post_processor", "{\"type\": \"Sequence\", \"processors\": [{\"type\": \"ByteLevel\"}]}", NULL},
        {"pre_tokenizer", SEQUENCE(BYTE_LEVEL), NULL},
        {"pre_tokenizer", SEQUENCE(SPLIT(GPT2, "Isolated", "false") "," BYTE_LEVEL), NULL},
        {"pre_tokenizer", SEQUENCE(SPLIT(GPT2, "Removed", "true") "," BARE_BYTE_LEVEL), NULL},
    };
    Tokenizer *tokenizer;
    assert_done(tokenizer_open("tests/golden/text_tokenizer.json", &tokenizer));
    uint64_t hash = tokenizer_hash(tokenizer);
    tokenizer_close(tokenizer);
    for (size_t i = 0; i < sizeof accepted / sizeof *accepted; i++) {
        assert_done(tokenizer_open(spoil(accepted[i].path, accepted[i].value), &tokenizer));
        assert_true(tokenizer_hash(tokenizer) == hash);
        tokenizer_close(tokenizer);
    }

    json_t *root = json_deep_copy(valid), *merges = json_object_get(json_object_get(root, "model"), "merges"), *pairs;
    size_t index;
    json_t *merge;
    pairs = json_array();
    json_array_foreach(merges, index, merge) {
        const char *text = json_string_value(merge), *space = strchr(text, ' ');
        json_array_append_new(pairs, json_pack("[s#, s]", text, (int)(space - text), space + 1));
    }
    json_object_set_new(json_object_get(root, "model"), "merges", pairs);
    char *file = scratch_path("pairs.json");
    assert_int_equal(json_dump_file(root, file, JSON_INDENT(7)), 0);
    json_decref(root);
    assert_done(tokenizer_open(file, &tokenizer));
    assert_true(tokenizer_hash(tokenizer) == hash);
    tokenizer_close(tokenizer);
}

/* Settings that change ids change the hash, and stand in the file that is written again. */
static void test_settings_are_kept(void **state)
{
    (void)state;
    static const Case settings[] = {
        {"pre_tokenizer.add_prefix_space", "true", NULL},
        {"pre_tokenizer.use_regex", "false", NULL},
        {"pre_tokenizer", SEQUENCE(DIGITS "," BYTE_LEVEL), NULL},
        {"pre_tokenizer", SEQUENCE("{\"type\": \"Digits\", \"individual_digits\": false}," BYTE_LEVEL), NULL},
        {"pre_tokenizer", SEQUENCE(SPLIT(LLAMA, "Isolated", "false") "," BARE_BYTE_LEVEL), NULL},
        {"pre_tokenizer", SEQUENCE(DIGITS "," SPLIT(LLAMA, "Removed", "true") "," BARE_BYTE_LEVEL), NULL},
        {"model.ignore_merges", "true", NULL},
        {"added_tokens", "[{\"id\": 0, \"content\": \"<|endoftext|>\", \"special\": true, \"lstrip\": true}]", NULL},
        {"added_tokens", "[{\"id\": 0, \"content\": \"<|endoftext|>\", \"special\": true, \"rstrip\": true}]", NULL},
        {"added_tokens", "[{\"id\": 0, \"content\": \"<|endoftext|>\", \"special\": true, \"single_word\": true}]",
         NULL},
        {"added_tokens", "[{\"id\": 0, \"content\": \"<|endoftext|>\", \"special\": false}]", NULL},
        {"added_tokens",
         "[{\"id\": 0, \"content\": \"<|endoftext|>\", \"special\": true},"
         " {\"id\": 277, \"content\": \"  \", \"special\": false, \"normalized\": true}]",
         NULL},
    };
    enum { SETTINGS = sizeof settings / sizeof *settings };
    uint64_t hash[SETTINGS + 1];
    Tokenizer *tokenizer, *again;
    assert_done(tokenizer_open("tests/golden/text_tokenizer.json", &tokenizer));
    hash[SETTINGS] = tokenizer_hash(tokenizer);
    tokenizer_close(tokenizer);
    for (size_t i = 0; i < SETTINGS; i++) {
        assert_done(tokenizer_open(spoil(settings[i].path, settings[i].value), &tokenizer));
        hash[i] = tokenizer_hash(tokenizer);
        assert_done(tokenizer_save(tokenizer, scratch_path("kept.json")));
        assert_done(tokenizer_open(scratch_path("kept.json"), &again));
        assert_true(tokenizer_hash(again) == hash[i]);
        tokenizer_close(tokenizer);
        tokenizer_close(again);
        for (size_t k = 0; k < i; k++)
            assert_true(hash[k] != hash[i]);
        assert_true(hash[SETTINGS] != hash[i]);
    }
}

/* A special token may have a name outside of the byte alphabet, and lie beside the model's vocabulary. */
static void test_specials_beside(void **state)
{
    (void)state;
    Tokenizer *tokenizer, *again;
    char *file = spoil("added_tokens", "[{\"id\": 0, \"content\": \"<|endoftext|>\", \"special\": true},"
                                       " {\"id\": 277, \"content\": \"<a \344\270\255>\", \"special\": true},"
                                       " {\"id\": 278, \"content\": \"<a \344\270\255> b\", \"special\": true}]");
    assert_done(tokenizer_open(file, &tokenizer));
    assert_done(tokenizer_save(tokenizer, scratch_path("again.json")));
    assert_done(tokenizer_open(scratch_path("again.json"), &again));
    assert_true(tokenizer_hash(tokenizer) == tokenizer_hash(again));
    IdList list = {0};
    assert_done(tokenizer_encode(again, "<a \344\270\255> b<a \344\270\255><a", 19, true, &list));
    assert_true(list.count > 2);
    assert_int_equal(list.id[0], 278); /* the longest */
    assert_int_equal(list.id[1], 277);
    free(list.id);
    tokenizer_close(tokenizer);
    tokenizer_close(again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_a_byte_is_missing),
        cmocka_unit_test(test_merges_that_clash),
        cmocka_unit_test(test_not_json),
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_settings_are_kept),
        cmocka_unit_test(test_specials_beside),
    };
    return cmocka_run_group_tests(tests, valid_open, valid_close);
}
