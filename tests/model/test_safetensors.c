#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/file.h"
#include "model/safetensors.h"

#define OURS "tests/golden/safetensors_ours.safetensors"
#define THEIRS "tests/golden/safetensors_theirs.safetensors"

static char directory[] = "/tmp/lmu_test_safetensors_XXXXXX";
static char path[256];

static int make_directory(void **state)
{
    (void)state;
    if (mkdtemp(directory) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/t.safetensors", directory);
    return 0;
}

static int remove_directory(void **state)
{
    (void)state;
    return directory_remove(directory) == LMU_OK ? 0 : -1;
}

/* What tests/interop/safetensors_files.py holds, too. */
static const float embedding[6] = {-0.5f, -0.25f, 0, 0.25f, 0.5f, 0.75f};
static const int64_t step = 123456789012;
static const double moment[3] = {1e-300, -0.0, 1.0 / 3};
static const uint16_t half[2] = {0x3c00, 0xc100};
static const int32_t ids[2] = {7, -7};
static const uint8_t bytes[3] = {0xc3, 0xa9, '!'}, flags[2] = {1, 0};
static const SafetensorsTensor golden[] = {
    {.name = "embedding", .type = SAFETENSORS_F32, .rank = 2, .shape = {2, 3}, .data = embedding, .size = 24},
    {.name = "step", .type = SAFETENSORS_I64, .rank = 0, .data = &step, .size = 8},
    {.name = "moment", .type = SAFETENSORS_F64, .rank = 1, .shape = {3}, .data = moment, .size = 24},
    {.name = "half", .type = SAFETENSORS_F16, .rank = 1, .shape = {2}, .data = half, .size = 4},
    {.name = "ids", .type = SAFETENSORS_I32, .rank = 2, .shape = {2, 1}, .data = ids, .size = 8},
    {.name = "bytes", .type = SAFETENSORS_U8, .rank = 1, .shape = {3}, .data = bytes, .size = 3},
    {.name = "empty", .type = SAFETENSORS_F32, .rank = 2, .shape = {0, 4}, .data = NULL, .size = 0},
    {.name = "quote \" and é", .type = SAFETENSORS_BOOL, .rank = 1, .shape = {2}, .data = flags, .size = 2},
};
#define GOLDEN_COUNT (sizeof golden / sizeof *golden)
static const SafetensorsText golden_metadata[] = {{"model", "lmu"}, {"note", "line\nbreak, \"quote\", é"}};
static const SafetensorsContent golden_content = {
    .tensors = golden, .count = GOLDEN_COUNT, .metadata = golden_metadata, .metadata_count = 2};

static void check_golden(const char *file_path)
{
    Safetensors *file;
    assert_int_equal(safetensors_open(file_path, &file), LMU_OK);
    assert_int_equal(safetensors_count(file), GOLDEN_COUNT);
    for (size_t i = 0; i < GOLDEN_COUNT; i++) {
        const SafetensorsTensor *expected = &golden[i], *tensor = safetensors_find(file, expected->name);
        assert_non_null(tensor);
        assert_string_equal(tensor->name, expected->name);
        assert_int_equal(tensor->type, expected->type);
        assert_int_equal(tensor->rank, expected->rank);
        assert_memory_equal(tensor->shape, expected->shape, sizeof tensor->shape);
        assert_int_equal(tensor->size, expected->size);
        assert_int_equal((uintptr_t)tensor->data % safetensors_type_size(tensor->type), 0);
        if (tensor->size > 0)
            assert_memory_equal(tensor->data, expected->data, tensor->size);
    }
    const uint8_t *place = safetensors_at(file, 0)->data;
    for (size_t i = 0; i < GOLDEN_COUNT; i++) {
        assert_ptr_equal(safetensors_at(file, i)->data, place);
        place += safetensors_at(file, i)->size;
    }
    for (int i = 0; i < 2; i++)
        assert_string_equal(safetensors_metadata(file, golden_metadata[i].key), golden_metadata[i].value);
    assert_null(safetensors_metadata(file, "model "));
    assert_null(safetensors_find(file, "embeddin"));
    assert_null(safetensors_find(file, "__metadata__"));
    safetensors_close(file);
}

static void golden_files_are_read(void **state)
{
    (void)state;
    check_golden(OURS);
    check_golden(THEIRS);
}

static void our_golden_file_is_written_again_byte_for_byte(void **state)
{
    (void)state;
    assert_int_equal(safetensors_write(path, &golden_content), LMU_OK);
    check_golden(path);
    char *ours, *fresh;
    size_t ours_size, fresh_size;
    assert_int_equal(file_read(OURS, 1 << 20, &ours, &ours_size), LMU_OK);
    assert_int_equal(file_read(path, 1 << 20, &fresh, &fresh_size), LMU_OK);
    assert_int_equal(ours_size, fresh_size);
    assert_memory_equal(ours, fresh, ours_size);
    free(ours);
    free(fresh);
}

static void a_tensor_must_be_what_the_caller_needs(void **state)
{
    (void)state;
    Safetensors *file;
    const void *data;
    assert_int_equal(safetensors_open(OURS, &file), LMU_OK);
    assert_int_equal(safetensors_get(file, "embedding", SAFETENSORS_F32, 2, (int64_t[]){2, 3}, &data), LMU_OK);
    assert_memory_equal(data, embedding, sizeof embedding);
    assert_int_equal(safetensors_get(file, "embedding", SAFETENSORS_F32, 2, (int64_t[]){-1, 3}, &data), LMU_OK);
    assert_int_equal(safetensors_get(file, "step", SAFETENSORS_I64, 0, NULL, &data), LMU_OK);
    assert_int_equal(safetensors_get(file, "head", SAFETENSORS_F32, 1, (int64_t[]){2}, &data), LMU_MISMATCH);
    assert_string_equal(lmu_error_message(), OURS ": there is no tensor \"head\"");
    assert_int_equal(safetensors_get(file, "embedding", SAFETENSORS_F32, 2, (int64_t[]){-1, 4}, &data), LMU_MISMATCH);
    assert_string_equal(lmu_error_message(), OURS ": tensor \"embedding\" is F32 (2, 3); F32 (any, 4) is needed");
    assert_int_equal(safetensors_get(file, "step", SAFETENSORS_F64, 1, (int64_t[]){1}, &data), LMU_MISMATCH);
    assert_string_equal(lmu_error_message(), OURS ": tensor \"step\" is I64 (); F64 (1) is needed");
    safetensors_close(file);
}

/* ---- broken files ---- */

typedef struct Broken {
    const char *header; /* its length goes before it */
    size_t data;        /* bytes behind it */
    const char *message;
} Broken;

#define T(name, dtype, shape, offsets)                                                                                 \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

/* Headers are padded to a multiple of 8 by the test, as a writer would. */
static const Broken broken[] = {
    {"", 0, "not valid JSON at line 1, column 0: '[' or '{' expected near end of file"},
    {"{", 0, "not valid JSON at line 1, column 8: string or '}' expected near end of file"},
    {"[]", 0, "the header must be a JSON object"},
    {"{} x", 0, "not valid JSON at line 1, column 4: end of file expected near 'x'"},
    {"{\"\xff\":1}", 0, "not valid JSON at line 1, column 2: unable to decode byte 0xff near '\"'"},
    {"{" T("a", "U8", "[1]", "[0,1]") "," T("a", "U8", "[1]", "[1,2]") "}", 2,
     "not valid JSON at line 1, column 56: duplicate object key near '\"a\"'"},
    {"{\"__metadata__\":[]}", 0, "__metadata__ must be an object of strings"},
    {"{\"__metadata__\":{\"k\":1}}", 0, "__metadata__ must be an object of strings; \"k\" is none"},
    {"{\"a\":7}", 0, "tensor \"a\" must be an object"},
    {"{\"a\":{\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "tensor \"a\": dtype must be a string"},
    {"{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", 1, "tensor \"a\": shape must be an array of integers"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1, "tensor \"a\": data_offsets must be two integers"},
    {"{" T("a", "F33", "[1]", "[0,4]") "}", 4, "tensor \"a\": dtype \"F33\" is not supported"},
    {"{" T("a", "U8", "[-1]", "[0,1]") "}", 1, "tensor \"a\": shape must be an array of integers, none negative"},
    {"{" T("a", "U8", "[1.0]", "[0,1]") "}", 1, "tensor \"a\": shape must be an array of integers, none negative"},
    {"{" T("a", "U8", "[1,1,1,1,1,1,1,1,1]", "[0,1]") "}", 1, "tensor \"a\" has 9 dimensions; at most 8 are supported"},
    {"{" T("a", "F32", "[4611686018427387904,4]", "[0,0]") "}", 0, "tensor \"a\": the shape is too large"},
    {"{" T("a", "U8", "[4294967296,4294967296,2]", "[0,0]") "}", 0, "tensor \"a\": the shape is too large"},
    {"{" T("a", "U8", "[1]", "[0]") "}", 1, "tensor \"a\": data_offsets must be two integers"},
    {"{" T("a", "U8", "[1]", "[0,1.5]") "}", 1, "tensor \"a\": data_offsets must be two integers"},
    {"{" T("a", "U8", "[1]", "[0,99999999999999999999]") "}", 1,
     "not valid JSON at line 1, column 69: too big integer near '99999999999999999999'"},
    {"{" T("a", "U8", "[4]", "[0,4]") "}", 3,
     "tensor \"a\": data_offsets [0, 4] lie outside the 3 bytes of data; is the file cut short?"},
    {"{" T("a", "U8", "[1]", "[-1,0]") "}", 3,
     "tensor \"a\": data_offsets [-1, 0] lie outside the 3 bytes of data; is the file cut short?"},
    {"{" T("a", "U8", "[1]", "[2,1]") "}", 3,
     "tensor \"a\": data_offsets [2, 1] lie outside the 3 bytes of data; is the file cut short?"},
    {"{" T("a", "U8", "[1]", "[9223372036854775807,9223372036854775807]") "}", 3,
     "tensor \"a\": data_offsets [9223372036854775807, 9223372036854775807] lie outside the 3 bytes of data; is the "
     "file "
     "cut short?"},
    {"{" T("a", "F32", "[2]", "[0,4]") "}", 4, "tensor \"a\": dtype and shape need 8 bytes, data_offsets give it 4"},
    {"{" T("a", "U8", "[1]", "[0,1]") "," T("b", "F16", "[1]", "[1,3]") "}", 3,
     "tensor \"b\" is not aligned: it begins at byte 121 of the file, no multiple of 2"},
    {"{" T("a", "U8", "[2]", "[0,2]") "," T("b", "U8", "[2]", "[1,3]") "}", 3, "tensors \"a\" and \"b\" overlap"},
    {"{" T("a", "U8", "[1]", "[0,1]") "," T("b", "U8", "[1]", "[2,3]") "}", 3,
     "1 bytes before tensor \"b\" belong to no tensor"},
    {"{" T("a", "U8", "[1]", "[0,1]") "}", 3, "the last 2 bytes belong to no tensor"},
    {"{}", 5, "the last 5 bytes belong to no tensor"},
};

/* Not atomic and not synced, unlike file_write: there are hundreds of these. */
static void put_file(const void *content, size_t size)
{
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(content, 1, size, out), size);
    assert_int_equal(fclose(out), 0);
}

