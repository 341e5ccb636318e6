/* A checkpoint that we once wrote is read for ever: its logits are those of the formulas (tests/interop/golden_logits.py has them
 * from NumPy), and it is saved again byte for byte. */
#include "infer/engine_testing.h"

#include <math.h>
#include <stdio.h>

#include "base/file.h"
#include "base/json.h"
#include "infer/session.h"

#define IDS 1024

typedef struct Stored {
    uint32_t id[IDS];
    size_t ids;
    double logit[IDS];
    size_t logits;
} Stored;

static Stored stored_read(void)
{
    Stored stored = {0};
    json_t *json;
    assert_done(json_read_file(GOLDEN "/logits.json", &json));
    json_t *ids = json_object_get(json, "ids"), *logits = json_object_get(json, "logits");
    stored.ids = json_array_size(ids);
    stored.logits = json_array_size(logits);
    assert_true(stored.ids > 0 && stored.ids <= IDS && stored.logits > 0 && stored.logits <= IDS);
    for (size_t i = 0; i < stored.ids; i++)
        stored.id[i] = (uint32_t)json_integer_value(json_array_get(ids, i));
    for (size_t i = 0; i < stored.logits; i++)
        stored.logit[i] = json_number_value(json_array_get(logits, i));
    json_decref(json);
    return stored;
}

/* The logits are within `limit`; closes what was opened. */
static void check_logits(Opened opened, double limit)
{
    Stored stored = stored_read();
    Session *session;
    const float *logits;
    assert_int_equal(tokenizer_size(opened.engine.tokenizer), (int64_t)stored.logits);
    assert_done(session_open(&opened.engine, &session));
    assert_done(session_feed(session, stored.id, stored.ids));
    assert_done(session_logits(session, &logits));
    double worst = 0;
    for (size_t i = 0; i < stored.logits; i++)
        worst = fmax(worst, fabs((double)logits[i] - stored.logit[i]));
    print_message("largest difference %.2e\n", worst);
    assert_true(worst <= limit);
    session_close(session);
    opened_close(&opened);
}

static void logits_of(BackendKind kind, bool guarded, double limit)
{
    Opened opened;
    opened_open(&opened, kind, guarded);
    check_logits(opened, limit);
}

/* Weights and inputs of products have 8 significant bits; the largest logit is 6. */
static void test_bf16(void **state)
{
    (void)state;
    for (int plain = 0; plain < 2; plain++) {
        Opened opened;
        opened_open_bf16(&opened, plain);
        check_logits(opened, 0.05);
    }
}

static void test_logits(void **state)
{
    (void)state;
    logits_of(BACKEND_CPU, false, 1e-5);
    logits_of(BACKEND_REFERENCE, false, 1e-5);
    logits_of(BACKEND_DOUBLE, false, 5e-7); /* they are handed out as floats */
    for (MemoryForm form = MEMORY_FUSED; form <= MEMORY_FFT; form++) {
        Opened opened = {0};
        assert_done(backend_open(BACKEND_CPU, 2, false, &opened.backend));
        opened.backend->memory = form;
        assert_done(engine_open(opened.backend, GOLDEN, &opened.engine));
        check_logits(opened, 1e-5);
    }
}

static void test_guarded(void **state)
{
    (void)state;
    logits_of(BACKEND_CPU, true, 1e-5);
}

static void assert_same_file(const char *directory, const char *name)
{
    char *theirs, *ours, *a, *b;
    size_t a_size, b_size;
    assert_done(path_join(GOLDEN, name, &theirs));
    assert_done(path_join(directory, name, &ours));
    assert_done(file_read(theirs, 1 << 24, &a, &a_size));
    assert_done(file_read(ours, 1 << 24, &b, &b_size));
    if (a_size != b_size || memcmp(a, b, a_size) != 0)
        fail_msg("%s is saved with other bytes (%zu, %zu)", name, a_size, b_size);
    free(a);
    free(b);
    free(theirs);
    free(ours);
}

static void save_of(bool guarded)
{
    Opened opened;
    char directory[] = "/tmp/lmu-test-XXXXXX";
    assert_non_null(mkdtemp(directory));
    opened_open(&opened, BACKEND_CPU, guarded);
    assert_done(model_save(opened.engine.model, directory));
    char *path;
    assert_done(path_join(directory, "tokenizer.json", &path));
    assert_done(tokenizer_save(opened.engine.tokenizer, path));
    free(path);
    assert_same_file(directory, "config.json");
    assert_same_file(directory, "model.safetensors");
    assert_same_file(directory, "tokenizer.json");
    opened_close(&opened);
    assert_done(directory_remove(directory));
}

static void test_save(void **state)
{
    (void)state;
    save_of(false);
    save_of(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_logits),
        cmocka_unit_test(test_guarded),
        cmocka_unit_test(test_bf16),
        cmocka_unit_test(test_save),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
