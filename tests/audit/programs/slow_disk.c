/* Lets fdatasync hang for as long as the file named by SLOW_DISK exists: what a dying disk or a stalled NFS server does. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

int fdatasync(int fd) {
    static int (*real)(int);
    const char *trigger = getenv("SLOW_DISK");
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    while (trigger && access(trigger, F_OK) == 0) usleep(10000);
    return real(fd);
}