static void expect_broken(const void *content, size_t size, const char *message)
{
    char expected[512];
    Safetensors *file;
    put_file(content, size);
    snprintf(expected, sizeof expected, "%s: %s", path, message);
    assert_int_equal(safetensors_open(path, &file), LMU_FORMAT);
    assert_string_equal(lmu_error_message(), expected);
    assert_null(file);
}

static size_t make_file(const char *header, size_t data, char *out)
{
    size_t length = (strlen(header) + 7) / 8 * 8;
    memset(out, 0, 8);
    out[0] = (char)length;
    out[1] = (char)(length >> 8);
    memset(out + 8, ' ', length);
    memcpy(out + 8, header, strlen(header));
    memset(out + 8 + length, 1, data);
    return 8 + length + data;
}

static void broken_files_are_refused(void **state)
{
    (void)state;
    char content[2048];
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++)
        expect_broken(content, make_file(broken[i].header, broken[i].data, content), broken[i].message);
    expect_broken("", 0, "0 bytes are too few for a safetensors file");
    expect_broken("1234567", 7, "7 bytes are too few for a safetensors file");
    expect_broken("\x09\0\0\0\0\0\0\0{}      ", 16,
                  "the header has 9 bytes but only 8 are there; is the file cut short?");
    expect_broken("\xff\xff\xff\xff\xff\xff\xff\xff{}", 10,
                  "no safetensors file: its header would have 18446744073709551615 bytes (100000000 at most)");
    expect_broken("PK\x03\x04 an archive", 16,
                  "no safetensors file: its header would have 2336912046786038608 bytes (100000000 at most)");
}

