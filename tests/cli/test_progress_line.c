#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pty.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/machine.h"
#include "cli/command.h"

atomic_int command_interrupt, command_heeds_interrupt;
const Command *const commands[] = {NULL};

static double fake_now;

/* Stands in for the library's clock, so that ten seconds take none. */
double machine_seconds(void)
{
    return fake_now;
}

/* 61 reports, two a second, of a stage of `total` units, then the beginning of another stage. */
static void work(Progress *progress, double total, const char *unit, const char *note)
{
    for (int i = 0; i <= 60; i++, fake_now += 0.5)
        progress_report(progress, "train", i * 1000, total, unit, note);
    progress_report(progress, "save", 1, 2, "files", NULL);
}

/* Runs body with standard error as `fd` and reads what came out at `from`. The line's state is the program's, so each
 * run is a process of its own. */
static char *captured(int fd, int from, void (*body)(void))
{
    static char text[65536];
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(fd, STDERR_FILENO);
        setenv("TERM", "xterm", 1);
        body();
        _exit(0);
    }
    close(fd);
    size_t size = 0;
    for (ssize_t got; (got = read(from, text + size, sizeof text - 1 - size)) > 0;)
        size += (size_t)got;
    text[size] = '\0';
    close(from);
    return text;
}

static void body_bounded(void)
{
    work(command_progress(), 60000, "tokens", "loss 4.31");
    progress_say(command_progress(), "A word to the user.");
    command_progress_end();
}

static void body_bytes_without_end(void)
{
    work(command_progress(), 0, "bytes", NULL);
    command_progress_end();
}

static void body_odd_note(void)
{
    work(command_progress(), 60000, "tokens",
         "\xc3\xa4\xc3\xb6\n\033[2J\xc3\xbc\xc3\xa4\xc3\xb6\xc3\xbc\xc3\xa4\xc3\xb6\xc3\xbc");
    command_progress_end();
}

static char *captured_log(void (*body)(void))
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    return captured(ends[1], ends[0], body);
}

static char *captured_terminal(void (*body)(void), unsigned short columns)
{
    int outer, inner;
    struct winsize size = {.ws_row = 24, .ws_col = columns};
    assert_int_equal(openpty(&outer, &inner, NULL, NULL, &size), 0);
    return captured(inner, outer, body);
}

static void test_log_gets_few_lines(void **state)
{
    (void)state;
    char *text = captured_log(body_bounded);
    assert_string_equal(text, "train   33%  20.0 k of 60.0 k tokens  2000/s  0:20 left  loss 4.31\n"
                              "train   66%  40.0 k of 60.0 k tokens  2000/s  0:10 left  loss 4.31\n"
                              "train  100%  60.0 k of 60.0 k tokens  2000/s  0:30  loss 4.31\n"
                              "A word to the user.\n"
                              "save   50%  1 of 2 files\n");
}

static void test_bytes_and_no_total(void **state)
{
    (void)state;
    char *text = captured_log(body_bytes_without_end);
    assert_non_null(strstr(text, "train  19.5 KiB  1.95 KiB/s  0:10\n"));
    assert_null(strchr(text, '\033'));
    assert_null(strchr(text, '\r'));
}

/* Every redrawn line starts at the left, clears what is right of it and is narrower than the terminal. */
static void test_terminal_redraws_in_place(void **state)
{
    (void)state;
    char *text = captured_terminal(body_bounded, 100);
    assert_non_null(strstr(
        text, "\rtrain  [==========>         ]   50%  30.0 k of 60.0 k tokens  2000/s  0:15 left  loss 4.31\033[K"));
    assert_non_null(strstr(text, "A word to the user.\r\n"));
    size_t ends = 0;
    for (char *c = text; (c = strchr(c, '\n')); c++)
        ends++;
    assert_int_equal(ends, 3); /* one for each stage, one for the word */
}

static void test_narrow_terminal(void **state)
{
    (void)state;
    for (unsigned short columns = 1; columns < 70; columns++) {
        char *text = captured_terminal(body_odd_note, columns);
        assert_null(strstr(text, "\033[2J"));
        for (char *line = strtok(text, "\r\n"); line; line = strtok(NULL, "\r\n")) {
            char *clear = strstr(line, "\033[K");
            assert_non_null(clear);
            assert_true(clear - line < columns);
            assert_true(clear == line || ((unsigned char)clear[-1] & 0xC0) != 0xC0); /* no half character */
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log_gets_few_lines),
        cmocka_unit_test(test_bytes_and_no_total),
        cmocka_unit_test(test_terminal_redraws_in_place),
        cmocka_unit_test(test_narrow_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
