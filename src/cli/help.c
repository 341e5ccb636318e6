/* lmu help: the overview, one command's help, or all of it as docs/cli.md. */
#include "cli/command.h"

typedef struct HelpOptions {
    StringList command;
    bool markdown, man;
} HelpOptions;

static const Field help_fields[] = {
    {.name = "command",
     .type = FIELD_STRINGS,
     .offset = offsetof(HelpOptions, command),
     .unit = "COMMAND",
     .help = "the command, one word or two; without it, the list of all",
     .positional = true},
    FIELD_FLAG_OF(HelpOptions, markdown, NULL, "print every command as Markdown: docs/cli.md is this"),
    FIELD_FLAG_OF(HelpOptions, man, NULL, "print every command as a page for man, lmu.1"),
};
static const FieldTable help_table = {"Options", help_fields, sizeof help_fields / sizeof *help_fields};

static void help_markdown(void)
{
    printf(
        "# The lmu program\n\n"
        "Printed by `lmu help --markdown` from the tables that the program itself reads; `make docs` writes it "
        "anew.\n\n"
        "Counts may be written 8000, 1.5k or 20M; bytes 4096, 64Mi or 4Gi; times 90s, 10m or 1.5h. An option is given\n"
        "as `--name VALUE` or `--name=VALUE`; `--no-name` clears a switch; `--` ends the options.\n"
        "Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.\n");
    for (const Command *const *command = commands; *command; command++)
        command_markdown(stdout, *command);
}

static lmu_status help_man(void)
{
    printf(".TH LMU 1 \"\" \"lmu %s\" \"User Commands\"\n"
           ".SH NAME\nlmu \\- train, measure and run language models made of Legendre Memory Units\n"
           ".SH SYNOPSIS\n.B lmu\n.I COMMAND\n[options]\n"
           ".SH DESCRIPTION\n"
           "Counts may be written 8000, 1.5k or 20M; bytes 4096, 64Mi or 4Gi; times 90s, 10m or 1.5h. An option is "
           "given\nas \\-\\-name VALUE or \\-\\-name=VALUE; \\-\\-no\\-name clears a switch; \\-\\- ends the "
           "options.\n"
           ".SH EXIT STATUS\n0 done, 1 failed, 2 wrong usage, 130 interrupted.\n"
           ".SH COMMANDS\n",
           lmu_version());
    for (const Command *const *command = commands; *command; command++)
        TRY(command_man(stdout, *command));
    return LMU_OK;
}

static lmu_status help_show(const HelpOptions *options)
{
    int words, count = (int)options->command.count;
    if (options->markdown && options->man)
        return error_set(LMU_USAGE, "--markdown and --man: give one of them");
    if (options->man)
        return help_man();
    if (options->markdown) {
        help_markdown();
        return LMU_OK;
    }
    if (count == 0) {
        command_overview(stdout);
        return LMU_OK;
    }
    const Command *command = command_find(count, options->command.value, &words);
    if (!command)
        return command_unknown(count, options->command.value);
    if (words < count)
        return error_set(LMU_USAGE, "'%s': one argument too many", options->command.value[words]);
    command_help(stdout, command);
    return LMU_OK;
}

static lmu_status help_run(int argc, char *const *argv);

const Command help_command = {
    .name = "help",
    .summary = "Tell about a command",
    .usage = "[COMMAND] [--markdown | --man]",
    .tables = {&help_table},
    .run = help_run,
};

static lmu_status help_run(int argc, char *const *argv)
{
    HelpOptions options;
    void *const values[] = {&options};
    bool help;
    TRY(command_parse(&help_command, argc, argv, values, &help));
    if (help)
        return LMU_OK;
    lmu_status status = help_show(&options);
    command_free(&help_command, values);
    return status;
}
