/* lmu: the program. Finds the command, runs it, says what went wrong and exits: 0 done, 1 failed, 2 wrong usage,
 * 130 interrupted. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/command.h"

extern const Command tokenizer_train_command;
extern const Command tokenizer_encode_command;
extern const Command tokenizer_decode_command;
extern const Command prepare_command;
extern const Command ngram_command;
extern const Command train_command;
extern const Command eval_command;
extern const Command generate_command;
extern const Command stream_command;
extern const Command serve_command;
extern const Command inspect_command;
extern const Command quantize_command;
extern const Command plot_command;
extern const Command study_run_command;
extern const Command study_show_command;
extern const Command study_fit_command;
extern const Command study_plot_command;
extern const Command help_command;

const Command *const commands[] = {
    &tokenizer_train_command,
    &tokenizer_encode_command,
    &tokenizer_decode_command,
    &prepare_command,
    &ngram_command,
    &train_command,
    &eval_command,
    &generate_command,
    &stream_command,
    &serve_command,
    &inspect_command,
    &quantize_command,
    &plot_command,
    &study_run_command,
    &study_show_command,
    &study_fit_command,
    &study_plot_command,
    &help_command,
    NULL,
};

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_INTERRUPTED = 130 };

atomic_int command_interrupt, command_heeds_interrupt;

#define ONE_REQUEST 1.0 /* seconds: timeout(1) signals the program and then its group, and a hand may press twice */

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Waits for signals, for all threads. The first one asks a command that promised to look to stop where it can save, and ends any
 * other; one that comes later than what may be the same request ends the program at once. */
static void *take_signals(void *set)
{
    static const char last_words[] = "\nlmu: ended at once by a second signal; what was not saved yet is lost\n";
    double asked = 0;
    for (;;) {
        int number;
        if (sigwait(set, &number) != 0)
            continue;
        if (!command_heeds_interrupt)
            _exit(EXIT_INTERRUPTED);
        if (!command_interrupt) {
            asked = seconds_now();
            command_interrupt = 1;
        } else if (seconds_now() - asked > ONE_REQUEST) {
            ssize_t written = write(STDERR_FILENO, last_words, sizeof last_words - 1);
            (void)written; /* there is nobody left to tell */
            _exit(EXIT_INTERRUPTED);
        }
    }
    return NULL;
}

/* SIGINT and SIGTERM are blocked in every thread and taken by one that does nothing else. A handler must not run on the stacks of
 * the others: products of oneDNN use the stack pointer as one more register for a while, and a signal's frame would be written
 * over what lies there. A reader of our output that goes away ends us quietly, whatever the parent process had set. */
static void install_signals(void)
{
    static sigset_t set;
    pthread_t thread;
    signal(SIGPIPE, SIG_DFL);
    signal(SIGXFSZ, SIG_IGN); /* a file past the limit of its size is an error of write() like a full disk */
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (pthread_create(&thread, NULL, take_signals, &set) == 0)
        pthread_detach(thread);
    else
        pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static int exit_code(lmu_status status)
{
    switch (status) {
    case LMU_OK:
        return EXIT_DONE;
    case LMU_USAGE:
        return EXIT_USAGE;
    case LMU_INTERRUPTED:
        return EXIT_INTERRUPTED;
    default:
        return EXIT_FAILED;
    }
}

static int report(const char *name, lmu_status status)
{
    command_progress_end();
    if (status == LMU_OK && (fflush(stdout) != 0 || ferror(stdout)))
        status = error_set(LMU_IO, "cannot write to standard output; is the disk full?");
    if (status == LMU_OK)
        return EXIT_DONE;
    fflush(stdout);
    const char *message = lmu_error_message();
    if (!*message)
        message = status == LMU_INTERRUPTED ? "interrupted" : "failed";
    fprintf(stderr, "lmu%s%s: %s\n", *name ? " " : "", name, message);
    if (status == LMU_USAGE)
        fprintf(stderr, "See 'lmu%s%s --help'.\n", *name ? " " : "", name);
    return exit_code(status);
}

/* OpenMP's threads wait for each other spinning, by default for about a millisecond: on cores that others use too, most of the
 * time goes there. They shall sleep after some tens of microseconds, which costs a few percent on a machine of one's own. The
 * run-time library reads its settings before main, so the program starts itself once more, unless the user has set how to
 * wait. */
static void wait_briefly(char **argv)
{
    if (getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT"))
        return;
    if (setenv("GOMP_SPINCOUNT", "10000", 1) == 0)
        execv("/proc/self/exe", argv); /* where it fails, threads spin and all else is the same */
}

int main(int argc, char **argv)
{
    wait_briefly(argv);
    install_signals();
    if (argc < 2) {
        command_overview(stderr);
        return EXIT_USAGE;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
        command_overview(stdout);
        return report("", LMU_OK);
    }
    if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
        printf("lmu %s\n", lmu_version());
        return report("", LMU_OK);
    }
    int words;
    const Command *command = command_find(argc - 1, argv + 1, &words);
    if (!command)
        return report("", command_unknown(argc - 1, argv + 1));
    return report(command->name, command->run(argc - words, argv + words));
}
