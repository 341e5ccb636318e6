#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/field.h"

typedef struct Example {
    bool shuffle, tied;
    int64_t dim, memory, limit;
    double pause, weight_decay;
    char *out, *run;
    int norm;
    RealList theta, groups;
    StringList skip, input;
} Example;

static const Field fields[] = {
    FIELD_FLAG_OF(Example, shuffle, "true", "shuffle the windows"),
    FIELD_FLAG_OF(Example, tied, NULL, "tie the head to the embedding"),
    FIELD_COUNT_OF(Example, dim, "128", 1, 65536, "channels", "width of the residual stream"),
    FIELD_COUNT_OF(Example, limit, NULL, 1, 9, NULL, "steps at most"),
    FIELD_NUMBER_OF(FIELD_BYTES, Example, memory, "64Mi", 0, 1e18, NULL, "memory that may be used"),
    FIELD_NUMBER_OF(FIELD_DURATION, Example, pause, "10m", 0, 1e6, NULL, "time between two checkpoints"),
    FIELD_REAL_OF(Example, weight_decay, "0.1", 0, 1, NULL, "decay of the weights"),
    FIELD_STRING_OF(Example, out, NULL, "DIR", "where the run is written"),
    FIELD_CHOICE_OF(Example, norm, "layer", "none|layer|rms", "kind of norm"),
    {.name = "theta",
     .type = FIELD_REALS,
     .offset = offsetof(Example, theta),
     .initial = "32",
     .low = 1,
     .high = 4096,
     .unit = "steps",
     .help = "length of the window, for each layer or for all",
     .empties = "groups"},
    FIELD_REALS_OF(Example, groups, "4,8", 1, 4096, "steps", "length of the window for each group"),
    {.name = "skip", .type = FIELD_STRINGS, .offset = offsetof(Example, skip), .initial = "a", .help = "names to skip"},
};
static const FieldTable table = {"Example", fields, sizeof fields / sizeof *fields};

static const Field places[] = {
    {.name = "run",
     .type = FIELD_STRING,
     .offset = offsetof(Example, run),
     .unit = "RUN",
     .help = "the run",
     .positional = true,
     .required = true},
    {.name = "input",
     .type = FIELD_STRINGS,
     .offset = offsetof(Example, input),
     .unit = "INPUT",
     .help = "the corpus",
     .positional = true},
};
static const FieldTable place_table = {"Arguments", places, 2};

static void assert_message(lmu_status status, lmu_status expected, const char *message)
{
    assert_int_equal(status, expected);
    assert_string_equal(lmu_error_message(), message);
}

