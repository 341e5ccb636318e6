/* Speed and memory of kernels and models; one JSON object a line. docs/performance.md says what each figure means.
 *
 *     bench_lmu                                 the standard set: kernels, train, length, decode
 *     bench_lmu train decode                    some of it
 *     bench_lmu kernels --kernel implicit       some kernels
 *     bench_lmu train --arch lmu --dim 512 ...  one model of these options
 *     bench_lmu decode --arch lmu --int8 ...    the same of one that is rounded to int8
 *     bench_lmu memory                          the forms of the Legendre memory, over lengths
 *     bench_lmu save --arch lmu --save DIR      the model that the others measure, as a checkpoint for bench/peers */
#include <stdio.h>
#include <string.h>

#include "base/format.h"
#include "measure.h"

static const Field fields[] = {
    {.name = "names",
     .type = FIELD_STRINGS,
     .offset = offsetof(BenchOptions, names),
     .unit = "BENCH",
     .positional = true,
     .help = "kernels, train, length, decode, memory, or save; none: the first four"},
    FIELD_STRING_OF(BenchOptions, kernel, NULL, "NAME", "of the kernels only those whose names begin so"),
    FIELD_STRING_OF(BenchOptions, arch, NULL, "NAME",
                    "measure one model of this architecture and the options below, not the standard sizes"),
    FIELD_COUNT_OF(BenchOptions, vocabulary, "8192", 1, 1 << 24, "tokens", "size of the vocabulary"),
    FIELD_COUNT_OF(BenchOptions, length, "1024", 1, 1 << 24, "tokens", "length of a training window"),
    FIELD_COUNT_OF(BenchOptions, batch, "0", 0, 1 << 20, "windows",
                   "windows in one step, or streams that decode together; 0: 8 windows, 1 stream"),
    FIELD_COUNT_OF(BenchOptions, micro_batch, "0", 0, 1 << 20, "windows",
                   "windows worked on at a time; 0: as lmu train chooses"),
    FIELD_COUNT_OF(BenchOptions, threads, "0", 0, 1024, "threads",
                   "threads; 0: as many as this process may use, one for decoding one stream"),
    FIELD_COUNT_OF(BenchOptions, steps, "0", 0, 1 << 20, "steps",
                   "training steps or tokens that count, behind one that warms up; 0: by time"),
    FIELD_COUNT_OF(BenchOptions, prefix, "512", 0, 1 << 20, "tokens", "tokens read before decoding is measured"),
    FIELD_CHOICE_OF(BenchOptions, compute, "f32", COMPUTE_CHOICES, "what products of matrices multiply"),
    FIELD_FLAG_OF(BenchOptions, int8, NULL, "decode: round the model to int8, as lmu quantize does"),
    FIELD_STRING_OF(BenchOptions, save, NULL, "DIR", "where the model is saved: a directory that exists"),
};
static const FieldTable table = {"Bench", fields, sizeof fields / sizeof *fields};

static lmu_status bench_save(const BenchOptions *o)
{
    Backend *backend;
    Model *model = NULL;
    if (!o->arch || !o->save)
        return error_set(LMU_USAGE, "save needs --arch NAME and --save DIR");
    TRY(bench_backend(1, COMPUTE_CHOICE_F32, &backend));
    lmu_status status;
    ATTEMPT(model_create(backend, &o->model, 0, &model));
    ATTEMPT(model_save(model, o->save));
done:
    model_close(model);
    backend_close(backend);
    return status;
}

static const struct {
    const char *name;
    BenchRun *run;
    bool standard;
} benches[] = {{"kernels", bench_kernels, true}, {"train", bench_train, true},    {"length", bench_length, true},
               {"decode", bench_decode, true},   {"memory", bench_memory, false}, {"save", bench_save, false}};
enum { BENCHES = sizeof benches / sizeof *benches };

static lmu_status run_named(const BenchOptions *o)
{
    const char *names[BENCHES];
    for (size_t i = 0; i < BENCHES; i++)
        names[i] = benches[i].name;
    for (size_t n = 0; n < o->names.count; n++) {
        size_t i = 0;
        while (i < BENCHES && strcmp(names[i], o->names.value[n]) != 0)
            i++;
        if (i == BENCHES) {
            const char *nearest = name_nearest(o->names.value[n], names, BENCHES);
            return error_set(LMU_USAGE, "there is no bench %s%s%s%s; --help lists them", o->names.value[n],
                             nearest ? " (did you mean " : "", nearest ? nearest : "", nearest ? "?)" : "");
        }
        TRY(benches[i].run(o));
    }
    for (size_t i = 0; o->names.count == 0 && i < BENCHES; i++)
        if (benches[i].standard)
            TRY(benches[i].run(o));
    return LMU_OK;
}

static lmu_status run(int argc, char **argv)
{
    BenchOptions options;
    bool help = false;
    FieldGroup groups[] = {{&table, &options}, {&model_table, &options.model}};
    memset(&options, 0, sizeof options);
    TRY(fields_init(&table, &options));
    lmu_status status;
    ATTEMPT(fields_init(&model_table, &options.model));
    ATTEMPT(fields_parse(groups, 2, argc, argv, &help));
    if (help) {
        printf("Usage: bench_lmu [BENCH ...] [options]\n\n");
        fields_help(stdout, groups, 2);
        goto done;
    }
    if (options.arch) {
        /* The architecture's defaults first, then the command line over them. */
        model_config_free(&options.model);
        ATTEMPT(model_config_init(&options.model, options.arch));
        fields_free(&table, &options);
        ATTEMPT(fields_init(&table, &options));
        ATTEMPT(fields_parse(groups, 2, argc, argv, &help));
        options.model.vocabulary = options.vocabulary;
        ATTEMPT(model_config_check(&options.model));
    }
    status = run_named(&options);
done:
    fields_free(&table, &options);
    model_config_free(&options.model);
    return status;
}

int main(int argc, char **argv)
{
    lmu_status status = run(argc, argv);
    if (status != LMU_OK)
        fprintf(stderr, "bench_lmu: %s\n", lmu_error_message());
    return status == LMU_OK ? 0 : status == LMU_USAGE ? 2 : 1;
}
