/* A subcommand: one file cli/NAME.c defines one Command, main.c lists it. Only cli/ prints and exits. */
#ifndef LMU_CLI_COMMAND_H
#define LMU_CLI_COMMAND_H

#include <stdatomic.h>
#include <stdio.h>

#include "base/field.h"
#include "base/progress.h"

#define COMMAND_GROUPS 6

typedef struct Command {
    const char *name;    /* "train"; "tokenizer train" for one in a family */
    const char *summary; /* one line in `lmu --help` */
    const char *usage;   /* "RUN --data FILE [options]" */
    const char *details; /* paragraphs for --help and docs/cli.md: what it does, examples; may be NULL */
    const FieldTable *tables[COMMAND_GROUPS]; /* NULL ends */
    /* Parses argv (argv[0] is the command) and works. On failure the error slot has the message. */
    lmu_status (*run)(int argc, char *const *argv);
} Command;

extern const Command *const commands[]; /* NULL ends; in the order of --help */

/* fields_init, fields_parse into `values` (one struct a table, in the table's order). On --help prints it and sets *help:
 * the command then returns LMU_OK at once. After a failure and after help there is nothing left to free. */
lmu_status command_parse(const Command *command, int argc, char *const *argv, void *const *values, bool *help);
void command_free(const Command *command, void *const *values);

/* Help for one command, as --help prints it and as a section of docs/cli.md; the list of all commands. */
void command_help(FILE *out, const Command *command);
void command_markdown(FILE *out, const Command *command);
/* A section of the manual page: the help as it is. LMU_MEMORY. */
lmu_status command_man(FILE *out, const Command *command);
void command_overview(FILE *out);

/* The command whose name (one word or two) argv begins with, and the number of words; NULL if there is none. */
const Command *command_find(int argc, char *const *argv, int *words);
/* Writes to the error slot what to do about an argv that names no command: LMU_USAGE. */
lmu_status command_unknown(int argc, char *const *argv);

/* Set by the first SIGINT or SIGTERM of a command that has called command_progress and so looks at it; for other commands, and
 * for all at the second signal, the process ends at once. */
extern atomic_int command_interrupt, command_heeds_interrupt;

/* A progress line on standard error: redrawn in place on a terminal, one line every few seconds otherwise. progress_end
 * finishes the line that stands. Who takes it promises to stop soon once it says interrupted. */
Progress *command_progress(void);
void command_progress_end(void);

#endif