static void test_defaults_and_texts(void **state)
{
    (void)state;
    Example e;
    assert_int_equal(fields_init(&table, &e), LMU_OK);
    assert_true(e.shuffle && !e.tied && e.dim == 128 && e.memory == 64 << 20 && e.pause == 600);
    assert_true(e.weight_decay == 0.1 && !e.out && e.norm == 1 && e.theta.count == 1 && e.theta.value[0] == 32);
    assert_int_equal(e.skip.count, 1);
    static const struct {
        const char *name, *text, *back;
    } sets[] = {
        {"shuffle", "no", "false"},
        {"tied", "1", "true"},
        {"dim", "1.5k", "1500"},
        {"memory", "4Gi", "4294967296"},
        {"pause", "1.5h", "5400"},
        {"weight-decay", "1e-2", "0.01"},
        {"weight_decay", ".3", "0.3"},
        {"out", "runs/a b", "runs/a b"},
        {"out", "", ""},
        {"norm", "rms", "rms"},
        {"theta", "16,32.5,64", "16,32.5,64"},
    };
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        char text[256];
        assert_int_equal(fields_set(&table, &e, sets[i].name, sets[i].text), LMU_OK);
        const Field *field = fields_find(&table, sets[i].name);
        assert_non_null(field);
        field_format(field, &e, text, sizeof text);
        assert_string_equal(text, sets[i].back);
        assert_int_equal(fields_set(&table, &e, sets[i].name, text), LMU_OK);
    }
    assert_int_equal(fields_set(&table, &e, "skip", "b"), LMU_OK);
    assert_int_equal(e.skip.count, 2);
    fields_free(&table, &e);
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text, *message;
    } bad[] = {
        {"dim", "0", "dim: 0 is out of range; it goes from 1 to 65536"},
        {"dim", "-5", "dim: -5 is out of range; it goes from 1 to 65536"},
        {"dim", "99999999999999999999", "dim: 99999999999999999999 is out of range; it goes from 1 to 65536"},
        {"dim", "wide", "dim: 'wide' is not a whole number (such as 8000, 1.5k or 20M)"},
        {"dim", "1.5", "dim: '1.5' is not a whole number (such as 8000, 1.5k or 20M)"},
        {"dim", "", "dim: an empty value; a whole number (such as 8000, 1.5k or 20M) is expected"},
        {"memory", "4Xi", "memory: '4Xi' is not a number of bytes (such as 4096, 64Mi or 4Gi)"},
        {"pause", "soon", "pause: 'soon' is not a duration (such as 90s, 10m or 1.5h)"},
        {"weight_decay", "2", "weight_decay: 2 is out of range; it goes from 0 to 1"},
        {"weight_decay", "nan", "weight_decay: 'nan' is not a number"},
        {"shuffle", "maybe", "shuffle: 'maybe' is not true or false"},
        {"norm", "batch", "norm: 'batch' is none of none|layer|rms"},
        {"norm", "lay", "norm: 'lay' is none of none|layer|rms"},
        {"theta", "16,", "theta: '16,' is not a list of numbers (such as 32 or 16,32,64)"},
        {"theta", "16,x", "theta: '16,x' is not a list of numbers (such as 32 or 16,32,64)"},
        {"theta", "16,0.5", "theta: 0.5 is out of range; it goes from 1 to 4096"},
        {"wieght-decay", "1", "Example: no field has the name wieght-decay; did you mean weight_decay?"},
        {"zzzzzz", "1", "Example: no field has the name zzzzzz"},
    };
    Example e, before;
    assert_int_equal(fields_init(&table, &e), LMU_OK);
    before = e;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_message(fields_set(&table, &e, bad[i].name, bad[i].text), LMU_USAGE, bad[i].message);
    assert_memory_equal(&e, &before, sizeof e);
    char many[65 * 3 + 1] = "";
    for (int i = 0; i < 65; i++)
        strcat(many, i ? ",32" : "32");
    assert_message(fields_set(&table, &e, "theta", many), LMU_USAGE, "theta: more than 64 numbers in a list");
    fields_free(&table, &e);
}

static void test_json_round_trip(void **state)
{
    (void)state;
    Example a, b;
    assert_int_equal(fields_init(&table, &a), LMU_OK);
    assert_int_equal(fields_init(&table, &b), LMU_OK);
    assert_int_equal(fields_set(&table, &a, "theta", "1.1,2.2,3.3"), LMU_OK);
    assert_int_equal(fields_set(&table, &a, "weight-decay", "0.30000000000000004"), LMU_OK);
    assert_int_equal(fields_set(&table, &a, "out", "d\"x"), LMU_OK);
    assert_int_equal(fields_set(&table, &a, "skip", "second"), LMU_OK);
    a.dim = 4096, a.norm = 2, a.tied = true, a.shuffle = false;
    json_t *object = json_object();
    assert_int_equal(fields_to_json(&table, &a, object), LMU_OK);
    assert_int_equal(json_object_size(object), table.count - 1); /* limit was never set */
    assert_null(json_object_get(object, "limit"));
    assert_int_equal(fields_from_json(&table, &b, "config.json", object), LMU_OK);
    json_t *again = json_object();
    assert_int_equal(fields_to_json(&table, &b, again), LMU_OK);
    assert_true(json_equal(object, again));
    assert_true(b.weight_decay == 0.30000000000000004 && b.theta.count == 3 && b.skip.count == 2);
    json_decref(object);
    json_decref(again);
    assert_int_equal(fields_set(&table, &a, "out", "\xff"), LMU_OK);
    object = json_object();
    assert_int_equal(fields_to_json(&table, &a, object), LMU_FORMAT);
    json_decref(object);
    fields_free(&table, &a);
    fields_free(&table, &b);
}

static void assert_lists(Example *e, int theta, int groups)
{
    assert_int_equal(e->theta.count, theta);
    assert_int_equal(e->groups.count, groups);
}