static void what_is_odd_but_right_is_read(void **state)
{
    (void)state;
    static const char *const headers[] = {
        "{}",
        "{\"__metadata__\":{}}",
        "{" T("a", "U8", "[0]", "[0,0]") "," T("b", "F64", "[0,9223372036854775807,9]", "[0,0]") "}",
        "{" T("b", "U8", "[2]", "[1,3]") "," T("a", "U8", "[1]", "[0,1]") "," T("c", "F32", "[0]", "[0,0]") "}",
    };
    const size_t data[] = {0, 0, 0, 3}, counts[] = {0, 0, 2, 3};
    for (int i = 0; i < 4; i++) {
        char content[512];
        Safetensors *file;
        put_file(content, make_file(headers[i], data[i], content));
        assert_int_equal(safetensors_open(path, &file), LMU_OK);
        assert_int_equal(safetensors_count(file), counts[i]);
        assert_null(safetensors_metadata(file, "a"));
        safetensors_close(file);
    }
}

/* Cuts our golden file at each byte: all of these are refused, and nothing is read outside (the sanitizers watch). */
static void a_file_cut_anywhere_is_refused(void **state)
{
    (void)state;
    char *content;
    size_t size;
    assert_int_equal(file_read(OURS, 1 << 20, &content, &size), LMU_OK);
    for (size_t cut = 0; cut < size; cut++) {
        Safetensors *file;
        put_file(content, cut);
        assert_int_equal(safetensors_open(path, &file), LMU_FORMAT);
    }
    free(content);
}

