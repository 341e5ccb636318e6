#include "cli/command.h"

#include <stdlib.h>
#include <string.h>

#include "base/format.h"

enum { COMMAND_LIMIT = 64 };

static size_t command_groups(const Command *command, void *const *values, FieldGroup groups[COMMAND_GROUPS])
{
    size_t count = 0;
    for (; count < COMMAND_GROUPS && command->tables[count]; count++)
        groups[count] = (FieldGroup){command->tables[count], values ? values[count] : NULL};
    return count;
}

lmu_status command_parse(const Command *command, int argc, char *const *argv, void *const *values, bool *help)
{
    FieldGroup groups[COMMAND_GROUPS] = {0};
    size_t count = command_groups(command, values, groups), ready = 0;
    lmu_status status = LMU_OK;
    *help = false;
    while (ready < count && (status = fields_init(groups[ready].table, groups[ready].values)) == LMU_OK)
        ready++;
    if (status == LMU_OK)
        status = fields_parse(groups, count, argc, argv, help);
    if (status == LMU_OK && *help)
        command_help(stdout, command);
    if (status != LMU_OK || *help)
        while (ready-- > 0)
            fields_free(groups[ready].table, groups[ready].values);
    return status;
}

void command_free(const Command *command, void *const *values)
{
    FieldGroup groups[COMMAND_GROUPS] = {0};
    size_t count = command_groups(command, values, groups);
    for (size_t i = 0; i < count; i++)
        fields_free(groups[i].table, groups[i].values);
}

/* Words of the command's name that argv begins with; *whole if that is all of them. */
static int words_shared(const char *name, int argc, char *const *argv, bool *whole)
{
    int words = 0;
    *whole = false;
    while (words < argc) {
        size_t length = strcspn(name, " ");
        if (strlen(argv[words]) != length || strncmp(name, argv[words], length) != 0)
            break;
        words++;
        name += length;
        *whole = !*name;
        if (*whole)
            break;
        name++;
    }
    return words;
}

const Command *command_find(int argc, char *const *argv, int *words)
{
    bool whole;
    for (const Command *const *command = commands; *command; command++) {
        *words = words_shared((*command)->name, argc, argv, &whole);
        if (whole)
            return *command;
    }
    return NULL;
}

/* "tokenizer" was given, "tokenizer train" exists: says which words may follow. */
static bool family_describe(int argc, char *const *argv, char *out, size_t size)
{
    size_t used = 0;
    bool whole;
    *out = '\0';
    for (const Command *const *command = commands; *command; command++)
        if (words_shared((*command)->name, argc, argv, &whole) > 0 && !whole && used < size)
            used +=
                (size_t)snprintf(out + used, size - used, "%s%s", used ? ", " : "", strchr((*command)->name, ' ') + 1);
    return used > 0;
}

lmu_status command_unknown(int argc, char *const *argv)
{
    char members[256];
    if (argc > 0 && family_describe(1, argv, members, sizeof members)) {
        if (argc == 1)
            return error_set(LMU_USAGE, "'%s' is followed by one of: %s", argv[0], members);
        return error_set(LMU_USAGE, "'%s %s' is no command; '%s' is followed by one of: %s", argv[0], argv[1], argv[0],
                         members);
    }
    const char *names[COMMAND_LIMIT];
    char first[COMMAND_LIMIT][32];
    size_t count = 0;
    for (; commands[count] && count < COMMAND_LIMIT; count++) {
        snprintf(first[count], sizeof first[count], "%.*s", (int)strcspn(commands[count]->name, " "),
                 commands[count]->name);
        names[count] = first[count];
    }
    const char *nearest = argc > 0 ? name_nearest(argv[0], names, count) : NULL;
    if (nearest)
        return error_set(LMU_USAGE, "'%s' is no command; did you mean '%s'?", argv[0], nearest);
    return error_set(LMU_USAGE, "'%s' is no command", argc > 0 ? argv[0] : "");
}

void command_overview(FILE *out)
{
    fprintf(out,
            "lmu %s trains, measures and runs language models made of Legendre Memory Units.\n\n"
            "Usage: lmu COMMAND [options]\n\nCommands:\n",
            lmu_version());
    for (const Command *const *command = commands; *command; command++)
        fprintf(out, "  %-18s %s\n", (*command)->name, (*command)->summary);
    fprintf(out, "\n'lmu COMMAND --help' tells all about a command, 'lmu --version' the version.\n"
                 "Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.\n");
}

void command_help(FILE *out, const Command *command)
{
    FieldGroup groups[COMMAND_GROUPS] = {0};
    size_t count = command_groups(command, NULL, groups);
    fprintf(out, "lmu %s: %s\n\nUsage: lmu %s%s%s\n", command->name, command->summary, command->name,
            *command->usage ? " " : "", command->usage);
    if (command->details)
        fprintf(out, "\n%s\n", command->details);
    if (count) {
        fputc('\n', out);
        fields_help(out, groups, count);
    }
}

/* Details are written for a terminal: lines that begin with spaces are examples, and become blocks of code. */
static void details_markdown(FILE *out, const char *details)
{
    bool code = false;
    for (const char *line = details; *line;) {
        int length = (int)strcspn(line, "\n");
        bool example = line[0] == ' ';
        if (example != code)
            fputs(code ? "```\n" : "```sh\n", out);
        code = example;
        int indent = example ? (int)strspn(line, " ") : 0;
        fprintf(out, "%.*s\n", length - indent, line + indent);
        line += length;
        line += *line == '\n';
    }
    if (code)
        fputs("```\n", out);
}

void command_markdown(FILE *out, const Command *command)
{
    FieldGroup groups[COMMAND_GROUPS] = {0};
    size_t count = command_groups(command, NULL, groups);
    fprintf(out, "\n## lmu %s\n\n%s.\n\n```\nlmu %s%s%s\n```\n", command->name, command->summary, command->name,
            *command->usage ? " " : "", command->usage);
    if (command->details) {
        fputc('\n', out);
        details_markdown(out, command->details);
    }
    if (count) {
        fputc('\n', out);
        fields_markdown(out, groups, count);
    }
}

/* Text that roff prints as it is. */
static void roff_text(FILE *out, const char *text)
{
    bool start = true;
    for (; *text; text++) {
        if (start && (*text == '.' || *text == '\''))
            fputs("\\&", out);
        if (*text == '\\')
            fputs("\\e", out);
        else if (*text == '-')
            fputs("\\-", out);
        else
            fputc(*text, out);
        start = *text == '\n';
    }
}

lmu_status command_man(FILE *out, const Command *command)
{
    char *text = NULL;
    size_t size;
    FILE *help = open_memstream(&text, &size);
    if (!help)
        return error_set(LMU_MEMORY, "no memory for a page");
    command_help(help, command);
    fclose(help);
    fprintf(out, ".SS \"lmu %s\"\n.nf\n", command->name);
    roff_text(out, text);
    fputs(".fi\n", out);
    free(text);
    return LMU_OK;
}