/* theta takes the place of groups, unless both are given, in whichever order. */
static void test_json_of_rivals(void **state)
{
    (void)state;
    const struct {
        const char *json;
        int theta, groups;
    } files[] = {{"{}", 1, 2},
                 {"{\"theta\": [5, 6, 7]}", 3, 0},
                 {"{\"groups\": [5, 6, 7]}", 1, 3},
                 {"{\"theta\": [5], \"groups\": [5, 6, 7]}", 1, 3},
                 {"{\"groups\": [5, 6, 7], \"theta\": [5]}", 1, 3},
                 {"{\"groups\": []}", 1, 0}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        Example e;
        json_t *object = json_loads(files[i].json, 0, NULL);
        assert_int_equal(fields_init(&table, &e), LMU_OK);
        assert_int_equal(fields_from_json(&table, &e, "config.json", object), LMU_OK);
        assert_lists(&e, files[i].theta, files[i].groups);
        fields_free(&table, &e);
        json_decref(object);
    }
}

static void test_json_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } bad[] = {
        {"{\"dmi\": 3}", "c.json: unknown key \"dmi\"; did you mean \"dim\"?"},
        {"{\"weight-decay\": 0}", "c.json: unknown key \"weight-decay\"; did you mean \"weight_decay\"?"},
        {"{\"qqqqqqqq\": 0}", "c.json: unknown key \"qqqqqqqq\""},
        {"{\"dim\": \"128\"}", "c.json: key \"dim\" is not a whole number"},
        {"{\"dim\": 1.5}", "c.json: key \"dim\" is not a whole number"},
        {"{\"dim\": 0}", "c.json: key \"dim\": 0 is out of range; it goes from 1 to 65536"},
        {"{\"tied\": 1}", "c.json: key \"tied\" is not true or false"},
        {"{\"norm\": \"x\"}", "c.json: key \"norm\": 'x' is none of none|layer|rms"},
        {"{\"theta\": [1, \"2\"]}", "c.json: key \"theta\" is not a list of numbers"},
        {"{\"theta\": 32}", "c.json: key \"theta\" is not a list of numbers"},
        {"{\"skip\": [null]}", "c.json: key \"skip\" is not a list of strings"},
        {"{\"out\": 3}", "c.json: key \"out\" is not a string or null"},
        {"[]", "c.json: an object of settings is expected"},
    };
    Example e;
    assert_int_equal(fields_init(&table, &e), LMU_OK);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        json_t *object = json_loads(bad[i].text, 0, NULL);
        assert_non_null(object);
        assert_message(fields_from_json(&table, &e, "c.json", object), LMU_FORMAT, bad[i].message);
        json_decref(object);
    }
    fields_free(&table, &e);
}

/* Parses words up to NULL into both tables of one Example. */
static lmu_status parse(Example *e, bool *help, const char *const *words)
{
    char *argv[32] = {(char *)"lmu"};
    int argc = 1;
    for (; words[argc - 1]; argc++)
        argv[argc] = (char *)words[argc - 1];
    memset(e, 0, sizeof *e);
    assert_int_equal(fields_init(&place_table, e), LMU_OK);
    assert_int_equal(fields_init(&table, e), LMU_OK);
    const FieldGroup groups[] = {{&place_table, e}, {&table, e}};
    return fields_parse(groups, 2, argc, argv, help);
}

