/* A pseudo-terminal cannot do parity: a program that asks for one is refused (EINVAL), or believes that it has it.
 * Preloaded into a program under test, this lets the kernel do what it can, and notes the parity that was asked for
 * in $PARITY_NOTES/<name of the terminal>, one letter of N, E, O, for the simulated line to read.
 * For tests only; it touches nothing but pseudo-terminals. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

static const char folder_of_terminals[] = "/dev/pts/";

static void note(const char *terminal, tcflag_t flags)
{
    const char *folder = getenv("PARITY_NOTES");
    char path[PATH_MAX];
    if (!folder || snprintf(path, sizeof path, "%s/%s", folder, terminal) >= (int)sizeof path)
        return;
    int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (file < 0)
        return;
    const char *letter = !(flags & PARENB) ? "N" : flags & PARODD ? "O" : "E";
    if (pwrite(file, letter, 1, 0) != 1) /* one byte over the last one: a reader never sees half a note */
        perror("parity_notes");
    close(file);
}

int tcsetattr(int terminal, int actions, const struct termios *wanted)
{
    static int (*next)(int, int, const struct termios *);
    if (!next)
        next = (int (*)(int, int, const struct termios *))dlsym(RTLD_NEXT, "tcsetattr");
    char name[PATH_MAX];
    size_t prefix = sizeof folder_of_terminals - 1;
    if (ttyname_r(terminal, name, sizeof name) || strncmp(name, folder_of_terminals, prefix))
        return next(terminal, actions, wanted);
    note(name + prefix, wanted->c_cflag);
    struct termios possible = *wanted;
    possible.c_cflag &= ~(tcflag_t)(PARENB | PARODD);
    return next(terminal, actions, &possible);
}