static void files_that_are_none_are_refused(void **state)
{
    (void)state;
    Safetensors *file;
    assert_int_equal(safetensors_open("/nowhere/x.safetensors", &file), LMU_IO);
    assert_int_equal(safetensors_open(directory, &file), LMU_IO);
    safetensors_close(NULL);
}

/* ---- the writer ---- */

static lmu_status read_count(void *context, const SafetensorsTensor *tensor, size_t offset, size_t size, void *out)
{
    (void)tensor;
    uint16_t *element = out;
    for (size_t i = 0; i < size / 2; i++)
        element[i] = (uint16_t)((offset / 2 + i) * 7);
    if (context != NULL && offset > 0)
        return error_set(LMU_NUMERIC, "as the test wanted");
    return LMU_OK;
}

static void data_may_come_piece_by_piece(void **state)
{
    (void)state;
    enum { ELEMENTS = 1300001 };
    const SafetensorsTensor tensors[] = {
        {.name = "flag", .type = SAFETENSORS_U8, .rank = 1, .shape = {2}, .data = flags},
        {.name = "pieces", .type = SAFETENSORS_BF16, .rank = 1, .shape = {ELEMENTS}},
    };
    SafetensorsContent content = {.tensors = tensors, .count = 2, .read = read_count};
    assert_int_equal(safetensors_write(path, &content), LMU_OK);
    Safetensors *file;
    assert_int_equal(safetensors_open(path, &file), LMU_OK);
    const void *data;
    assert_int_equal(safetensors_get(file, "pieces", SAFETENSORS_BF16, 1, (int64_t[]){ELEMENTS}, &data), LMU_OK);
    for (int i = 0; i < ELEMENTS; i++)
        assert_true(((const uint16_t *)data)[i] == (uint16_t)(i * 7));
    assert_string_equal(safetensors_at(file, 1)->name, "flag"); /* behind larger elements */
    safetensors_close(file);
}