static void release(Example *e)
{
    fields_free(&place_table, e);
    fields_free(&table, e);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void test_command_line(void **state)
{
    (void)state;
    Example e;
    bool help;
    assert_int_equal(parse(&e, &help,
                           WORDS("--dim", "1k", "--weight-decay=0.5", "first", "--no-shuffle", "--tied", "--skip", "x",
                                 "--skip=y", "-", "--", "--dim")),
                     LMU_OK);
    assert_false(help);
    assert_true(e.dim == 1000 && e.weight_decay == 0.5 && !e.shuffle && e.tied);
    assert_string_equal(e.run, "first");
    assert_int_equal(e.input.count, 2);
    assert_string_equal(e.input.value[0], "-");
    assert_string_equal(e.input.value[1], "--dim");
    assert_int_equal(e.skip.count, 2); /* the default gave way */
    assert_string_equal(e.skip.value[0], "x");
    release(&e);
    assert_int_equal(parse(&e, &help, WORDS("run", "--out=--odd", "--no-tied", "--shuffle=false")), LMU_OK);
    assert_string_equal(e.out, "--odd");
    assert_false(e.shuffle);
    assert_lists(&e, 1, 2);
    release(&e);
    assert_int_equal(parse(&e, &help, WORDS("run", "--theta", "5,6,7")), LMU_OK);
    assert_lists(&e, 3, 0);
    release(&e);
    assert_int_equal(parse(&e, &help, WORDS("run", "--groups", "4,5,6")), LMU_OK);
    assert_lists(&e, 1, 3);
    release(&e);
    assert_int_equal(parse(&e, &help, WORDS("--nonsense", "-h")), LMU_OK);
    assert_true(help);
    release(&e);
}

static void test_command_line_refusals(void **state)
{
    (void)state;
    const struct {
        const char *const *words;
        const char *message;
    } bad[] = {
        {WORDS("run", "--dmi", "3"), "unknown option --dmi; did you mean --dim?"},
        {WORDS("run", "--weight_dcay=3"), "unknown option --weight_dcay; did you mean --weight-decay?"},
        {WORDS("run", "--qqqqqqq"), "unknown option --qqqqqqq; see --help"},
        {WORDS("run", "-d", "3"), "unknown option -d; see --help"},
        {WORDS("run", "--run", "3"), "unknown option --run; see --help"},
        {WORDS("run", "--dim"), "--dim: a value is missing"},
        {WORDS("run", "--out", "--tied"),
         "--out: a value is missing before --tied; a value that begins with a dash is written --out=VALUE"},
        {WORDS("run", "--dim", "-3"), "--dim: -3 is out of range; it goes from 1 to 65536"},
        {WORDS("run", "--weight-decay", "-.5"), "--weight-decay: -.5 is out of range; it goes from 0 to 1"},
        {WORDS("run", "--dim="), "--dim: an empty value; a whole number (such as 8000, 1.5k or 20M) is expected"},
        {WORDS("run", "--no-dim"), "unknown option --no-dim; see --help"},
        {WORDS("run", "--no-tied=1"), "--no-tied: takes no value"},
        {WORDS("run", "--groups", "4,5", "--theta=5"),
         "--theta and --groups are two ways to say one thing: give one of them"},
        {WORDS("--tied"), "RUN is missing: the run"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        Example e;
        bool help;
        assert_message(parse(&e, &help, bad[i].words), LMU_USAGE, bad[i].message);
        release(&e);
    }
    char *argv[] = {(char *)"lmu", (char *)"stray", NULL};
    Example e;
    bool help;
    assert_int_equal(fields_init(&table, &e), LMU_OK);
    const FieldGroup group = {&table, &e};
    assert_message(fields_parse(&group, 1, 2, argv, &help), LMU_USAGE, "'stray': one argument too many");
    fields_free(&table, &e);
}

static void test_help(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    const FieldGroup groups[] = {{&place_table, NULL}, {&table, NULL}};
    fields_help(out, groups, 2);
    fclose(out);
    assert_non_null(strstr(text, "Arguments:\n  RUN                         the run (required)\n  INPUT...  "));
    assert_non_null(strstr(text, "\n  --[no-]shuffle              shuffle the windows\n"));
    assert_non_null(
        strstr(text, "\n  --dim CHANNELS              width of the residual stream (default 128; 1 to 65536)\n"));
    assert_non_null(strstr(text, "\n  --norm none|layer|rms       kind of norm (default layer)\n"));
    assert_non_null(strstr(text, "(default 64Mi; at least 0)"));
    for (const char *line = text; *line; line += strcspn(line, "\n") + 1)
        assert_true(strcspn(line, "\n") <= 100);
    free(text);
    out = open_memstream(&text, &size);
    fields_markdown(out, groups, 2);
    fclose(out);
    assert_non_null(strstr(text, "| `--norm none\\|layer\\|rms` | layer |  | kind of norm |\n"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults_and_texts),    cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_json_round_trip),       cmocka_unit_test(test_json_of_rivals),
        cmocka_unit_test(test_json_refusals),         cmocka_unit_test(test_command_line),
        cmocka_unit_test(test_command_line_refusals), cmocka_unit_test(test_help),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