static void a_failed_write_leaves_the_old_file(void **state)
{
    (void)state;
    const SafetensorsTensor tensor = {.name = "t", .type = SAFETENSORS_BF16, .rank = 1, .shape = {1 << 20}};
    SafetensorsContent content = {.tensors = &tensor, .count = 1, .read = read_count, .context = path};
    assert_int_equal(file_write(path, "old", 3), LMU_OK);
    assert_int_equal(safetensors_write(path, &content), LMU_NUMERIC);
    assert_string_equal(lmu_error_message(), "as the test wanted");
    content.read = NULL;
    assert_int_equal(safetensors_write(path, &content), LMU_USAGE);
    assert_string_equal(lmu_error_message(), "tensor \"t\" has no data");
    char **names, *old;
    size_t count, size;
    assert_int_equal(directory_list(directory, &names, &count), LMU_OK);
    assert_int_equal(count, 1);
    directory_list_free(names);
    assert_int_equal(file_read(path, 99, &old, &size), LMU_OK);
    assert_string_equal(old, "old");
    free(old);
    assert_int_equal(safetensors_write("/nowhere/x.safetensors", &golden_content), LMU_IO);
}

static void expect_refused(const SafetensorsTensor *tensors, size_t count, const char *message)
{
    SafetensorsContent content = {.tensors = tensors, .count = count};
    assert_int_equal(safetensors_write("x.safetensors", &content), LMU_USAGE);
    assert_string_equal(lmu_error_message(), message);
    assert_false(file_exists("x.safetensors"));
}

static void content_without_sense_is_refused(void **state)
{
    (void)state;
    SafetensorsTensor t[2] = {golden[0], golden[0]};
    expect_refused(t, 2, "x.safetensors: two tensors are named \"embedding\"");
    t[0].name = "__metadata__";
    expect_refused(t, 1, "x.safetensors: no tensor can be named \"__metadata__\"");
    t[0].name = "\xff";
    expect_refused(t, 1, "x.safetensors: the name of a tensor is no UTF-8: \"\xff\"");
    t[0].name = "a";
    t[0].shape[0] = -1;
    expect_refused(t, 1, "x.safetensors: tensor \"a\": a shape that no file can hold");
    t[0].shape[0] = INT64_MAX;
    expect_refused(t, 1, "x.safetensors: tensor \"a\": a shape that no file can hold");
    t[0].rank = 9;
    expect_refused(t, 1, "x.safetensors: tensor \"a\": a shape that no file can hold");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_files_are_read),
        cmocka_unit_test(our_golden_file_is_written_again_byte_for_byte),
        cmocka_unit_test(a_tensor_must_be_what_the_caller_needs),
        cmocka_unit_test(broken_files_are_refused),
        cmocka_unit_test(what_is_odd_but_right_is_read),
        cmocka_unit_test(a_file_cut_anywhere_is_refused),
        cmocka_unit_test(files_that_are_none_are_refused),
        cmocka_unit_test(data_may_come_piece_by_piece),
        cmocka_unit_test(a_failed_write_leaves_the_old_file),
        cmocka_unit_test(content_without_sense_is_refused),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
